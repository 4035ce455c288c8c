"""Cohorts of one disorder, for tests: everyone is drawn alike, with or without it; chances."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from scaling.corpora.virtual.cohorts.base import Cohort, CohortTask, task_of
from scaling.corpora.virtual.cohorts.chances import Chances, class_chances
from scaling.corpora.virtual.generate import Visits, rows, visits
from scaling.corpora.virtual.population import Device, Population
from scaling.corpora.virtual.reading import Reading, above

QUIET = Device(
    white_mv=0.0, muscle_mv=0.0, wander_mv=0.0, respiration_mv=0.0, mains_mv=0.0,
    pops_per_min=0.0, gain_error=0.0, low_pass_hz=0.0, high_pass_hz=0.0, step_mv=0.0, range_mv=0.0,
)  # fmt: skip


def lone(device: Device = QUIET, **prevalence: float) -> Cohort:
    """Adults of 55 with some disorders and no other; the name is that of all such cohorts."""
    return Cohort(
        name="virtual/lone",
        about="for tests",
        population=Population(age_mean=55.0, age_sd=8.0, prevalence=prevalence),
        device=device,
        readings={"fast": Reading(above("rate_bpm", 100.0, 1.5))},
        tasks={"": task_of(("fast",))},
    )


def having(name: str, count: int = 48, duration_s: float = 10.0, **others: float) -> Visits:
    """Visits of people with that disorder."""
    found = visits(lone(QUIET, **{name: 1.0}, **others), 0, "train", 0, count, duration_s)
    chosen: Visits = rows(found, torch.nonzero(found.latents.states[name])[:, 0])
    return chosen


def task_chances(
    cohort: Cohort,
    task: CohortTask,
    findings: Mapping[str, NDArray[np.float64]],
    rng: np.random.Generator | None = None,
    readers: int = 256,
) -> Chances:
    """Chances of a task of the cohort's readings, by fixed readers unless an rng is given."""
    of_task = dataclasses.replace(cohort, tasks={"": task})
    return class_chances(of_task, findings, rng or np.random.default_rng(0), readers)[""]


def reading_chances(
    cohort: Cohort, findings: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    """P(label | findings) of each reading of a cohort, each of the findings' shape."""
    each = task_of(tuple(cohort.readings))
    return dict(zip(each.classes, task_chances(cohort, each, findings).classes, strict=True))
