"""How far parameters can be believed: covariance, standard errors, profiles."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from analysis.fit.losses import Penalty
from analysis.fit.problem import Problem
from analysis.fit.solver import IndexArray, Solution
from analysis.laws import FloatArray
from analysis.text import Interval

LEVEL = 0.95
DELTA_SMALLEST = 1e-3
_EFFICIENT = 2.0
PROFILE_POINTS = 41
_SWEEPS = 10
_ITERATIONS = 100
_BETTER = 1e-6  # of the objective: less cannot be seen in an interval


def t_quantile(dof: int) -> float:
    """Two-sided 95 % quantile of Student's t."""
    from scipy.special import stdtrit  # scipy.stats takes seconds to import

    return float(stdtrit(dof, 0.5 + LEVEL / 2))


def noise_variance(residual: FloatArray, loss: Penalty, dof: int) -> float:
    """Variance of an M-estimator's score over its squared slope (Huber 1981, section 7.6).

    Residuals (n,) are fitted less measured. For least squares it is their sum of squares over the
    degrees of freedom.
    """
    psi, slope = loss.score(residual), mean_slope(residual, loss)
    return float((psi**2).sum()) / dof / slope**2


def mean_slope(residual: FloatArray, loss: Penalty) -> float:
    """Mean second derivative of ``loss`` at ``residual`` (n,), not 0."""
    slope = float(loss.weight(residual[None], np.zeros(1)).mean())
    return max(slope, 1.0 / len(residual))


def robust_delta(residual: FloatArray, parameters: int, smallest: float = DELTA_SMALLEST) -> float:
    """Huber's delta: two robust standard deviations of the residuals, at least ``smallest``.

    It is 99 % efficient for normal noise (Huber 1981). The fit to nearly least absolute deviations
    behind the residuals (n,) passes through about as many points as it has parameters: the median
    is over the others.
    """
    size = np.sort(np.abs(residual))[parameters:]
    return max(smallest, _EFFICIENT * float(np.median(size)) / 0.6745)


def hat_basis(jacobian: FloatArray) -> FloatArray:
    """Q (n, r) with orthonormal columns: Q Q' is the hat matrix of ``jacobian`` (n, P)."""
    basis, singular, _ = np.linalg.svd(jacobian, full_matrices=False)
    return np.asarray(basis[:, singular > singular[0] * 1e-10])


def covariance(problem: Problem, free: FloatArray) -> FloatArray:
    """Linear covariance (P, P) of the free parameters at ``free`` (P,); zero where held."""
    f, jacobian = problem.model(free[None])
    weights = problem.point_weights
    residual = np.sqrt(weights) * (f[0] - problem.target)
    variance = noise_variance(residual, problem.penalty, problem.dof)
    lower, upper = problem.bounds(problem.loss)
    moved = lower < upper
    jac = jacobian[0][moved] * np.sqrt(weights)
    whole = np.zeros((len(free), len(free)))
    whole[np.ix_(moved, moved)] = _inverse_gram(jac.T) * variance
    return whole


def _inverse_gram(matrix: FloatArray) -> FloatArray:
    """Inverse of M^T M for ``matrix`` (n, P), by its singular values."""
    if not matrix.shape[1]:
        return np.zeros((0, 0))  # all parameters are held
    scale = np.maximum(np.linalg.norm(matrix, axis=0), 1e-150)  # its square is not 0
    _, singular, right = np.linalg.svd(matrix / scale, full_matrices=False)
    keep = singular > 1e-13 * singular[0]
    half = right[keep].T / singular[keep]
    return np.asarray(half @ half.T / np.outer(scale, scale))


def standard_errors(problem: Problem, free: FloatArray) -> FloatArray:
    """Standard errors (P,) of the natural parameters by the delta method.

    For least squares these are the textbook ones; for Huber's loss Huber 1981, section 7.6.
    """
    slope = natural_slope(problem, free)
    return np.asarray(np.sqrt(np.diag(slope @ covariance(problem, free) @ slope.T)))


