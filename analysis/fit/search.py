"""The search for the optimum: many starts, delta from their residuals, clusters, last digits.

The last digits of one optimum are Newton steps by QR, which keeps what normal equations lose.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.fit.certificate import Certificate, Status, certify
from analysis.fit.intervals import DELTA_SMALLEST, robust_delta
from analysis.fit.losses import SHRINK, huber
from analysis.fit.optimum import Optimum
from analysis.fit.options import FitOptions
from analysis.fit.problem import Problem, Scale
from analysis.fit.solver import Solution
from analysis.laws import FloatArray, Law
from analysis.studies.clusters import cells, copies, joined_clusters

THINNED = 300  # points that all starts are tried on; the best are refined on all points
FIRST = 8  # starts of the fit that delta is chosen from
_POLISHED = 30  # steps at most
_WORSE = 1e-13
_DIGITS = 4e-16  # relative error of a fitted value
_SURE = 4.0  # such errors that a residual may hold


def find_optimum(rows: pd.DataFrame, law: Law, options: FitOptions) -> Optimum:
    """The optimum of ``law`` on checked rows: columns ``trial``, the axes, the response.

    One without parameters, and its remarks why, where the rows do not determine them.
    """
    problem = _problem(rows, law, options)
    reasons = law.problems(problem.x)
    if not reasons and np.ptp(problem.loss) == 0:
        reasons = [f"all {len(rows)} values of {law.response} are equal: there is nothing to fit"]
    runs = int(problem.runs.max()) + 1
    if not reasons and runs <= problem.varied:
        reasons = [f"{runs} runs for {problem.varied} parameters"]
    none = Optimum(
        law=law,
        problem=problem,
        options=options,
        status=Status.UNIDENTIFIABLE,
        params=dict.fromkeys(law.names, math.nan),
        free=np.full(len(law.names), math.nan),
        certificate=Certificate.none(problem.delta, 0),
        remarks=tuple(reasons),
        notes=(),
    )
    if reasons:
        return none
    with np.errstate(all="ignore"):  # steps into places without a value are not taken
        starts = problem.starts()
        problem, tried = _search(problem, starts, options)
        best = polish(problem, tried.best())
        problem, together = _clustered(problem, best, options)
        theta = problem.law.to_natural(best.free, problem.centre)[0]
    if reasons := _unusable(law, best, theta, len(starts)):
        nothing, said = Certificate.none(problem.delta, len(starts)), (*together, *reasons)
        return dataclasses.replace(
            none, problem=problem, status=Status.NOT_CONVERGED, certificate=nothing, remarks=said
        )
    with np.errstate(all="ignore"):
        certificate = certify(problem, tried, best)
    lost = _without_value(problem, theta)
    gone = [p for p in law.parameters if p.name in certificate.vanished]
    return dataclasses.replace(
        none,
        problem=problem,
        status=Status.NOT_CONVERGED if lost else certificate.status,
        # those held are what was asked for, to the last digit
        params=dict(zip(law.names, theta.tolist(), strict=True)) | dict(options.fixed),
        free=best.free[0],
        certificate=certificate,
        remarks=(*together, *lost),
        notes=tuple(f"{p.name} vanishes: {p.vanished}" for p in gone),
    )


def _unusable(law: Law, best: Solution, theta: FloatArray, count: int) -> list[str]:
    """Why an optimum with natural parameters ``theta`` (P,) cannot be used; empty when it can."""
    if not np.isfinite(best.objective[0]):
        return [f"no start of {count} reached a finite objective"]
    lost = [name for name, value in zip(law.names, theta, strict=True) if not math.isfinite(value)]
    return [f"{name} is not finite: the data do not determine it" for name in lost]


def _clustered(problem: Problem, best: Solution, options: FitOptions) -> tuple[Problem, list[str]]:
    """The problem with cells as runs where their rows miss the law together, and a warning.

    Runs of a pool stay, so that laws share their resamples run by run.
    """
    residual = problem.residual(best.free)
    if options.pool is not None or not np.isfinite(residual).all():
        return problem, []
    clipped = np.clip(np.sqrt(problem.point_weights) * residual, -problem.delta, problem.delta)
    runs, said = cells(problem.x, problem.loss, problem.runs, clipped, problem.varied)
    return dataclasses.replace(problem, runs=runs), said


def _without_value(problem: Problem, theta: FloatArray) -> list[str]:
    """A warning where the formula has no value on the scale of the residuals at some rows."""
    with np.errstate(all="ignore"):
        fitted = problem.scale.forward(problem.law.value(theta, problem.x))
    lost = np.flatnonzero(~np.isfinite(fitted))
    if not lost.size:
        return []
    row = f"row {lost[0]} and {lost.size - 1} more" if lost.size > 1 else f"row {lost[0]}"
    if problem.scale.name == "linear":
        return [f"not converged: the formula has no value at {row}"]
    return [
        f"not converged: the formula is not positive at {row}, where {problem.scale.name} "
        "residuals have no value; residual='linear' takes any sign"
    ]


def _problem(frame: pd.DataFrame, law: Law, options: FitOptions) -> Problem:
    """The law bound to the rows, before delta and the prior's unit are known."""
    runs, names = pd.factorize(frame["trial"])
    x = frame[list(law.axes)].to_numpy(dtype=np.float64)
    loss = frame[law.response].to_numpy(dtype=np.float64)
    if options.pool is None:
        runs = joined_clusters(np.asarray(runs, dtype=np.intp), copies(x, loss))
    weights = None
    if options.weights is not None:
        weights = frame[options.weights].to_numpy(dtype=np.float64)
        weights = weights / weights.mean()
    return Problem(
        law=law.uncentred([*options.limits, *options.fixed]),
        x=x,
        loss=loss,
        runs=np.asarray(runs, dtype=np.intp),
        delta=options.first_delta,
        pool=_places(options.pool, names),
        scale=Scale(name=options.residual, floor=options.floor(law)),
        weights=weights,
        limits=options.all_limits(law),
        own=options.own,
    )


