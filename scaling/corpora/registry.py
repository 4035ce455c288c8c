"""The sources there are, and what a plan or a report needs to know of a corpus.

Importing this module needs only the standard library. A new source is one module below
``scaling.corpora.sources`` and one row here.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import os
from pathlib import Path
from typing import Any, Literal

from scaling.corpora.errors import CorpusError
from scaling.corpora.signal import preset
from scaling.corpora.sources.base import Source, Summary
from scaling.corpora.sources.ptbxl import TASKS as PTBXL_TASKS
from scaling.identity import CorpusSpec

SIMULATED_CLASSES = tuple(f"class{i}" for i in range(6))
_SPLIT_FIELDS = ("records", "validation", "test")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SourceInfo:
    """One row of the registry.

    Attributes:
        name: what a grid calls it.
        kind: ``files`` needs a root, ``virtual`` makes its records, ``simulated`` has none
            and is only for the simulated trainer.
        about: one line for listings.
        reader: module with ``open_source``; empty for ``simulated``.
        tasks: label sets; ``("",)`` where there is only one.
        default_task: the one meant when a grid names none.
        root_env: environment variable that may hold the root.
        records: default number of training records; None for ``files``.
        validation: default number of validation records.
        test: default number of test records.
    """

    name: str
    kind: Literal["virtual", "files", "simulated"]
    about: str
    reader: str = ""
    tasks: tuple[str, ...] = ("",)
    default_task: str = ""
    root_env: str | None = None
    records: int | None = None
    validation: int | None = None
    test: int | None = None


def _virtual(name: str, records: int, validation: int, test: int, about: str) -> SourceInfo:
    return SourceInfo(
        name=name,
        kind="virtual",
        reader="scaling.corpora.sources.virtual",
        records=records,
        validation=validation,
        test=test,
        about=about,
    )


def _simulated(name: str, about: str) -> SourceInfo:
    return SourceInfo(
        name=name, kind="simulated", records=1_000_000, validation=1024, test=4096, about=about
    )


SOURCES: dict[str, SourceInfo] = {
    info.name: info
    for info in (
        SourceInfo(
            name="ptbxl",
            kind="files",
            reader="scaling.corpora.sources.ptbxl",
            tasks=PTBXL_TASKS,
            default_task="superclass",
            root_env="ECG_ROOT_PTBXL",
            about="PTB-XL 1.0.x, 21,799 ten-second records of 18,869 patients, CC BY 4.0",
        ),
        _virtual("virtual/code", 8192, 1024, 4096, "virtual patients with CODE's six labels"),
        _virtual(
            "virtual/shifted", 1024, 512, 1024, "virtual patients, other labels, device and mix"
        ),
        _simulated("simulated/chinchilla", "no ECG: losses drawn from a known law"),
        _simulated("simulated/shifted", "no ECG: the out-of-distribution task of the above"),
        _simulated("simulated/flaky", "no ECG: some trials fail at first"),
        _simulated("simulated/diverging", "no ECG: some trials diverge"),
        _simulated("simulated/slow", "no ECG: trials that take their time"),
    )
}


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
            the spec was made for, or sizes given for a source of files.
    """
    return _open(spec, root)[0]


def open_source(spec: CorpusSpec, root: Path | None) -> Source:
    """Open the source of a spec. Cheap: tables and file sizes, no signals.

    Raises:
        CorpusError: as ``resolve``, and what the source itself finds wrong.
    """
    return _open(spec, root)[1]


def _open(spec: CorpusSpec, root: Path | None) -> tuple[CorpusSpec, Source]:
    info = source_info(spec.source)
    preset(spec.preprocessing)
    if spec.samples < 1:
        raise CorpusError(f"{spec.source}: fs_hz {spec.fs_hz} x window_s {spec.window_s} is empty")
    if info.kind == "simulated":
        raise CorpusError(f"{spec.source} has no recordings: only the simulated trainer takes it")
    if info.kind == "virtual":
        spec = with_defaults(spec)
        root = None
    else:
        if given := [name for name in _SPLIT_FIELDS if getattr(spec, name) is not None]:
            raise CorpusError(
                f"{spec.source}: {', '.join(given)} belong to virtual cohorts; all records of a "
                "source of files are prepared, and the data axis of the grid chooses among them"
            )
        root = find_root(info, root)
    source: Source = importlib.import_module(info.reader).open_source(spec, root)
    if spec.fingerprint not in ("", source.fingerprint):
        raise CorpusError(
            f"{spec.source}: the files under {root} are not those this study was planned for "
            f"({source.fingerprint}, not {spec.fingerprint}): plan again, or restore the files"
        )
    return dataclasses.replace(spec, fingerprint=source.fingerprint), source


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
    found = root or (os.environ.get(info.root_env) if info.root_env else None)
    if not found:
        raise CorpusError(
            f"{info.name} needs the folder of its files: set root in the grid's corpus, "
            f"pass --root {info.name}=FOLDER, or set {info.root_env}"
        )
    folder = Path(found).expanduser()
    if not folder.is_dir():
        raise CorpusError(f"{info.name}: no folder {folder}; check its root")
    return folder


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
    close = difflib.get_close_matches(word, words, n=1)
    suggestion = f"; did you mean {close[0]!r}?" if close else ""
    return f"; there is {', '.join(words)}{suggestion}"


def summarise(spec: CorpusSpec, task: str, root: Path | None) -> Summary:
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
    if info.kind != "simulated":
        return open_source(spec, root).summary(task)
    preset(spec.preprocessing)
    full = with_defaults(spec)
    train, validation, test = full.records or 0, full.validation or 0, full.test or 0
    return Summary(
        train=train,
        validation=validation,
        test=test,
        patients=train,
        classes=SIMULATED_CLASSES,
        fingerprint="",
    )


def describe(spec: CorpusSpec, task: str, cache: Path, root: Path | None) -> dict[str, Any]:
    """One entry of ``corpora.json`` (docs/records.md), from the prepared corpus.

    Raises:
        CorpusError: unknown task, or the corpus is not prepared or damaged.
    """
    info = source_info(spec.source)
    check_task(info, task)
    if info.kind == "simulated":
        return _describe_simulated(spec, task)
    from scaling.corpora.corpus import Corpus
    from scaling.corpora.prepare import corpus_folder

    corpus = Corpus.open(corpus_folder(spec if spec.fingerprint else resolve(spec, root), cache))
    return {"source": spec.source, "task": task, **corpus.describe(task)}


def _describe_simulated(spec: CorpusSpec, task: str) -> dict[str, Any]:
    from scaling.simulated import bayes_loss

    summary = summarise(spec, task, None)
    counts = {"train": summary.train, "validation": summary.validation, "test": summary.test}
    floor = bayes_loss(spec.source)
    loss = {"value": floor, "se": 0.0, "lower_bound": floor, "per_label": {}}
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
