"""From the names in a grid to corpora on this machine: specs, roots, counts."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.corpora.catalogue import SOURCES
from scaling.corpora.equal_codes import LabelledTask, overlaps, shared_classes
from scaling.identity import CorpusSpec
from scaling.provenance import corpus_name
from scaling.records.names import SPLITS, suggest
from sweeps.errors import ConfigurationError, Loc, Mistake
from sweeps.plan.parents import Released, read_released

if TYPE_CHECKING:
    from scaling.corpora.sources.read.base import Summary
    from sweeps.grid.load import Study
    from sweeps.stages.base import Stage
    from sweeps.stages.keys import Corpus, Task

INHERITED = ("fs_hz", "window_s", "preprocessing", "seed")
SIZES = ("records", "validation", "test")
MEASURED_ON = ("tasks", "external")  # keys of a stage that name corpora to measure its trials on


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CorpusTask:
    """A corpus and task."""

    spec: CorpusSpec  # with default sizes and fingerprint filled in
    task: str
    root: Path | None  # folder of its files; None where it needs none
    summary: Summary  # records, patients and classes

    @property
    def name(self) -> str:
        """The name used in tables, ``ptbxl:superclass`` or ``ptbxl:superclass@fold3``."""
        return corpus_name(self.spec.source, self.task, self.spec.fold)

    @property
    def labelled(self) -> LabelledTask:
        """Its classes, with what they are of."""
        return LabelledTask(self.spec.source, self.task, tuple(self.summary.classes))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What some trials of a stage train on, and what they are measured on beside it."""

    corpus: CorpusTask
    tasks: tuple[CorpusTask, ...] = ()  # that they are probed on
    external: tuple[CorpusTask, ...] = ()  # other corpora that their trained heads are tested on

    @property
    def measured_on(self) -> list[tuple[str, CorpusTask]]:
        """All that they are measured on beside the corpus, with the key of the stage that says."""
        return [*(("tasks", t) for t in self.tasks), *(("external", t) for t in self.external)]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StudyCorpora:
    """What the stages of a study need of this machine."""

    stages: tuple[tuple[Case, ...], ...]  # of each stage the cases, one for each fold
    codebooks: tuple[Released | None, ...]  # of each stage the released codebook that it names

    def all(self) -> list[CorpusTask]:
        """Every corpus and task once; in each stage those trained on first."""
        found: dict[str, CorpusTask] = {}
        for cases in self.stages:
            others = [target for case in cases for _, target in case.measured_on]
            for target in [case.corpus for case in cases] + others:
                found.setdefault(target.name, target)
        return list(found.values())

    def splits_of(self, target: CorpusTask) -> tuple[str, ...]:
        """Splits of a corpus and task that are used: of one that is external alone, test."""
        cases = [case for stage in self.stages for case in stage]
        fitted = [t.name for case in cases for t in (case.corpus, *case.tasks)]
        return SPLITS if target.name in fitted else ("test",)

    def of(self, spec: CorpusSpec, task: str) -> CorpusTask:
        """The target of a training or an evaluation of this study."""
        name = corpus_name(spec.source, task, spec.fold)
        return next(target for target in self.all() if target.name == name)

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
    roots = {}
    for word in words:
        source, equals, path = word.partition("=")
        if not equals or not path:
            raise ConfigurationError(f"--root {word}: write it as SOURCE=PATH")
        if source not in SOURCES:
            known = suggest(source, SOURCES)
            raise ConfigurationError(f"--root {word}: no source {source!r}; {known}")
        roots[source] = Path(path).expanduser().resolve()
    return roots


def find_corpora(study: Study, roots: Mapping[str, Path]) -> StudyCorpora:
    """Find the corpora of a study and count their records.

    ``roots``, of the command line, win over the environment, which wins over the grid.

    Raises:
        ConfigurationError: a missing root, files that cannot be used, or a data size larger
            than the corpus, each at its line and column of the grid.
    """
    finder = _Finder(study, roots)
    stages = tuple(finder.cases(here, stage) for here, stage in study.stages)
    codebooks = tuple(finder.codebook(here, stage) for here, stage in study.stages)
    finder.mistakes += _too_much_data(study, stages)
    finder.mistakes += _ambiguous(study, stages)
    finder.mistakes += dict.fromkeys(_not_foreign(study, stages))
    if finder.mistakes:
        raise study.source.error(finder.mistakes)
    return StudyCorpora(stages=stages, codebooks=codebooks)


