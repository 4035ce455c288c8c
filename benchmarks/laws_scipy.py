"""The joint law by SciPy, as one would write it with the public package.

``scipy.optimize.least_squares`` with Huber's loss and an analytic Jacobian in centred logs, one
call a refit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import least_squares

from analysis.fit.losses import huber
from analysis.fit.problem import Problem
from analysis.fit.rolling import windows
from analysis.laws import FloatArray

OWN, CONVERGED = 1e-8, 1e-10  # tolerances: SciPy's own, and one that leaves no 1e-9 to gain
TRIED = 4  # starts of each window of a rolling origin, as many as ours


def refit(
    problem: Problem,
    start: FloatArray,
    *,
    rows: Any = slice(None),
    target: FloatArray | None = None,
    bounded: bool = True,
    tolerance: float = CONVERGED,
) -> FloatArray:
    """Free parameters of a fit to some rows, perhaps to another target, within our bounds."""
    u, v = (np.log(problem.x[rows]) - problem.centre).T
    y = problem.target[rows] if target is None else target

    def terms(free: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        a, b = np.exp(free[1] - free[2] * u), np.exp(free[3] - free[4] * v)
        return free[0] + a + b, a, b

    def residual(free: FloatArray) -> FloatArray:
        found: FloatArray = np.log(terms(free)[0]) - y
        return found

    def jacobian(free: FloatArray) -> FloatArray:
        loss, a, b = terms(free)
        return np.column_stack([np.ones_like(u), a, -u * a, b, -v * b]) / loss[:, None]

    low, high = problem.bounds(np.exp(y)) if bounded else (-np.inf, np.inf)
    at = np.clip(start, low + 1e-9, high - 1e-9) if bounded else start
    found = least_squares(
        residual, at, jac=jacobian, bounds=(low, high), loss="huber", f_scale=problem.delta,
        ftol=tolerance, xtol=tolerance, gtol=tolerance,
    )  # fmt: skip
    return np.asarray(found.x, dtype=np.float64)


def objective(problem: Problem, free: FloatArray, weights: FloatArray) -> FloatArray:
    """Sum of Huber terms (R,) of refits (R, P) with weights (R, n)."""
    terms = huber(problem.model(free)[0] - problem.target, problem.delta)
    found: FloatArray = (weights * terms).sum(axis=1)
    return found


def best_of_starts(problem: Problem) -> float:
    """Smallest objective over all of our starts."""
    free = np.array([refit(problem, start) for start in problem.starts()])
    return float(objective(problem, free, np.ones((1, len(problem.loss)))).min())


def rolling(problem: Problem) -> None:
    """Fits to the windows of our rolling origin, from as many starts."""
    for _, _, kept in windows(problem):
        for start in problem.starts(TRIED):
            refit(problem, start, rows=kept)
