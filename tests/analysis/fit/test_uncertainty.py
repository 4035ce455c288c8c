"""Intervals, bootstraps and profiles against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student

from analysis.fit.bootstrap import PAIRS_FROM, bootstrap
from analysis.fit.intervals import (
    covariance,
    hat_basis,
    noise_variance,
    profile,
    t_quantile,
)
from analysis.fit.losses import Huber
from analysis.fit.problem import Problem
from analysis.fit.sampled import parameter_intervals, percentile_ends
from analysis.fit.solver import Solution
from analysis.laws import FloatArray, get
from analysis.text import Interval

LAW = get("chinchilla")
TRUTH = np.array([0.2, 5.0, 0.5, 4.0, 0.4])


def problem(repeats: int = 1, noise: float = 0.01, delta: float = np.inf) -> Problem:
    x = np.array([(n, d) for n in (2e3, 8e3, 3e4, 1e5) for d in (256, 1024, 4096.0)] * repeats)
    rng = np.random.default_rng(5)
    loss = LAW.value(TRUTH, x) * np.exp(noise * rng.standard_normal(len(x)))
    return Problem(law=LAW, x=x, loss=loss, runs=np.arange(len(x)), delta=delta)


def solved(at: Problem) -> Solution:
    return at.solve(LAW.to_free(LAW.guess(at.x, at.loss), at.centre)).best()


def residuals(at: Problem, best: Solution) -> FloatArray:
    found: FloatArray = np.log(at.loss) - LAW.log_value(best.free, at.x, at.centre)[0][0]
    return found


def test_intervals_cover_their_ends_and_join() -> None:
    interval = Interval(low=0.1, high=0.3)
    assert interval.covers(0.1) and interval.covers(0.3) and not interval.covers(0.31)
    assert interval.union(Interval(low=0.2, high=0.5)) == Interval(low=0.1, high=0.5)
    assert not Interval(low=np.nan, high=np.nan).covers(0.2)


def test_two_uncertain_numbers_agree_where_their_difference_can_be_zero() -> None:
    """Of normal estimates at a distance of 1.9 and 2.0 standard errors of their difference."""
    se_of_one, se = 0.3, 0.4
    for distance, agree in ((1.9, True), (2.0, False)):
        for sign in (-1.0, 1.0):
            point = 1.0 + sign * distance * 0.5
            interval = Interval(low=point - 1.96 * se_of_one, high=point + 1.96 * se_of_one)
            assert interval.agrees(point, 1.0, se) is agree
    uneven = Interval(low=0.9, high=3.0)
    for value, inside in ((0.89, False), (0.91, True), (2.99, True), (3.01, False)):
        assert uneven.agrees(1.0, value, 0.0) is uneven.covers(value) is inside


def test_the_quantile_is_students() -> None:
    assert t_quantile(15) == pytest.approx(2.13145, abs=1e-5)


def test_the_hat_matrix_has_a_basis() -> None:
    matrix = np.random.default_rng(0).standard_normal((12, 5))
    hat = matrix @ np.linalg.inv(matrix.T @ matrix) @ matrix.T
    for given in (matrix, np.column_stack([matrix, matrix[:, 0]])):
        basis = hat_basis(given)
        assert basis.shape == (12, 5)
        np.testing.assert_allclose(basis @ basis.T, hat, atol=1e-12)


def huber(delta: float) -> Huber:
    return Huber(np.array(delta))


def test_noise_variance_is_the_mean_square_of_least_squares() -> None:
    residual = np.array([0.1, -0.2, 0.05, 0.3])
    assert noise_variance(residual, huber(np.inf), 2) == pytest.approx((residual**2).sum() / 2)


def test_noise_variance_of_huber_resists_an_outlier() -> None:
    rng = np.random.default_rng(0)
    clean = 0.01 * rng.standard_normal(400)
    spoiled = np.append(clean, [1.0, -1.0])
    assert noise_variance(spoiled, huber(0.02), 397) == pytest.approx(1e-4, rel=0.25)
    assert noise_variance(spoiled, huber(np.inf), 397) > 3e-3


def test_covariance_is_that_of_linear_regression() -> None:
    at = problem()
    best = solved(at)
    jacobian = LAW.log_value(best.free, at.x, at.centre)[1][0].T
    expected = np.linalg.inv(jacobian.T @ jacobian) * (residuals(at, best) ** 2).sum() / at.dof
    np.testing.assert_allclose(covariance(at, best.free[0]), expected, rtol=1e-6)


def test_widened_intervals_use_student_over_normal() -> None:
    samples = np.linspace(-1, 1, 2001)
    low, high = percentile_ends(samples, np.array(0.0), 3)
    factor = student.ppf(0.975, 3) / 1.959964
    assert float(high) == pytest.approx(0.95 * factor, rel=1e-3)
    assert float(low) == pytest.approx(-0.95 * factor, rel=1e-3)


def test_intervals_stay_within_bounds_and_amplitudes_positive() -> None:
    rng = np.random.default_rng(0)
    samples = TRUTH * np.exp(2.0 * rng.standard_normal((500, 5)))
    found = parameter_intervals(LAW, TRUTH, samples, dof=2)
    assert found["E"].low == 0.0
    assert found["alpha"].high == 4.0
    assert 0 < found["A"].low < 5.0 < found["A"].high
    empty = parameter_intervals(LAW, TRUTH, samples[:0], dof=2)
    assert np.isnan(empty["E"].low)


def test_the_profile_touches_zero_at_the_optimum() -> None:
    at = problem()
    best = solved(at)
    found = profile(at, best, "E")
    assert 0.0 <= found.deviance.min() < 1e-9
    assert found.value[found.deviance.argmin()] == pytest.approx(best.free[0, 0])
    assert found.interval.covers(float(best.free[0, 0]))
    rises = np.diff(found.deviance[found.value >= best.free[0, 0]])
    assert (rises >= -1e-9).all()


def test_the_profile_is_the_likelihood_ratio() -> None:
    at = problem()
    best = solved(at)
    found = profile(at, best, "beta")
    i = int(np.abs(found.deviance - 4.0).argmin())
    sse = [float((residuals(at, s) ** 2).sum()) for s in (best, _as_solution(found.free[i]))]
    expected = (sse[1] - sse[0]) / (sse[0] / at.dof)
    assert found.deviance[i] == pytest.approx(expected, rel=1e-6)


def _as_solution(free: FloatArray) -> Solution:
    zero = np.zeros(1)
    return Solution(free=free[None], objective=zero, gradient=zero, converged=zero == 0)


def test_the_wild_bootstrap_scatters_as_theory_says() -> None:
    at = problem(repeats=6)
    best = solved(at)
    found = bootstrap(at, best, best.free, n_boot=600, seed=0)
    assert found.kind == "wild" and len(found.theta) == 600 and found.unconverged == 0
    free = LAW.to_free(found.theta, at.centre)
    theory = np.sqrt(np.diag(covariance(at, best.free[0])))
    np.testing.assert_allclose(free.std(axis=0), theory, rtol=0.25)


def test_many_runs_are_resampled_in_pairs() -> None:
    at = problem(repeats=9)
    assert len(at.loss) >= PAIRS_FROM
    best = solved(at)
    found = bootstrap(at, best, best.free, n_boot=300, seed=0)
    assert found.kind == "pairs" and found.redrawn == 0
    free = LAW.to_free(found.theta, at.centre)
    theory = np.sqrt(np.diag(covariance(at, best.free[0])))
    np.testing.assert_allclose(free.std(axis=0), theory, rtol=0.3)


def test_resamples_that_lose_an_axis_are_drawn_again() -> None:
    common = [(n, d) for n in (2e3, 8e3) for d in (256, 1024, 4096.0)] * 20
    x = np.array([*common, (1e5, 4096.0)])  # one run has the third N
    loss = LAW.value(TRUTH, x) * np.exp(0.01 * np.random.default_rng(0).standard_normal(len(x)))
    at = Problem(law=LAW, x=x, loss=loss, runs=np.arange(len(x)), delta=np.inf)
    best = solved(at)
    found = bootstrap(at, best, best.free, n_boot=60, seed=0)
    assert found.kind == "pairs"
    assert found.redrawn > 10
    assert len(found.theta) + found.unconverged == 60


def test_no_refits_were_asked_for() -> None:
    at = problem()
    best = solved(at)
    assert bootstrap(at, best, best.free, n_boot=0, seed=0).kind == "none"
