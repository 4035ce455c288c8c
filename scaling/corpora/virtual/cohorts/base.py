"""What a cohort is: its people, its recorder, its readings, its tasks, and what it must not say.

Needs only the standard library. ``cohorts.csv`` has a column for each cohort: what its people and
its recorder have other than the defaults of ``Population`` and ``Device``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.corpora.virtual.population import (
    RAISED_BY,
    UNRAISED,
    Device,
    Population,
    packaged_rows,
    prevalences,
)
from scaling.corpora.virtual.reading import Condition, Errors, Not, Outcome, Reading, Score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Bools = NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CohortTask:
    """A label set made of drawn labels.

    Attributes:
        members: class -> the readings of which any one makes the class; in label order.
        needs_label: whether a record without any label of the task is left out of it.

    Raises:
        ValueError: no class, or a class without members or with one twice.
    """

    members: dict[str, tuple[str, ...]]
    needs_label: bool = False

    def __post_init__(self) -> None:
        if not self.members or not all(self.members.values()):
            raise ValueError("a task needs classes, and a class needs readings")
        for name, part in self.members.items():
            if len(part) != len(set(part)):
                raise ValueError(f"class {name!r} names a reading twice: {part}")

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order."""
        return tuple(self.members)

    @property
    def readings(self) -> tuple[str, ...]:
        """Every reading of the task, once."""
        return tuple(dict.fromkeys(name for part in self.members.values() for name in part))


def task_of(names: tuple[str, ...], *, needs_label: bool = False) -> CohortTask:
    """A task whose classes are the readings of these names."""
    return CohortTask(members={name: (name,) for name in names}, needs_label=needs_label)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """A population, how it is recorded, and what is labelled.

    One reader reads each record: all statements of a record go through the same errors.
    Outcomes are drawn by themselves. Tasks combine what was drawn, so they never disagree.

    Attributes:
        about: one line: who they are.
        readings: label -> how it comes about.
        tasks: name -> label set; ``{"": ...}`` where there is only one.
        slip: chance that the reader is altogether wrong about a finding, in [0, 0.5).

    Raises:
        ValueError: a task names a reading that is not there, or joins two outcomes that share a
            draw; a label that needs a disorder nobody has; a slip out of range.
    """

    name: str
    about: str
    population: Population
    device: Device
    readings: Mapping[str, Reading | Outcome]
    tasks: dict[str, CohortTask]
    slip: float = 0.0

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise ValueError(f"{self.name}: {problem}")

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """Task -> class names in label order."""
        return {name: task.classes for name, task in self.tasks.items()}

    @property
    def names(self) -> frozenset[str]:
        """The findings that labels depend on."""
        return frozenset[str]().union(*(r.condition.names for r in self.readings.values()))

    def draw(
        self, findings: Mapping[str, Array], errors: Errors, names: Iterable[str] = ()
    ) -> dict[str, Bools]:
        """Labels of some records, of the errors' shape each; of the readings named, or all."""
        chosen = {name: self.readings[name] for name in names or self.readings}
        return {
            name: errors.uniform("outcome/" + (reading.draw or name))
            < reading.probability(findings)
            if isinstance(reading, Outcome)
            else reading.condition.holds(findings, errors)
            for name, reading in chosen.items()
        }


def cohort_of(
    name: str,
    about: str,
    readings: Mapping[str, Reading | Outcome],
    tasks: dict[str, CohortTask] | None = None,
    slip: float = 0.0,
) -> Cohort:
    """The ``Cohort`` ``virtual/x`` of the columns x of ``cohorts.csv`` and ``disorders.csv``.

    Without ``tasks`` it has one of all readings.
    """
    column = name.removeprefix("virtual/")
    given: dict[str, dict[str, float]] = {"population": {}, "device": {}}
    for row in packaged_rows(Path(__file__).with_name("cohorts.csv")):
        if row[column]:
            given[row["of"]][row["name"]] = float(row[column])
    return Cohort(
        name=name,
        about=about,
        population=Population(**given["population"], prevalence=prevalences(column)),
        device=Device(**given["device"]),
        readings=readings,
        tasks=tasks or {"": task_of(tuple(readings))},
        slip=slip,
    )


def _problems(cohort: Cohort) -> Iterator[str]:
    """What is wrong with a definition, a sentence each."""
    if not cohort.name.startswith("virtual/"):
        yield "a cohort is named virtual/..."
    if not cohort.tasks:
        yield "a cohort has a task"
    if not 0.0 <= cohort.slip < 0.5:
        yield f"slip {cohort.slip} must be in [0, 0.5)"
    for label, reading in cohort.readings.items():
        if absent := _absent(reading.condition, cohort.population.prevalence):
            yield f"{label!r} can only be read by mistake: {absent}"
    for name, task in cohort.tasks.items():
        yield from _of_task(name, task, cohort.readings)


def _of_task(
    name: str, task: CohortTask, readings: Mapping[str, Reading | Outcome]
) -> Iterator[str]:
    if unknown := sorted(set(task.readings) - set(readings)):
        yield f"task {name!r} names {unknown}, which nobody reads"
        return
    joined = [part for part in task.members.values() if len(part) > 1]
    joined += [task.readings] if task.needs_label else []
    for part in joined:
        joined_readings = [readings[label] for label in part]
        draws = [r.draw for r in joined_readings if isinstance(r, Outcome) and r.draw]
        if len(draws) != len(set(draws)):
            yield f"{part} of task {name!r} share a draw and cannot be joined"


def _absent(condition: Condition, prevalence: Mapping[str, float]) -> str:
    """Which disorder a condition needs that nobody has; empty where it may be seen."""
    for part in condition.must:
        if isinstance(part, Score) and len(part.weights) == 1:
            ((finding, weight),) = part.weights
            causes = RAISED_BY.get(finding, ())
            high = weight > 0.0 and -part.bias / weight > UNRAISED
            if high and causes and not any(prevalence.get(cause, 0.0) for cause in causes):
                return f"nobody has {' or '.join(causes)}, which {finding} is read from"
        elif isinstance(part, Not) and (rest := part.part.must) != (part.part,):
            reasons = [
                _absent(one.part if isinstance(one, Not) else Not(one), prevalence) for one in rest
            ]
            if all(reasons):
                return "; ".join(dict.fromkeys(reasons))
    return ""
