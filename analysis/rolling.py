"""Rolling origin: fit the smaller runs, predict the larger, and see how far off one is.

The origin moves up each axis, and up the product of the axes (compute, for N and D). At every
position all larger runs are predicted by the fit to the smaller ones. These errors hold what
intervals of a fit cannot know: that the law is not quite the right one. ``misfit`` turns them
into a width, which is added in quadrature to the intervals of predictions beyond the data. Its
constant was chosen by leaving out one of five sources of public data at a time, see
``docs/fitting.md``.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd

from analysis.laws import FloatArray
from analysis.problem import Problem
from analysis.solver import BoolArray, Solution
from analysis.uncertainty import covariance

POSITIONS = 10  # of the origin along an axis, at most
SMALLEST = 10  # runs a fit needs before it predicts
SHARE = 0.9  # half width of the misfit, in rms errors; 0.72 to 0.99 by the source left out
UNKNOWN = 3.0  # rms error in scatters where no position leaves enough runs; 1.5 to 5.7 by task
_STARTS = 4
_ROUND = 2  # decimals of a log scale within which scales count as equal


Position = tuple[str, float, BoolArray]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One position: the fit to the runs up to it and its errors beyond.

    Attributes:
        axis: moved along; the product of all axes is called ``product``.
        cut: last scale fitted: the largest, or the smallest of an axis that shrinks with scale.
        kept: runs fitted (n,).
        error: measured less predicted of the others, on the scale of the residuals (m,).
        sd: standard deviation the fit gives a new run there (m,).
        converged: whether the fit is an optimum.
    """

    axis: str
    cut: float
    kept: BoolArray
    error: FloatArray
    sd: FloatArray
    converged: bool

    @property
    def relative(self) -> float:
        """Mean relative error of the runs predicted."""
        return float(np.abs(np.expm1(-self.error)).mean())

    @property
    def z(self) -> float:
        """Rms error in the standard deviations that the fit gives: 1 where the law holds."""
        return math.sqrt(float(np.mean((self.error / np.maximum(self.sd, 1e-12)) ** 2)))


def origins(problem: Problem, positions: list[Position] | None = None) -> list[Origin]:
    """Fits at every position of the origin; empty where none leaves enough runs.

    Args:
        problem: the law and the data.
        positions: to use; None for all that the law can be fitted at.
    """
    at = windows(problem) if positions is None else positions
    if not at:
        return []
    best = _solve(problem, np.array([kept for _, _, kept in at]))
    found = []
    for i, (axis, cut, kept) in enumerate(at):
        part = problem.part(kept, centring=problem.centre)
        free = best.free[i : i + 1]
        f, jac = problem.model(free, problem.x[~kept])
        spread = np.einsum("pn,pq,qn->n", jac[0], covariance(part, free[0]), jac[0])
        spread += float((part.residual(free) ** 2).sum()) / part.dof
        found.append(
            Origin(
                axis=axis, cut=cut, kept=kept, error=problem.target[~kept] - f[0],
                sd=np.sqrt(spread), converged=bool(best.converged[i]),
            )
        )  # fmt: skip
    return found


def windows(problem: Problem) -> list[Position]:
    """Axis, cut, and which runs lie within, for every position."""
    x, found = problem.x, []
    scales = dict(zip(problem.law.axes, x.T, strict=True))
    if len(scales) > 1:
        scales["product"] = x.prod(axis=1)
    for axis, scale in scales.items():
        shrinks = axis in problem.law.shrinks  # larger models have lower losses
        level = -np.log(scale) if shrinks else np.round(np.log(scale), _ROUND)
        cuts = np.unique(level)
        if len(cuts) > POSITIONS:
            cuts = np.unique(np.quantile(level, np.linspace(0, 1, POSITIONS + 1))[1:])
        for cut in cuts[:-1]:
            kept = level <= cut
            if not kept.all() and fitted_at(problem, kept):
                last = scale[kept].min() if shrinks else scale[kept].max()
                found.append((axis, float(last), kept))
    return found


def fitted_at(problem: Problem, kept: BoolArray) -> bool:
    """Whether the runs of a window are enough for the law."""
    few = int(kept.sum()) < max(SMALLEST, len(problem.law.parameters) + 2)
    return not few and not problem.law.problems(problem.x[kept])


def _solve(problem: Problem, keep: BoolArray) -> Solution:
    """Optima of the windows ``keep`` (W, n), each within the bounds its own runs allow."""
    first = keep.argmax(axis=1)
    seen = np.where(keep, problem.loss, problem.loss[first][:, None])
    starts = problem.starts(_STARTS)
    each = len(starts)
    lower, upper = (np.repeat(b, each, axis=0) for b in problem.bounds(seen))
    return problem.refit(
        np.clip(np.tile(starts, (len(keep), 1)), lower, upper),
        weights=np.repeat(keep, each, axis=0).astype(np.float64),
        lower=lower,
        upper=upper,
    ).best_of(each)


def rms(found: list[Origin]) -> float:
    """Root mean square over positions of the rms errors; NaN without positions."""
    kept = [float(np.mean(o.error**2)) for o in found if o.converged]
    return math.sqrt(float(np.mean(kept))) if kept else math.nan


def misfit(problem: Problem, scatter: float) -> float:
    """Half width of a 95 % interval of the law's own error beyond the data.

    On the scale of the residuals. Where no position of the origin leaves enough runs the rms
    error is taken as three scatters, which is typical.
    """
    found = rms(origins(problem))
    return SHARE * (UNKNOWN * scatter if math.isnan(found) else found)


def table(found: list[Origin]) -> pd.DataFrame:
    """One row per position: axis, cut, runs, predicted, mre (relative), rms, z, converged.

    ``z`` is the rms of errors in the standard deviations that the fit gives a new run: 1 where
    the law holds.
    """
    columns = ["axis", "cut", "runs", "predicted", "mre", "rms", "z", "converged"]
    rows = [
        (
            o.axis, o.cut, int(o.kept.sum()), len(o.error),
            o.relative, math.sqrt(float(np.mean(o.error**2))), o.z, o.converged,
        )
        for o in found
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)
