"""The noise of a recorder as a spectrum, and signals in units of it.

Spectra are medians over some records that the recorder makes of nothing: of slow noise (wander,
respiration, motion, mains, steps) as it comes, of fast noise (white, muscle) as a shape, which
is scaled to the amplitudes of a record. Electrodes are shared by leads, which gives the leads a
covariance. Bursts, uneven electrodes and lost contacts are left out, and so is what the limb
electrodes have more of (``limbs``, ``tremor_mv``): a median over leads is that of V1 to V6.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
import torch
from numpy.typing import NDArray

from scaling.corpora.virtual import recorder
from scaling.corpora.virtual.device import Device
from scaling.corpora.virtual.latents import Draws
from scaling.corpora.virtual.rng import Stream

Array = NDArray[np.float64]

RECORDS = 64  # whose median spectrum is taken


def spectrum(device: Device, draws: Draws, fs_hz: float, samples: int) -> Array:
    """Spectrum of the noise of one record at an electrode.

    Args:
        device: the recorder.
        draws: random numbers of the record.
        fs_hz: sampling rate.
        samples: samples per lead.

    Returns:
        (samples // 2 + 1,) in mV^2 per sample, as white noise of that variance would have at
        every frequency.
    """
    white = float(recorder.white_mv(device, draws))
    size = math.exp(device.muscle_spread * float(draws.visit.normal("muscle", 1)))
    muscle = device.muscle_mv * size
    slow, of_white, of_muscle, of_both = _templates(device, fs_hz, samples)
    # Both come from the same numbers, so their sum has a cross term.
    cross = 0.5 * (of_both - of_white - of_muscle)
    apart = white**2 * of_white + muscle**2 * of_muscle
    fast = np.maximum(apart + 2.0 * white * muscle * cross, 0.01 * apart)
    found: Array = slow + fast + device.step_mv**2 / 12.0
    return found


@functools.lru_cache(maxsize=8)
def _templates(device: Device, fs_hz: float, samples: int) -> tuple[Array, Array, Array, Array]:
    """Spectra of slow noise, and of white, muscle and both at 1 mV."""
    # The high-pass takes as much from the signal as from the noise: it is left out of both.
    plain = dataclasses.replace(
        device, gain_error=0.0, step_mv=0.0, range_mv=0.0, loss=0.0, high_pass_hz=0.0
    )
    slow = dataclasses.replace(plain, white_mv=0.0, muscle_mv=0.0)
    none = dataclasses.replace(
        plain, spread=0.0, muscle_spread=0.0, wander_mv=0.0, respiration_mv=0.0, mains_mv=0.0,
        pops_per_min=0.0, motion_mv=0.0,
    )  # fmt: skip
    kinds = [
        dataclasses.replace(none, white_mv=white, muscle_mv=muscle)
        for white, muscle in ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0))
    ]
    found = [_median_spectrum(kind, fs_hz, samples) for kind in (slow, *kinds)]
    return found[0], found[1], found[2], found[3]


def _median_spectrum(device: Device, fs_hz: float, samples: int) -> Array:
    index = torch.arange(RECORDS)
    draws = Draws(Stream(index * 7919 + 1), Stream(index * 104729 + 2))
    nothing = torch.zeros(RECORDS, 8, samples)
    breath = torch.linspace(0.17, 0.31, RECORDS, dtype=torch.float64)
    noise = recorder.record(nothing, device, draws, breath, fs_hz).double().numpy()
    power = np.abs(np.fft.rfft(noise)) ** 2 / samples
    # A periodogram is exponentially distributed: its median is ln 2 of its mean. The mixing
    # of electrodes, which the leads are freed of later, is taken out of the level.
    mixed = (lead_mixing() ** 2).sum(axis=1)[:, None]
    level = np.median((power / mixed).reshape(-1, power.shape[-1]), axis=0) / math.log(2.0)
    found: Array = level
    return found


def whitened(signals: Array, power: Array) -> Array:
    """Leads I, II, V1-V6 (rows, 8, samples) in mV to (rows, numbers) in units of the noise.

    Args:
        signals: noise-free leads, or differences of such.
        power: of the noise at an electrode, from ``spectrum``.
    """
    samples = signals.shape[-1]
    mixing = lead_mixing()
    root = np.linalg.inv(np.linalg.cholesky(mixing @ mixing.T))
    parts = np.fft.rfft(root @ signals)
    twice = np.full(parts.shape[-1], 2.0)  # both signs of a frequency
    twice[0] = 1.0
    if samples % 2 == 0:
        twice[-1] = 1.0
    parts *= np.sqrt(twice / samples / power)
    flat = parts.reshape(len(signals), -1)
    return np.concatenate([flat.real, flat.imag], axis=1)


def lead_mixing() -> Array:
    """Leads I, II, V1 to V6 from the potentials of nine electrodes: (8, 9)."""
    mixing = np.zeros((8, 9))
    mixing[0, [0, 1]] = -1.0, 1.0
    mixing[1, [0, 2]] = -1.0, 1.0
    mixing[2:, 3:] = np.eye(6)
    mixing[2:, :3] = -1.0 / 3.0
    return mixing
