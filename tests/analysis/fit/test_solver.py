"""The batched solver against SciPy, on problems with known answers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.optimize import least_squares

from analysis import fit_law
from analysis.fit.losses import huber
from analysis.fit.search import polish
from analysis.fit.solver import IndexArray, minimise
from analysis.laws import FloatArray, get

LAW = get("chinchilla")
X = np.array([(n, d) for n in (2e3, 8e3, 3e4, 1e5) for d in (256.0, 1024.0, 4096.0)])
CENTRE = LAW.centre(X)
TRUTH = LAW.to_free(np.array([0.2, 5.0, 0.5, 4.0, 0.4]), CENTRE)


def model(free: FloatArray, _rows: object = None) -> tuple[FloatArray, FloatArray]:
    return LAW.log_value(free, X, CENTRE)


def noisy(seed: int, spread: float = 0.02) -> FloatArray:
    noise = spread * np.random.default_rng(seed).standard_normal(len(X))
    log_loss: FloatArray = model(TRUTH[None])[0][0] + noise
    return log_loss


@pytest.mark.parametrize("delta", [0.005, 0.03, np.inf])
def test_agrees_with_scipy(delta: float) -> None:
    target = noisy(1)
    lower, upper = LAW.bounds(X, np.exp(target))
    found = minimise(model, TRUTH[None], target, lower, upper, delta=delta)
    robust = np.isfinite(delta)

    def residual(free: FloatArray) -> FloatArray:
        found: FloatArray = model(free[None])[0][0] - target
        return found

    def jacobian(free: FloatArray) -> FloatArray:
        found: FloatArray = model(free[None])[1][0].T
        return found

    peer = least_squares(
        residual,
        TRUTH,
        jac=jacobian,
        bounds=(lower, upper),
        loss="huber" if robust else "linear",
        f_scale=delta if robust else 1.0,
        xtol=1e-15,
        ftol=1e-15,
        gtol=1e-15,
    )
    assert found.converged[0]
    assert found.gradient[0] < 1e-6
    assert found.objective[0] <= peer.cost * (1 + 1e-9)


def test_bounds_hold_and_their_gradient_is_not_counted() -> None:
    target = noisy(2)
    lower, upper = LAW.bounds(X, np.exp(target))
    upper = upper.copy()
    upper[2] = 0.3
    found = minimise(model, TRUTH[None], target, lower, upper, delta=np.inf)
    assert found.free[0, 2] == 0.3
    assert found.gradient[0] < 1e-6
    free = minimise(model, TRUTH[None], target, *LAW.bounds(X, np.exp(target)), delta=np.inf)
    assert found.objective[0] > free.objective[0]


def test_weights_are_repeated_rows() -> None:
    target = noisy(3)
    lower, upper = LAW.bounds(X, np.exp(target))
    counts = np.random.default_rng(0).integers(0, 3, len(X))
    weighted = minimise(
        model, TRUTH[None], target, lower, upper, delta=0.02, weights=counts.astype(float)
    )
    rows = np.repeat(np.arange(len(X)), counts)

    def repeated(free: FloatArray, _rows: object) -> tuple[FloatArray, FloatArray]:
        return LAW.log_value(free, X[rows], CENTRE)

    longer = minimise(repeated, TRUTH[None], target[rows], lower, upper, delta=0.02)
    np.testing.assert_allclose(weighted.objective, longer.objective, rtol=1e-9)
    np.testing.assert_allclose(weighted.free, longer.free, rtol=1e-5)


def test_a_batch_gives_what_single_problems_give(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = np.array([noisy(s) for s in range(7)])
    lower, upper = LAW.bounds(X, np.exp(targets))
    starts = np.tile(TRUTH, (7, 1))
    batch = minimise(model, starts, targets, lower, upper, delta=0.02)
    monkeypatch.setattr("analysis.fit.solver.CHUNK_ELEMENTS", 2 * len(X) * 5)
    chunked = minimise(model, starts, targets, lower, upper, delta=0.02)
    np.testing.assert_allclose(batch.free, chunked.free, rtol=1e-9)
    for i in range(7):
        alone = minimise(model, TRUTH[None], targets[i], lower[i], upper[i], delta=0.02)
        np.testing.assert_allclose(alone.objective[0], batch.objective[i], rtol=1e-12)


def test_a_model_is_told_which_problems_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each problem has data of its own: log f = its offset, and the solver finds it."""
    monkeypatch.setattr("analysis.fit.solver.CHUNK_ELEMENTS", 3)
    offset = np.random.default_rng(0).standard_normal((8, 3))

    def shifted(free: FloatArray, rows: IndexArray) -> tuple[FloatArray, FloatArray]:
        return free + offset[rows], np.ones((len(free), 1, 3))

    bound = np.array([5.0])
    found = minimise(shifted, np.zeros((8, 1)), np.zeros(3), -bound, bound, delta=np.inf)
    np.testing.assert_allclose(found.free[:, 0], -offset.mean(axis=1), atol=1e-9)


def test_best_of_keeps_the_lowest_of_each_group() -> None:
    target = noisy(4)
    lower, upper = LAW.bounds(X, np.exp(target))
    stuck = np.array([upper[0], lower[1], 4.0, lower[3], 4.0])
    found = minimise(model, np.array([stuck, TRUTH]), target, lower, upper, delta=np.inf)
    assert found.best().objective[0] == found.objective.min()


def test_huber_is_quadratic_then_linear() -> None:
    values = huber(np.array([0.0, 0.5, -1.0, 3.0]), 1.0)
    np.testing.assert_allclose(values, [0.0, 0.125, 0.5, 2.5])
    np.testing.assert_allclose(huber(np.array([3.0]), np.inf), [4.5])


@pytest.mark.parametrize(("size", "gradient"), [(3e-11, 0.0), (1e-7, 4e-5)])
def test_residuals_that_rounding_makes_have_no_direction(size: float, gradient: float) -> None:
    """A cosine of 4e-5 with residuals of which rounding is as large a part says nothing."""
    loss = np.exp(model(TRUTH[None])[0][0] + size * np.random.default_rng(0).standard_normal(12))
    problem = fit_law({"N": X[:, 0], "D": X[:, 1], "loss": loss}, n_boot=0).problem
    best = dataclasses.replace(problem.solve(TRUTH[None]), gradient=np.array([4e-5]))
    assert polish(problem, best).gradient[0] == gradient
