"""One record of one virtual patient, from (cohort, seed, split, index) alone."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.virtual.cohorts import Cohort, Device, Reading, patient_of
from scaling.corpora.virtual.heart import Latents, clean_leads, twelve_leads

Array = NDArray[np.float64]
FINDINGS = (
    "pr_ms", "rbbb", "lbbb", "rate_bpm", "af", "axis_deg", "log_voltage", "t_change", "qtc_ms",
)  # fmt: skip
MEAN_AXIS_DEG = 38.0  # frontal axis of the mean R vector


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Everything about one record but its noise.

    Attributes:
        latents: what shapes the waves.
        beats_s: R peak times in seconds, including some outside the window.
        rr_s: mean RR interval in seconds.
        findings: the quantities readers look at, by name (``FINDINGS``).
    """

    latents: Latents
    beats_s: Array
    rr_s: float
    findings: dict[str, float]


def generator(*key: str | int) -> np.random.Generator:
    """A random generator that depends only on ``key``, not on platform or call order."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest[:16], np.uint64)))


def make_visit(
    cohort: Cohort, seed: int, split: str, index: int, duration_s: float
) -> tuple[Visit, np.random.Generator]:
    """Draw the latents and beats of record ``index``; the generator goes on to its noise."""
    number, _ = patient_of(index)
    patient = generator(cohort.name, seed, split, "patient", number)
    visit = generator(cohort.name, seed, split, "record", index)
    age = float(np.clip(patient.normal(cohort.age_mean, 16.0), 18.0, 95.0))
    latents = _latents(cohort, age, patient, visit)
    rate = _draw_rate(cohort, latents.af, patient, visit)
    beats = _beats(rate, latents.af, duration_s, visit)
    inside = beats[(beats >= 0.0) & (beats < duration_s)]
    rr_s = float(np.diff(inside).mean()) if len(inside) > 1 else 60.0 / rate
    findings = {name: float(getattr(latents, name)) for name in FINDINGS if name != "rate_bpm"}
    findings["rate_bpm"] = 60.0 / rr_s
    findings["axis_deg"] += MEAN_AXIS_DEG
    return Visit(latents=latents, beats_s=beats, rr_s=rr_s, findings=findings), visit


def _latents(
    cohort: Cohort, age: float, patient: np.random.Generator, visit: np.random.Generator
) -> Latents:
    elderly = (age - 54.0) / 16.0
    long_pr = patient.random() < cohort.pr_long
    pr = patient.normal(248.0, 25.0) if long_pr else patient.normal(158.0 + 5.0 * elderly, 15.0)
    bundle = patient.random()
    right = bundle < cohort.rbbb
    left = (not right) and bundle < cohort.rbbb + cohort.lbbb
    fibrillates = patient.random() < cohort.af
    t_changed = patient.random() < cohort.t_change
    severity = patient.beta(6.0, 2.0)
    minor = patient.beta(1.5, 6.0, size=3)
    return Latents(
        pr_ms=float(np.clip(pr + visit.normal(0.0, 4.0), 100.0, 340.0)),
        qtc_ms=float(patient.normal(cohort.qtc_mean, 20.0) + visit.normal(0.0, 8.0)),
        rbbb=float(severity if right else 0.6 * minor[0]),
        lbbb=float(severity if left else 0.6 * minor[1]),
        af=float(patient.beta(9.0, 1.5) if fibrillates else 0.5 * minor[2]),
        t_change=float(patient.normal(1.1, 0.35) if t_changed else patient.normal(0.1, 0.25)),
        log_voltage=float(patient.normal(cohort.voltage_mean, 0.24) + visit.normal(0.0, 0.05)),
        axis_deg=float(patient.normal(-8.0 * elderly, cohort.axis_sd)),
        turn_deg=float(patient.normal(0.0, 18.0)),
        width=float(np.exp(patient.normal(0.0, 0.07))),
        waves=patient.normal(size=(8, 3)),
        torso=patient.normal(size=(8, 3)) + 0.3 * visit.normal(size=(8, 3)),
        gains=1.0 + cohort.device.gain_error * visit.normal(size=8),
        f_phase=float(visit.uniform(0.0, 2.0 * np.pi)),
        f_hz=float(visit.uniform(4.5, 7.5)),
    )


def _draw_rate(
    cohort: Cohort, af: float, patient: np.random.Generator, visit: np.random.Generator
) -> float:
    shares = np.array([share for share, _, _ in cohort.rates])
    _, mean, spread = cohort.rates[patient.choice(len(shares), p=shares / shares.sum())]
    if af > 0.5:
        mean, spread = 92.0, 20.0
    rate = patient.normal(mean, spread) + visit.normal(0.0, 2.5)
    return float(np.clip(rate, 32.0, 180.0))


def _beats(rate_bpm: float, af: float, duration_s: float, visit: np.random.Generator) -> Array:
    """R peak times: respiratory modulation and jitter; irregular as AF grows."""
    mean = 60.0 / rate_bpm
    count = int(np.ceil((duration_s + 4.0) / mean * 1.6)) + 4
    start = -1.5 - visit.uniform(0.0, mean)
    breath = visit.uniform(0.2, 0.33)
    phase = visit.uniform(0.0, 2.0 * np.pi)
    k = np.arange(count)
    regular = 1.0 + 0.025 * np.sin(2.0 * np.pi * breath * k * mean + phase)
    irregular = np.clip(visit.normal(0.0, 1.0, count), -2.0, 2.5)
    spread = 0.012 + 0.19 * max(af, 0.0)
    intervals = mean * np.clip(regular + spread * irregular, 0.45, 2.0)
    beats: Array = start + np.concatenate([[0.0], np.cumsum(intervals[:-1])])
    return beats[beats < duration_s + 1.5]


def probabilities(cohort: Cohort, findings: dict[str, float] | dict[str, Array]) -> Array:
    """P(label = 1 | findings) for each class, (classes,) or (classes, n)."""
    sinus = 1.0 - _logistic(Reading(latent="af", threshold=0.5, softness=0.06), findings)
    rows = []
    for reading in cohort.readings.values():
        p = _logistic(reading, findings)
        p = p * sinus if reading.sinus_only else p
        rows.append(cohort.flip + (1.0 - 2.0 * cohort.flip) * p)
    return np.array(rows)


def _logistic(reading: Reading, findings: dict[str, float] | dict[str, Array]) -> Array:
    score = (np.asarray(findings[reading.latent]) - reading.threshold) / reading.softness
    p: Array = 0.5 * (1.0 + np.tanh(0.5 * score))
    return p


def make_record(
    cohort: Cohort, seed: int, split: str, index: int, fs_hz: int, samples: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Signal (12, samples) in millivolts and labels (classes,) of one record."""
    visit, rng = make_visit(cohort, seed, split, index, samples / fs_hz)
    labels = rng.random(len(cohort.classes)) < probabilities(cohort, visit.findings)
    clean = clean_leads(visit.latents, visit.beats_s, visit.rr_s, fs_hz, samples)
    eight = _smooth(clean, cohort.device, fs_hz) + noise(cohort.device, rng, fs_hz, samples)
    return twelve_leads(eight).astype(np.float32), labels.astype(np.uint8)


