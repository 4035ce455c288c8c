"""What a cohort is: its people, its recorder, its readings, and its tasks.

Needs only the standard library to be defined; probabilities are numpy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scaling.corpora.virtual.device import Device
from scaling.corpora.virtual.population import Population
from scaling.corpora.virtual.reading import Reading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A label set made of drawn labels.

    Attributes:
        members: class -> the readings of which any one makes the class; in label order.
        needs_label: whether a record without any label of the task is left out of it.

    Raises:
        ValueError: no class, or a class without members.
    """

    members: dict[str, tuple[str, ...]]
    needs_label: bool = False

    def __post_init__(self) -> None:
        if not self.members or not all(self.members.values()):
            raise ValueError("a task needs classes, and a class needs readings")

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
class Cohort:
    """A population, how it is recorded, and what is labelled.

    Each reading is drawn once a record, independently of the others given the findings
    (unless they share a ``draw``); tasks combine what was drawn, so they never disagree.

    Attributes:
        name: name of the source.
        about: one line: who they are.
        population: demographics and prevalences.
        device: recorder and noise.
        readings: label -> how it is read.
        tasks: name -> label set; ``{"": ...}`` where there is only one.

    Raises:
        ValueError: a task names a reading that is not there, or joins two that share a draw.
    """

    name: str
    about: str
    population: Population
    device: Device
    readings: dict[str, Reading]
    tasks: dict[str, Task]

    def __post_init__(self) -> None:
        for task, value in self.tasks.items():
            if unknown := sorted(set(value.readings) - set(self.readings)):
                raise ValueError(f"{self.name}: task {task!r} names {unknown}, which nobody reads")
            joined = [part for part in value.members.values() if len(part) > 1]
            joined += [value.readings] if value.needs_label else []
            for part in joined:
                draws = [self.readings[name].draw for name in part if self.readings[name].draw]
                if len(draws) != len(set(draws)):
                    raise ValueError(f"{self.name}: {part} share a draw and cannot be joined")

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """Task -> class names in label order."""
        return {name: task.classes for name, task in self.tasks.items()}

    def read(self, findings: Mapping[str, Array]) -> dict[str, Array]:
        """P(label drawn | findings) of each reading, each of the findings' shape."""
        return {name: reading.probability(findings) for name, reading in self.readings.items()}

    def bayes_loss(
        self, fs_hz: int = 100, samples: int = 500, seed: int = 0, test: int = 0
    ) -> dict[str, dict[str, Any]]:
        """Task -> the smallest expected loss any model can reach, see ``virtual.bayes``."""
        from scaling.corpora.virtual.bayes import bayes_loss

        return bayes_loss(self, fs_hz=fs_hz, samples=samples, seed=seed, test=test)


def task_probabilities(task: Task, read: Mapping[str, Array]) -> tuple[Array, Array]:
    """Chances of a task's classes among the records that belong to it.

    Args:
        task: the label set.
        read: from ``Cohort.read``.

    Returns:
        P(class | findings, the record belongs to the task), (classes, ...), and P(it belongs |
        findings), (...), which is 1 unless the task needs a label.
    """
    import numpy as np

    rows = []
    for part in task.members.values():
        missing = 1.0 - read[part[0]]
        for name in part[1:]:
            missing = missing * (1.0 - read[name])
        rows.append(1.0 - missing if len(part) > 1 else read[part[0]])
    chances: Array = np.stack(rows)
    if not task.needs_label:
        return chances, np.ones(chances.shape[1:])
    nothing = np.ones(chances.shape[1:])
    for name in task.readings:
        nothing = nothing * (1.0 - read[name])
    return chances / (1.0 - nothing), 1.0 - nothing
