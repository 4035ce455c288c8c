"""Rolling origin, and the law's own error beyond the data, which no resampling shows.

Intervals of a fit hold the error of its parameters, given that the law is the right one. Two
things show that it is not quite: larger runs do not lie where fits to smaller ones put them, and a
fit to the larger half of the runs does not agree with the fit to all. The first tells how fast the
error grows with distance, the second which way it goes at the very point asked for. Both are kept
by side: a floor that is set too high, the usual mistake, puts larger runs below the curve and not
above.

The origin moves up each axis, and up the product of the axes (compute, for N and D). At every
position all larger runs are predicted by the fit to the smaller ones.

Distance is measured in the law's own terms: how far a point lies beyond the data in compute (the
product of the axes), how far its reducible loss has fallen below the smallest fitted, where the
error of the floor is laid bare, and how far it lies outside on its worst axis. The constants were
chosen on public data and on simulated worlds, see ``docs/fitting.md``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from analysis.fit.intervals import covariance
from analysis.fit.problem import Problem
from analysis.fit.solver import Solution
from analysis.laws import BoolArray, FloatArray, Law

POSITIONS = 10  # of the origin along an axis, at most
SMALLEST = 10  # runs a fit needs before it predicts
_STARTS = 2  # of a window, beside the optimum of all runs
_ROUND = 2  # decimals of a log scale within which scales count as equal
_SPREAD = math.log(10.0)  # span of an axis without logarithms, in logs
ROLLING = 0.5  # half width at growth 1, in rolling-origin rms errors at growth 1
HALVES = 1.5  # half width in rms differences between fits to a larger half and to all
POWER = 1.25  # of distance, by which the rms error grows
START = 0.3  # distance at which it begins
SIDE = 0.7  # a side has at least this share of the two sides' rms: few windows tell sides apart
UNKNOWN = 3.0  # rms error in scatters where no position leaves enough runs; 1.5 to 5.7 by task
_REDUCIBLE, _AXIS = 2.0, 0.3  # weights in a distance beside that of compute
_EDGE = 0.3  # distance over which the error sets in
_FAR = 100.0  # log of a factor that no scale reaches, for points without a logarithm
TYPICAL = math.log(4.0)

Position = tuple[str, float, BoolArray]  # axis, cut, and the runs within (n,)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One position: the fit to the runs up to it and its errors beyond.

    Attributes:
        error: measured less predicted of the others, on the scale of the residuals (m,).
        sd: standard deviation the fit gives a new run there (m,).
        converged: whether the fit is an optimum.
    """

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

    Without ``positions`` all that the law can be fitted at; ``fits`` are the optima, if known.
    """
    at = windows(problem) if positions is None else positions
    if not at:
        return []
    best = solve(problem, [kept for _, _, kept in at]) if fits is None else fits
    judged = []
    for i, (_, _, kept) in enumerate(at):
        part = problem.part(kept, centring=problem.centre)
        free = best.free[i : i + 1]
        f, jac = problem.model(free, problem.x[~kept])
        spread = np.einsum("pn,pq,qn->n", jac[0], covariance(part, free[0]), jac[0])
        spread += float((part.residual(free) ** 2).sum()) / part.dof
        judged.append(
            Origin(
                error=problem.target[~kept] - f[0],
                sd=np.sqrt(spread),
                converged=bool(best.converged[i]),
            )
        )
    return judged


def levels(law: Law, x: FloatArray, data: FloatArray) -> dict[str, FloatArray]:
    """How large runs at ``x`` (m, K) are along each axis, and along the product of all (m,).

    Logs of the scales, with the sign turned where a smaller scale is the larger run (another
    loss). An axis on which ``data`` (n, K) are not all positive is taken as it is, its span being
    a factor of ten. Axes that name a group have no size.
    """
    sizes: dict[str, FloatArray] = {}
    for k, axis in enumerate(law.axes):
        if axis in law.labels:
            continue
        if (data[:, k] > 0).all():
            with np.errstate(all="ignore"):
                level = np.log(x[:, k])
        else:
            level = x[:, k] / max(float(np.ptp(data[:, k])), np.finfo(float).tiny) * _SPREAD
        sizes[axis] = -level if axis in law.descends else level
    if len(sizes) > 1:
        sizes["product"] = np.sum(list(sizes.values()), axis=0)
    return sizes


def windows(problem: Problem) -> list[Position]:
    """Axis, cut, and which runs lie within, for every position."""
    positions = []
    for axis, exact in levels(problem.law, problem.x, problem.x).items():
        level = np.round(exact, _ROUND)
        cuts = np.unique(level)
        if len(cuts) > POSITIONS:
            cuts = np.unique(np.quantile(level, np.linspace(0, 1, POSITIONS + 1))[1:])
        for cut in cuts[:-1]:
            kept = level <= cut
            if not kept.all() and fitted_at(problem, kept):
                last = int(np.where(kept, exact, -np.inf).argmax())
                positions.append((axis, _scale(problem, axis, last), kept))
    return positions


def _scale(problem: Problem, axis: str, row: int) -> float:
    """Scale of a run along an axis or the product of all."""
    law = problem.law
    named = [a for a in law.axes if a not in law.labels] if axis == "product" else [axis]
    return float(np.prod([problem.x[row, law.axes.index(a)] for a in named]))


def halves(problem: Problem) -> list[BoolArray]:
    """The larger half of the runs along each axis and the product, where the law can be fitted."""
    larger: list[BoolArray] = []
    for exact in levels(problem.law, problem.x, problem.x).values():
        level = np.round(exact, _ROUND)
        kept: BoolArray = level >= np.quantile(level, 0.5)
        if kept.all():  # half of the runs share the smallest scale
            kept = level > level.min()
        if not kept.all() and fitted_at(problem, kept):
            larger.append(kept)
    return larger


def fitted_at(problem: Problem, kept: BoolArray) -> bool:
    """Whether the runs of a window are enough for the law."""
    few = int(kept.sum()) < max(SMALLEST, len(problem.law.parameters) + 2)
    return not few and not problem.law.problems(problem.x[kept])


def solve(
    problem: Problem, windows: Sequence[BoolArray], optimum: FloatArray | None = None
) -> Solution:
    """Optima for the runs that each of ``windows`` (n,) keeps, within the bounds these allow.

    They start from the ``optimum`` of all runs, free parameters (1, P), as well.
    """
    if not windows:
        return Solution.none(len(problem.law.parameters))
    starts = problem.starts(_STARTS if optimum is not None else 2 * _STARTS)
    if optimum is not None:
        starts = np.concatenate([optimum, starts])
    return problem.optima(np.array(windows), starts, refit=True)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """How far the law itself may be off outside the data, by side.

    Attributes:
        theta: natural parameters of the fit to all runs (P,).
        free: the same as free parameters (P,).
        below: rms error of predictions that were too high, over its growth with distance, on the
            scale of the residuals.
        above: the same of predictions that were too low.
        parts: free parameters of fits to the larger half of the runs along each axis (R, P).
        judged: how far outside its data a fit to smaller runs was judged by larger ones: logs of
            factors as ``outside`` gives them (3,); 0 where none was.
        scatter: of a run, on the scale of the residuals.
    """

    problem: Problem
    theta: FloatArray
    free: FloatArray
    below: float
    above: float
    parts: FloatArray
    judged: FloatArray
    scatter: float

    @property
    def typical(self) -> float:
        """Half width at four times the largest compute, mean of both sides, by rolling origin."""
        return ROLLING * float(growth(TYPICAL)) * (self.below + self.above) / 2.0

    def outside(self, x: FloatArray) -> FloatArray:
        """Logs of the factors by which points ``x`` (m, K) lie outside the data: (3, m)."""
        return outside(self.problem, self.theta, x, self.problem.x)

    def widths(
        self, x: FloatArray, logs: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """What intervals at ``x`` (m, K) gain below and above, in quadrature (m,); 0 within.

        ``logs`` (3, m) are those of ``outside``, where they are known.
        """
        far = distance(self.outside(x) if logs is None else logs)
        rolled = ROLLING * growth(far)
        lower, upper = _by_side(self._differences(x))
        edge = -np.expm1(-far / _EDGE)
        sides = (
            np.hypot(rolled * own, HALVES * half)
            for own, half in ((self.below, lower), (self.above, upper))
        )
        down, up = (edge * np.where(far > 0, each, 0.0) for each in sides)
        return down, up

    def untested(self, logs: FloatArray) -> npt.NDArray[np.bool_]:
        """Which points lie farther out than any run judged, by their ``outside`` (3, m)."""
        further = logs > self.judged[:, None] + 1e-9
        return np.asarray(further.any(axis=0), dtype=np.bool_)

    def _differences(self, x: FloatArray) -> FloatArray:
        """Predictions of the fits to larger halves less that of the fit to all (R, m)."""
        if not len(self.parts):
            return self.scatter * np.array([[-1.0], [1.0]]) * np.ones(len(x))
        apart = self.problem.model(self.parts, x)[0] - self.problem.model(self.free[None], x)[0]
        return np.where(np.isfinite(apart), apart, 0.0)


def growth(distance: npt.ArrayLike) -> FloatArray:
    """How the rms error grows with distance, such as the log of the factor of compute."""
    return np.asarray((START + np.asarray(distance, dtype=np.float64)) ** POWER)


def misfit(problem: Problem, best: Solution, scatter: float) -> Misfit:
    """The law's own error beside ``best`` (R = 1), from smaller runs and the larger half of them.

    Where no position of the origin leaves enough runs, the rms error is taken as three times the
    ``scatter`` of a run (on the scale of the residuals), which is typical.
    """
    theta = problem.law.to_natural(best.free, problem.centre)[0]
    at, larger = windows(problem), halves(problem)
    fits = solve(problem, [kept for _, _, kept in at] + larger, best.free)
    small, parts = fits.at(np.arange(len(at))), fits.at(np.arange(len(at), len(at) + len(larger)))
    below, above, judged = _rolled(problem, at, origins(problem, at, small), small)
    if not judged.any():
        below = above = UNKNOWN * scatter
    both = math.hypot(below, above) / math.sqrt(2.0)
    return Misfit(
        problem=problem,
        theta=theta,
        free=best.free[0],
        below=max(below, SIDE * both),
        above=max(above, SIDE * both),
        parts=parts.free[parts.converged],
        judged=judged,
        scatter=scatter,
    )


def _rolled(
    problem: Problem, at: list[Position], judgements: list[Origin], small: Solution
) -> tuple[float, float, FloatArray]:
    """Rms errors below and above over their growth, and how far outside was judged (3,)."""
    sums, weights, judged = [], [], np.zeros(3)
    for (_, _, kept), origin, free in zip(at, judgements, small.free, strict=True):
        if not (origin.converged and np.isfinite(origin.error).all()):
            continue
        theta = problem.law.to_natural(free[None], problem.centre)[0]
        beyond = outside(problem, theta, problem.x[~kept], problem.x[kept])
        far = distance(beyond)
        out = far > 0
        if not out.any():
            continue
        sides = _by_side((origin.error[out] / growth(far[out]))[:, None])
        if not np.isfinite(np.square(sides)).all():  # a small window's formula ran away
            continue
        sums.append(sides)
        weights.append(float(kept.sum()))  # a fit to more runs is more like the one judged
        judged = np.maximum(judged, beyond.max(axis=1))
    if not sums:
        return 0.0, 0.0, judged
    squares = np.array([(float(low[0]) ** 2, float(high[0]) ** 2) for low, high in sums])
    low, high = np.sqrt(np.average(squares, axis=0, weights=weights))
    return float(low), float(high), judged


def _by_side(error: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rms of the negative and of the positive ``error`` (R, m), each as if it had all the mass."""
    low, high = (
        np.sqrt(2.0 * np.mean(np.square(side), axis=0))
        for side in (np.minimum(error, 0.0), np.maximum(error, 0.0))
    )
    return low, high


