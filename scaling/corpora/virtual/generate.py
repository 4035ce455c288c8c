"""A batch of virtual records: latents, beats, leads and noise, from indices alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from scaling.corpora.virtual.cohorts.base import Cohort
from scaling.corpora.virtual.latents import Latents, develop
from scaling.corpora.virtual.lead_field import VENTRICULAR_QT_MS, Heart, heart, leads
from scaling.corpora.virtual.population import FINDINGS, Device, patient_of
from scaling.corpora.virtual.recorder import record
from scaling.corpora.virtual.reproducible import Draws, power, stream
from scaling.corpora.virtual.rhythm import Events, events, r_peaks_s
from scaling.corpora.virtual.ventricles import ventricular_qrs_ms
from scaling.records.names import SPLITS

PATIENTS_PER_SPLIT = 1_000_000_000
# Records rendered at a time on CPU: as many as keep the arrays in a core's cache.
CPU_SAMPLES = 100_000


@dataclasses.dataclass(frozen=True, slots=True)
class Visits:
    """A batch of records before sampling.

    Attributes:
        findings: every name of ``population.FINDINGS``, (B,) float64 each.
        patients: (B,) patient ids, unique over the splits of a cohort.
        r_peaks_s: (B, K) R peaks in seconds, ascending, those outside the window included;
            NaN where a slot has no beat.
    """

    latents: Latents
    heart: Heart
    events: Events
    findings: dict[str, Tensor]
    patients: Tensor
    r_peaks_s: Tensor


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """Virtual records (B, 12, T) float32 in mV, leads as in ``identity.LEADS``; their visits."""

    signals: Tensor
    visits: Visits


def draws(
    cohort: Cohort, seed: int, split: str, start: int, stop: int, device: str | torch.device = "cpu"
) -> tuple[Draws, Tensor]:
    """Random numbers and patient ids of records ``start`` to ``stop``.

    Raises:
        ValueError: unknown split, or no records.
    """
    if split not in SPLITS and split != "bayes":
        raise ValueError(f"unknown split {split!r}; one of {', '.join(SPLITS)}")
    if not 0 <= start < stop:
        raise ValueError(f"records {start} to {stop}: there are none")
    number = torch.tensor([patient_of(i)[0] for i in range(start, stop)], device=device)
    index = torch.arange(start, stop, device=device)
    patient = stream(cohort.name, seed, split, "patient", number)
    visit = stream(cohort.name, seed, split, "record", index)
    offset = (*SPLITS, "bayes").index(split) * PATIENTS_PER_SPLIT
    return Draws(patient, visit), number + offset


def visits(
    cohort: Cohort,
    seed: int,
    split: str,
    start: int,
    stop: int,
    duration_s: float,
    device: str | torch.device = "cpu",
) -> Visits:
    """Everything about records ``start`` to ``stop`` but their samples; see ``make``."""
    numbers, patients = draws(cohort, seed, split, start, stop, device)
    latents = develop(cohort.population, numbers)
    beats = events(latents, duration_s)
    whole = heart(latents)
    measured = findings(latents, whole, beats, duration_s)
    return Visits(latents, whole, beats, measured, patients, r_peaks_s(latents, beats))


def findings(x: Latents, h: Heart, e: Events, duration_s: float) -> dict[str, Tensor]:
    """Every name of ``population.FINDINGS``: (B,) float64 each.

    Rate and counts of premature beats are those of the window; an interval-free window (one
    beat or none) has the rate of the rhythm. Width and axis of QRS, and QT, are those of the
    ventricular beat where every beat is one.
    """
    inside = (e.qrs_s >= 0.0) & (e.qrs_s < duration_s)
    beats = inside.sum(1)
    first = torch.where(inside, e.qrs_s, torch.inf).amin(1)
    last = torch.where(inside, e.qrs_s, -torch.inf).amax(1)
    measured = 60.0 * (beats - 1) / (last - first)
    rate = torch.where(beats > 1, measured, 60.0 / e.mean_rr_s)
    own = {
        "rate_bpm": rate,
        "axis_deg": h.axis_deg,
        "qrs_ms": torch.where(x.ventricular, ventricular_qrs_ms(x), x["conducted_qrs_ms"]),
        "qtc_ms": x["qtf_ms"] * power(e.mean_rr_s, 1.0 / 3.0 - 0.5)
        + VENTRICULAR_QT_MS * x.ventricular * power(e.mean_rr_s, -0.5),
        "pacs": ((e.premature == 1) & inside).sum(1).double(),
        "pvcs": ((e.premature == 2) & inside).sum(1).double(),
    }
    return {name: own[name] if name in own else x[name] for name in FINDINGS}


def make(
    cohort: Cohort,
    seed: int,
    split: str,
    start: int,
    stop: int,
    fs_hz: float,
    samples: int,
    device: str | torch.device = "cpu",
    *,
    noise: bool = True,
) -> Batch:
    """Make records ``start`` to ``stop`` of one split, whose patients are in no other.

    Every record depends only on (cohort, seed, split, index): bit for bit on one device,
    whatever else is in the batch. A longer window at the same rate begins with the shorter
    one, but for the last beats of it; findings that are measured in the window may differ.
    Without ``noise`` the recorder has neither noise nor gain errors, resolution or clipping.

    Raises:
        ValueError: unknown split, or no records.
    """
    visited = visits(cohort, seed, split, start, stop, samples / fs_hz, device)
    size = stop - start
    signals = torch.empty(size, 12, samples, device=visited.patients.device)
    step = size if signals.is_cuda else max(1, CPU_SAMPLES // samples)
    for first in range(0, size, step):
        part = visited if step >= size else rows(visited, slice(first, first + step))
        signals[first : first + step] = _rendered(part, cohort.device, fs_hz, samples, noise)
    return Batch(signals, visited)


def _rendered(v: Visits, device: Device, fs_hz: float, samples: int, noise: bool) -> Tensor:
    eight = leads(v.latents, v.heart, v.events, fs_hz, samples, device.low_pass_hz)
    if noise:
        eight = record(eight, device, v.latents.draws, v.events.breath_hz, fs_hz)
    return twelve_leads(eight)


def rows(value: Any, chosen: slice | Tensor) -> Any:
    """The chosen records of a batch: of any tensor, mapping, tuple or dataclass of these.

    Args:
        value: such as ``Visits``, ``Latents`` or ``Heart``; the first axis counts records.
        chosen: a slice, or (n,) indices with repetitions.
    """
    if value is None:
        return None
    if isinstance(value, Tensor):
        return value[chosen]
    if isinstance(value, Mapping):
        return {name: rows(part, chosen) for name, part in value.items()}
    if isinstance(value, tuple):
        return tuple(rows(part, chosen) for part in value)
    fields = {f.name: rows(getattr(value, f.name), chosen) for f in dataclasses.fields(value)}
    # Symmetric waves keep one tensor for both sides, which ``heart`` takes a shorter way on.
    if fields.get("left") is not None and value.left is value.right:
        fields["right"] = fields["left"]
    return type(value)(**fields)


def twelve_leads(eight: Tensor) -> Tensor:
    """Leads I, II, V1 to V6 (B, 8, T) to the twelve standard leads (B, 12, T).

    Einthoven: III = II - I. Goldberger: aVR = -(I + II) / 2, aVL = I - II / 2,
    aVF = II - I / 2.
    """
    one, two = eight[:, 0], eight[:, 1]
    limb = [one, two, two - one, (one + two) * -0.5, one - two * 0.5, two - one * 0.5]
    return torch.cat([torch.stack(limb, 1), eight[:, 2:]], 1)
