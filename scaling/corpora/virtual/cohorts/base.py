"""What a cohort is: its people, its recorder, its readings, and its tasks.

Needs only the standard library to be defined; probabilities are numpy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from scaling.corpora.virtual.device import Device
from scaling.corpora.virtual.population import Population
from scaling.corpora.virtual.reading import Errors, Outcome, Reading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Bools = NDArray[np.bool_]

READERS = 256  # imagined for each record where a chance has no formula


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Task:
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


def plain(names: tuple[str, ...], *, needs_label: bool = False) -> Task:
    """A task whose classes are the readings of these names."""
    return Task(members={name: (name,) for name in names}, needs_label=needs_label)


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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """A population, how it is recorded, and what is labelled.

    One reader reads each record: all statements of a record go through the same errors.
    Outcomes are drawn by themselves. Tasks combine what was drawn, so they never disagree.

    Attributes:
        name: name of the source, ``virtual/...``.
        about: one line: who they are.
        population: demographics and prevalences.
        device: recorder and noise.
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
    tasks: dict[str, Task]
    slip: float = 0.0

    def __post_init__(self) -> None:
        from scaling.corpora.virtual.cohorts.checks import problems

        for problem in problems(self):
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
        """Labels of some records, of the errors' shape each.

        Args:
            findings: finding -> (...).
            errors: the errors of the reader of each record.
            names: of the readings that are wanted; empty for all.
        """
        chosen = {name: self.readings[name] for name in names or self.readings}
        return {
            name: errors.uniform("outcome/" + (reading.draw or name))
            < reading.probability(findings)
            if isinstance(reading, Outcome)
            else reading.condition.holds(findings, errors)
            for name, reading in chosen.items()
        }

    def read(self, findings: Mapping[str, Array]) -> dict[str, Array]:
        """P(label | findings) of each reading, each of the findings' shape."""
        names = tuple(self.readings)
        return dict(zip(names, self.chances(plain(names), findings).classes, strict=True))

    def chances(
        self,
        task: Task,
        findings: Mapping[str, Array],
        rng: np.random.Generator | None = None,
        readers: int = READERS,
    ) -> Chances:
        """Chances of a task's classes among the records that belong to it.

        A class has a formula where no finding is judged twice in it and it needs nothing of
        other classes; elsewhere its chance is the share of imagined readers.

        Args:
            task: one of the label sets, or another of the same readings.
            findings: finding -> (...), one-dimensional or more.
            rng: source of the imagined readers' errors; None for fixed ones.
            readers: how many are imagined for each record.
        """
        from scaling.corpora.virtual.cohorts.imagined import chances

        return chances(self, {"": task}, findings, rng, readers)[""]

    def all_chances(
        self,
        findings: Mapping[str, Array],
        rng: np.random.Generator | None = None,
        readers: int = READERS,
    ) -> dict[str, Chances]:
        """Task -> ``chances``; the same readers are imagined for all tasks, which saves time."""
        from scaling.corpora.virtual.cohorts.imagined import chances

        return chances(self, self.tasks, findings, rng, readers)

    def bayes_loss(
        self,
        fs_hz: int = 100,
        samples: int = 500,
        seed: int = 0,
        test: int = 0,
        workers: int = 1,
    ) -> dict[str, dict[str, Any]]:
        """Task -> the smallest expected loss any model can reach, see ``virtual.bayes``."""
        from scaling.corpora.virtual.bayes.loss import bayes_loss

        return bayes_loss(self, fs_hz=fs_hz, samples=samples, seed=seed, test=test, workers=workers)
