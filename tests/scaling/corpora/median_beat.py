"""Beats of a recording, aligned by their QRS, and where their waves lie in all leads and in each.

The median of the beats that look like most others is free of noise and ectopic beats. All
signals here are at ``WORK_HZ`` with the pass-band ``BAND_HZ``; positions are samples of a beat,
which has ``BEFORE`` of them before R and ``AFTER`` from R on.

Waves are sought in all leads together; ``lead_bounds`` then finds their ends in each lead: at the
foot of its outermost steep slope, a little beyond the place of all leads at most. Its constants
were chosen on the odd records of LUDB, so that the mean error is small both in single leads and
for the earliest onset and the latest offset of twelve.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from scaling.corpora.signals.presets import resample

WORK_HZ = 500  # a step of 2 ms
BAND_HZ = (0.5, 40.0)
BEFORE, AFTER = round(0.45 * WORK_HZ), round(0.65 * WORK_HZ)  # the median beat, around R
HALF, REACH = 60, 25  # QRS to each side of R, and how far off its R peak may be
LEAST_R = 0.1  # of S: a smaller R is not the peak of QRS

Span = tuple[int, int]


def work_signal(signal_LT: NDArray[np.float64], fs_hz: int) -> NDArray[np.float64]:
    """Bring the leads to ``WORK_HZ`` and ``BAND_HZ``, without phase shift."""
    sections = butter(2, BAND_HZ, "bandpass", output="sos", fs=WORK_HZ)
    return np.asarray(sosfiltfilt(sections, resample(signal_LT, fs_hz, WORK_HZ), axis=-1))


def align(
    x_LT: NDArray[np.float64], peaks: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Move R peaks to where the QRS complexes correlate best with their median.

    Args:
        x_LT: (leads, samples) from ``work_signal``.
        peaks: (n,) samples of the R peaks, to about 50 ms.

    Returns:
        (m,) samples, and (m,) correlations with the median QRS. Beats cut off at an end are left
        out, so m <= n.
    """
    last = x_LT.shape[1] - AFTER - REACH
    peaks = peaks[(peaks >= BEFORE + REACH) & (peaks < last)]
    alike = np.ones(len(peaks))
    for _ in range(2 if len(peaks) else 0):
        template = np.median(cut(x_LT, peaks, HALF, HALF), axis=0)
        near = cut(x_LT, peaks, HALF + REACH, HALF + REACH)
        windows = np.lib.stride_tricks.sliding_window_view(near, 2 * HALF, axis=-1)
        power = np.sqrt((windows**2).sum(axis=(1, 3)) * (template**2).sum()) + 1e-12
        match = np.einsum("nlsk,lk->ns", windows, template) / power
        shift = match.argmax(axis=1)
        alike = match[np.arange(len(peaks)), shift]
        peaks = np.clip(peaks + shift - REACH, BEFORE, x_LT.shape[1] - AFTER)
    return peaks, alike