def distance(outside: FloatArray) -> FloatArray:
    """One distance (m,) of the logs that ``outside`` gives (3, m): 0 within; see the module."""
    axis, product, reducible = outside
    return np.asarray(np.sqrt(product**2 + (_REDUCIBLE * reducible) ** 2 + (_AXIS * axis) ** 2))


def outside(problem: Problem, theta: FloatArray, x: FloatArray, data: FloatArray) -> FloatArray:
    """Logs of the factors by which points ``x`` (m, K) lie outside ``data`` (n, K): (3, m).

    Of their worst axis, of the product of the axes, and of the reducible response: how many
    times it lies below the smallest fitted. 0 within. A response that may cross 0, of a law
    without a floor under linear residuals, has no reducible part.
    """
    law = problem.law
    places = [k for k, axis in enumerate(law.axes) if axis in law.labels]
    if places:  # laws fitted together: each part has data of its own
        found = np.zeros((3, len(x)))
        for label in np.unique(x[:, places], axis=0):
            mine, own = ((rows[:, places] == label).all(axis=1) for rows in (x, data))
            if own.any():
                found[:, mine] = _outside(problem, theta, x[mine], data[own])
        return found
    return _outside(problem, theta, x, data)


def _outside(problem: Problem, theta: FloatArray, x: FloatArray, data: FloatArray) -> FloatArray:
    """``outside`` for points and data of one part (3, m)."""
    law = problem.law
    at, fitted = levels(law, x, data), levels(law, data, data)
    by = {
        name: np.maximum(np.maximum(at[name] - v.max(), v.min() - at[name]), 0.0)
        for name, v in fitted.items()
    }
    axis = np.max([v for name, v in by.items() if name != "product"], axis=0)
    floor = 0.0 if law.floor is None else theta[law.names.index(law.floor)]
    with np.errstate(all="ignore"):
        left, least = law.value(theta, x) - floor, np.min(law.value(theta, data) - floor)
        fallen = np.log(least / left)
    reducible = np.zeros(len(x))
    if (law.floor is not None or problem.scale.relative) and least > 0:
        reducible = np.where(left > 0, np.maximum(fallen, 0.0), np.where(left <= 0, _FAR, 0.0))
    logs = np.stack([axis, by.get("product", axis), reducible])
    known = np.nan_to_num(logs, nan=_FAR, posinf=_FAR)  # a scale without a level is no scale
    # without rounding errors of points at the very edge of the data, and finite
    return np.where(known > 1e-9, np.minimum(known, _FAR), 0.0)