def _places(
    pool: Sequence[str] | None, names: pd.Index[str]
) -> tuple[npt.NDArray[np.intp], int] | None:
    """Where each run stands in the pool, and how many it holds."""
    if pool is None:
        return None
    index = pd.Index(pool).get_indexer(names)
    if (index < 0).any():
        raise ValueError(f"trial {names[index < 0][0]} is not in the pool of resamples")
    return np.asarray(index, dtype=np.intp), len(pool)


def _search(problem: Problem, starts: FloatArray, options: FitOptions) -> tuple[Problem, Solution]:
    """The problem with its delta and prior, and what every start came to.

    Of many points a sample decides which starts are best; only their answers see all points.
    """
    small = _thinned(problem)
    changes = _from_residuals(problem, small, starts[:FIRST], options)
    whole, problem = problem, dataclasses.replace(problem, **changes)
    small = problem if small is whole else dataclasses.replace(small, **changes)
    tried = small.solve(starts if small is problem else starts[::2])
    if problem.own is not None:
        return _narrowed(problem, tried)
    if small is problem:
        return problem, tried
    order = np.argsort(tried.objective, kind="stable")
    kept = np.unique(np.round(tried.free[order[:8]], 6), axis=0, return_index=True)[1]
    refined = problem.solve(tried.free[order[kept]])
    best = refined.best()
    same = tried.objective <= tried.objective.min() * (1 + 1e-6) + 1e-20
    objective = np.where(same, best.objective[0], np.inf)
    objective[int(tried.objective.argmin())] = best.objective[0]
    free = np.where(same[:, None], best.free, tried.free)
    return problem, dataclasses.replace(tried, free=free, objective=objective)


def _narrowed(problem: Problem, tried: Solution) -> tuple[Problem, Solution]:
    """Optima of a loss of one's own on all points, smoothed over less and less."""
    width, solution = problem.delta, tried
    for share in SHRINK:
        problem = dataclasses.replace(problem, delta=share * width)
        solution = problem.solve(solution.free)
    if problem.own is None:
        return problem, solution
    error = problem.model(solution.free)[0] - problem.target
    more = problem.point_weights * (problem.own.value(error) - problem.penalty.value(error))
    objective = solution.objective + more.sum(axis=1)  # the loss itself, and what a prior adds
    return problem, dataclasses.replace(solution, objective=objective)


def _thinned(problem: Problem) -> Problem:
    """The problem itself, or a sample of it where it has many points."""
    count = len(problem.loss)
    if count <= THINNED:
        return problem
    keep = np.zeros(count, dtype=bool)
    keep[np.random.default_rng(0).choice(count, THINNED, replace=False)] = True
    small = problem.part(keep, centring=problem.centre)
    return small if not problem.law.problems(small.x) else problem


def _from_residuals(
    problem: Problem, small: Problem, starts: FloatArray, options: FitOptions
) -> dict[str, Any]:
    """Delta and the unit of the prior, from the residuals of a first robust fit."""
    prior = options.prior(small.law)
    if not (options.chooses_delta or prior):
        return {}
    first = dataclasses.replace(small, own=None).solve(starts)  # a loss of one's own comes later
    residual = problem.residual(first.best().free)
    if not np.isfinite(residual).all():
        return {}
    smallest = DELTA_SMALLEST * (1.0 if small.scale.relative else small.typical)
    robust = robust_delta(residual, small.varied, smallest)
    changes: dict[str, Any] = {"delta": robust} if options.chooses_delta else {}
    return changes | ({"prior": prior, "unit": robust / 2.0} if prior else {})


def polish(problem: Problem, best: Solution) -> Solution:
    """Refine ``best`` (R = 1) until its steps are rounding errors.

    The normal equations of a batch square the condition number; a QR factorisation of the points
    within delta does not. Steps are taken while they shrink and the objective does not grow.
    """
    if problem.prior or problem.own is not None or not np.isfinite(best.objective[0]):
        return best
    lower, upper = problem.bounds(problem.loss)
    weights = problem.point_weights
    free, objective, last = best.free, float(best.objective[0]), np.inf
    for _ in range(_POLISHED):
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
        best,
        free=free,
        objective=np.array([objective]),
        gradient=np.where(known, best.gradient, 0.0),
    )


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
    low, high = (free[0] <= lower) & (gradient > 0), (free[0] >= upper) & (gradient < 0)
    move = ~(low | high | (lower == upper))  # what is not held at a bound
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
