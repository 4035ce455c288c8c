"""Losses of one's own, against SciPy, and those that are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from analysis import fit_law
from analysis.fit.certificate import Status
from analysis.fit.losses import Loss, asymmetric_absolute
from analysis.laws import LAWS, FloatArray

SQUARES = Loss("squares", lambda r: 0.5 * r * r, lambda r: r)
LOG_COSH = Loss(
    "log-cosh", lambda r: 1e-4 * np.log(np.cosh(r / 0.01)), lambda r: 1e-2 * np.tanh(r / 0.01)
)


def runs(seed: int = 0, noise: float = 0.02) -> dict[str, FloatArray]:
    rng = np.random.default_rng(seed)
    x = np.array([(n, d) for n in np.geomspace(2e3, 1e5, 6) for d in np.geomspace(256, 8192, 6)])
    loss = LAWS["chinchilla"].value(np.array([0.2, 5.0, 0.5, 4.0, 0.4]), x)
    noisy = loss * np.exp(noise * rng.standard_t(3, len(x)))
    return {"N": x[:, 0], "D": x[:, 1], "loss": noisy}


def objective(loss: Loss, data: dict[str, FloatArray], theta: FloatArray) -> float:
    x = np.column_stack([data["N"], data["D"]])
    residual = np.log(LAWS["chinchilla"].value(theta, x)) - np.log(data["loss"])
    return float(loss.value(residual).sum())


def test_squares_of_ones_own_are_least_squares() -> None:
    losses: tuple[Any, ...] = (SQUARES, "least_squares")
    own, known = (fit_law(runs(), loss=loss, n_boot=0) for loss in losses)
    np.testing.assert_allclose(own.theta, known.theta, rtol=1e-5)
    assert own.certificate.objective == pytest.approx(known.certificate.objective, rel=1e-9)
    assert own.errors["alpha"] == pytest.approx(known.errors["alpha"], rel=1e-4)


@pytest.mark.parametrize(
    "loss", [LOG_COSH, asymmetric_absolute(), asymmetric_absolute(1, 3), asymmetric_absolute(4, 1)]
)
def test_no_other_program_finds_a_lower_objective(loss: Loss) -> None:
    data = runs()
    found = fit_law(data, loss=loss, n_boot=0)
    ours = objective(loss, data, found.theta)
    assert found.certificate.objective == pytest.approx(ours, rel=1e-7)
    law, problem = found.law, found.problem
    options: Any = {"maxfev": 3000, "xatol": 1e-9, "fatol": 1e-12}

    def total(free: FloatArray) -> float:
        return objective(loss, data, law.to_natural(free, problem.centre))

    best = minimize(total, found.free, method="Nelder-Mead", options=options).fun
    assert ours <= float(best) * (1 + 1e-5)
    assert found.status is Status.CONVERGED and found.certificate.agreed > 0.5


def test_the_weights_of_an_asymmetric_loss_are_a_quantile() -> None:
    """Koenker & Bassett 1978: that share of runs lies above, give or take the parameters."""
    data = runs()
    for under, over in ((1.0, 1.0), (1.0, 4.0), (4.0, 1.0)):
        found = fit_law(data, loss=asymmetric_absolute(under, over), n_boot=0)
        above = float((found.problem.residual(found.free[None]) > 0).mean())
        assert abs(above - over / (under + over)) <= 6 / len(data["loss"])


def test_a_fit_with_ones_own_loss_has_intervals_and_names_it() -> None:
    found = fit_law(runs(), loss=LOG_COSH, n_boot=40)
    assert found.status is Status.CONVERGED
    known = fit_law(runs(), n_boot=40)
    for name in ("E", "alpha", "beta"):
        assert found.intervals[name].low < found.params[name] < found.intervals[name].high
        assert found.errors[name] == pytest.approx(known.errors[name], rel=0.6)
    assert "loss: log-cosh, sum over runs" in found.summary()
    assert set(found.alternatives) == {"least squares", "Huber, delta 0.001"}
    row = found.predict(N=5e4, D=3e3).iloc[0]
    assert row["mean_low"] < row["loss"] < row["mean_high"]


def test_a_prior_stays_a_square_beside_ones_own_loss() -> None:
    losses: tuple[Any, ...] = (SQUARES, "least_squares")
    own, known = (fit_law(runs(), loss=loss, variant="regularised", n_boot=0) for loss in losses)
    np.testing.assert_allclose(own.theta, known.theta, rtol=0.02)  # the prior's unit differs
    assert abs(own.params["alpha"] - 0.4) < abs(
        fit_law(runs(), loss=SQUARES, n_boot=0).params["alpha"] - 0.4
    )


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("absolute", "nor an analysis.fit.losses.Loss"),
        (Loss("sum", lambda r: r.sum(), np.sign), "shape"),
        (Loss("wrong", np.square, np.sign), "slope is not the derivative"),
        (Loss("above", lambda r: 1 + r * r, lambda r: 2 * r), "must be 0 at 0"),
        (Loss("falls", lambda r: -r * r, lambda r: -2 * r), "rise to both sides"),
        (Loss("nowhere", lambda r: np.log(r - 9), lambda r: 1 / (r - 9)), "not finite"),
    ],
)
def test_what_is_no_loss_is_refused(loss: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_law(runs(), loss=loss, n_boot=0)


@pytest.mark.parametrize(("under", "over"), [(0.0, 1.0), (1.0, -1.0), (np.inf, 1.0)])
def test_weights_that_are_not_positive_are_refused(under: float, over: float) -> None:
    with pytest.raises(ValueError, match="positive and finite"):
        asymmetric_absolute(under, over)