class _Finder:
    """Resolves corpora one by one and collects what is wrong with them."""

    def __init__(self, study: Study, roots: Mapping[str, Path]) -> None:
        from scaling.corpora.registry import Summaries

        self.study = study
        self.roots = roots
        self.mistakes: list[Mistake] = []
        self.summaries = Summaries()

    def cases(self, here: Loc, stage: Stage) -> tuple[Case, ...]:
        """What each fold of a stage trains on, its tasks, and its external corpora."""
        top, own = self.study.grid.corpus, stage.corpus
        where: Loc = ("corpus",) if own is None else (*here, "corpus")
        items: list[Corpus | Task] = [top] if own is None else [own, top]
        cases = []
        for fold in _folds(items):
            corpus = self.target(where, items, fold)
            followed = corpus.spec if corpus is not None else None
            found: dict[str, tuple[CorpusTask, ...]] = {}
            for key in MEASURED_ON:
                targets = [
                    self.target((*here, key, j), [task, *items], of)
                    for j, task in enumerate(getattr(stage.measurement, key))
                    for of in _folds([task], followed)
                ]
                found[key] = tuple(target for target in targets if target is not None)
            if corpus is not None:
                cases.append(Case(corpus=corpus, **found))
        return tuple(cases)

    def target(self, loc: Loc, items: Sequence[Corpus | Task], fold: int) -> CorpusTask | None:
        """The first of ``items``; the others say what it leaves out, the nearest first."""
        from scaling.corpora.errors import CorpusError
        from scaling.corpora.registry import with_defaults

        item = items[0]
        info = SOURCES[item.source]
        spec = dataclasses.replace(_spec(items), fold=fold)
        task = item.task if item.task is not None else info.default_task
        try:
            root = self._root(items)
            if info.kind != "files":
                spec = with_defaults(spec)
            elif (most := self.study.at_most) is not None:
                spec = dataclasses.replace(spec, records=most, validation=most, test=most)
            summary = self.summaries.of(spec, task, root)
        except (CorpusError, ConfigurationError) as error:
            self._report(Mistake(loc=loc, message=str(error)))
            return None
        for split in ("train", "validation", "test"):
            if fold and not getattr(summary, split):
                message = (
                    f"fold {fold} of {item.source!r} leaves no {split} record of task {task!r}"
                )
                self._report(Mistake(loc=loc, message=message))
        spec = dataclasses.replace(spec, fingerprint=summary.fingerprint)
        return CorpusTask(spec=spec, task=task, root=root, summary=summary)

    def _report(self, mistake: Mistake) -> None:
        if mistake not in self.mistakes:  # stages may share a corpus
            self.mistakes.append(mistake)

    def _root(self, items: Sequence[Corpus | Task]) -> Path | None:
        """Command line, then environment, then grid; a source's root is shared."""
        source = items[0].source
        info = SOURCES[source]
        if info.kind != "files":
            return None
        variable = info.root_env or ""
        if source in self.roots:
            return _folder(self.roots[source], f"--root {source}=")
        if os.environ.get(variable):
            return _folder(Path(os.environ[variable]).expanduser(), variable)
        given = next((i.root for i in items if i.source == source and i.root is not None), None)
        if given is not None:
            return _folder(self._beside(given), "root", Path(given))
        raise ConfigurationError(
            f"where are the files of {source!r}? Give their folder by "
            f"--root {source}=PATH, by {variable}=PATH in the environment, "
            f"or by root: PATH in the grid"
        )

    def _beside(self, word: str) -> Path:
        """A path of the grid: from the current folder, else from the grid's."""
        given = Path(word).expanduser()
        return given if given.exists() else self.study.source.path.parent / given

    def codebook(self, here: Loc, stage: Stage) -> Released | None:
        """The converted codebook that a stage names by its file."""
        if stage.codebook_file is None:
            return None
        try:
            return read_released(self._beside(stage.codebook_file))
        except ConfigurationError as error:
            self._report(Mistake(loc=(*here, "codebook"), message=str(error)))
            return None


