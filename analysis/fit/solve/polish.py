"""The last digits of one optimum: Newton steps by QR, which keeps what normal equations lose."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from analysis.fit.solve.losses import huber
from analysis.fit.solve.problem import Problem
from analysis.fit.solve.solver import Solution
from analysis.laws import BoolArray, FloatArray

_STEPS = 30
_WORSE = 1e-13
_DIGITS = 4e-16  # relative error of a fitted value
_SURE = 4.0  # such errors that a residual may hold


def polish(problem: Problem, best: Solution) -> Solution:
    """Refine ``best`` (R = 1) until its steps are rounding errors.

    The normal equations of a batch square the condition number; a QR factorisation of the points
    within delta does not. Steps are taken while they shrink and the objective does not grow.
    """
    if problem.prior or problem.own is not None or not np.isfinite(best.objective[0]):
        return best
    lower, upper = problem.bounds(problem.loss)
    weights = np.ones(len(problem.loss)) if problem.weights is None else problem.weights
    free, objective, last = best.free, float(best.objective[0]), np.inf
    for _ in range(_STEPS):
        step = _newton(problem, free, weights, lower, upper)
        new = np.clip(free + step, lower, upper)
        size = float((np.abs(new - free) / (1.0 + np.abs(free))).max())
        residual = problem.model(new)[0][0] - problem.target
        value = float((weights * huber(residual, problem.delta)).sum())
        slack = _WORSE * objective + _rounding(problem, residual, weights)
        if not value <= objective + slack or size >= last:
            break
        free, objective, last = new, min(objective, value), size
        if size == 0.0:
            break
    lost = _SURE * _DIGITS * math.sqrt(float((weights * np.maximum(problem.target**2, 1.0)).sum()))
    # a cosine with residuals of which rounding makes such a part says nothing below it
    known = best.gradient * math.sqrt(2.0 * objective) > lost
    return dataclasses.replace(
        best, free=free, objective=np.array([objective]),
        gradient=np.where(known, best.gradient, 0.0),
    )  # fmt: skip


def _rounding(problem: Problem, residual: FloatArray, weights: FloatArray) -> float:
    """How far rounding errors of fitted values alone may move the objective.

    Residuals that are a small part of the response carry few digits, and so does their sum.
    """
    slope = weights * np.minimum(np.abs(residual), problem.delta)
    return _DIGITS * float((slope * np.maximum(np.abs(problem.target), 1.0)).sum())


def _newton(
    problem: Problem, free: FloatArray, weights: FloatArray, lower: FloatArray, upper: FloatArray
) -> FloatArray:
    """Newton step (1, P) in the parameters away from their bounds; zeros where there is none."""
    f, jac = problem.model(free)
    residual, slope = f[0] - problem.target, jac[0].T
    inside = np.abs(residual) <= problem.delta
    root = np.sqrt(weights)
    outer = slope[~inside].T @ (weights * np.clip(residual, -problem.delta, problem.delta))[~inside]
    step = np.zeros_like(free)
    gradient = slope[inside].T @ (weights * residual)[inside] + outer
    move = _movable(free[0], gradient, lower, upper)
    matrix = (root[:, None] * slope)[inside][:, move]
    if matrix.shape[0] < matrix.shape[1] or not move.any():
        return step
    scale = np.maximum(np.linalg.norm(matrix, axis=0), 1e-300)
    q, r = np.linalg.qr(matrix / scale)
    if np.abs(np.diag(r)).min() < 1e-12:
        return step
    from scipy.linalg import solve_triangular

    right = q.T @ (root * residual)[inside]
    right += solve_triangular(r, outer[move] / scale, trans="T")
    step[0, move] = -solve_triangular(r, right) / scale
    return step


def _movable(
    free: FloatArray, gradient: FloatArray, lower: FloatArray, upper: FloatArray
) -> BoolArray:
    """Parameters that are not held at a bound (P,)."""
    held = ((free <= lower) & (gradient > 0)) | ((free >= upper) & (gradient < 0))
    found: BoolArray = ~(held | (lower == upper))
    return found