def natural_slope(problem: Problem, free: FloatArray) -> FloatArray:
    """Derivative (P, P) of natural by free parameters, by differences of fourth order."""
    size = 1e-3 * (1.0 + np.abs(free))
    shift = np.diag(size)
    steps = np.concatenate([free + k * shift for k in (-2.0, -1.0, 1.0, 2.0)])
    low2, low, high, high2 = np.split(problem.law.to_natural(steps, problem.centre), 4)
    return np.asarray(((low2 - high2 + 8.0 * (high - low)) / (12.0 * size[:, None])).T)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Objective when one parameter is held at each of several values.

    Attributes:
        name: the parameter.
        value: values it is held at (M,).
        deviance: rise of the objective over its smallest, in units of its noise (M,); under
            the law it is the square of a Student t with n - P degrees of freedom.
        free: constrained optima (M, P).
        interval: where the deviance stays below the 95 % quantile.
    """

    name: str
    value: FloatArray
    deviance: FloatArray
    free: FloatArray
    interval: Interval


def profile(problem: Problem, best: Solution, name: str) -> Profile:
    """Objective along parameter ``name``, by refits from the optimum outwards.

    Each point starts from the optimum and from the law's own guesses, then from the answers of
    its neighbours until none improves, so that no point stops early.

    Raises:
        ValueError: the parameter's free and natural forms differ, as those of amplitudes do.
    """
    law, index = problem.law, problem.law.names.index(name)
    if law.parameters[index].form != "same":
        raise ValueError(f"{name} has no profile: only E and exponents have one")
    lower, upper = problem.bounds(problem.loss)
    values = np.union1d(
        np.linspace(lower[index], upper[index], PROFILE_POINTS), best.free[0, index]
    )
    held = _constrained(problem, best, index, values)
    residual, loss = -problem.residual(best.free), problem.penalty
    unit = noise_variance(residual, loss, problem.dof) * mean_slope(residual, loss)
    rise = np.maximum(held.objective - best.objective[0], 0.0)
    deviance = 2.0 * rise / max(unit, 1e-24)
    return Profile(
        name=name,
        value=values,
        deviance=deviance,
        free=held.free,
        interval=_below(values, deviance, t_quantile(problem.dof) ** 2).holding(
            float(best.free[0, index])
        ),
    )


def _constrained(problem: Problem, best: Solution, index: int, values: FloatArray) -> Solution:
    """Optima with parameter ``index`` held at each of ``values`` (M,)."""
    low, high = (np.repeat(b[None], len(values), axis=0) for b in problem.bounds(problem.loss))
    low[:, index] = high[:, index] = values
    starts = np.concatenate([best.free, problem.starts(3)])

    def solve(free: FloatArray, rows: IndexArray) -> Solution:
        each = len(free) // len(rows)
        ends = [np.repeat(bound[rows], each, axis=0) for bound in (low, high)]
        return problem.refit(free, lower=ends[0], upper=ends[1], iterations=_ITERATIONS).best_of(
            each
        )

    optima = solve(np.tile(starts, (len(values), 1)), np.arange(len(values)))
    todo = np.arange(len(values))
    for _ in range(_SWEEPS):
        sides = [optima.free[np.clip(todo + shift, 0, len(values) - 1)] for shift in (-1, 1)]
        near = solve(np.stack(sides, axis=1).reshape(-1, optima.free.shape[1]), todo)
        improved = near.objective < optima.objective[todo] * (1.0 - _BETTER)
        rows = np.zeros(len(values), dtype=bool)
        rows[todo[improved]] = True
        optima = optima.replaced(rows, near.at(improved))
        todo = np.flatnonzero(rows | np.roll(rows, 1) | np.roll(rows, -1))
        if not improved.any():
            break
    return optima


def _below(values: FloatArray, deviance: FloatArray, limit: float) -> Interval:
    """Ends of the stretch around the optimum where the deviance stays below ``limit``."""
    root = np.sqrt(deviance)
    centre, threshold = int(deviance.argmin()), math.sqrt(limit)

    def end(step: int) -> float:
        i = centre
        while 0 <= i + step < len(values):
            if root[i + step] > threshold:
                share = (threshold - root[i]) / (root[i + step] - root[i])
                return float(values[i] + share * (values[i + step] - values[i]))
            i += step
        return float(values[i])

    return Interval(low=end(-1), high=end(1))
