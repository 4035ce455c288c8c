"""The posterior of the findings, against integrals that can be done exactly."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from scaling.corpora.virtual.bayes_loss import draw_findings, entropy, hidden_entropy
from scaling.corpora.virtual.sensitivity import Surroundings, refit

Array = NDArray[np.float64]


def one_latent(z: float, visible: float) -> Surroundings:
    """A finding equal to its latent, seen with a signal-to-noise ratio of ``visible``."""
    return Surroundings(
        findings={"x": z},
        normals=np.array([z]),
        gram=np.array([[visible**2]]),
        slopes={"x": np.ones(1)},
        toggled={"x": np.zeros(0)},
        distance2=np.zeros(0),
        log_odds=np.zeros(0),
    )


def logistic(x: Array) -> Array:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def exact_loss(visible: float, steepness: float) -> float:
    """E over signals of the entropy of the label, z standard normal: double quadrature."""
    z, w = np.polynomial.hermite_e.hermegauss(101)
    w = w / w.sum()
    sd = 1.0 / np.sqrt(1.0 + visible**2)  # of z given the signal; its mean has the rest
    mean = np.sqrt(1.0 - sd**2) * z
    p = logistic(steepness * (mean[:, None] + sd * z[None, :])) @ w
    return float(entropy(np.clip(p, 1e-300, 1 - 1e-12)) @ w)


@pytest.mark.parametrize("visible", [0.0, 0.3, 1.0, 4.0, 30.0])
def test_one_latent_agrees_with_its_exact_integral(visible: float) -> None:
    rng, steepness, records = np.random.default_rng(0), 2.0, 3000
    total = []
    for z in rng.normal(size=records):
        x = draw_findings(one_latent(z, visible), rng, 2, 64)["x"]
        gain, _ = hidden_entropy(logistic(steepness * x), np.ones_like(x))
        known = entropy(logistic(steepness * np.array(z)))
        total.append(float(known + gain.mean()))
    se = np.std(total) / np.sqrt(records)
    assert abs(np.mean(total) - exact_loss(visible, steepness)) < 3.5 * se + 1e-3


def test_what_leaves_no_trace_is_known_only_by_its_prior() -> None:
    rng = np.random.default_rng(1)
    drawn = draw_findings(one_latent(2.5, 0.0), rng, 40, 200)["x"]
    assert abs(drawn.mean()) < 0.05  # not at the truth, 2.5
    assert drawn.std() == pytest.approx(1.0, abs=0.03)


def test_what_is_seen_clearly_is_known() -> None:
    drawn = draw_findings(one_latent(2.5, 1e4), np.random.default_rng(1), 40, 200)["x"]
    assert np.abs(drawn - 2.5).max() < 1e-3


def disorder(distance: float, prior: float) -> Surroundings:
    """A disorder that is absent, whose presence would move the signal by ``distance``."""
    return Surroundings(
        findings={"x": 0.0},
        normals=np.zeros(1),
        gram=np.zeros((1, 1)),
        slopes={"x": np.zeros(1)},
        toggled={"x": np.ones(1)},
        distance2=np.array([distance**2]),
        log_odds=np.array([np.log(prior / (1.0 - prior))]),
    )


@pytest.mark.parametrize("distance", [0.0, 1.0, 3.0])
def test_a_disorder_is_suspected_as_bayes_rule_has_it(distance: float) -> None:
    prior = 0.3
    drawn = draw_findings(disorder(distance, prior), np.random.default_rng(2), 4000, 50)["x"]
    # P(present | signal) averaged over the signals of those without it, by quadrature.
    e, w = np.polynomial.hermite_e.hermegauss(101)
    odds = np.log(prior / (1 - prior)) + distance * e - distance**2 / 2
    exact = float(logistic(odds) @ w / w.sum())
    assert set(np.unique(drawn)) <= {0.0, 1.0}
    assert drawn.mean() == pytest.approx(exact, abs=0.012)


def test_what_other_latents_can_explain_does_not_tell_a_disorder() -> None:
    # The disorder moves one number by 5 and another by 2; a latent moves the first as well.
    jacobian = np.array([[20.0, 0.0]])

    def change(moved: Array, disorder: NDArray[np.int64]) -> Array:
        assert list(disorder) == [0]
        return np.asarray(np.array([5.0, 2.0]) + moved @ jacobian)

    moved, distance2 = refit(change, jacobian, 1)
    # Ridge regression by hand: the first is explained up to 25 / (1 + 20^2).
    assert moved[0, 0] == pytest.approx(-20 * 5 / 401)
    assert distance2[0] == pytest.approx(4.0 + 25 / 401)


def test_refit_follows_a_bend_and_leaves_the_hopeless_alone() -> None:
    jacobian = np.array([[100.0]])

    def change(moved: Array, disorder: NDArray[np.int64]) -> Array:
        first = 100.0 * np.sin(moved) + 60.0
        second = np.where(disorder == 0, 0.0, 1e4)[:, None]
        return np.concatenate([first, second], axis=1)

    moved, distance2 = refit(change, np.concatenate([jacobian, [[0.0]]], axis=1), 2)
    exact = -np.arcsin(0.6)
    assert moved[0, 0] == pytest.approx(exact, abs=0.01)
    assert distance2[0] < 2.0
    assert distance2[1] == pytest.approx(1e8, rel=1e-3)


def test_refit_of_nothing_is_nothing() -> None:
    moved, distance2 = refit(lambda moved, _: moved, np.ones((3, 4)), 0)
    assert moved.shape == (0, 3)
    assert distance2.shape == (0,)


def test_hidden_entropy_of_a_constant_is_nothing_and_weights_choose() -> None:
    p = np.full((3, 16), 0.2)
    gain, weight = hidden_entropy(p, np.full((3, 16), 0.5))
    assert np.allclose(gain, 0.0)
    assert np.allclose(weight, 0.5)
    # Draws of negligible weight do not count: what is left is one value, which is known.
    p = np.tile([0.1, 0.9], (1, 8))
    weights = np.tile([1.0, 1e-12], (1, 8))
    assert hidden_entropy(p, weights)[0].max() < 1e-9
    assert hidden_entropy(p, np.ones_like(p))[0].min() > 0.1
