"""What the shape of a grid cannot say: names that exist, and combinations that can run.

These checks read the plain data of the file, whatever else is wrong with it, so that all
mistakes are reported together. They need the light registries only. This file looks at the
file as a whole and at its corpora; ``check_stages`` looks at what is trained in each stage.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scaling.records.names import suggest
from sweeps.grid.checks.smoke import check_smoke
from sweeps.grid.checks.stages import check_stage
from sweeps.grid.raw import STAGE_NAMES, as_axis, as_dict, as_items, stages
from sweeps.grid.source import Loc, Problem


def check(data: dict[str, Any]) -> list[Problem]:
    """Return every problem of names and combinations in a grid's plain ``data``."""
    problems = [*_corpus(("corpus",), data.get("corpus")), *_one_stage_each(data)]
    earlier: list[tuple[str, dict[str, Any]]] = []
    for loc, name, stage in stages(data):
        problems += check_stage(loc, name, stage, earlier)
        problems += _corpora(loc, stage)
        problems += _simulated(loc, stage, _is_simulated(stage.get("corpus", data.get("corpus"))))
        earlier.append((name, stage))
    return [*problems, *check_smoke(data)]


def _one_stage_each(data: dict[str, Any]) -> Iterator[Problem]:
    for i, stage in enumerate(as_items(data.get("stages"))):
        if isinstance(stage, dict) and len(stage) != 1:
            known = ", ".join(STAGE_NAMES)
            message = (
                f"a stage is a mapping with one key of {known}, each in a list item of its own"
            )
            yield Problem(loc=("stages", i), message=message)


def _corpora(loc: Loc, stage: dict[str, Any]) -> Iterator[Problem]:
    """The corpus of a stage and its tasks."""
    if "corpus" in stage:
        yield from _named(("corpus",), loc, stage["corpus"])
    for i, task in enumerate(as_items(stage.get("tasks"))):
        yield from _named(("tasks", i), loc, task)


def _named(place: Loc, loc: Loc, value: Any) -> Iterator[Problem]:
    """A corpus that may be given by its name alone."""
    here = (*loc, *place)
    if not isinstance(value, str):
        yield from _corpus(here, value)
        return
    source, colon, task = value.partition(":")
    parsed = {"source": source, "task": task} if colon else {"source": source}
    for problem in _corpus(here, parsed):
        yield Problem(loc=here, message=problem.message)


def _corpus(loc: Loc, value: Any) -> Iterator[Problem]:
    from scaling.corpora.catalogue import SOURCES
    from scaling.corpora.signals.presets import PRESETS

    corpus = as_dict(value)
    name, preset = corpus.get("source"), corpus.get("preprocessing")
    if isinstance(preset, str) and preset not in PRESETS:
        message = f"no preprocessing {preset!r}; {suggest(preset, PRESETS)}"
        yield Problem(loc=(*loc, "preprocessing"), message=message)
    if not isinstance(name, str):
        return
    if name not in SOURCES:
        yield Problem(loc=(*loc, "source"), message=f"no source {name!r}; {suggest(name, SOURCES)}")
        return
    info = SOURCES[name]
    task = corpus.get("task")
    if isinstance(task, str) and task not in info.tasks:
        tasks = [known for known in info.tasks if known]
        known = suggest(task, tasks) if tasks else "leave the task out"
        message = f"source {name!r} has no task {task!r}; {known}"
        yield Problem(loc=(*loc, "task"), message=message)
    for key in ("records", "validation", "test"):
        if info.kind == "files" and corpus.get(key) is not None:
            message = f"source {name!r} is read from files, all of them; remove {key!r}"
            yield Problem(loc=(*loc, key), message=message, at_key=True)
    if info.kind != "files" and corpus.get("root") is not None:
        message = f"source {name!r} needs no files; remove 'root'"
        yield Problem(loc=(*loc, "root"), message=message, at_key=True)
    yield from _folds(loc, name, info.folds, corpus.get("fold"))


def _folds(loc: Loc, name: str, folds: int, given: Any) -> Iterator[Problem]:
    for i, fold in enumerate(as_axis(given)):
        if not isinstance(fold, int) or fold < 0 or fold <= folds:
            continue
        message = f"source {name!r} has folds 1 to {folds} (0 is the official split), not {fold}"
        if not folds:
            message = f"source {name!r} has no folds; remove 'fold'"
        yield Problem(loc=(*loc, "fold", i), message=message)
        if not folds:
            return


def _is_simulated(corpus: Any) -> bool:
    source = corpus if isinstance(corpus, str) else as_dict(corpus).get("source")
    return isinstance(source, str) and source.startswith("simulated/")


def _simulated(loc: Loc, stage: dict[str, Any], simulated: bool) -> Iterator[Problem]:
    """The simulated family goes with simulated corpora and tasks, and with nothing else."""
    rule = "the family 'simulated' goes with sources 'simulated/...', networks with all others"
    for family in as_dict(stage.get("families")):
        if (family == "simulated") != simulated:
            yield Problem(loc=(*loc, "families", family), message=rule, at_key=True)
    for i, cell in enumerate(as_items(stage.get("cells"))):
        if (as_dict(cell).get("family") == "simulated") != simulated:
            yield Problem(loc=(*loc, "cells", i, "family"), message=rule)
    for i, task in enumerate(as_items(stage.get("tasks"))):
        if _is_simulated(task) != simulated:
            message = "simulated tasks go with simulated corpora, and with nothing else"
            yield Problem(loc=(*loc, "tasks", i), message=message)
