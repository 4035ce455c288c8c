"""How far a fit can be believed: intervals, covariance, held-out error.

Percentile intervals of few points are too short; their half widths are widened by the ratio
of Student's t to the normal quantile at n - P degrees of freedom.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from analysis.laws import FloatArray, Law
from analysis.solver import Solution, minimise

LEVEL = 0.95
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

    def union(self, other: Interval) -> Interval:
        """Smallest interval that holds both."""
        return Interval(low=min(self.low, other.low), high=max(self.high, other.high))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A law bound to data: what every refit shares.

    Attributes:
        law: the law.
        x: scales (n, K).
        loss: losses (n,), in nats.
        runs: index of the run of each point (n,), from 0.
        delta: Huber's delta, in log loss.
        pool: runs that resamples are drawn for, of which these are a part: where each run of
            these stands in it (an index), and how many it holds. None for these runs alone.
    """

    law: Law
    x: FloatArray
    loss: FloatArray
    runs: npt.NDArray[np.intp]
    delta: float
    pool: tuple[npt.NDArray[np.intp], int] | None = None

    @property
    def centre(self) -> FloatArray:
        """Centre of the scales."""
        return self.law.centre(self.x)

    @property
    def dof(self) -> int:
        """Runs less parameters, at least 1."""
        return max(1, int(self.runs.max()) + 1 - len(self.law.parameters))

    @property
    def drawn(self) -> tuple[npt.NDArray[np.intp], int]:
        """Where each point's run stands among the runs drawn (n,), and how many are drawn."""
        if self.pool is None:
            return self.runs, int(self.runs.max()) + 1
        return self.pool[0][self.runs], self.pool[1]

    def solve(
        self,
        starts: FloatArray,
        *,
        target: FloatArray | None = None,
        weights: FloatArray | None = None,
        lower: FloatArray | None = None,
        upper: FloatArray | None = None,
        delta: float | None = None,
    ) -> Solution:
        """Minimise from free ``starts`` (R, P), with other targets, weights or bounds."""
        centre = self.centre
        log_loss = np.log(self.loss) if target is None else target
        low, high = self.law.bounds(np.exp(log_loss))
        return minimise(
            lambda free, _: self.law.log_value(free, self.x, centre),
            starts,
            log_loss,
            low if lower is None else lower,
            high if upper is None else upper,
            delta=self.delta if delta is None else delta,
            weights=weights,
        )


def t_quantile(dof: int) -> float:
    """Two-sided 95 % quantile of Student's t."""
    from scipy.stats import t

    return float(t.ppf(0.5 + LEVEL / 2, dof))


def noise_variance(residual: FloatArray, delta: float, dof: int) -> float:
    """Variance of an M-estimator's score over its squared slope (Huber 1981, section 7.6).

    For least squares it is the residual sum of squares over the degrees of freedom.
    """
    inside = np.abs(residual) <= delta
    psi = np.clip(residual, -delta, delta)
    slope = max(float(inside.mean()), 1.0 / len(residual))
    return float((psi**2).sum()) / dof / slope**2


def robust_delta(residual: FloatArray, parameters: int) -> float:
    """Huber's delta: two robust standard deviations of the residuals, at least 1e-3.

    It is 99 % efficient for normal noise (Huber 1981).

    Args:
        residual: log residuals (n,) of a nearly-least-absolute-deviations fit, which passes
            through about as many points as it has parameters.
        parameters: so the median is over the other n - P residuals, the largest.
    """
    size = np.sort(np.abs(residual))[parameters:]
    return max(DELTA_SMALLEST, _EFFICIENT * float(np.median(size)) / 0.6745)


def leverages(jacobian: FloatArray) -> FloatArray:
    """Diagonal of the hat matrix of ``jacobian`` (n, P); in [0, 1]."""
    basis = np.linalg.svd(jacobian, full_matrices=False)
    keep = basis[1] > basis[1][0] * 1e-10
    hat: FloatArray = (basis[0][:, keep] ** 2).sum(axis=1)
    return np.clip(hat, 0.0, 1.0)


def covariance(problem: Problem, free: FloatArray) -> FloatArray:
    """Linear covariance (P, P) of the free parameters at ``free`` (P,)."""
    log_f, jacobian = problem.law.log_value(free[None], problem.x, problem.centre)
    residual = np.log(problem.loss) - log_f[0]
    variance = noise_variance(residual, problem.delta, problem.dof)
    result: FloatArray = np.linalg.pinv(jacobian[0].T @ jacobian[0], rcond=1e-12) * variance
    return result


def widened(samples: FloatArray, point: FloatArray, dof: int) -> tuple[FloatArray, FloatArray]:
    """Percentile interval of ``samples`` (R, ...) with half widths about ``point`` widened.

    The factor is Student's t over the normal quantile, for small samples.
    """
    from scipy.stats import norm

    factor = t_quantile(dof) / float(norm.ppf(0.5 + LEVEL / 2))
    low, high = np.quantile(samples, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2], axis=0)
    return point - factor * np.maximum(point - low, 0), point + factor * np.maximum(high - point, 0)


def parameter_intervals(
    law: Law, theta: FloatArray, samples: FloatArray, dof: int
) -> dict[str, Interval]:
    """Intervals of natural parameters ``theta`` (P,) from ``samples`` (R, P), within bounds."""
    found = {}
    for i, parameter in enumerate(law.parameters):
        if not len(samples):
            found[parameter.name] = Interval(low=math.nan, high=math.nan)
            continue
        values, point = samples[:, i], theta[i]
        if parameter.positive:
            low, high = (np.exp(v) for v in widened(np.log(values), np.log(point), dof))
        else:
            low, high = widened(values, point, dof)
        found[parameter.name] = Interval(
            low=max(float(low), parameter.lower), high=min(float(high), parameter.upper)
        )
    return found


def extrapolation_factor(problem: Problem) -> float:
    """How much further held-out runs lie from their prediction than the law alone explains.

    For each axis the runs at its largest scale are left out, the law is fitted to the rest,
    and each run left out is compared with its prediction in units of the predicted standard
    deviation (linear, for a new run). Returns the root mean square, at least 1: intervals
    outside the range of the data are widened by it, because there the law's form is a guess.
    """
    scores: list[FloatArray] = []
    for k in range(len(problem.law.axes)):
        kept = problem.x[:, k] < problem.x[:, k].max()
        if problem.law.problems(problem.x[kept]):
            continue
        part = dataclasses.replace(
            problem,
            x=problem.x[kept],
            loss=problem.loss[kept],
            runs=np.unique(problem.runs[kept], return_inverse=True)[1],
            pool=None,
        )
        starts = part.law.to_free(part.law.guess(part.x, part.loss), part.centre)
        free = part.solve(starts).best_of(len(starts)).free
        variance = covariance(part, free[0])
        residual = np.log(part.loss) - part.law.log_value(free, part.x, part.centre)[0][0]
        log_f, jacobian = part.law.log_value(free, problem.x[~kept], part.centre)
        spread = np.einsum("np,pq,nq->n", jacobian[0], variance, jacobian[0])
        spread += (residual**2).sum() / part.dof
        scores.append((np.log(problem.loss[~kept]) - log_f[0]) ** 2 / np.maximum(spread, 1e-24))
    if not scores:
        return 1.0
    return max(1.0, math.sqrt(float(np.concatenate(scores).mean())))
