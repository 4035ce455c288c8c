"""Waves of the median beat: QRS, the end of T, and P.

The dominant beats of a recording are aligned and their median taken, so that noise and ectopic
beats fall away. All signals here are at ``WORK_HZ`` with the pass-band ``BAND_HZ``; positions
are samples of a beat, which has ``BEFORE`` of them before R and ``AFTER`` from R on.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from scaling.corpora.filters import resample

WORK_HZ = 500  # a step of 2 ms
BAND_HZ = (0.5, 40.0)
BEFORE, AFTER = round(0.45 * WORK_HZ), round(0.65 * WORK_HZ)  # the median beat, around R


def work_signal(signal_LT: NDArray[np.float64], fs_hz: int) -> NDArray[np.float64]:
    """Bring the leads to ``WORK_HZ`` and ``BAND_HZ``, without phase shift."""
    sections = butter(2, BAND_HZ, "bandpass", output="sos", fs=WORK_HZ)
    return np.asarray(sosfiltfilt(sections, resample(signal_LT, fs_hz, WORK_HZ), axis=-1))


def dominant_beats(x_LT: NDArray[np.float64], peaks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Beats that look like most others, aligned by cross-correlation of their QRS.

    Args:
        x_LT: (leads, samples) from ``work_signal``.
        peaks: (n,) samples of the R peaks, to about 50 ms.

    Returns:
        (m, leads, ``BEFORE + AFTER``) with m <= n: beats cut off at an end are left out, and
        those whose correlation with the median QRS is below 0.9 and below that of most others.
    """
    reach, half = 25, 60  # 50 ms either way; 120 ms of QRS on each side of R
    peaks = peaks[(peaks >= BEFORE + reach) & (peaks + AFTER + reach < x_LT.shape[1])]
    alike = np.ones(len(peaks))
    if not len(peaks):
        return np.empty((0, len(x_LT), BEFORE + AFTER))
    for _ in range(2):
        template = np.median(_cut(x_LT, peaks, half, half), axis=0)
        near = _cut(x_LT, peaks, half + reach, half + reach)
        windows = np.lib.stride_tricks.sliding_window_view(near, 2 * half, axis=-1)
        power = np.sqrt((windows**2).sum(axis=(1, 3)) * (template**2).sum()) + 1e-12
        match = np.einsum("nlsk,lk->ns", windows, template) / power
        shift = match.argmax(axis=1)
        alike = match[np.arange(len(peaks)), shift]
        peaks = np.clip(peaks + shift - reach, BEFORE, x_LT.shape[1] - AFTER)
    return _cut(x_LT, peaks[alike >= min(0.9, float(np.median(alike)))], BEFORE, AFTER)


def _cut(
    x_LT: NDArray[np.float64], centres: NDArray[np.int64], before: int, after: int
) -> NDArray[np.float64]:
    """(n, leads, before + after) around each centre."""
    return np.stack([x_LT[:, c - before : c + after] for c in centres])


def _speed(x_LT: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Spatial velocity per sample, smoothed over ``width`` samples."""
    return _smooth(np.sqrt((np.gradient(x_LT, axis=-1) ** 2).sum(axis=0)), width)


def _smooth(x: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    return np.convolve(x, np.ones(width) / width, "same")


def qrs(median_LT: NDArray[np.float64]) -> tuple[int, int]:
    """First and last sample of QRS: where the velocity stays below 7 % of its peak for 16 ms.

    Noise raises that threshold; QRS ends at most 160 ms from its steepest point.
    """
    speed = _speed(median_LT, 5)
    top = BEFORE - 50 + int(speed[BEFORE - 50 : BEFORE + 60].argmax())
    quiet = float(np.percentile(speed[BEFORE - 200 : BEFORE + 300], 15))
    low = speed < max(0.07 * float(speed[top]), 1.5 * quiet)

    def edge(step: int) -> int:
        run = 0
        for distance in range(80):
            run = run + 1 if low[top + step * distance] else 0
            if run == 8:
                return top + step * (distance - 7)
        return top + step * 80

    return edge(-1), edge(1)


def t_end(median_LT: NDArray[np.float64], onset: int, offset: int, rr_s: float) -> float:
    """Sample where T ends, NaN where the next beat leaves no room for it."""
    level = np.median(median_LT[:, onset - 16 : onset - 4], axis=1, keepdims=True)
    size = _smooth(np.sqrt(((median_LT - level) ** 2).sum(axis=0)), 11)
    first = offset + 20
    # The peak of T is before 0.5 s by Bazett's square root, or the next P would be taken for it.
    last = min(size.size - 8, onset + round(min(0.5 * math.sqrt(rr_s), rr_s - 0.1) * WORK_HZ))
    if last - first < 30:
        return math.nan
    peak = first + int(size[first:last].argmax())
    stop = min(last + 30, size.size - 2)
    fall = -np.gradient(size)[peak:stop]
    steepest = peak + int(fall.argmax())
    slope = float(fall.max())
    if slope <= 0:
        return math.nan
    return steepest + float(size[steepest] - size[steepest:stop].min()) / slope


def p_wave(
    beats_NLT: NDArray[np.float64],
    median_LT: NDArray[np.float64],
    onset: int,
    end: float,
    rr_s: float,
) -> tuple[float, float]:
    """Sample where P begins, and the share of its power that repeats from beat to beat.

    P is sought from the end of the previous T (at most 400 ms before QRS) to 40 ms before QRS.
    It begins where the slope along its direction in space exceeds 35 % of its steepest, so
    that what T leaves behind in other directions does not count.

    Args:
        beats_NLT: from ``dominant_beats``.
        median_LT: their median.
        onset: of QRS.
        end: of T; NaN where unknown.
        rr_s: median RR interval in seconds.
    """
    after_t = onset - 150 if math.isnan(end) else round(end - rr_s * WORK_HZ) + 15
    first = max(22, onset - 200, after_t)
    last = onset - 20
    if last - first < 10:
        return math.nan, math.nan
    # Level outside, so that neither the corner where T ends nor QRS looks like a wave.
    x_LT = median_LT.copy()
    x_LT[:, :first] = x_LT[:, first, None]
    x_LT[:, onset - 6 :] = x_LT[:, onset - 6, None]
    power = np.sum([np.convolve(x, _wavelet(), "same") ** 2 for x in x_LT], axis=0)
    peak = first + int(power[first:last].argmax())
    coherence = _coherence(beats_NLT[:, :, max(0, peak - 30) : min(onset - 6, peak + 30)])
    direction = x_LT[:, peak] - 0.5 * (
        x_LT[:, max(0, peak - 35)] + x_LT[:, min(onset - 6, peak + 35)]
    )
    slope = np.gradient(_smooth(direction @ x_LT, 9))
    begin = max(1, peak - 45)
    at = begin + int(slope[begin : peak + 1].argmax())
    rising = slope > 0.35 * slope[at]
    while at > max(2, peak - 50) and rising[at]:
        at -= 1
    return float(at), coherence


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
