"""The optimum of one compute budget, and the power laws of C through several.

The size of the smallest loss is read from a curve through all the runs of the budget, never
from the best run alone (Hoffmann et al. 2022, Approach 2). A line through the optima in logs is
N*(C) = k C^a, or D*(C) = k' C^b.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.compute.rows import AllocationError, times_outside
from analysis.fit.intervals import t_quantile
from analysis.fit.loglog import LogLine, fit_line
from analysis.fit.sampled import UNKNOWN, percentile_ends
from analysis.laws import FloatArray
from analysis.text import Estimate, Interval, Result, count, holding, number

CURVE_POINTS = 60
NO_RECORDS = "no column D: D*(C) is not estimated"
LEAST_RUNS = {2: 3, 3: 5}  # of a curve by its degree; published designs have three and more
LEAST_INTERPOLATED = 3  # runs of a curve that passes through them
GRID = 25  # points of such a curve per interval between runs
SMALLEST_SD = 0.33  # of log N*, in intervals between runs: a minimum is not known better


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RefusedBudget:
    """A budget whose optimum the runs do not show.

    Attributes:
        C: the budget, FLOPs.
        axis: N or D.
        runs: how many there are.
        reason: what is wrong, and what would mend it.
    """

    C: float
    axis: str
    runs: int
    reason: str

    def __str__(self) -> str:
        return f"C = {self.C:.3g}, {self.axis}: {self.reason}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Optimum:
    """The smallest loss of a budget along one axis.

    Attributes:
        x: where it is, in units of the axis.
        low: lower end of the 95 % interval of ``x``; 0 where the runs set no bound.
        high: upper end; infinite where the runs set no bound.
        loss: the curve there, nats.
        curvature: second derivative of the loss by log x there; NaN where a curve has none.
        off_centre: place between the ends of the runs in log x: 0 in the middle, -1 or 1 at one.
        width: largest over smallest x of the runs.
        weight: inverse variance of log x in the line through the budgets, up to a factor.
        draws: resampled log x (R,), NaN where a resample has no minimum between the runs.
        dof: degrees of freedom of the resamples.
        curve: x and loss of the curve (2, M).
    """

    x: float
    low: float
    high: float
    loss: float
    curvature: float
    off_centre: float
    width: float
    weight: float
    draws: FloatArray
    dof: int
    curve: FloatArray


def not_bracketed(x: float, ends: tuple[float, float], axis: str) -> str:
    """Why a minimum at ``x`` is not believed; empty when it lies between the runs."""
    if ends[0] < x < ends[1]:
        return ""
    side = "smaller" if x <= ends[0] else "larger"
    return (
        f"the minimum ({axis} = {count(x)}) is not bracketed by the runs ({axis} "
        f"{count(ends[0])} to {count(ends[1])}): add runs of {side} {axis}"
    )


def polynomial_optimum(
    x: FloatArray, loss: FloatArray, axis: str, degree: int, factors: FloatArray
) -> Optimum | str:
    """The minimum of a polynomial of the loss in log x.

    Resamples are wild: the curve plus each run's residual, divided by the root of one less its
    leverage (HC2: Student's t does the rest), times a random factor. So every size stays in
    every resample, which a draw of runs with replacement cannot promise of the 5 to 15 runs
    that a budget has. A parabola through three runs leaves no residual and its optimum no
    interval.

    Args:
        x: N or D of the runs (n,).
        loss: their losses (n,), nats.
        axis: its name.
        degree: 2 (Hoffmann et al. 2022) or 3.
        factors: random factors (R, n), see ``random_factors``.

    Returns:
        The optimum, or why there is none.
    """
    log_x, needed = np.log(x), LEAST_RUNS[degree]
    if len(x) < needed:
        return f"{len(x)} runs, at least {needed} are needed for a curve of degree {degree}"
    if (sizes := len(np.unique(np.round(log_x, 9)))) <= degree:
        return f"{sizes} distinct {axis}, at least {degree + 1} are needed"
    # log x from -1 to 1, in which the powers of a polynomial are far from collinear
    centre = float(log_x.max() + log_x.min()) / 2
    half = float(log_x.max() - log_x.min()) / 2
    u = (log_x - centre) / half
    basis = np.vander(u, degree + 1, increasing=True)
    q, r = np.linalg.qr(basis)
    coefficients = np.linalg.solve(r, q.T @ loss)
    if not _curvature(coefficients)[()] > 0:
        return "the curve opens downwards: no minimum"
    at = float(_vertex(coefficients))
    fitted = basis @ coefficients
    residual = (loss - fitted) / np.sqrt(np.maximum(1 - (q**2).sum(axis=1), 1 / len(x)))
    if len(x) == degree + 1:  # the curve passes through all runs: what is left is rounding
        residual = np.zeros_like(loss)
    drawn = np.linalg.solve(r, q.T @ (fitted + factors * residual).T).T
    ends = (float(x.min()), float(x.max()))
    if reason := not_bracketed(math.exp(centre + half * at), ends, axis):
        return reason
    dof = len(x) - degree - 1
    inverse = np.linalg.inv(r)
    low, high = -math.inf, math.inf
    if dof:
        noise = float(((loss - fitted) ** 2).sum()) / dof
        low, high = _fieller(coefficients, noise * inverse @ inverse.T, at, dof)
    optimum = math.exp(centre + half * at)
    interval = Interval(low=_exp(centre + half * low), high=_exp(centre + half * high))
    interval = interval.holding(optimum)
    grid = np.linspace(-1, 1, CURVE_POINTS)
    draws = _vertex(drawn)
    # a resample whose minimum lies outside the runs is refused, as the runs would be
    draws = np.where(np.abs(draws) < 1, draws, math.nan)
    return Optimum(
        x=optimum, low=interval.low, high=interval.high,
        loss=float(np.polyval(coefficients[::-1], at)),
        curvature=float(_curvature(coefficients)) / half**2,
        off_centre=at, width=ends[1] / ends[0], weight=1.0,
        draws=centre + half * draws, dof=dof,
        curve=np.stack([np.exp(centre + half * grid), np.polyval(coefficients[::-1], grid)]),
    )  # fmt: skip


def akima_optimum(
    x: FloatArray, loss: FloatArray, log_noisy: FloatArray, axis: str
) -> Optimum | str:
    """The median minimum of noisy Akima curves of log loss in log x.

    Args:
        x: N or D of the runs (n,), all different.
        loss: their losses (n,), nats.
        log_noisy: logs of the losses with noise (n, R).
        axis: its name.

    Returns:
        The optimum (its curvature is NaN: Akima curves are cubic by pieces), or why there is
        none: too few runs, a minimum at an end, or half of the noisy curves without one inside.
    """
    from scipy.interpolate import Akima1DInterpolator

    if len(x) < LEAST_INTERPOLATED:
        return f"{len(x)} distinct {axis}, at least {LEAST_INTERPOLATED} are needed for a curve"
    order = np.argsort(x)
    log_x = np.log(x[order])
    if not (np.diff(log_x) > 0).all():
        return f"several runs share one {axis}"
    grid = np.linspace(log_x[0], log_x[-1], GRID * (len(x) - 1))
    curve = Akima1DInterpolator(log_x, np.log(loss[order]))(grid)
    lowest = int(curve.argmin())
    ends = (float(x.min()), float(x.max()))
    if lowest in (0, len(grid) - 1):
        return not_bracketed(ends[0] if lowest == 0 else ends[1], ends, axis)
    at = Akima1DInterpolator(log_x, log_noisy[order])(grid).argmin(axis=0)
    inside = (at > 0) & (at < len(grid) - 1)
    if 2 * inside.sum() < len(at):
        side = "smaller" if (at == 0).sum() > (at == len(grid) - 1).sum() else "larger"
        return (
            f"only {inside.mean():.0%} of the noisy curves have their minimum between the runs: "
            f"add runs of {side} {axis}"
        )
    minima = grid[at[inside]]
    middle = float(np.median(minima))
    floor = SMALLEST_SD * GRID * float(grid[1] - grid[0])
    sd = max(float(minima.std()), floor) / inside.mean()
    draws = np.where(inside, grid[at], np.nan)
    below, above = percentile_ends(minima, np.asarray(middle), len(at))
    optimum = math.exp(middle)
    low, high = holding(np.asarray(optimum), np.exp(below), np.exp(above))
    half = (grid[-1] - grid[0]) / 2
    return Optimum(
        x=optimum, low=float(low), high=float(high),
        loss=float(np.exp(np.interp(middle, grid, curve))), curvature=math.nan,
        off_centre=float((middle - grid[0] - half) / half), width=ends[1] / ends[0],
        weight=float(sd**-2), draws=draws, dof=len(at),
        curve=np.stack([np.exp(grid), np.exp(curve)]),
    )  # fmt: skip


def _discriminant(c: FloatArray) -> FloatArray:
    """Square of the second derivative at the stationary points of polynomials (..., 3 or 4)."""
    cubic = c[..., 3] if c.shape[-1] > 3 else np.zeros_like(c[..., 0])
    square: FloatArray = 4 * c[..., 2] ** 2 - 12 * cubic * c[..., 1]
    return square


def _curvature(c: FloatArray) -> FloatArray:
    """Second derivative at the minimum of polynomials (..., 3 or 4); not positive for none."""
    # of a cubic's two stationary points the minimum is where the second derivative is positive
    root = np.sqrt(np.maximum(_discriminant(c), 0.0))
    return root if c.shape[-1] > 3 else 2 * c[..., 2]


def _vertex(c: FloatArray) -> FloatArray:
    """Minimum of polynomials (..., 3 or 4); NaN where there is none."""
    curvature = _curvature(c)
    # the root of the slope without cancellation, which also holds where the cubic term vanishes
    bottom = 2 * c[..., 2] + curvature if c.shape[-1] > 3 else 2 * curvature
    top = np.where((curvature > 0) & (np.abs(bottom) > 1e-300), -2 * c[..., 1], np.nan)
    vertex: FloatArray = top / np.where(np.isnan(top), 1.0, bottom)
    return vertex


def _fieller(coefficients: FloatArray, variance: FloatArray, at: float, dof: int) -> list[float]:
    """Ends of the stretch about ``at`` where the slope of the curve may be 0 (Fieller 1954).

    The slope p'(u) is a sum of the coefficients, so |p'(u)| <= t se(p'(u)) is a polynomial
    inequality: exact for normal errors. An end that no root bounds is infinite.

    Args:
        coefficients: of the curve (P,), from the constant upwards.
        variance: of the coefficients (P, P).
        at: the minimum.
        dof: degrees of freedom of the variance.
    """
    polynomial = np.polynomial.polynomial
    size = len(coefficients) - 1
    order = np.arange(1.0, size + 1)
    slope = coefficients[1:] * order
    spread = np.zeros(2 * size - 1)
    for i in range(size):
        spread[i : i + size] += order[i] * order * variance[i + 1, 1:]
    square = np.convolve(slope, slope)  # of full length, also where the last terms are 0
    roots = polynomial.polyroots(square - t_quantile(dof) ** 2 * spread)
    real = np.sort(roots[np.abs(np.imag(roots)) < 1e-9 * (1 + np.abs(roots))].real)
    below, above = real[real <= at], real[real > at]
    return [
        float(below.max()) if len(below) else -math.inf,
        float(above.min()) if len(above) else math.inf,
    ]


def _exp(value: float) -> float:
    """Exp that ends at 0 and infinity."""
    with np.errstate(over="ignore", under="ignore"):
        return float(np.exp(value))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BudgetOptima:
    """A budget and what its runs say: an optimum, or why there is none; None for no column."""

    C: float
    runs: int
    N: Optimum | str
    D: Optimum | str | None


OptimaByBudget = list[tuple[BudgetOptima, Optimum]]


def line_through(optima: OptimaByBudget, weighted: bool = False) -> LogLine:
    """The line through two or more optima in logs, weighted by their ``weight`` or not."""
    of_budgets = [o for _, o in optima]
    dof = sum(o.dof for o in of_budgets)
    return fit_line(
        np.array([b.C for b, _ in optima]),
        np.array([o.x for o in of_budgets]),
        weights=np.array([o.weight for o in of_budgets]) if weighted else None,
        draws=np.stack([o.draws for o in of_budgets], axis=1) if dof else None,
        dof=max(dof, 1),
    )


class AllocationLines(Result, ABC):
    """Power laws N*(C) = k C^a and D*(C) = k' C^b of Approaches 1 and 2; either may be missing.

    Attributes:
        N_line: N*(C), or None (see ``reason``).
        D_line: D*(C), or None.
        reason: why there is no N*(C); empty when there is one.
        warnings: what a reader must know first.
    """

    __slots__ = ()
    N_line: LogLine | None
    D_line: LogLine | None
    reason: str
    warnings: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether there is a power law N*(C)."""
        return self.N_line is not None

    @property
    def a(self) -> float:
        """Exponent of N*(C); NaN when ``reason`` says why there is none."""
        return self.N_line.exponent if self.N_line else math.nan

    @property
    def a_interval(self) -> Interval:
        """95 % interval of ``a``."""
        return self.N_line.interval if self.N_line else UNKNOWN

    @property
    def b(self) -> float:
        """Exponent of D*(C); NaN when ``reason`` or ``warnings`` say why there is none."""
        return self.D_line.exponent if self.D_line else math.nan

    @property
    def b_interval(self) -> Interval:
        """95 % interval of ``b``."""
        return self.D_line.interval if self.D_line else UNKNOWN

    def predict(self, C: npt.ArrayLike) -> pd.DataFrame:
        """Compute-optimal N and D.

        Args:
            C: compute, FLOPs, scalar or (m,).

        Returns:
            One row per C: ``C``, ``N``, ``N_low``, ``N_high``, ``D``, ``D_low``, ``D_high`` (95 %
            intervals of the lines; no D where there is no such line), ``beyond`` (how many times
            C lies outside the budgets used; 1 within).

        Raises:
            AllocationError: there is no power law (see ``reason``).
            ValueError: a C that is not positive and finite.
        """
        if self.N_line is None:
            raise AllocationError(self.reason)
        frame = pd.DataFrame({"C": np.atleast_1d(np.asarray(C, dtype=np.float64))})
        for axis, line in (("N", self.N_line), ("D", self.D_line)):
            if line is not None:
                frame[axis], frame[f"{axis}_low"], frame[f"{axis}_high"] = line.predict(frame["C"])
        return frame.assign(beyond=times_outside(frame["C"], self.N_line.ends))

    def estimates(self) -> tuple[Estimate, ...]:
        """The exponents there are, with their coefficients."""
        lines = (("a", "N* ~ C^a", self.N_line), ("b", "D* ~ C^b", self.D_line))
        return tuple(
            Estimate(
                name=name,
                value=line.exponent,
                interval=line.interval,
                meaning=f"{meaning}, coefficient {number(line.coefficient, 4)}",
            )
            for name, meaning, line in lines
            if line is not None
        )

    def numbers(self) -> dict[str, object]:
        """Exponents, coefficients, reason and warnings."""
        return {
            "a": self.a, "a_interval": self.a_interval,
            "N_coefficient": self.N_line.coefficient if self.N_line else None,
            "b": self.b, "b_interval": self.b_interval,
            "D_coefficient": self.D_line.coefficient if self.D_line else None,
            "reason": self.reason, "warnings": self.warnings,
        }  # fmt: skip

    def reason_and_warnings(self) -> tuple[str, ...]:
        """The reason, if any, before the warnings."""
        return (*((self.reason,) if self.reason else ()), *self.warnings)
