"""Rolling origin: fit the smaller runs, predict the larger, and see how far off one is.

The origin moves up each axis, and up the product of the axes (compute, for N and D). At every
position all larger runs are predicted by the fit to the smaller ones. These errors hold what
intervals of a fit cannot know: that the law is not quite the right one. ``analysis.fit.misfit``
turns them into a width.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.fit.intervals import covariance
from analysis.fit.solve.problem import Problem
from analysis.fit.solve.solver import Solution
from analysis.laws import BoolArray, FloatArray, Law

POSITIONS = 10  # of the origin along an axis, at most
SMALLEST = 10  # runs a fit needs before it predicts
_STARTS = 2  # of a window, beside the optimum of all runs
_ROUND = 2  # decimals of a log scale within which scales count as equal
_SPREAD = math.log(10.0)  # span of an axis without logarithms, in logs


Position = tuple[str, float, BoolArray]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One position: the fit to the runs up to it and its errors beyond.

    Attributes:
        axis: moved along; the product of all axes is called ``product``.
        cut: largest scale fitted.
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


def origins(
    problem: Problem, positions: list[Position] | None = None, fits: Solution | None = None
) -> list[Origin]:
    """Fits at every position of the origin; empty where none leaves enough runs.

    Args:
        problem: the law and the data.
        positions: to use; None for all that the law can be fitted at.
        fits: optima at these positions, where they are known already.
    """
    at = windows(problem) if positions is None else positions
    if not at:
        return []
    best = solve(problem, [kept for _, _, kept in at]) if fits is None else fits
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


def levels(law: Law, x: FloatArray, data: FloatArray) -> dict[str, FloatArray]:
    """How large runs at ``x`` (m, K) are along each axis, and along the product of all (m,).

    Logs of the scales, with the sign turned where a smaller scale is the larger run (another
    loss). An axis on which ``data`` (n, K) are not all positive is taken as it is, its span being
    a factor of ten. Axes that name a group have no size.
    """
    found: dict[str, FloatArray] = {}
    for k, axis in enumerate(law.axes):
        if axis in law.labels:
            continue
        if (data[:, k] > 0).all():
            with np.errstate(all="ignore"):
                level = np.log(x[:, k])
        else:
            level = x[:, k] / max(float(np.ptp(data[:, k])), np.finfo(float).tiny) * _SPREAD
        found[axis] = -level if axis in law.descends else level
    if len(found) > 1:
        found["product"] = np.sum(list(found.values()), axis=0)
    return found


def windows(problem: Problem) -> list[Position]:
    """Axis, cut, and which runs lie within, for every position."""
    found = []
    for axis, exact in levels(problem.law, problem.x, problem.x).items():
        level = np.round(exact, _ROUND)
        cuts = np.unique(level)
        if len(cuts) > POSITIONS:
            cuts = np.unique(np.quantile(level, np.linspace(0, 1, POSITIONS + 1))[1:])
        for cut in cuts[:-1]:
            kept = level <= cut
            if not kept.all() and fitted_at(problem, kept):
                last = int(np.where(kept, exact, -np.inf).argmax())
                found.append((axis, _scale(problem, axis, last), kept))
    return found


def _scale(problem: Problem, axis: str, row: int) -> float:
    """Scale of a run along an axis or the product of all."""
    x = problem.x[row]
    if axis != "product":
        return float(x[problem.law.axes.index(axis)])
    return float(np.prod([v for a, v in zip(problem.law.axes, x, strict=True)
                          if a not in problem.law.labels]))  # fmt: skip


def halves(problem: Problem) -> list[BoolArray]:
    """The larger half of the runs along each axis and the product, where the law can be fitted."""
    found: list[BoolArray] = []
    for exact in levels(problem.law, problem.x, problem.x).values():
        level = np.round(exact, _ROUND)
        kept: BoolArray = level >= np.quantile(level, 0.5)
        if kept.all():  # half of the runs share the smallest scale
            kept = level > level.min()
        if not kept.all() and fitted_at(problem, kept):
            found.append(kept)
    return found


def fitted_at(problem: Problem, kept: BoolArray) -> bool:
    """Whether the runs of a window are enough for the law."""
    few = int(kept.sum()) < max(SMALLEST, len(problem.law.parameters) + 2)
    return not few and not problem.law.problems(problem.x[kept])


def solve(
    problem: Problem, windows: Sequence[BoolArray], optimum: FloatArray | None = None
) -> Solution:
    """Optima for the runs that each of ``windows`` (n,) keeps, within the bounds these allow.

    Args:
        problem: the law and the data.
        windows: which runs to fit.
        optimum: of all runs, as free parameters (1, P), to start from as well.
    """
    if not windows:
        return Solution.none(len(problem.law.parameters))
    keep = np.array(windows)
    first = keep.argmax(axis=1)
    seen = np.where(keep, problem.loss, problem.loss[first][:, None])
    starts = problem.starts(_STARTS if optimum is not None else 2 * _STARTS)
    if optimum is not None:
        starts = np.concatenate([optimum, starts])
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
