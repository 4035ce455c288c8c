"""Refits to part of the points, all at once: without each run, the largest losses, a scale.

They are the same problem with other weights, and are solved together, each within the bounds
that its own points allow.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.checks.sensitivity_result import Refit
from analysis.fit.certificate import Status
from analysis.fit.result import Fit
from analysis.fit.solve.problem import Problem
from analysis.fit.solve.solver import Solution
from analysis.laws import BoolArray, FloatArray

SHARES = (0.0, 0.05, 0.1, 0.2)  # of the points left out for their large losses, at least one
STARTS = 4
_FEW = 300  # points up to which refits without a run try more than the optimum
_GRADIENT = 1e-5


def without_runs(fit: Fit) -> tuple[list[Refit], pd.DataFrame]:
    """Refits to fewer points, and the influence of every run."""
    runs = fit.problem.runs
    each = runs != np.arange(int(runs.max()) + 1)[:, None]
    places = (~each).argmax(axis=1)
    trials = fit.rows["trial"].to_numpy()[places]
    labels, keep = _parts(fit)
    labels = [*(("without run", str(t)) for t in trials), *labels]
    kept = np.concatenate([each, keep])
    refits = refits_of(fit, labels, _solve(fit.problem, fit.free, kept), kept)
    influence = _influence(fit, refits[: len(each)], places)
    most = int(np.flatnonzero(trials == influence["trial"].iloc[0])[0])
    return [refits[most], *refits[len(each) :]], influence


def _parts(fit: Fit) -> tuple[list[tuple[str, str]], BoolArray]:
    """Which points to keep (K, n): not the largest losses, the smallest scales, or duplicates."""
    x, loss = fit.problem.x, fit.problem.loss
    order = np.argsort(-loss, kind="stable")
    found = []
    for count in sorted({max(1, int(share * len(loss))) for share in SHARES}):
        keep = np.ones(len(loss), dtype=bool)
        keep[order[:count]] = False
        label = f"largest {fit.law.response}, {count} point{'s' * (count > 1)}"
        found.append((("without", label), keep))
    for k, axis in enumerate(fit.law.axes):
        found.append((("without", f"smallest {axis}"), x[:, k] > x[:, k].min()))
    doubled = fit.rows.duplicated([*fit.law.axes, fit.law.response]).to_numpy()
    if doubled.any():
        found.append((("without", "duplicates"), ~doubled))
    return [label for label, _ in found], np.array([keep for _, keep in found])


def _solve(problem: Problem, free: FloatArray, keep: BoolArray) -> Solution:
    """Optima for the points ``keep`` (K, n), each within the bounds its own points allow."""
    starts = free[None]
    if len(problem.loss) <= _FEW:
        starts = np.concatenate([starts, problem.starts(STARTS)])
    lower, upper = (np.repeat(b, len(starts), axis=0) for b in _bounds(problem, keep))
    return problem.solve(
        np.clip(np.tile(starts, (len(keep), 1)), lower, upper),
        weights=np.repeat(keep, len(starts), axis=0).astype(np.float64), lower=lower, upper=upper,
    ).best_of(len(starts))  # fmt: skip


def _bounds(problem: Problem, keep: BoolArray) -> tuple[FloatArray, FloatArray]:
    first = keep.argmax(axis=1)
    return problem.bounds(np.where(keep, problem.loss, problem.loss[first][:, None]))


def refits_of(
    fit: Fit, labels: list[tuple[str, str]], solution: Solution, keep: BoolArray
) -> list[Refit]:
    """Solutions for the points ``keep`` (K, n) as refits, with their status."""
    problem, law = fit.problem, fit.law
    lower, upper = _bounds(problem, keep)
    width = upper - lower
    room = np.minimum(solution.free - lower, upper - solution.free)
    gone = np.array([bool(p.vanished) for p in law.parameters])
    room = np.where(gone, upper - solution.free, room)
    hit = np.any((room <= 1e-9 * width) & (width > 0), axis=1).tolist()
    runs = np.array([len(np.unique(problem.runs[k])) for k in keep])
    known = law.identifiable(problem.x, keep.astype(np.float64)) & (runs > problem.varied)
    theta = np.where(known[:, None], law.to_natural(solution.free, problem.centre), np.nan)
    found = []
    for i, (choice, value) in enumerate(labels):
        status = Status.AT_BOUND if hit[i] else Status.CONVERGED
        if not known[i]:
            status = Status.UNIDENTIFIABLE
        elif not solution.gradient[i] <= _GRADIENT:
            status = Status.NOT_CONVERGED
        objective = float(solution.objective[i]) if known[i] else np.nan
        found.append(
            Refit(
                choice=choice, value=value, theta=theta[i], objective=objective,
                comparable=False, status=status, points=int(keep[i].sum()),
            )
        )  # fmt: skip
    return found


def _influence(fit: Fit, refits: list[Refit], places: npt.NDArray[np.intp]) -> pd.DataFrame:
    """Change of each parameter without each run, in standard errors; the largest first."""
    rows = fit.rows.iloc[places][["trial", *fit.law.axes, fit.law.response]]
    theta, point = np.array([r.theta for r in refits]), fit.theta
    error = np.array([fit.errors[n] for n in fit.law.names])
    positive = np.array([p.positive for p in fit.law.parameters])
    with np.errstate(all="ignore"):
        moved = np.where(positive, point * np.log(theta / point), theta - point)
        change = np.where(moved == 0.0, 0.0, moved / error)
    found = rows.reset_index(drop=True).assign(
        **dict(zip(fit.law.names, change.T, strict=True)),
        largest=np.where(np.isfinite(change), np.abs(change), -np.inf).max(axis=1),
        status=[str(r.status) for r in refits],
    )
    return found.sort_values("largest", ascending=False, kind="stable", ignore_index=True)
