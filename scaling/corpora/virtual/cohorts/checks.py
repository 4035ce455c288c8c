"""What a cohort's definition must not say. Needs only the standard library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from scaling.corpora.virtual.population import RAISED_BY, UNRAISED
from scaling.corpora.virtual.reading import Condition, Not, Outcome, Reading, Score

if TYPE_CHECKING:
    from scaling.corpora.virtual.cohorts.base import Cohort, Task


def problems(cohort: Cohort) -> Iterator[str]:
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


def _of_task(name: str, task: Task, readings: Mapping[str, Reading | Outcome]) -> Iterator[str]:
    if unknown := sorted(set(task.readings) - set(readings)):
        yield f"task {name!r} names {unknown}, which nobody reads"
        return
    joined = [part for part in task.members.values() if len(part) > 1]
    joined += [task.readings] if task.needs_label else []
    for part in joined:
        found = [readings[label] for label in part]
        draws = [r.draw for r in found if isinstance(r, Outcome) and r.draw]
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
