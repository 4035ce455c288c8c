"""Records of a cohort with their labels, from indices alone.

Labels are drawn once, from random numbers that depend on the record and the name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from scaling.corpora.virtual.cohorts.base import Cohort
from scaling.corpora.virtual.generate import Visits, make, visits
from scaling.corpora.virtual.reading import Errors
from scaling.corpora.virtual.reproducible import Stream, mix, word

Array = NDArray[np.float64]

BLOCK = 2048  # visits made at a time where only their labels are wanted


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Some records of one split.

    Attributes:
        signals: (n, 12, samples) float32 in millivolts, leads in the order of
            ``identity.LEADS``.
        labels: task -> (n, classes), 0 or 1.
        valid: task -> (n,), whether the record belongs to the task.
        patients: (n,) ids, unique in the cohort.
        ages: (n,) years.
        male: (n,).
        r_peaks_s: for each record the ascending times of its R peaks inside the window.
        findings: finding -> (n,), what the labels were read from.
    """

    signals: NDArray[np.float32]
    labels: dict[str, NDArray[np.uint8]]
    valid: dict[str, NDArray[np.bool_]]
    patients: NDArray[np.int64]
    ages: NDArray[np.float64]
    male: NDArray[np.bool_]
    r_peaks_s: list[NDArray[np.float64]]
    findings: dict[str, NDArray[np.float64]]


def records_of(
    cohort: Cohort, seed: int, split: str, start: int, stop: int, fs_hz: float, samples: int
) -> Records:
    """Make records ``start`` to ``stop`` of one split, whose patients are in no other.

    Every record depends only on (cohort, seed, split, index), whatever else is made.

    Raises:
        ValueError: unknown split, or no records.
    """
    batch = make(cohort, seed, split, start, stop, fs_hz, samples)
    visited = batch.visits
    findings = as_arrays(visited.findings)
    labels, valid = draw_labels(cohort, findings, visited.latents.draws.visit)
    peaks = visited.r_peaks_s.cpu().numpy()
    inside = (peaks >= 0.0) & (peaks < samples / fs_hz)  # false for NaN
    return Records(
        signals=batch.signals.cpu().numpy(),
        labels=labels,
        valid=valid,
        patients=visited.patients.cpu().numpy(),
        ages=findings["age_years"],
        male=findings["male"] > 0.5,
        r_peaks_s=[row[use] for row, use in zip(peaks, inside, strict=True)],
        findings=findings,
    )


def members(
    cohort: Cohort, task: str, seed: int, split: str, count: int, duration_s: float
) -> NDArray[np.bool_]:
    """Which of the first ``count`` records of a split belong to a task, without a signal."""
    if not cohort.tasks[task].needs_label:
        return np.ones(count, np.bool_)
    parts = []
    for start in range(0, count, BLOCK):
        block = visits(cohort, seed, split, start, min(start + BLOCK, count), duration_s)
        parts.append(labels_of(cohort, block)[1][task])
    return np.concatenate(parts)


def labels_of(
    cohort: Cohort, visited: Visits
) -> tuple[dict[str, NDArray[np.uint8]], dict[str, NDArray[np.bool_]]]:
    """Labels and membership of some visits, see ``draw_labels``."""
    return draw_labels(cohort, as_arrays(visited.findings), visited.latents.draws.visit)


def as_arrays(findings: dict[str, Tensor]) -> dict[str, NDArray[np.float64]]:
    """Findings as numpy arrays on the host."""
    return {name: value.cpu().numpy() for name, value in findings.items()}


class Reader(Errors):
    """The reader of each record: errors that depend on the record alone."""

    def __init__(self, stream: Stream, slip: float) -> None:
        super().__init__(slip)
        self._stream = stream

    def drawn(self, key: str) -> Array:
        """Uniform on (0, 1) for each record."""
        return label_uniform(self._stream, key)


def draw_labels(
    cohort: Cohort, findings: Mapping[str, Array], stream: Stream
) -> tuple[dict[str, NDArray[np.uint8]], dict[str, NDArray[np.bool_]]]:
    """Draw the labels of n records, whose random numbers are ``stream``.

    Returns:
        Task -> labels (n, classes), 0 or 1, and task -> whether the record belongs to it (n,).
    """
    drawn = cohort.draw(findings, Reader(stream, cohort.slip))
    labels: dict[str, NDArray[np.uint8]] = {}
    valid: dict[str, NDArray[np.bool_]] = {}
    for name, task in cohort.tasks.items():
        columns = [np.any([drawn[part] for part in p], axis=0) for p in task.members.values()]
        labels[name] = np.stack(columns, axis=1).astype(np.uint8)
        valid[name] = labels[name].max(axis=1) >= (1 if task.needs_label else 0)
    return labels, valid


def label_uniform(stream: Stream, name: str) -> Array:
    """Uniform on (0, 1) for each record, (n,), the same whenever the name is: one hash each."""
    bits = mix(mix(stream.keys ^ word(f"label/{name}")))
    top = (bits >> 12) & 0xFFFFFFFFFFFFF
    return ((top.double() + 0.5) * 2.0**-52).cpu().numpy()
