"""How far a fit can be believed: intervals, covariance, held-out error."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from analysis.fit.solve.losses import Penalty
from analysis.fit.solve.problem import Problem
from analysis.laws import FloatArray

LEVEL = 0.95
NORMAL = 1.959963984540054  # two-sided 95 % quantile
DELTA_SMALLEST = 1e-3
_EFFICIENT = 2.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A 95 % interval; ``low`` and ``high`` may be infinite or NaN (not known)."""

    low: float
    high: float

    def covers(self, value: float) -> bool:
        """Whether ``value`` lies within, ends included."""
        return self.low <= value <= self.high

    def agrees(self, point: float, value: float, se: float) -> bool:
        """Whether the estimate it is of can equal a value that is itself uncertain.

        The 95 % interval of their difference holds zero; half widths of either side add up in
        squares (MOVER; Zou and Donner 2008, Statistics in Medicine 27:1693).

        Args:
            point: the estimate that this is the interval of.
            value: an independent number.
            se: its standard error; 0 where it is exact, and then this is ``covers``.
        """
        reach = point - self.low if value < point else self.high - point
        return abs(value - point) <= math.hypot(reach, NORMAL * se)

    def union(self, other: Interval) -> Interval:
        """Smallest interval that holds both."""
        return Interval(low=min(self.low, other.low), high=max(self.high, other.high))

    def holding(self, point: float) -> Interval:
        """This interval with the estimate it is of; an end that is not known stays so."""
        low, high = holding(np.asarray(point), np.asarray(self.low), np.asarray(self.high))
        return Interval(low=float(low), high=float(high))


def holding(point: FloatArray, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Ends (...) moved so far that they hold ``point`` (...); NaN ends stay.

    An interval about a point may miss it by a rounding: exp(log x) need not be x.
    """
    return np.where(point < low, point, low), np.where(point > high, point, high)


def t_quantile(dof: int) -> float:
    """Two-sided 95 % quantile of Student's t."""
    from scipy.special import stdtrit  # scipy.stats takes seconds to import

    return float(stdtrit(dof, 0.5 + LEVEL / 2))


def noise_variance(residual: FloatArray, loss: Penalty, dof: int) -> float:
    """Variance of an M-estimator's score over its squared slope (Huber 1981, section 7.6).

    For least squares it is the residual sum of squares over the degrees of freedom.

    Args:
        residual: fitted less measured (n,).
        loss: of a residual.
        dof: degrees of freedom.
    """
    psi, slope = loss.score(residual), mean_slope(residual, loss)
    return float((psi**2).sum()) / dof / slope**2


def mean_slope(residual: FloatArray, loss: Penalty) -> float:
    """Mean second derivative of ``loss`` at ``residual`` (n,), not 0."""
    slope = float(loss.weight(residual[None], np.zeros(1)).mean())
    return max(slope, 1.0 / len(residual))


def robust_delta(residual: FloatArray, parameters: int, smallest: float = DELTA_SMALLEST) -> float:
    """Huber's delta: two robust standard deviations of the residuals, at least ``smallest``.

    It is 99 % efficient for normal noise (Huber 1981).

    Args:
        residual: log residuals (n,) of a nearly-least-absolute-deviations fit, which passes
            through about as many points as it has parameters.
        parameters: so the median is over the other n - P residuals, the largest.
        smallest: least value returned.
    """
    size = np.sort(np.abs(residual))[parameters:]
    return max(smallest, _EFFICIENT * float(np.median(size)) / 0.6745)


def hat_basis(jacobian: FloatArray) -> FloatArray:
    """Q (n, r) with orthonormal columns: Q Q' is the hat matrix of ``jacobian`` (n, P)."""
    basis, singular, _ = np.linalg.svd(jacobian, full_matrices=False)
    found: FloatArray = basis[:, singular > singular[0] * 1e-10]
    return found


def covariance(problem: Problem, free: FloatArray) -> FloatArray:
    """Linear covariance (P, P) of the free parameters at ``free`` (P,); zero where held."""
    f, jacobian = problem.model(free[None])
    weights = np.ones(len(problem.loss)) if problem.weights is None else problem.weights
    residual = np.sqrt(weights) * (f[0] - problem.target)
    variance = noise_variance(residual, problem.penalty, problem.dof)
    lower, upper = problem.bounds(problem.loss)
    moved = lower < upper
    jac = jacobian[0][moved] * np.sqrt(weights)
    found = np.zeros((len(free), len(free)))
    found[np.ix_(moved, moved)] = _inverse_gram(jac.T) * variance
    return found


def _inverse_gram(matrix: FloatArray) -> FloatArray:
    """Inverse of M^T M for ``matrix`` (n, P), by its singular values."""
    if not matrix.shape[1]:
        return np.zeros((0, 0))  # all parameters are held
    scale = np.maximum(np.linalg.norm(matrix, axis=0), 1e-150)  # its square is not 0
    _, singular, right = np.linalg.svd(matrix / scale, full_matrices=False)
    keep = singular > 1e-13 * singular[0]
    half = right[keep].T / singular[keep]
    found: FloatArray = half @ half.T / np.outer(scale, scale)
    return found


def standard_errors(problem: Problem, free: FloatArray) -> FloatArray:
    """Standard errors (P,) of the natural parameters by the delta method.

    For least squares these are the textbook ones; for Huber's loss Huber 1981, section 7.6.
    """
    slope = natural_slope(problem, free)
    found: FloatArray = np.sqrt(np.diag(slope @ covariance(problem, free) @ slope.T))
    return found


def natural_slope(problem: Problem, free: FloatArray) -> FloatArray:
    """Derivative (P, P) of natural by free parameters, by differences of fourth order."""
    size = 1e-3 * (1.0 + np.abs(free))
    shift = np.diag(size)
    steps = np.concatenate([free + k * shift for k in (-2.0, -1.0, 1.0, 2.0)])
    low2, low, high, high2 = np.split(problem.law.to_natural(steps, problem.centre), 4)
    found: FloatArray = ((low2 - high2 + 8.0 * (high - low)) / (12.0 * size[:, None])).T
    return found