def _folds(items: Sequence[Corpus | Task], corpus: CorpusSpec | None = None) -> list[int]:
    """Folds of the first item; what it leaves out comes from a corpus of the same source."""
    source = items[0].source
    given = next((i.fold for i in items if i.source == source and i.fold is not None), None)
    if given is not None:
        return list(dict.fromkeys(given))
    return [corpus.fold] if corpus is not None and corpus.source == source else [0]


def _folder(path: Path, origin: str, shown: Path | None = None) -> Path:
    if not path.is_dir():
        raise ConfigurationError(f"the folder {shown or path} (from {origin}) does not exist")
    return path.resolve()


def _spec(items: Sequence[Corpus | Task]) -> CorpusSpec:
    """What an item leaves out comes from the next ones; sizes only from those of its source."""
    source = items[0].source
    fields: dict[str, Any] = {}
    for item in reversed(items):
        if item.source != source:
            fields = {key: value for key, value in fields.items() if key in INHERITED}
        keys = INHERITED + (SIZES if item.source == source else ())
        given = {key: getattr(item, key) for key in keys}
        fields |= {key: value for key, value in given.items() if value is not None}
    if SOURCES[source].kind == "files":
        fields["seed"] = 0  # it makes virtual patients; files have none
    return CorpusSpec(source=source, **fields)


def _ambiguous(study: Study, stages: tuple[tuple[Case, ...], ...]) -> list[Mistake]:
    """Tables know a target by its name, so two of one name must be the same."""
    first: dict[str, CorpusSpec] = {}
    mistakes: dict[Mistake, None] = {}
    for (here, stage), cases in zip(study.stages, stages, strict=True):
        own: Loc = (*here, "corpus") if stage.corpus is not None else ("corpus",)
        named = [(own, case.corpus) for case in cases]
        named += [
            ((*here, *place_of(stage, key, target)), target)
            for case in cases
            for key, target in case.measured_on
        ]
        for loc, target in named:
            if first.setdefault(target.name, target.spec) != target.spec:
                message = (
                    f"{target.name} is used twice with different settings; their results could "
                    "not be told apart: put one of them into a study of its own"
                )
                mistakes.setdefault(Mistake(loc=loc, message=message))
    return list(mistakes)


def _not_foreign(study: Study, stages: tuple[tuple[Case, ...], ...]) -> Iterator[Mistake]:
    """External corpora that are those trained on, or have no class of theirs."""
    for (here, stage), cases in zip(study.stages, stages, strict=True):
        for own, target in ((case.corpus, other) for case in cases for other in case.external):
            message = ""
            if overlaps(target.spec.source, own.spec.source):
                message = (
                    f"trials are trained on {own.name}, so {target.name} is no other corpus for "
                    "them: their held-out records are of it or of a part; remove it"
                )
            else:
                try:
                    shared_classes(own.labelled, target.labelled)
                except ValueError as error:
                    message = f"nothing can be measured: {error}"
            if message:
                loc = (*here, *place_of(stage, "external", target))
                yield Mistake(loc=loc, message=message)


def place_of(stage: Stage, key: str, target: CorpusTask) -> Loc:
    """Where a stage names what it is measured on, of the ``MEASURED_ON``.

    It is the last item of its name, which is the one that differs.
    """
    places = [
        j
        for j, item in enumerate(getattr(stage.measurement, key))
        if item.source == target.spec.source
        and (item.task or SOURCES[item.source].default_task) == target.task
    ]
    return (key, places[-1])


def _too_much_data(study: Study, stages: tuple[tuple[Case, ...], ...]) -> Iterator[Mistake]:
    for (here, stage), cases in zip(study.stages, stages, strict=True):
        if not cases:
            continue
        smallest = min((case.corpus for case in cases), key=lambda target: target.summary.train)
        available = smallest.summary.train
        for place, size in stage.data_sizes():
            if size > available:
                message = (
                    f"data size {size} is larger than the corpus: {smallest.name} has "
                    f"{available} training records"
                )
                yield Mistake(loc=(*here, *place), message=message)
