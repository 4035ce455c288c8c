"""Open a source by name: what a plan or a report needs to know of a corpus.

Importing this module needs only the standard library; the sources are in ``catalogue``.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import os
from pathlib import Path
from typing import Any

from scaling.corpora.catalogue import SOURCES, SourceInfo
from scaling.corpora.errors import CorpusError
from scaling.corpora.signals.presets import preset
from scaling.corpora.sources.read.base import Source, Summary
from scaling.identity import CorpusSpec
from scaling.records.names import nearest

SIMULATED_CLASSES = tuple(f"class{i}" for i in range(6))
_SPLIT_FIELDS = ("records", "validation", "test")


def source_info(name: str) -> SourceInfo:
    """The row of that source.

    Raises:
        CorpusError: no such source; the message suggests the nearest.
    """
    if name not in SOURCES:
        raise CorpusError(f"unknown source {name!r}{_nearest(name, tuple(SOURCES))}")
    return SOURCES[name]


def resolve(spec: CorpusSpec, root: Path | None) -> CorpusSpec:
    """Fill in what a spec leaves open: default sizes of a cohort, fingerprint of files.

    Raises:
        CorpusError: unknown source or preprocessing, a missing root, files that are not those
            the spec was made for.
    """
    return open_resolved(spec, root)[0]


def open_source(spec: CorpusSpec, root: Path | None) -> Source:
    """Open the source of a spec. Cheap: tables and file sizes, no signals.

    Raises:
        CorpusError: as ``resolve``, and what the source itself finds wrong.
    """
    return open_resolved(spec, root)[1]


def open_resolved(spec: CorpusSpec, root: Path | None) -> tuple[CorpusSpec, Source]:
    """Both in one reading of the tables; see ``resolve`` and ``open_source``."""
    info = source_info(spec.source)
    preset(spec.preprocessing)
    if not math.isfinite(spec.window_s):
        raise CorpusError(f"{spec.source}: window_s {spec.window_s} is not a number of seconds")
    if spec.samples < 1:
        raise CorpusError(f"{spec.source}: fs_hz {spec.fs_hz} x window_s {spec.window_s} is empty")
    check_fold(info, spec.fold)
    if info.kind == "simulated":
        raise CorpusError(f"{spec.source} has no recordings: only the simulated trainer takes it")
    if info.kind == "virtual":
        if spec.seed < 0:
            raise CorpusError(f"{spec.source}: seed {spec.seed}; it must be 0 or more")
        spec = with_defaults(spec)
        root = None
    else:
        root = find_root(info, root)
    source = _opened(info, spec, root)
    if spec.fingerprint not in ("", source.fingerprint):
        raise CorpusError(
            f"{spec.source}: the files under {root} are not those this study was planned for "
            f"({source.fingerprint}, not {spec.fingerprint}): plan again, or restore the files"
        )
    return dataclasses.replace(spec, fingerprint=source.fingerprint), source


def _opened(info: SourceInfo, spec: CorpusSpec, root: Path | None) -> Source:
    """The source; of files only as much as the spec asks for, the same for every fold."""
    source: Source = importlib.import_module(info.reader).open_source(spec, root)
    asked = {"train": spec.records, "validation": spec.validation, "test": spec.test}
    sizes = {split: size for split, size in asked.items() if size is not None}
    if info.kind == "files" and sizes:
        from scaling.corpora.sources.read.listed import ListedSource

        assert isinstance(source, ListedSource), f"{info.name} lists no records to choose among"
        source = source.at_most(sizes)
    return _tested_on(source, info, spec.fold)


def _tested_on(source: Source, info: SourceInfo, fold: int) -> Source:
    """The source with another fold as its test split; 0 keeps the official one."""
    if fold == 0:
        return source
    from scaling.corpora.sources.read.listed import ListedSource

    assert isinstance(source, ListedSource), f"{info.name} has folds but lists no records"
    return source.tested_on(fold, info.folds)


def corpus_folder(spec: CorpusSpec, cache: Path) -> Path:
    """Where the prepared corpus of a resolved spec is, or would be."""
    return cache / "corpora" / f"{spec.source.replace('/', '-')}-{spec.key}"


def with_defaults(spec: CorpusSpec) -> CorpusSpec:
    """Fill the sizes that a virtual or simulated spec leaves open."""
    info = source_info(spec.source)
    sizes = {n: getattr(info, n) for n in _SPLIT_FIELDS if getattr(spec, n) is None}
    return dataclasses.replace(spec, **sizes)


def find_root(info: SourceInfo, root: Path | None) -> Path:
    """The folder of a source of files: the one given, else the environment's.

    Raises:
        CorpusError: there is none, or it does not exist; says how to give one.
    """
    found = root or os.environ.get(info.root_env or "")
    if not found:
        raise CorpusError(
            f"{info.name} needs the folder of its files: pass --root FOLDER (to a study "
            f"--root {info.name}=FOLDER, or root in the grid), or set {info.root_env}"
        )
    folder = Path(found).expanduser()
    if not folder.is_dir():
        raise CorpusError(f"{info.name}: no folder {folder}; check its root")
    return folder


def check_fold(info: SourceInfo, fold: int) -> None:
    """Check that the source has the fold; 0 is the official split, which every source has.

    Raises:
        CorpusError: names the folds there are.
    """
    if not 0 <= fold <= info.folds:
        has = f"folds 1 to {info.folds}" if info.folds else "no folds"
        raise CorpusError(f"{info.name} has {has} (0 is the official split), not fold {fold}")


def check_task(info: SourceInfo, task: str) -> None:
    """Check that the source has the task.

    Raises:
        CorpusError: names the tasks there are.
    """
    if task not in info.tasks:
        if info.tasks == ("",):
            raise CorpusError(f"{info.name} has only one task, without a name; not {task!r}")
        raise CorpusError(f"{info.name} has no task {task!r}{_nearest(task, info.tasks)}")


def _nearest(word: str, words: tuple[str, ...]) -> str:
    hint = nearest(word, words)
    return f"; there is {', '.join(words)}" + (f"; {hint}" if hint else "")


class Summaries:
    """Counts of many tasks and folds; each source is opened once, and each task counted once.

    To count a task to which not all virtual records belong, their findings are drawn: ten seconds
    for 17,000 of them, and a grid has a dozen stages of one corpus.
    """

    def __init__(self) -> None:
        self._opened: dict[tuple[CorpusSpec, Path | None], Source] = {}
        self._counted: dict[tuple[CorpusSpec, str, Path | None], Summary] = {}

    def of(self, spec: CorpusSpec, task: str, root: Path | None) -> Summary:
        """Count records, patients and classes of a corpus and task, without preparing it.

        Args:
            spec: the corpus; sizes left open take the source's defaults.
            task: one of the source's tasks.
            root: folder of a source of files; None looks in the environment.

        Raises:
            CorpusError: anything wrong with the spec, the task or the files.
        """
        info = source_info(spec.source)
        check_task(info, task)
        check_fold(info, spec.fold)
        if info.kind == "simulated":
            return _simulated_summary(spec)
        wanted = (spec, task, root)
        if wanted not in self._counted:
            key = (dataclasses.replace(spec, fold=0), root)
            if key not in self._opened:
                self._opened[key] = open_source(*key)
            tested = _tested_on(self._opened[key], info, spec.fold)
            self._counted[wanted] = tested.summary(task)
        return self._counted[wanted]


def _simulated_summary(spec: CorpusSpec) -> Summary:
    preset(spec.preprocessing)
    full = with_defaults(spec)
    train = full.records or 0
    sizes = {"train": train, "validation": full.validation or 0, "test": full.test or 0}
    return Summary(**sizes, patients=train, classes=SIMULATED_CLASSES, fingerprint="")


def describe(spec: CorpusSpec, task: str, cache: Path, root: Path | None) -> dict[str, Any]:
    """One entry of ``corpora.json`` (docs/records.md), from the prepared corpus.

    Raises:
        CorpusError: unknown task, or the corpus is not prepared or damaged.
    """
    info = source_info(spec.source)
    check_task(info, task)
    check_fold(info, spec.fold)
    if info.kind == "simulated":
        return _describe_simulated(spec, task, info.bayes_loss)
    from scaling.corpora.format.corpus import Corpus

    corpus = Corpus.open(corpus_folder(spec if spec.fingerprint else resolve(spec, root), cache))
    return {"source": spec.source, "task": task, **corpus.describe(task)}


def _describe_simulated(spec: CorpusSpec, task: str, floor: float) -> dict[str, Any]:
    summary = _simulated_summary(spec)
    counts = {"train": summary.train, "validation": summary.validation, "test": summary.test}
    loss: dict[str, Any] = {"value": floor, "se": 0.0, "lower_bound": floor, "per_label": {}}
    return {
        "source": spec.source,
        "task": task,
        "fingerprint": "",
        "records": counts,
        "patients": counts,
        "classes": list(summary.classes),
        "prevalence": [0.5] * len(summary.classes),
        "preprocessing": preset(spec.preprocessing).to_dict(),
        "bayes_loss": loss | {"method": "the law that the losses are drawn from"},
    }
