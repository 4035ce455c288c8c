"""P(label | findings): by formula where there is one, else by many imagined readers.

A class that is one condition, in which no finding is judged twice, has the product of its parts'
chances. A class that is any of several statements, one that is left when nothing else is written
(a normal record), and one among records that have any label at all depend on how statements go
together in one report: there the chance is the share of readers with errors of their own.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.virtual.cohorts.base import Cohort, CohortTask
from scaling.corpora.virtual.reading import Errors, Outcome, read_once

Array = NDArray[np.float64]
Names = tuple[str, ...]

NUMBERS = 1 << 18  # of a finding that are judged at a time: they stay in a core's cache


class Imagined(Errors):
    """Errors of imagined readers, drawn as they are asked for."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...], slip: float) -> None:
        super().__init__(slip)
        self._rng, self._shape = rng, shape

    def drawn(self, key: str) -> Array:
        """Uniform on (0, 1), of the shape."""
        return self._rng.random(self._shape)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chances:
    """What the findings of some records say of a task's labels.

    Attributes:
        classes: (classes, ...) P(class | findings, the record belongs to the task).
        belongs: (...) P(the record belongs to the task | findings); 1 unless it needs a label.
        readers: (classes, ...) how many imagined readers ``classes`` is a share of; infinite
            where it has a formula.
    """

    classes: Array
    belongs: Array
    readers: Array


def class_chances(
    cohort: Cohort, findings: Mapping[str, Array], rng: np.random.Generator, readers: int
) -> dict[str, Chances]:
    """Task -> chances of its classes among the records that belong to it.

    A class has a formula where no finding is judged twice in it and it needs nothing of
    other classes; elsewhere its chance is the share of imagined readers, the same ones for all
    tasks, which saves time: so many ``readers`` of each record, with errors from ``rng``.
    ``findings`` have one dimension or more.
    """
    counted = {name: without_formula(cohort, task) for name, task in cohort.tasks.items()}
    groups = tuple(dict.fromkeys(group for part in counted.values() for group in part))
    counts = _counted(cohort, groups, findings, rng, readers) if groups else {}
    shape = np.shape(next(iter(findings.values())))

    @functools.cache
    def by_formula(name: str) -> Array:
        reading = cohort.readings[name]
        if isinstance(reading, Outcome):
            return reading.probability(findings)
        return reading.condition.degree(findings, cohort.slip)

    return {
        name: _chances(task, {g: counts[g] for g in counted[name]}, by_formula, readers, shape)
        for name, task in cohort.tasks.items()
    }


def without_formula(cohort: Cohort, task: CohortTask) -> list[Names]:
    """Groups of readings of which the chance of any has to be counted."""

    def formula(group: Names) -> bool:
        readings = [cohort.readings[name] for name in group]
        outcomes = all(isinstance(reading, Outcome) for reading in readings)
        return outcomes or (len(group) == 1 and read_once(readings[0].condition))

    groups = list(dict.fromkeys(task.members.values()))
    if task.needs_label:
        # The classes depend on what else makes a record belong.
        outcomes = all(isinstance(cohort.readings[name], Outcome) for name in task.readings)
        return [] if outcomes else [*groups, task.readings]
    return [group for group in groups if not formula(group)]


def _chances(
    task: CohortTask,
    counts: Mapping[Names, Array],
    by_formula: Callable[[str], Array],
    readers: int,
    shape: tuple[int, ...],
) -> Chances:
    """One task's chances from what was counted and what was calculated."""

    def any_of(group: Names) -> Array:
        if len(group) == 1:
            return by_formula(group[0])
        none: Array = np.prod([1.0 - by_formula(name) for name in group], axis=0)
        return 1.0 - none

    among: Array = np.full(shape, float(readers))
    belongs: Array = np.ones(shape)
    if task.needs_label and task.readings in counts:
        among = counts[task.readings]
        belongs = among / readers
    elif task.needs_label:
        belongs = any_of(task.readings)
    # Where no reader writes any label, the record hardly belongs, and its classes do not matter.
    rows = [
        (counts[g] / np.maximum(among, 1.0), among)
        if g in counts
        else (any_of(g) / belongs, np.full(shape, np.inf))
        for g in task.members.values()
    ]
    classes, readers_of = (np.stack(part) for part in zip(*rows, strict=True))
    return Chances(classes=classes, belongs=belongs, readers=readers_of)


def _counted(
    cohort: Cohort,
    groups: tuple[Names, ...],
    findings: Mapping[str, Array],
    rng: np.random.Generator,
    readers: int,
) -> dict[Names, Array]:
    """Group of readings -> how many of the imagined readers give any of them, (...)."""
    shape = np.shape(next(iter(findings.values())))
    flat = {name: np.reshape(value, -1) for name, value in findings.items()}
    names = tuple(dict.fromkeys(name for group in groups for name in group))
    records, step = math.prod(shape), max(1, NUMBERS // readers)
    counts = np.zeros((len(groups), records))
    for i in range(0, records, step):
        block = {name: value[i : i + step] for name, value in flat.items()}
        errors = Imagined(rng, (readers, min(step, records - i)), cohort.slip)
        drawn = cohort.draw(block, errors, names)
        for row, group in zip(counts, groups, strict=True):
            seen = functools.reduce(operator.or_, (drawn[name] for name in group))
            row[i : i + step] = np.add.reduce(seen.view(np.uint8), axis=0, dtype=np.uint32)
    return {group: row.reshape(shape) for group, row in zip(groups, counts, strict=True)}
