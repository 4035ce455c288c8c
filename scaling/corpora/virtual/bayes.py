"""The Bayes loss of a cohort: what a perfect model of the generator would still lose.

Labels are drawn from P(label | findings) alone, so the entropy H(label | findings) bounds
every model's expected loss from below. A model sees the signal, not the findings; noise
leaves it uncertain of them. That uncertainty is taken from the generative model by Laplace's
method: the posterior of all latents around the truth is Gaussian with precision
J' J / noise^2 + prior precision, J being the derivative of the noise-free leads, and the
readers' probabilities are averaged over it. Wander and mains are projected out of J as if
nothing were known of them, and degrees of block, AF and T change get no prior at all, so the
estimate errs upwards.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.virtual.cohorts import Cohort
from scaling.corpora.virtual.heart import TIMING, Latents, project, wave_shapes
from scaling.corpora.virtual.patient import Visit, make_visit, probabilities

Array = NDArray[np.float64]

ENTROPY_RECORDS = 8_000
POSTERIOR_RECORDS = 150
DRAWS = 48  # posterior means, and draws around each, per record
# Prior standard deviation of each scalar latent; infinity where none is assumed.
PRIOR_SD = {
    "pr_ms": 30.0, "qtc_ms": 22.0, "rbbb": np.inf, "lbbb": np.inf, "af": np.inf,
    "t_change": np.inf, "log_voltage": 0.25, "axis_deg": 30.0, "turn_deg": 18.0, "width": 0.07,
    "f_phase": np.inf, "f_hz": np.inf,
}  # fmt: skip
FIELDS = {"waves": 1.0, "torso": 1.0, "gains": None}  # prior sd; None: the device's


def entropy(p: Array) -> Array:
    """Entropy of a Bernoulli in nats."""
    return -(p * np.log(p) + (1.0 - p) * np.log1p(-p))


def bayes_loss(
    cohort: Cohort, *, fs_hz: int, samples: int, seed: int = 0, test: int = 0
) -> dict[str, Any]:
    """Bayes loss of a cohort, mean over labels, in nats.

    Args:
        cohort: the cohort.
        fs_hz: sampling rate in hertz.
        samples: samples per record.
        seed: seed of the cohort; the Monte Carlo patients are in none of its splits.
        test: records of the test split to measure the same on; 0 for none.

    Returns:
        ``value`` with standard error ``se``, the rigorous ``lower_bound`` H(label | findings),
        both also ``per_label``, the ``method``, and ``test``: the loss of the true
        probabilities on the labels that the test split happens to have, which moves with its
        sampling as a fitted E does.
    """
    bound, bound_se = _entropy_given_findings(cohort, seed, samples / fs_hz)
    extra = np.array(
        [_lost_to_noise(cohort, seed, index, fs_hz, samples) for index in range(POSTERIOR_RECORDS)]
    )
    per_label = bound + extra.mean(axis=0)
    extra_se = float(extra.mean(axis=1).std(ddof=1) / np.sqrt(POSTERIOR_RECORDS))
    return {
        "value": float(per_label.mean()),
        "se": float(np.hypot(bound_se, extra_se)),
        "lower_bound": float(bound.mean()),
        "per_label": {k: float(v) for k, v in zip(cohort.classes, per_label, strict=True)},
        "test": _on_test_split(cohort, seed, test, samples / fs_hz, float(extra.mean())),
        "method": "entropy given the findings plus Laplace posterior of the findings given "
        f"the signal ({ENTROPY_RECORDS} and {POSTERIOR_RECORDS} virtual records)",
    }


def _entropy_given_findings(cohort: Cohort, seed: int, duration_s: float) -> tuple[Array, float]:
    rows = []
    for index in range(ENTROPY_RECORDS):
        visit, _ = make_visit(cohort, seed, "bayes", index, duration_s)
        rows.append(entropy(probabilities(cohort, visit.findings)))
    values = np.array(rows)
    # Records of a patient go together: a block of visits is the unit of the standard error.
    blocks = values.mean(axis=1).reshape(-1, 16).mean(axis=1)
    return values.mean(axis=0), float(blocks.std(ddof=1) / np.sqrt(len(blocks)))


def _on_test_split(
    cohort: Cohort, seed: int, records: int, duration_s: float, extra: float
) -> dict[str, Any] | None:
    """Loss of P(label | findings) on the labels of the test split, plus what noise hides."""
    if not records:
        return None
    losses = []
    for index in range(records):
        visit, rng = make_visit(cohort, seed, "test", index, duration_s)
        p = probabilities(cohort, visit.findings)
        label = rng.random(len(p)) < p  # as make_record draws them
        losses.append(-np.log(np.where(label, p, 1.0 - p)).mean())
    return {"value": float(np.mean(losses)) + extra, "n": records}


def _lost_to_noise(cohort: Cohort, seed: int, index: int, fs_hz: int, samples: int) -> Array:
    """Extra entropy of each label when the findings must be read off the noisy signal."""
    visit, rng = make_visit(cohort, seed, "bayes", index, samples / fs_hz)
    muscle = cohort.device.muscle_mv * np.exp(rng.normal(0.0, cohort.device.muscle_spread))
    names, covariance = _posterior(cohort, visit, muscle, fs_hz, samples)
    root = np.linalg.cholesky(covariance + 1e-12 * np.eye(len(names)))
    centres = rng.normal(size=(DRAWS, 1, len(names))) @ root.T
    around = centres + rng.normal(size=(DRAWS, DRAWS, len(names))) @ root.T
    truth = {k: np.full(DRAWS * DRAWS, v) for k, v in visit.findings.items()}
    at_centre = {k: np.full(DRAWS, v) for k, v in visit.findings.items()}
    for column, name in enumerate(names):
        truth[name] = truth[name] + around[..., column].ravel()
        at_centre[name] = at_centre[name] + around[:, 0, column]
    drawn = probabilities(cohort, truth).reshape(-1, DRAWS, DRAWS)
    # Both terms average over the same posterior draws, so the difference is never negative.
    gain: Array = (entropy(drawn.mean(axis=2)) - entropy(drawn).mean(axis=2)).mean(axis=1)
    return gain


def _posterior(
    cohort: Cohort, visit: Visit, muscle_mv: float, fs_hz: int, samples: int
) -> tuple[list[str], Array]:
    """Names and posterior covariance of the scalar latents that labels depend on."""

    def shapes(latents: Latents) -> Array:
        return wave_shapes(latents, visit.beats_s, visit.rr_s, fs_hz, samples)

    def leads(latents: Latents, shape: Array) -> Array:
        return _hide(project(latents, shape, fs_hz), fs_hz, cohort.device.mains_hz).ravel()

    unmoved = shapes(visit.latents)
    base = leads(visit.latents, unmoved)
    columns: list[Array] = []
    precision: list[float] = []
    names: list[str] = []

    def differentiate(name: str, moved: Latents, step: float, sd: float) -> None:
        shape = shapes(moved) if name in TIMING else unmoved
        columns.append((leads(moved, shape) - base) / step)
        precision.append(sd**-2)
        names.append(name)

    for name, sd in PRIOR_SD.items():
        step = 1e-3 * max(1.0, abs(float(getattr(visit.latents, name))))
        value = getattr(visit.latents, name) + step
        differentiate(name, dataclasses.replace(visit.latents, **{name: value}), step, sd)
    for name, prior in FIELDS.items():
        array = getattr(visit.latents, name)
        for place in np.ndindex(array.shape):
            value = array.copy()
            value[place] += 1e-3
            moved = dataclasses.replace(visit.latents, **{name: value})
            differentiate(f"{name}{place}", moved, 1e-3, prior or cohort.device.gain_error)
    jacobian = np.array(columns)
    information = jacobian @ jacobian.T / muscle_mv**2 + np.diag(precision)
    # A latent that leaves no trace (f waves without AF) and has no prior must not make the
    # matrix singular; its own posterior is irrelevant to the labels then.
    information += 1e-9 * np.diag(np.maximum(np.diag(information), 1.0))
    covariance: Array = np.linalg.inv(information).astype(np.float64)
    used = [n for n in names if n in visit.findings]
    rows = [names.index(n) for n in used]
    return used, np.asarray(covariance[np.ix_(rows, rows)], np.float64)


def _hide(leads: Array, fs_hz: int, mains_hz: float) -> Array:
    """Remove from the leads what wander (below 0.7 Hz) and mains could hide."""
    spectrum = np.fft.rfft(leads)
    f = np.fft.rfftfreq(leads.shape[-1], 1.0 / fs_hz)
    alias = abs(mains_hz - fs_hz * round(mains_hz / fs_hz))
    spectrum[:, (f < 0.7) | (np.abs(f - alias) < 0.3)] = 0.0
    shown: Array = np.fft.irfft(spectrum, leads.shape[-1])
    return shown