def dominant(alike: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which beats look like most others, from their correlations with the median QRS."""
    return np.asarray(alike >= min(0.9, float(np.median(alike)))) if len(alike) else alike > 1


def cut(
    x_LT: NDArray[np.float64],
    centres: NDArray[np.int64],
    before: int = BEFORE,
    after: int = AFTER,
) -> NDArray[np.float64]:
    """(n, leads, before + after) around each centre."""
    windows = np.lib.stride_tricks.sliding_window_view(x_LT, before + after, axis=-1)
    return np.moveaxis(windows[:, centres - before], 0, 1)


def heights(beat_LT: NDArray[np.float64]) -> NDArray[np.float64]:
    """(leads, 1) size of QRS; that of a lead with hardly any is not below a fifth of the median.

    Divided by it, a small lead is heard, and what the gains are does not matter.
    """
    size = sizes(beat_LT)[:, None]
    return np.maximum(size, max(0.2 * float(np.median(size)), 1e-12))


def sizes(beat_LT: NDArray[np.float64]) -> NDArray[np.float64]:
    """(leads,) from the lowest to the highest point of QRS."""
    return np.asarray(np.ptp(beat_LT[:, BEFORE - HALF : BEFORE + HALF], axis=1))


def smooth(x: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Running mean along the last axis over an odd number of samples; the ends are held."""
    pad = [(0, 0)] * (x.ndim - 1) + [(width // 2 + 1, width // 2)]
    sums = np.cumsum(np.pad(x, pad, "edge"), axis=-1)
    return np.asarray((sums[..., width:] - sums[..., :-width]) / width)


def feet(
    x_RT: NDArray[np.float64], steep_R: NDArray[np.int64], stop_R: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Where what falls from ``steep`` towards ``stop`` levels off, in each row.

    It is the corner of the largest trapezium over ``steep`` and ``stop`` (Vazquez-Seisdedos et
    al., BioMedical Engineering OnLine 10, 43, 2011), which needs neither a threshold nor the
    level of the baseline.

    Args:
        x_RT: (rows, samples).
        steep_R: (rows,) a sample on the falling side of each.
        stop_R: (rows,) samples beyond the foot, all later or all earlier.
    """
    step = 1 if (stop_R > steep_R).any() else -1
    counts = np.maximum(step * (stop_R - steep_R), 1)[:, None]
    away = np.arange(counts.max())
    rows = np.arange(len(x_RT))[:, None]
    at = np.clip(steep_R[:, None] + step * away, 0, x_RT.shape[1] - 1)
    area = (x_RT[rows, steep_R[:, None]] - x_RT[rows, at]) * (2 * counts - away)
    area[away >= counts] = -np.inf
    return np.asarray(steep_R + step * area.argmax(axis=1))


def _foot(x: NDArray[np.float64], steep: int, stop: int) -> int:
    return int(feet(x[None], np.array([steep]), np.array([stop]))[0])


def find_qrs(beat_LT: NDArray[np.float64]) -> Span:
    """First and last sample of QRS.

    They are the feet of the mean slope of the leads, each by its height, beyond where it falls
    below a fifth of its peak for 40 ms; QRS begins and ends at most 190 and 230 ms from R.
    """
    slope = np.abs(np.gradient(beat_LT, axis=-1)) / heights(beat_LT)
    speed = smooth(slope.mean(axis=0), 13)
    inside = speed[BEFORE - 60 : BEFORE + 80]
    top = 10 + int(inside[10:120].argmax())
    steep = np.flatnonzero(inside >= 0.2 * inside[top])
    # What stands apart is a P wave or an ST segment, steep beside a small QRS.
    part = np.cumsum(np.diff(steep, prepend=steep[0]) > 20)
    steep = steep[part == part[np.searchsorted(steep, top)]] + BEFORE - 60
    first, last = int(steep[0]), int(steep[-1])
    return _foot(speed, first, first - 36), _foot(speed, last, last + 36)


def find_t(beat_LT: NDArray[np.float64], qrs: Span, rr_s: float) -> Span | None:
    """Peak and end of T; None where the next beat leaves no room for it."""
    onset, offset = qrs
    level = np.median(beat_LT[:, onset - 8 : onset + 2], axis=1, keepdims=True)
    waves = (beat_LT - level) / heights(beat_LT)
    size = smooth(np.sqrt((waves**2).sum(axis=0)), 41)
    first, end = offset + 15, size.size - 20
    # The peak of T is before 0.5 s by Bazett's square root, or the next P would be taken for it.
    last = min(end, onset + round(min(0.5 * math.sqrt(rr_s), rr_s - 0.1) * WORK_HZ))
    if last - first < 30:
        return None
    peak = first + int(size[first:last].argmax())
    steep = peak + int(np.gradient(size)[peak : min(last + 30, end)].argmin())
    next_qrs = onset + round((rr_s - 0.12) * WORK_HZ)
    return peak, _foot(size, steep, min(end, steep + 75, max(next_qrs, steep + 10)))


def find_p(
    beats_NLT: NDArray[np.float64],
    median_LT: NDArray[np.float64],
    onset: int,
    after_t: int,
) -> tuple[Span | None, float]:
    """First and last sample of P, and the share of its power that repeats from beat to beat.

    P is sought from ``after_t`` (at most 400 ms before QRS) to 20 ms before QRS. Its bounds are
    those of its projection on its own direction in space, so that what T leaves behind in other
    directions does not count.

    Args:
        beats_NLT: the beats that look like most others.
        median_LT: their median.
        onset: of QRS.
        after_t: sample where the T before has ended.
    """
    first, last = max(22, onset - 200, after_t), onset - 10
    if last - first < 10:
        return None, math.nan
    # Level outside, so that neither the corner where T ends nor QRS looks like a wave.
    x_LT = median_LT.copy()
    x_LT[:, :first] = x_LT[:, first, None]
    x_LT[:, onset:] = x_LT[:, onset, None]
    power = np.sum([np.convolve(x, _wavelet(), "same") ** 2 for x in x_LT], axis=0)
    peak = first + int(power[first:last].argmax())
    coherence = _coherence(beats_NLT[:, :, max(0, peak - 30) : min(onset, peak + 30)])
    sides = x_LT[:, max(0, peak - 35)] + x_LT[:, min(onset, peak + 35)]
    wave = smooth((x_LT[:, peak] - 0.5 * sides) @ x_LT, 9)
    slope = np.gradient(wave)
    rise = max(first, peak - 45)
    rise += int(slope[rise : peak + 1].argmax())
    fall = peak + int(slope[peak : min(onset, peak + 45)].argmin())
    begin = _foot(wave, rise, max(first, peak - 75))
    return (begin, _foot(wave, fall, min(onset, peak + 75))), coherence


@functools.cache
def _wavelet() -> NDArray[np.float64]:
    """Second derivative of a Gaussian of 20 ms, of unit sum of absolute values."""
    t = np.arange(-40, 41) / (0.02 * WORK_HZ)
    wavelet = (1 - t**2) * np.exp(-(t**2) / 2)
    return np.asarray(wavelet / np.abs(wavelet).sum())


def _coherence(beats_NLK: NDArray[np.float64]) -> float:
    """Power of the mean over the mean power, without the 1/n that chance leaves.

    Straight lines between the ends of each beat are removed. NaN for a single beat.
    """
    n, _, samples = beats_NLK.shape
    if n < 2:
        return math.nan
    ramp = np.linspace(0, 1, samples)
    first, last = beats_NLK[..., :1], beats_NLK[..., -1:]
    waves = beats_NLK - first - (last - first) * ramp
    mean_power = float((waves**2).sum(axis=(1, 2)).mean())
    ratio = float((waves.mean(axis=0) ** 2).sum()) / (mean_power + 1e-12)
    return float((n * ratio - 1) / (n - 1))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How the ends of a kind of wave are found: pairs are for onset and offset.

    Attributes:
        width: samples (of 2 ms) by which a lead is smoothed.
        steep: least share of a lead's steepest slope that counts as one of the wave.
        reach: samples from a steep slope to what is surely beyond its foot.
        slack: samples by which an end may lie outside of where slopes are sought.
        is_qrs: what levels off is the slope, for it has many phases; R is its peak.
    """

    width: int
    steep: tuple[float, float]
    reach: Span
    slack: Span
    is_qrs: bool = False


P = Shape(width=17, steep=(0.3, 0.3), reach=(30, 30), slack=(12, 7))
QRS = Shape(width=9, steep=(0.3, 0.3), reach=(25, 25), slack=(18, 18), is_qrs=True)
T = Shape(width=31, steep=(0.7, 0.5), reach=(40, 60), slack=(20, 24))


def lead_bounds(
    x_RT: NDArray[np.float64], shape: Shape, rising: Span, falling: Span
) -> NDArray[np.float64]:
    """Onset, peak and offset of a wave in each row.

    Args:
        x_RT: (rows, samples): leads, of one beat or of several aligned.
        shape: of the wave.
        rising: samples between which its first steep slope is sought.
        falling: samples between which its last steep slope is sought.

    Returns:
        (rows, 3) samples.
    """
    if shape.is_qrs:
        curve = smooth(np.abs(np.gradient(x_RT, axis=-1)), shape.width)
    else:
        curve = smooth(x_RT, shape.width)
    onset, offset = _end(curve, shape, rising, 0), _end(curve, shape, falling, 1)
    peak = _peaks(x_RT, onset, offset, LEAST_R if shape.is_qrs else 1.0)
    return np.stack([onset, peak, offset], axis=1).astype(np.float64)


def _end(curve_RT: NDArray[np.float64], shape: Shape, span: Span, side: int) -> NDArray[np.int64]:
    """(rows,) onset, or with ``side`` 1 offset: the foot beyond the outermost steep slope."""
    start, stop = max(span[0], 1), min(max(span[1], span[0] + 3), curve_RT.shape[1] - 2)
    slope = curve_RT if shape.is_qrs else np.gradient(curve_RT, axis=-1)
    size = np.abs(slope[:, start - 1 : stop + 1])
    inside = size[:, 1:-1]
    steep = inside >= shape.steep[side] * inside.max(axis=1, keepdims=True)
    rows = np.arange(len(inside))
    if not shape.is_qrs:  # where the lead is steepest, not where it begins to be steep
        steep &= (inside >= size[:, :-2]) & (inside >= size[:, 2:])
        steep[rows, inside.argmax(axis=1)] = True
    if side:
        at = stop - 1 - steep[:, ::-1].argmax(axis=1)
        beyond = np.minimum(at + shape.reach[1], span[1] + shape.slack[1])
        beyond, sign = np.maximum(beyond, at + 3), -1
    else:
        at = start + steep.argmax(axis=1)
        beyond = np.maximum(at - shape.reach[0], span[0] - shape.slack[0])
        beyond, sign = np.minimum(beyond, at - 3), 1
    falls = curve_RT if shape.is_qrs else sign * np.sign(slope[rows, at])[:, None] * curve_RT
    return feet(falls, at, beyond)


def _peaks(
    x_RT: NDArray[np.float64],
    onset_R: NDArray[np.int64],
    offset_R: NDArray[np.int64],
    least: float,
) -> NDArray[np.int64]:
    """(rows,) sample farthest above the line between onset and offset, or farthest below it.

    The highest is taken where it is at least ``least`` times as far.
    """
    rows = np.arange(len(x_RT))[:, None]
    k = np.arange(int((offset_R - onset_R).max()) + 1)
    at = np.minimum(onset_R[:, None] + k, x_RT.shape[1] - 1)
    share = k / np.maximum(offset_R - onset_R, 1)[:, None]
    first, last = x_RT[rows, onset_R[:, None]], x_RT[rows, offset_R[:, None]]
    above = np.where(share > 1, 0.0, x_RT[rows, at] - first - share * (last - first))
    high = above.max(axis=1) >= -least * above.min(axis=1)
    return np.asarray(onset_R + np.where(high, above.argmax(axis=1), above.argmin(axis=1)))
