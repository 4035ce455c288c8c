"""From the names in a grid to corpora on this machine: specs, roots, counts."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.identity import CorpusSpec
from scaling.provenance import corpus_name
from sweeps.check import near
from sweeps.errors import ConfigurationError
from sweeps.yaml_source import Loc, Problem

if TYPE_CHECKING:
    from scaling.corpora.sources.base import Summary
    from sweeps.grid import Study
    from sweeps.schema import Corpus, Task

INHERITED = ("fs_hz", "window_s", "preprocessing", "seed")
SIZES = ("records", "validation", "test")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A corpus and task, resolved on this machine.

    Attributes:
        spec: the corpus, with default sizes and fingerprint filled in.
        task: label set of it.
        root: folder of its files; None where it needs none.
        summary: records, patients and classes.
    """

    spec: CorpusSpec
    task: str
    root: Path | None
    summary: Summary

    @property
    def name(self) -> str:
        """The name used in tables, ``ptbxl:superclass``."""
        return corpus_name(self.spec.source, self.task)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """The corpora of a study: the one trained on, and the tasks of each stage."""

    corpus: Target
    tasks: tuple[tuple[Target, ...], ...]

    def all(self) -> list[Target]:
        """Every corpus and task once, the one trained on first."""
        found = {self.corpus.name: self.corpus}
        for stage in self.tasks:
            for task in stage:
                found.setdefault(task.name, task)
        return list(found.values())

    def roots(self) -> tuple[tuple[str, str], ...]:
        """(source, folder) of every source of files."""
        return tuple(
            sorted({(t.spec.source, str(t.root)) for t in self.all() if t.root is not None})
        )


def parse_roots(words: Sequence[str]) -> dict[str, Path]:
    """Read ``SOURCE=PATH`` words of the command line.

    Raises:
        ConfigurationError: no ``=``, or no such source.
    """
    from scaling.corpora.catalogue import SOURCES

    roots = {}
    for word in words:
        source, equals, path = word.partition("=")
        if not equals or not path:
            raise ConfigurationError(f"--root {word}: write it as SOURCE=PATH")
        if source not in SOURCES:
            known = near(source, SOURCES)
            raise ConfigurationError(f"--root {word}: no source {source!r}; {known}")
        roots[source] = Path(path).expanduser().resolve()
    return roots


def resolve(study: Study, roots: Mapping[str, Path]) -> Targets:
    """Find the corpora of a study and count their records.

    Args:
        study: a checked grid.
        roots: folders given on the command line; they win over the environment, which wins
            over the grid.

    Raises:
        ConfigurationError: a missing root, files that cannot be used, or a data size larger
            than the corpus, each at its line and column of the grid.
    """
    finder = _Finder(study, roots)
    corpus = finder.target(("corpus",), study.grid.corpus)
    tasks = []
    for i, stage in enumerate(study.grid.stages):
        loc: Loc = ("stages", i, "pretrain", "tasks")
        items = enumerate(stage.pretrain.tasks)
        tasks.append([finder.target((*loc, j), item, corpus) for j, item in items])
    if corpus is not None:
        finder.problems += _too_much_data(study, corpus)
        finder.problems += _ambiguous(corpus, tasks)
    if finder.problems or corpus is None:
        raise study.source.error(finder.problems)
    return Targets(
        corpus=corpus, tasks=tuple(tuple(t for t in stage if t is not None) for stage in tasks)
    )


class _Finder:
    """Resolves corpora one by one and collects what is wrong with them."""

    def __init__(self, study: Study, roots: Mapping[str, Path]) -> None:
        self.study = study
        self.roots = roots
        self.problems: list[Problem] = []

    def target(self, loc: Loc, item: Corpus | Task, base: Target | None = None) -> Target | None:
        from scaling.corpora.catalogue import SOURCES
        from scaling.corpora.errors import CorpusError
        from scaling.corpora.registry import summarise, with_defaults

        spec = _spec(item, base.spec if base else None)
        task = item.task if item.task is not None else SOURCES[item.source].default_task
        try:
            root = self._root(item, base)
            if SOURCES[item.source].kind != "files":
                spec = with_defaults(spec)
            summary = summarise(spec, task, root)
        except (CorpusError, ConfigurationError) as error:
            self.problems.append(Problem(loc=loc, message=str(error)))
            return None
        spec = dataclasses.replace(spec, fingerprint=summary.fingerprint)
        return Target(spec=spec, task=task, root=root, summary=summary)

    def _root(self, item: Corpus | Task, base: Target | None) -> Path | None:
        """Command line, then environment, then grid; the training corpus's root is shared."""
        from scaling.corpora.catalogue import SOURCES

        info = SOURCES[item.source]
        if info.kind != "files":
            return None
        variable = info.root_env or ""
        if item.source in self.roots:
            return _folder(self.roots[item.source], f"--root {item.source}=")
        if os.environ.get(variable):
            return _folder(Path(os.environ[variable]).expanduser(), variable)
        if item.root is not None:
            given = Path(item.root).expanduser()
            beside = self.study.source.path.parent / given
            return _folder(given if given.is_dir() else beside, "root", given)
        if base is not None and base.spec.source == item.source:
            return base.root
        raise ConfigurationError(
            f"where are the files of {item.source!r}? Give their folder by "
            f"--root {item.source}=PATH, by {variable}=PATH in the environment, "
            f"or by root: PATH in the grid"
        )


def _folder(path: Path, origin: str, shown: Path | None = None) -> Path:
    if not path.is_dir():
        raise ConfigurationError(f"the folder {shown or path} (from {origin}) does not exist")
    return path.resolve()


def _spec(item: Corpus | Task, base: CorpusSpec | None) -> CorpusSpec:
    """What an item leaves out comes from the training corpus; sizes only for the same source."""
    from scaling.corpora.catalogue import SOURCES

    fields: dict[str, Any] = {}
    if base is not None:
        keys = INHERITED + (SIZES if base.source == item.source else ())
        fields = {key: getattr(base, key) for key in keys}
    given = {key: getattr(item, key) for key in INHERITED + SIZES}
    fields |= {key: value for key, value in given.items() if value is not None}
    if SOURCES[item.source].kind == "files":
        fields["seed"] = 0  # it makes virtual patients; files have none
    return CorpusSpec(source=item.source, **fields)


def _ambiguous(corpus: Target, tasks: list[list[Target | None]]) -> list[Problem]:
    """Tables know a target by its name, so two of one name must be the same."""
    first = {corpus.name: corpus}
    problems = []
    for i, stage in enumerate(tasks):
        for j, task in enumerate(stage):
            if task is not None and first.setdefault(task.name, task).spec != task.spec:
                message = (
                    f"{task.name} is used twice with different settings; their results could "
                    "not be told apart: put one of them into a study of its own"
                )
                problems.append(Problem(loc=("stages", i, "pretrain", "tasks", j), message=message))
    return problems


def _too_much_data(study: Study, corpus: Target) -> list[Problem]:
    available = corpus.summary.train
    problems = []
    for i, stage in enumerate(study.grid.stages):
        loc: Loc = ("stages", i, "pretrain")
        sizes = [((*loc, "data", j), size) for j, size in enumerate(stage.pretrain.data or ())]
        sizes += [
            ((*loc, "cells", j, "data"), c.data) for j, c in enumerate(stage.pretrain.cells or ())
        ]
        for where, size in sizes:
            if size > available:
                message = (
                    f"data size {size} is larger than the corpus: {corpus.name} has "
                    f"{available} training records"
                )
                problems.append(Problem(loc=where, message=message))
    return problems
