"""Turn one recording into what a corpus stores: leads, filters, quantising, R peaks, signature."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.errors import CorpusError, UnusableError
from scaling.corpora.quality.overlap import signature_features
from scaling.corpora.signals.leads import (
    LIMB,
    LimbCheck,
    check_limb_leads,
    complete,
    lead_positions,
    repair_limb_leads,
)
from scaling.corpora.signals.presets import Preprocessing, quantise
from scaling.corpora.signals.r_peaks import detect_r_peaks
from scaling.corpora.sources.read.base import Recording

REACH = 6  # samples to each side that count as neighbours of a missing one
# A recorder at the end of its range holds its extreme value in one beat after the other, or for
# long; the tip of a wave in coarse steps does so once, for a few samples.
SATURATED_S, SATURATED_SAMPLES, SATURATED_RUNS = 0.008, 3, 2
HELD_S = 0.1
STRIDE = 64  # samples looked at before all of them

Leads = dict[str, NDArray[np.float64]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """One recording, ready to be stored.

    Attributes:
        steps: (leads, samples); the physical value is ``steps * preprocessing.lsb``.
        r_peaks: (n,) sample indices in the stored window, ascending; empty where none is found.
        features: of the raw recording, see ``quality.overlap.signature_features``.
        repaired_samples: missing samples (NaN) that were filled in.
        repaired_leads: leads stored that were recomputed from two limb leads.
        flat_leads: leads stored that never change.
        clipped_samples: samples beyond the range of int16.
        saturated_leads: leads that the recorder clipped: they stay at their extreme value in two
            beats or more, or for 100 ms.
        lead_error_mv: largest violation of the limb-lead identities before any repair; NaN
            where they cannot be checked.
    """

    steps: NDArray[np.int16]
    r_peaks: NDArray[np.int32]
    features: NDArray[np.int16]
    repaired_samples: int = 0
    repaired_leads: tuple[str, ...] = ()
    flat_leads: tuple[str, ...] = ()
    clipped_samples: int = 0
    saturated_leads: tuple[str, ...] = ()
    lead_error_mv: float = math.nan


def convert(
    recording: Recording, preprocessing: Preprocessing, fs_hz: int, samples: int
) -> Converted:
    """Convert one recording to ``samples`` per lead at ``fs_hz``.

    Limb leads that are wanted and absent are computed from any two that are there. In a
    recording without a unit the leads are scaled apart, so none is computed or checked.

    Raises:
        CorpusError: the recording is damaged (an infinite sample, an unknown or repeated
            lead, no sample at all).
        UnusableError: nothing is damaged, but the preset cannot use it (too short, missing
            samples or leads, limb leads that contradict each other).
    """
    signal_LT, signals, missing = _read(recording)
    # Before gaps are filled: what is missing says nothing of a copy.
    values = signature_features(signal_LT, recording.fs_hz, recording.leads)
    repaired_samples = _fill(signals, missing, preprocessing)
    check = LimbCheck(error_mv=math.nan)
    recomputed: set[str] = set()
    if recording.units == "mV":
        check = check_limb_leads(signals)
        given = signals
        signals = complete(_settle(signals, check, preprocessing), preprocessing.leads)
        recomputed = {lead for lead in signals if signals[lead] is not given.get(lead)}
    leads = preprocessing.leads
    if absent := [lead for lead in leads if lead not in signals]:
        raise UnusableError(f"lead {', '.join(absent)} is missing, and the preset stores it")
    raw_LT = np.stack([signals[lead] for lead in leads])
    stored_LT = preprocessing.apply(raw_LT, recording.fs_hz, fs_hz, samples)
    steps, clipped = quantise(stored_LT, preprocessing.lsb)
    window = math.ceil(samples * recording.fs_hz / fs_hz)
    return Converted(
        steps=steps,
        r_peaks=_r_peaks(recording, signals, window, fs_hz, samples),
        features=values,
        repaired_samples=repaired_samples,
        repaired_leads=tuple(lead for lead in leads if lead in recomputed),
        flat_leads=_flat(leads, raw_LT[:, :window], steps),
        clipped_samples=clipped,
        saturated_leads=_saturated(leads, raw_LT[:, :window], recording.fs_hz),
        lead_error_mv=check.error_mv,
    )


def _read(recording: Recording) -> tuple[NDArray[np.float64], Leads, dict[str, NDArray[np.bool_]]]:
    """All samples; lead -> its samples; lead -> which are missing, for leads with such."""
    positions = lead_positions(recording.leads)
    if recording.signal.shape[:1] != (len(positions),) or recording.signal.ndim != 2:
        raise CorpusError(
            f"{recording.signal.shape} samples for {len(positions)} leads: not leads x samples"
        )
    if not recording.signal.shape[1]:
        raise CorpusError("there is not one sample")
    signal_LT = recording.signal.astype(np.float64, order="C")
    # One look at all samples; which are at fault matters only if any is.
    if np.isfinite(signal_LT.sum()):
        return signal_LT, {lead: signal_LT[i] for lead, i in positions.items()}, {}
    if infinite := [lead for lead, i in positions.items() if np.isinf(signal_LT[i]).any()]:
        raise CorpusError(f"infinite samples in lead {', '.join(infinite)}")
    missing = {lead: np.isnan(signal_LT[i]) for lead, i in positions.items()}
    return (
        signal_LT,
        {lead: signal_LT[i] for lead, i in positions.items()},
        {lead: where for lead, where in missing.items() if where.any()},
    )


def _fill(
    signals: Leads, missing: dict[str, NDArray[np.bool_]], preprocessing: Preprocessing
) -> int:
    """Fill missing samples in place as the preset says; the number filled.

    A lead that is not stored is removed instead, and so is a limb lead without any sample where
    the preset repairs leads: the others give it.
    """
    filled = 0
    for lead, where in missing.items():
        empty = where.all() and lead in LIMB and preprocessing.lead_errors == "repair"
        if empty or lead not in preprocessing.leads:
            del signals[lead]
            continue
        if preprocessing.missing == "refuse":
            raise UnusableError(
                f"{int(where.sum())} samples of lead {lead} are missing (NaN), which the "
                f"preset {preprocessing.name} refuses"
            )
        if where.mean() > preprocessing.missing_share:
            raise UnusableError(
                f"{where.mean():.0%} of lead {lead} is missing (NaN); the preset "
                f"{preprocessing.name} fills {preprocessing.missing_share:.0%} at most"
            )
        signals[lead][where] = _neighbour_means(signals[lead], where, lead)
        filled += int(where.sum())
    return filled


def _neighbour_means(
    signal: NDArray[np.float64], where: NDArray[np.bool_], lead: str
) -> NDArray[np.float64]:
    """Mean of the samples around each missing one."""
    known = np.pad(np.where(where, 0.0, signal), REACH)
    count = np.pad((~where).astype(np.float64), REACH)
    around = np.flatnonzero(where)[:, None] + np.arange(2 * REACH + 1)
    numbers = count[around].sum(axis=1)
    if not numbers.all():
        raise UnusableError(f"lead {lead} has gaps (NaN) longer than {2 * REACH} samples")
    means: NDArray[np.float64] = known[around].sum(axis=1) / numbers
    return means


def _settle(signals: Leads, check: LimbCheck, preprocessing: Preprocessing) -> Leads:
    """What the preset does about limb leads that contradict each other."""
    if not check.fault or preprocessing.lead_errors == "report":
        return signals
    if preprocessing.lead_errors == "refuse":
        raise UnusableError(f"{check.fault} (identities missed by {check.error_mv:.3g} mV)")
    return repair_limb_leads(signals, check)


def _r_peaks(
    recording: Recording, signals: Leads, window: int, fs_hz: int, samples: int
) -> NDArray[np.int32]:
    times_s = recording.r_peaks_s
    if times_s is None:
        leads = tuple(signals)
        windows = [signals[lead][:window] for lead in leads]
        times_s = detect_r_peaks(windows, leads, recording.fs_hz)
    indices = np.rint(times_s * fs_hz).astype(np.int32)
    return indices[(indices >= 0) & (indices < samples)]


def _flat(
    leads: tuple[str, ...], raw_LT: NDArray[np.float64], steps: NDArray[np.int16]
) -> tuple[str, ...]:
    still = _is_still(raw_LT) | _is_still(steps)
    return tuple(leads[i] for i in np.flatnonzero(still)) if still.any() else ()


def _is_still(signal_LT: NDArray[Any]) -> NDArray[np.bool_]:
    """(leads,), whether each never changes."""
    # A lead that moves shows it at once, mostly; all samples are looked at only where none does.
    still: NDArray[np.bool_] = (signal_LT[:, :STRIDE] == signal_LT[:, :1]).all(axis=1)
    if still.any():
        still = (signal_LT == signal_LT[:, :1]).all(axis=1)
    return still


def _saturated(leads: tuple[str, ...], raw_LT: NDArray[np.float64], fs_hz: int) -> tuple[str, ...]:
    """Leads that stay at their extreme value, without being flat."""
    run, held = max(SATURATED_SAMPLES, round(SATURATED_S * fs_hz)), round(HELD_S * fs_hz)
    least, most = raw_LT.min(axis=1, keepdims=True), raw_LT.max(axis=1, keepdims=True)
    found = least[:, 0] > most[:, 0]  # none
    for at_LT in (raw_LT == least, raw_LT == most):
        # Few leads have two pairs of such samples as far apart as the ends of a run.
        pairs = (at_LT[:, run - 1 :] & at_LT[:, : 1 - run]).sum(axis=1, dtype=np.int32)
        for i in np.flatnonzero((pairs >= 2) & (least < most)[:, 0]):
            at = np.flatnonzero(at_LT[i])
            if len(at) < 2 * run:
                continue
            ends = np.flatnonzero(np.diff(at, append=at[-1] + 2) > 1)
            lengths = np.diff(ends, prepend=-1)
            found[i] |= (lengths >= run).sum() >= SATURATED_RUNS or lengths.max() >= max(held, run)
    return tuple(leads[i] for i in np.flatnonzero(found))
