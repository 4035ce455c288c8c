"""A plain artificial ECG for the tests: Gaussian P, Q, R, S and T waves in eight leads.

Independent of the virtual patients. The limb leads follow from I and II.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.sources.read.base import Recording
from scaling.identity import LEADS

# offset from the R peak in seconds, width in seconds, amplitude in mV
WAVES = ((-0.16, 0.02, 0.12), (-0.03, 0.008, -0.12), (0.0, 0.01, 1.2), (0.03, 0.009, -0.25),
         (0.25, 0.04, 0.3))  # fmt: skip


def r_times(seed: int, seconds: float, rate_bpm: float = 70.0) -> NDArray[np.float64]:
    """Beat times in seconds, somewhat irregular."""
    rng = np.random.default_rng(seed)
    count = int(seconds * rate_bpm / 60) + 3
    rr = 60 / rate_bpm * (1 + 0.06 * rng.standard_normal(count))
    times = np.cumsum(rr) - rng.uniform(0, 0.5)
    return times[(times > 0.2) & (times < seconds - 0.2)]


def ecg(
    seed: int = 0, fs_hz: int = 500, seconds: float = 10.0, rate_bpm: float = 70.0
) -> NDArray[np.float32]:
    """(12, samples) in mV, leads in the usual order; noise of 10 uV."""
    rng = np.random.default_rng(seed + 1_000_003)
    weights = rng.uniform(0.3, 1.2, (8, len(WAVES))) * rng.choice([-1, 1], (8, 1))
    weights[1] = abs(weights[1])  # lead II upright
    noise = 0.01 * rng.standard_normal((8, round(1000 * seconds)))
    t = np.arange(round(1000 * seconds)) / 1000
    eight = noise
    for r in r_times(seed, seconds, rate_bpm):
        for k, (offset, width, height) in enumerate(WAVES):
            wave = height * np.exp(-0.5 * ((t - r - offset) / width) ** 2)
            eight += weights[:, k, None] * wave
    step = 1000 / fs_hz
    at = np.arange(round(seconds * fs_hz)) * step
    eight = np.stack([np.interp(at, np.arange(len(t)), lead) for lead in eight])
    one, two = eight[0], eight[1]
    limb = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    return np.stack([*limb, *eight[2:]]).astype(np.float32)


def recording(signal: NDArray[np.float32] | None = None, fs_hz: int = 500) -> Recording:
    """Twelve leads in the usual order."""
    return Recording(ecg(fs_hz=fs_hz) if signal is None else signal, fs_hz, LEADS)