def _smooth(eight: Array, device: Device, fs_hz: int) -> Array:
    """The recorder's zero-phase low-pass, as a Gaussian of the same -3 dB frequency."""
    if not device.low_pass_hz:
        return eight
    f = np.fft.rfftfreq(eight.shape[-1], 1.0 / fs_hz)
    gain = np.exp(-0.5 * np.log(2.0) * (f / device.low_pass_hz) ** 2)
    smooth: Array = np.fft.irfft(np.fft.rfft(eight) * gain, eight.shape[-1])
    return smooth


def noise(device: Device, rng: np.random.Generator, fs_hz: int, samples: int) -> Array:
    """Noise of leads I, II, V1-V6, (8, samples) in millivolts.

    It is added before the other limb leads are derived, as electrode noise is, so
    Einthoven's law holds in the noisy record too.
    """
    t = np.arange(samples) / fs_hz
    muscle = device.muscle_mv * np.exp(rng.normal(0.0, device.muscle_spread))
    total: Array = muscle * rng.normal(size=(8, samples))
    for _ in range(3):
        f, phase = rng.uniform(0.05, 0.6), rng.uniform(0.0, 2.0 * np.pi)
        size = device.wander_mv * np.exp(rng.normal(0.0, 0.5, 8))
        total += np.sqrt(2.0 / 3.0) * size[:, None] * np.sin(2.0 * np.pi * f * t + phase)
    size = device.mains_mv * np.exp(rng.normal(0.0, 0.7, 8))
    hum = np.sin(2.0 * np.pi * device.mains_hz * t + rng.uniform(0.0, 2.0 * np.pi))
    total += np.sqrt(2.0) * size[:, None] * hum
    return total
