"""A signature of the signal itself, by which copies of a recording are found.

A similarity hash (Charikar, STOC 2002): 256 bits, each the sign of one fixed random projection
of the signal between 5 and 25 Hz. The share of bits that differ estimates the angle between
two signals over pi: copies differ in few bits, other recordings in about half.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.format.splits import mix
from scaling.corpora.signals.leads import lead_name

# The eight leads that are independent; the others follow from I and II.
LEADS_USED = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
HALF_S = 5  # words 0 and 1 are of the first five seconds, words 2 and 3 of the next five
SHORTEST_S = 2.0  # shorter recordings have no signature
WHOLE_S = 9.5  # shorter recordings have no second half
RATE_HZ = 52  # of the features: enough for 25 Hz
LOW_HZ, HIGH_HZ = 5.0, 25.0
TAPER_S = 0.1
HALF_BITS = 128
STEPS = 4096  # of a feature from 0 to 1: 2,080 of them sum to less than 2^24
ROUNDING = 1e-6  # a lead below this share of the largest sample is rounding, not a signal


def signature(
    signal_LT: NDArray[np.float32] | NDArray[np.float64], fs_hz: int, leads: Sequence[str]
) -> NDArray[np.uint64]:
    """The signature of a raw recording.

    It hardly changes with sampling rate (from 60 Hz), gain and offset of each lead, rounding,
    filters that leave 5-25 Hz alone, the order and spelling of the leads, zeros around the
    recording, and whatever comes after ten seconds. Recordings of 9.5 s and more have all four
    words; shorter ones have 0 in words 2 and 3 and are compared by the first five seconds
    alone; those under 2 s, and those without any signal, are 0. A copy that starts elsewhere,
    or with other leads, is not recognised.

    Args:
        signal_LT: (leads, samples), any unit; NaN counts as no signal.
        fs_hz: sampling rate in hertz.
        leads: lead names in order; those that follow from I and II are not used.

    Returns:
        (4,) words of 64 bits.
    """
    return words(features(signal_LT, fs_hz, leads))


def features(
    signal_LT: NDArray[np.float32] | NDArray[np.float64], fs_hz: int, leads: Sequence[str]
) -> NDArray[np.int16]:
    """What the signature of a recording is made of; see ``signature``.

    Returns:
        (2, values): first and next five seconds, zeros where there is no signal.
    """
    names = _rows(tuple(leads))
    x_LT = np.zeros((len(LEADS_USED), signal_LT.shape[-1]), np.float32)
    for i, lead in enumerate(LEADS_USED):
        if lead in names:
            x_LT[i] = signal_LT[names[lead]]
    if not np.isfinite(x_LT.sum()):
        np.nan_to_num(x_LT, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    x_LT = _without_padding(x_LT)
    found = np.zeros((2, len(LEADS_USED), HALF_S * RATE_HZ), np.int16)
    seconds = x_LT.shape[-1] / fs_hz
    if seconds >= SHORTEST_S:
        halves = np.rint(STEPS * _band(x_LT, fs_hz)).reshape(len(LEADS_USED), 2, -1)
        count = 2 if seconds >= WHOLE_S else 1
        found[:count] = halves.swapaxes(0, 1)[:count]
    return found.reshape(2, -1)


@functools.cache
def _rows(leads: tuple[str, ...]) -> dict[str, int]:
    """Lead -> row."""
    return {lead_name(name): row for row, name in enumerate(leads)}


def words(features: NDArray[np.int16]) -> NDArray[np.uint64]:
    """Signatures (..., 4) from features (..., 2, values); many at once take less time each.

    Sums of whole numbers below 2^24 are exact in float32, so neither their order nor what else
    is computed at the same time changes a bit.
    """
    found = np.zeros((*features.shape[:-2], 2, HALF_BITS // 64), np.uint64)
    for half in range(2):
        part = features[..., half, :].astype(np.float32)
        bits = part @ _projections(half, part.shape[-1]).T > 0
        packed = np.packbits(bits & part.any(axis=-1, keepdims=True), axis=-1)
        found[..., half, :] = packed.view("<u8")
    return found.reshape(*features.shape[:-2], 4)


def _without_padding(x_LT: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut the zeros before and after the recording."""
    live = np.flatnonzero(x_LT.any(axis=0))
    return x_LT[:, live[0] : live[-1] + 1] if len(live) else x_LT[:, :0]


def _band(x_LT: NDArray[np.float32], fs_hz: int) -> NDArray[np.float32]:
    """(leads, 10 s at 52 Hz): band-passed, unit variance in each lead, large values squashed.

    The squashing keeps one artefact from deciding all bits.
    """
    from scipy.fft import irfft, rfft

    samples = 2 * HALF_S * fs_hz
    x_LT = x_LT[:, :samples]
    floor = ROUNDING * max(float(np.abs(x_LT).max()), 1e-30)
    x_LT = x_LT - x_LT.mean(axis=-1, keepdims=True)
    ramp = _ramp(max(round(TAPER_S * fs_hz), 1))
    x_LT[:, : len(ramp)] *= ramp
    x_LT[:, -len(ramp) :] *= ramp[::-1]
    # Ten seconds whatever the rate, so bin k is k / 10 Hz.
    spectrum = rfft(x_LT, n=samples, axis=-1)[:, : HALF_S * RATE_HZ + 1]
    gains = _gains()[: spectrum.shape[-1]]
    band_LT = irfft(spectrum * gains, n=2 * HALF_S * RATE_HZ, axis=-1)
    rms = np.sqrt((band_LT**2).mean(axis=-1, keepdims=True))
    squashed: NDArray[np.float32] = np.tanh(band_LT / np.where(rms > floor, rms, np.inf))
    return squashed


@functools.cache
def _ramp(samples: int) -> NDArray[np.float32]:
    """Raised cosine from 0 to 1."""
    ramp: NDArray[np.float32] = np.sin(np.linspace(0, np.pi / 2, samples, dtype=np.float32)) ** 2
    return ramp


@functools.cache
def _gains() -> NDArray[np.float32]:
    """Gain of each tenth of a hertz up to 26 Hz: 0 to 1 to 0 with raised-cosine edges of 1 Hz."""
    hz = np.arange(HALF_S * RATE_HZ + 1) / (2 * HALF_S)
    inside = np.clip(np.minimum(hz - (LOW_HZ - 0.5), (HIGH_HZ + 0.5) - hz), 0, 1)
    return (np.sin(inside * np.pi / 2) ** 2).astype(np.float32)


@functools.cache
def _projections(half: int, size: int) -> NDArray[np.float32]:
    """(128, size) fixed random signs. They come from our own hash, so they never change."""
    count = HALF_BITS * size // 64
    words = mix(np.arange(count, dtype=np.uint64) + np.uint64(half << 32))
    signs = np.unpackbits(words.astype("<u8").view(np.uint8))
    return (2.0 * signs.reshape(HALF_BITS, size) - 1.0).astype(np.float32)


def distance(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Bits that differ, of 256, between signatures (..., 4).

    Where one has only a first half, twice the bits of the first half; where one is 0, 256.
    """
    bits = np.bitwise_count(a ^ b).astype(np.int64)
    first, second = bits[..., :2].sum(axis=-1), bits[..., 2:].sum(axis=-1)
    whole = a[..., 2:].any(axis=-1) & b[..., 2:].any(axis=-1)
    known = a[..., :2].any(axis=-1) & b[..., :2].any(axis=-1)
    return np.where(known, np.where(whole, first + second, 2 * first), 2 * HALF_BITS)
