"""What a recording of twelve leads measures, and figures of many recordings.

A recording is judged by its median beat at 500 Hz, level between P and QRS. Positions in it are
in milliseconds from R; amplitudes are in mV unless a name says otherwise. Nothing here knows
whether a recording is real or virtual.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scaling.corpora.signals.presets import resample
from scaling.corpora.signals.r_peaks import detect_r_peaks
from scaling.identity import LEADS
from scaling.records.patients import Estimate
from tests.scaling.corpora.median_beat import (
    AFTER,
    BEFORE,
    WORK_HZ,
    align,
    cut,
    dominant,
    work_signal,
)

FS_HZ = 100
INDEPENDENT = [LEADS.index(name) for name in ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")]
LEAST_BEATS = 3
LEVEL_MS = (-84.0, -56.0)  # between P and QRS
BEFORE_P_MS = (-320.0, -270.0)
SLOW_BPM = 85.0  # below it the T before has ended by then
QUIET = 15.0  # percentile of the windows of a lead that is taken for its noise
NORMAL = "NORM SR"  # both statements
ILL = ("SBRAD", "STACH", "IMI", "ASMI", "AMI", "CRBBB", "CLBBB")  # measured too

Beat = NDArray[np.float64]


# --- a recording -----------------------------------------------------------------------------


def beat_centres(signal_LT: NDArray[np.float64]) -> tuple[NDArray[np.int64], float]:
    """R of the beats that look like most others, and the rate.

    Args:
        signal_LT: (12, samples) at 100 Hz, in mV.

    Returns:
        (n,) samples at ``WORK_HZ``, none where fewer than three are found, and beats per minute.
    """
    peaks_s = detect_r_peaks(list(signal_LT), LEADS, FS_HZ)
    if len(peaks_s) < LEAST_BEATS:
        return np.empty(0, np.int64), np.nan
    rate_bpm = 60.0 / float(np.median(np.diff(peaks_s)))
    near = np.round(peaks_s * WORK_HZ).astype(np.int64)
    centres, alike = align(work_signal(signal_LT[INDEPENDENT], FS_HZ), near)
    centres = centres[dominant(alike)]
    return (centres if len(centres) >= LEAST_BEATS else centres[:0]), rate_bpm


def level_beat(signal_LT: NDArray[np.float64], centres: NDArray[np.int64]) -> Beat:
    """(12, BEFORE + AFTER) median beat whose baseline goes straight from one PQ to the next."""
    x_LT = resample(signal_LT, FS_HZ, WORK_HZ)
    first, last = (round(ms * WORK_HZ / 1000) for ms in LEVEL_MS)
    levels = cut(x_LT, centres, -first, last).mean(axis=-1)
    at, middle = np.arange(x_LT.shape[1]), centres + (first + last) // 2
    x_LT = x_LT - np.stack([np.interp(at, middle, level) for level in levels.T])
    beat = np.median(cut(x_LT, centres), axis=0)
    return np.asarray(beat - part(beat, *LEVEL_MS).mean(axis=1, keepdims=True))


def part(beat_LT: Beat, start_ms: float, stop_ms: float) -> Beat:
    """The samples of a beat between two times from R; it ends at the end of the beat."""
    start, stop = (BEFORE + round(ms * WORK_HZ / 1000) for ms in (start_ms, stop_ms))
    return beat_LT[:, start : min(stop, BEFORE + AFTER - 1)]


def noise_floor_uv(signal_LT: NDArray[np.float64]) -> NDArray[np.float64]:
    """(leads,) standard deviation of white noise in the quiet windows of 100 ms, in uV.

    From second differences, which hardly see the waves; divided by the root of 6 they have the
    variance of white noise. It is two thirds of white noise, being that of the quieter windows.
    """
    rough = np.diff(signal_LT, n=2, axis=1) / np.sqrt(6.0)
    width = round(0.1 * FS_HZ)
    windows = rough[:, : rough.shape[1] // width * width].reshape(len(rough), -1, width)
    return np.asarray(1000.0 * np.percentile(windows.std(axis=2), QUIET, axis=1))


def axis_deg(beat_LT: Beat) -> float:
    """Frontal axis of QRS by the net areas of I and aVF, in degrees from -180 to 180."""
    area = part(beat_LT, -60, 70).sum(axis=1)
    one, foot = area[LEADS.index("I")], area[LEADS.index("aVF")]
    return float(np.degrees(np.arctan2(2.0 * foot / np.sqrt(3.0), one)))


def beyond_three(beat_LT: Beat) -> float:
    """Energy of the eight independent leads beyond three components, in per cent.

    One moving dipole has three; what is near to an electrode has more.
    """
    energy = np.linalg.svd(part(beat_LT[INDEPENDENT], -250, 450), compute_uv=False) ** 2
    return float(100.0 * energy[3:].sum() / energy.sum())


def features(signal_LT: NDArray[np.float64]) -> dict[str, float]:
    """Everything that is measured in one recording; names of leads end a name.

    Args:
        signal_LT: (12, samples) at 100 Hz, in mV, leads in the order of ``identity.LEADS``.

    Returns:
        ``rate`` (per minute), ``axis`` (degrees), ``beyond`` (%), ``floor`` and ``before P``
        (uV); of QRS ``R``, ``S``, ``q`` (lowest before R), and ``wide S`` where it may be wide;
        ``T`` (the largest of either sign) and ``P`` (highest). Without three beats only what
        needs none.
    """
    centres, rate_bpm = beat_centres(signal_LT)
    found = {"rate": rate_bpm} | by_lead("floor", noise_floor_uv(signal_LT))
    if not len(centres):
        return found
    beat = level_beat(signal_LT, centres)
    # T is over by then, by Bazett's square root, and the next P has not begun.
    t = part(beat, 140, min(640.0, 420.0 * float(np.sqrt(60.0 / rate_bpm))))
    qrs = part(beat, -60, 70)
    found |= {"axis": axis_deg(beat), "beyond": beyond_three(beat)}
    found |= by_lead("R", qrs.max(axis=1)) | by_lead("S", qrs.min(axis=1))
    found |= by_lead("q", part(beat, -60, 0).min(axis=1))
    found |= by_lead("wide S", part(beat, -60, 140).min(axis=1))
    found |= by_lead("T", t[np.arange(len(t)), np.abs(t).argmax(axis=1)])
    found |= by_lead("P", part(beat, -230, -90).max(axis=1))
    if rate_bpm < SLOW_BPM:
        found |= by_lead("before P", 1000.0 * part(beat, *BEFORE_P_MS).mean(axis=1))
    return found


def by_lead(name: str, values: NDArray[np.float64]) -> dict[str, float]:
    """``name I`` to ``name V6``."""
    return {f"{name} {lead}": float(v) for lead, v in zip(LEADS, values, strict=True)}


# --- many recordings -------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Recordings:
    """Recordings of PTB-XL, or such as are labelled alike.

    Attributes:
        signals: (records, 12, samples) at 100 Hz, in mV, leads in the order of
            ``identity.LEADS``.
        patients: (records,) ids.
        statements: a bool column for each of ``all``.
        superclasses: a bool column for each superclass.
        rhythms: a bool column for each rhythm.
    """

    signals: NDArray[np.float32]
    patients: NDArray[np.int64]
    statements: pd.DataFrame
    superclasses: pd.DataFrame
    rhythms: pd.DataFrame

    @property
    def normal(self) -> NDArray[np.bool_]:
        """(records,), whether each is called normal and in sinus rhythm."""
        return (self.statements["NORM"] & self.statements["SR"]).to_numpy()


def table(recordings: Recordings) -> pd.DataFrame:
    """A row for each record: its statements, counts of them, and its features.

    Returns:
        The statements, ``NORM SR`` (both), ``statements``, ``rhythms``, ``other class`` (one
        beside NORM) and the features, NaN for what is not measured: in records that no figure
        is about, and without beats.
    """
    said = recordings.statements
    counts = pd.DataFrame({
        NORMAL: recordings.normal,
        "statements": said.sum(axis=1).astype(float),
        "rhythms": recordings.rhythms.sum(axis=1).astype(float),
        "other class": recordings.superclasses.drop(columns="NORM").any(axis=1).astype(float),
    })  # fmt: skip
    wanted = np.flatnonzero(recordings.normal | said[list(ILL)].any(axis=1).to_numpy())
    signals = recordings.signals
    found = pd.DataFrame([features(signals[k].astype(np.float64)) for k in wanted], index=wanted)
    return pd.concat([said, counts, found.reindex(said.index)], axis=1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number of many recordings.

    Attributes:
        name: unique, as printed.
        unit: of the value.
        value: from the table, one for each record, NaN where unknown.
        among: statements of which a record has one; none takes all records.
        statistic: what is made of the values.
        named: whether it is one that must come near.
    """

    name: str
    unit: str
    value: Callable[[pd.DataFrame], pd.Series]
    among: tuple[str, ...] = (NORMAL,)
    statistic: Literal["median", "mean"] = "median"
    named: bool = False

    def values(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """(rows,) values, NaN where a record does not count."""
        found = self.value(rows).astype(float)
        if self.among:
            found = found.where(rows[list(self.among)].any(axis=1))
        return np.asarray(found, np.float64)

    def of(self, values: NDArray[np.float64]) -> float:
        """The figure; NaN of no values."""
        known = values[~np.isnan(values)]
        if not len(known):
            return np.nan
        return float(np.median(known)) if self.statistic == "median" else float(known.mean())

    def estimate(self, rows: pd.DataFrame, weights_NR: NDArray[np.float32]) -> Estimate:
        """The figure with its interval over patients.

        Args:
            rows: records.
            weights_NR: how often each is in each resample, the first being the sample itself.
        """
        values = self.values(rows)
        known = ~np.isnan(values)
        counts = weights_NR[known].astype(np.int64).T
        return Estimate.of(np.array([self.of(np.repeat(values[known], w)) for w in counts]))


def column(name: str) -> Callable[[pd.DataFrame], pd.Series]:
    """That column."""
    return lambda rows: rows[name]


def share(holds: Callable[[pd.DataFrame], pd.Series], of: str) -> Callable[..., pd.Series]:
    """100 where it holds and 0 where not, so that the mean is per cent; unknown without ``of``."""
    return lambda rows: (100.0 * holds(rows)).where(rows[of].notna())


def named_figures() -> list[Figure]:
    """Those that must come near the real ones."""
    negative = share(lambda rows: rows["T V1"] < 0, "T V1")
    outside = share(lambda rows: ~rows["axis"].between(-30, 90), "axis")
    anterior = ("ASMI", "AMI")
    figures = [
        Figure(name="level before P, II", unit="uV", value=column("before P II")),
        *(Figure(name=f"noise floor, {k}", unit="uV", value=column(f"floor {k}")) for k in LEADS),
        Figure(name="negative T in V1", unit="%", value=negative, statistic="mean"),
        Figure(name="axis outside -30 to 90", unit="%", value=outside, statistic="mean"),
        Figure(name="beyond three components", unit="%", value=column("beyond")),
        *(_depth("IMI", ("IMI",), "q", k) for k in ("III", "aVF")),
        *(_depth("ASMI or AMI", anterior, "S", k) for k in ("V2", "V3", "V4")),
        _depth("CRBBB", ("CRBBB",), "wide S", "V1"),
        _depth("CLBBB", ("CLBBB",), "wide S", "V3"),
        Figure(name="STACH: rate", unit="/min", value=column("rate"), among=("STACH",)),
    ]
    return [dataclasses.replace(figure, named=True) for figure in figures]


def _depth(who: str, among: tuple[str, ...], wave: str, lead: str) -> Figure:
    name = f"{who}: {wave.removeprefix('wide ')} in {lead}"
    return Figure(name=name, unit="mV", value=column(f"{wave} {lead}"), among=among)


def other_figures() -> list[Figure]:
    """Those that are printed only."""
    levels = ("I", "V1", "V2", "V4", "V5")
    beside = share(lambda rows: rows["other class"] > 0, "other class")
    two = share(lambda rows: rows["rhythms"] > 1, "rhythms")
    return [
        *(Figure(name=f"level before P, {k}", unit="uV", value=column(f"before P {k}"))
          for k in levels),
        *(Figure(name=f"{wave} in {k}", unit="mV", value=column(f"{wave} {k}"))
          for wave in ("R", "S", "T", "P") for k in LEADS),
        Figure(name="SBRAD: rate", unit="/min", value=column("rate"), among=("SBRAD",)),
        Figure(name="SR: rate", unit="/min", value=column("rate")),
        Figure(name="NORM beside another class", unit="%", value=beside, among=("NORM",),
               statistic="mean"),
        Figure(name="statements a record", unit="", value=column("statements"), among=(),
               statistic="mean"),
        Figure(name="two rhythms or more", unit="%", value=two, among=(), statistic="mean"),
    ]  # fmt: skip


def verdict(now: float, before: float, real: Estimate) -> Literal["inside", "halfway", "no"]:
    """Whether a value is inside the interval, or at most half as far off as before."""
    if real.low <= now <= real.high:
        return "inside"
    return "halfway" if abs(now - real.value) <= 0.5 * abs(before - real.value) else "no"
