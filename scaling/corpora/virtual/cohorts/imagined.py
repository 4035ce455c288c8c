"""P(label | findings): by formula where there is one, else by many imagined readers.

A class that is one condition, in which no finding is judged twice, has the product of its parts'
chances. A class that is any of several statements, one that is left when nothing else is written
(a normal record), and one among records that have any label at all depend on how statements go
together in one report: there the chance is the mean over readers with errors of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.virtual.cohorts.base import Chances, Task
from scaling.corpora.virtual.reading import Outcome, Reading, read_once

Array = NDArray[np.float64]
Readings = Mapping[str, Reading | Outcome]

NUMBERS = 1 << 18  # of a finding that are judged at a time: they stay in a core's cache
PLAIN = 0  # seed of the readers where none is given


class Imagined:
    """Errors of imagined readers, drawn as they are asked for; see ``reading.Errors``."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...], slip: float) -> None:
        self._rng, self._shape, self._slip = rng, shape, slip
        self._known: dict[str, Array] = {}

    @property
    def slip(self) -> float:
        """Chance that a reader is altogether wrong about a finding."""
        return self._slip

    def uniform(self, key: str) -> Array:
        """Uniform on (0, 1), the same whenever ``key`` is the same."""
        if key not in self._known:
            self._known[key] = self._rng.random(self._shape)
        return self._known[key]


def exact(task: Task, readings: Readings) -> bool:
    """Whether the task's chances have a formula."""
    found = [readings[name] for name in task.readings]
    if all(isinstance(reading, Outcome) for reading in found):
        return True
    alone = all(len(part) == 1 for part in task.members.values())
    once = all(read_once(reading.condition) for reading in found if isinstance(reading, Reading))
    return alone and once and not task.needs_label


def calculated(
    task: Task, readings: Readings, findings: Mapping[str, Array], slip: float
) -> Chances:
    """By formula; see ``Cohort.chances``."""
    read = {
        name: reading.probability(findings)
        if isinstance(reading := readings[name], Outcome)
        else reading.condition.degree(findings, slip)
        for name in task.readings
    }
    classes = np.stack(
        [1.0 - math.prod(1.0 - read[name] for name in part) for part in task.members.values()]
    )
    belongs: Array = np.ones(classes.shape[1:])
    if task.needs_label:
        belongs = belongs - math.prod(1.0 - read[name] for name in task.readings)
        classes = classes / belongs
    return Chances(classes=classes, belongs=belongs, variance=np.zeros_like(classes))


def counted(
    task: Task,
    readings: Readings,
    findings: Mapping[str, Array],
    slip: float,
    rng: np.random.Generator | None,
    readers: int,
) -> Chances:
    """By imagined readers; see ``Cohort.chances``."""
    rng = rng or np.random.default_rng(PLAIN)
    shape = np.shape(next(iter(findings.values())))
    count = math.prod(shape)
    flat = {name: np.reshape(value, count) for name, value in findings.items()}
    step = max(1, NUMBERS // readers)
    parts = [
        _block(task, readings, {k: v[i : i + step] for k, v in flat.items()}, slip, rng, readers)
        for i in range(0, count, step)
    ]
    classes, belongs, variance = (
        np.concatenate(found, axis=-1) for found in zip(*parts, strict=True)
    )
    return Chances(
        classes=classes.reshape(-1, *shape),
        belongs=belongs.reshape(shape),
        variance=variance.reshape(-1, *shape),
    )


def _block(
    task: Task,
    readings: Readings,
    findings: Mapping[str, Array],
    slip: float,
    rng: np.random.Generator,
    readers: int,
) -> tuple[Array, Array, Array]:
    """Chances of the classes (C, n), of belonging (n,), and variances (C, n)."""
    records = len(next(iter(findings.values())))
    errors = Imagined(rng, (readers, records), slip)
    seen = {
        name: reading.condition.holds(findings, errors)
        for name in task.readings
        if isinstance(reading := readings[name], Reading)
    }
    label = np.any(list(seen.values()), axis=0) if task.needs_label else np.ones((readers, records))
    count = label.sum(axis=0)
    counts = [np.any([seen[name] for name in part], axis=0).sum(axis=0) for part in
              task.members.values()]  # fmt: skip
    # Where no reader writes any label, the record hardly belongs, and its classes do not matter.
    classes = np.stack(counts) / np.maximum(count, 1.0)
    return classes, count / readers, classes * (1.0 - classes) / np.maximum(count, 1.0)
