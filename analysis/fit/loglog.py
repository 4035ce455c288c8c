"""Power laws fitted by least squares in logs: lines y = k x^exponent, and of several variables.

Two sources of error are kept apart, and an interval is the wider of both at each end:

* *runs*: the line refitted to resampled heights, percentiles widened by Student's t;
* *scatter*: the residuals about the line, Student's t at n - 2 degrees of freedom. It also
  holds what a resample of the runs behind each point cannot show, such as points that lie off
  the line together. Two points leave no residual, and no such interval.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from analysis.fit.bootstrap import random_factors
from analysis.fit.intervals import t_quantile
from analysis.fit.sampled import Sampled, percentile_ends
from analysis.laws import FloatArray
from analysis.text import Interval, holding


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A power law y = k x^exponent, with intervals.

    Attributes:
        exponent: slope in logs.
        interval: its 95 % interval, the wider of both sources at each end.
        interval_runs: from resampled heights; NaN where there are none.
        centre: weighted mean of log x.
        height: log y of the line there.
        scatter: standard deviation of a point of mean weight about the line, in log y.
        spread: weighted sum of squares of log x about ``centre``.
        draws: height and slope of the refits (R, 2).
        dof: degrees of freedom of the refits.
        ends: smallest and largest x.
        points: how many independent ones.
        r2: share of the variance of log y explained, weighted.
    """

    exponent: float
    interval: Interval
    interval_runs: Interval
    centre: float
    height: float
    scatter: float
    spread: float
    draws: FloatArray
    dof: int
    ends: tuple[float, float]
    points: int
    r2: float

    @property
    def coefficient(self) -> float:
        """k, in the units of y; 0 or infinite where it leaves the range of a float."""
        with np.errstate(over="ignore", under="ignore"):
            return float(np.exp(self.height - self.exponent * self.centre))

    def predict(self, x: npt.ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Y at x (m,) and the ends of its 95 % interval (of the line, not of a new point).

        Raises:
            ValueError: an x that is not positive and finite.
        """
        at = np.atleast_1d(np.asarray(x, dtype=np.float64))
        if not (np.isfinite(at).all() and (at > 0).all()):
            raise ValueError("a power law is defined at positive finite values only")
        step = np.log(at) - self.centre
        value = self.height + self.exponent * step
        low, high = percentile_ends(self.draws[:, :1] + self.draws[:, 1:] * step, value, self.dof)
        half = self.margin(step)
        with np.errstate(over="ignore", under="ignore"):
            y = np.exp(value)
            ends = np.exp(np.fmin(low, value - half)), np.exp(np.fmax(high, value + half))
        return y, *holding(y, *ends)

    def margin(self, step: FloatArray) -> FloatArray:
        """Half width from the scatter, in log y, at ``step`` (m,) from the centre in log x."""
        if self.points < 3:
            return np.full(np.shape(step), math.nan)
        error: FloatArray = self.scatter * np.sqrt(1 / self.points + step**2 / self.spread)
        return t_quantile(self.points - 2) * error


def fit_line(
    x: FloatArray,
    y: FloatArray,
    *,
    weights: FloatArray | None = None,
    draws: FloatArray | None = None,
    dof: int = 1,
    effective: int | None = None,
) -> LogLine:
    """Least squares of log y on log x.

    Args:
        x: positive (n,), at least two distinct values.
        y: positive (n,).
        weights: inverse variances of log y (n,), up to a factor; None for equal ones.
        draws: resampled log y (R, n), NaN where a resample has no such point. Resamples with
            fewer than two points are left out.
        dof: degrees of freedom of the resamples.
        effective: how many of the points are independent; None for all.

    Raises:
        ValueError: fewer than two distinct x.
    """
    log_x, log_y = np.log(x), np.log(y)
    n = len(log_x) if effective is None else effective
    w = np.ones_like(log_x) if weights is None else weights / weights.mean()
    w = w * (n / len(log_x))
    centre = float((w * log_x).sum() / w.sum())
    spread = float((w * (log_x - centre) ** 2).sum())
    if not spread > 1e-18:
        raise ValueError("a line needs two distinct values of x")
    height, slope = (float(v) for v in _lines(log_x, log_y[None], w, centre)[0])
    residual = log_y - height - slope * (log_x - centre)
    left = float((w * residual**2).sum())
    scatter = math.sqrt(left / (n - 2)) if n > 2 else math.nan
    half = t_quantile(n - 2) * scatter / math.sqrt(spread) if n > 2 else math.nan
    refits = np.empty((0, 2)) if draws is None else _lines(log_x, draws, w, centre)
    from_runs = Sampled(point=slope, samples=refits[:, 1], dof=dof).interval
    total = float((w * (log_y - (w * log_y).sum() / w.sum()) ** 2).sum())
    low, high = np.fmin(from_runs.low, slope - half), np.fmax(from_runs.high, slope + half)
    return LogLine(
        exponent=slope,
        interval=Interval(low=float(low), high=float(high)),
        interval_runs=from_runs,
        centre=centre,
        height=height,
        scatter=scatter,
        spread=spread,
        draws=refits,
        dof=dof,
        ends=(float(x.min()), float(x.max())),
        points=n,
        r2=1 - left / total if total > 0 else math.nan,
    )


def _lines(log_x: FloatArray, log_y: FloatArray, w: FloatArray, centre: float) -> FloatArray:
    """Height at ``centre`` and slope of the lines through the finite points of ``log_y`` (R, n)."""
    there = np.isfinite(log_y)
    weight = w * there
    filled = np.where(there, log_y, 0.0)
    total = np.maximum(weight.sum(axis=1, keepdims=True), 1e-300)
    mean_x = (weight * log_x).sum(axis=1, keepdims=True) / total
    mean_y = (weight * filled).sum(axis=1, keepdims=True) / total
    spread = (weight * (log_x - mean_x) ** 2).sum(axis=1)
    kept = (there.sum(axis=1) > 1) & (spread > 1e-18)
    slope = (weight * (log_x - mean_x) * (filled - mean_y)).sum(axis=1)[kept] / spread[kept]
    height = mean_y[kept, 0] + slope * (centre - mean_x[kept, 0])
    return np.stack([height, slope], axis=1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LogFit:
    """Least squares of logs.

    Attributes:
        log_k: value at 0 of all logs.
        slope: exponents, one per column.
        draws: log_k and exponents of refits (R, 1 + columns).
        scatter: residual standard deviation.
    """

    log_k: float
    slope: tuple[float, ...]
    draws: FloatArray
    r2: float
    scatter: float

    @classmethod
    def of(cls, x: FloatArray, y: FloatArray, n_boot: int, seed: int) -> LogFit:
        """Fit y (n,) to x (n, K), of which the first column is log N."""
        centre = x.mean(axis=0)
        basis = np.column_stack([np.ones(len(y)), x - centre])
        q, r = np.linalg.qr(basis)
        solved = np.linalg.solve(r, q.T @ y)
        fitted = basis @ solved
        rng = np.random.default_rng(seed)
        new = fitted + _drawn(x[:, 0], q, y - fitted, n_boot, rng)
        draws = np.linalg.solve(r, q.T @ new.T).T
        draws[:, 0] -= draws[:, 1:] @ centre
        total = float(((y - y.mean()) ** 2).sum())
        left = float(((y - fitted) ** 2).sum())
        return cls(
            log_k=float(solved[0] - solved[1:] @ centre),
            slope=tuple(map(float, solved[1:])),
            draws=draws,
            r2=1 - left / total if total > 0 else math.nan,
            scatter=math.sqrt(left / max(1, len(y) - basis.shape[1])),
        )


def _drawn(
    log_n: FloatArray, q: FloatArray, residual: FloatArray, n_boot: int, rng: np.random.Generator
) -> FloatArray:
    """Wild residuals (R, n): one random factor for a size's mean, one for a run's departure."""
    size, index, counts = np.unique(np.round(log_n, 9), return_inverse=True, return_counts=True)
    share = np.clip(1 - (q**2).sum(axis=1), 1 / len(residual), None)
    mean = np.bincount(index, residual) / counts
    line = np.vander(size - size.mean(), 2)
    hat = ((np.linalg.qr(line)[0]) ** 2).sum(axis=1)
    of_size = mean / np.sqrt(np.clip(1 - hat, 1 / len(size), None))
    of_run = (residual - mean[index]) / np.sqrt(share)
    sizes = random_factors(rng, n_boot, len(size)) * of_size
    return np.asarray(sizes[:, index] + random_factors(rng, n_boot, len(residual)) * of_run)
