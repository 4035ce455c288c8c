"""Evidence for and against an optimum: certificate, R2, other losses, warnings."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from analysis.fit.intervals import DELTA_SMALLEST
from analysis.fit.result import Fit
from analysis.fit.solve.problem import Problem
from analysis.fit.solve.solver import Solution
from analysis.fit.status import Certificate, Status
from analysis.laws import BoolArray, FloatArray

_AGREE = 1e-6
_GRADIENT = 1e-5
_FEW_REFITS = 40
_FEW_AGREED = 0.25
_ILL_CONDITIONED = 1e4
_FLAT = 1e-13  # singular value of a unit Jacobian that is a rounding error
_SHARE = 1e-6  # of a parameter in a direction that does not move the fit


def certify(problem: Problem, solution: Solution, best: Solution) -> Certificate:
    """Evidence that ``best`` is the optimum, from the ``solution`` of every start."""
    law = problem.law
    lower, upper = problem.bounds(problem.loss)
    width, moved = upper - lower, lower < upper
    hit = (best.free[0] - lower <= 1e-9 * width) | (upper - best.free[0] <= 1e-9 * width)
    gone = np.array([bool(p.vanished) for p in law.parameters]) & (
        best.free[0] - lower <= 1e-9 * width
    )
    whole = problem.model(best.free)[1][0].T
    jacobian = whole[:, moved]
    scaled = jacobian / np.maximum(np.linalg.norm(jacobian, axis=0), 1e-300)
    objective = float(best.objective[0])
    same = solution.objective <= objective * (1 + _AGREE) + 1e-20
    return Certificate(
        objective=objective,
        delta=problem.delta,
        starts=len(solution.objective),
        agreed=float(same.mean()),
        gradient=float(best.gradient[0]),
        condition=float(np.linalg.cond(scaled)) if moved.any() else 1.0,
        bounds_hit=tuple(n for n, h in zip(law.names, hit & moved & ~gone, strict=True) if h),
        vanished=tuple(n for n, h in zip(law.names, gone & moved, strict=True) if h),
        flat=_flat(whole, law.names, moved & ~hit),
    )


def _flat(jacobian: FloatArray, names: tuple[str, ...], inner: BoolArray) -> tuple[str, ...]:
    """Of the parameters that ``inner`` (P,) marks, those of directions that move no point."""
    if not (inner.any() and np.isfinite(jacobian).all()):
        return ()
    size = np.linalg.norm(jacobian, axis=0)
    scaled = (jacobian / np.where(size > 0, size, 1.0))[:, inner]
    _, singular, right = np.linalg.svd(scaled, full_matrices=False)  # there are more points
    moved = (np.abs(right[singular <= _FLAT]) > _SHARE).any(axis=0)
    return tuple(str(name) for name in np.array(names)[inner][moved])


def status_of(certificate: Certificate) -> Status:
    """Whether an optimum with this certificate can be used."""
    if not certificate.gradient <= _GRADIENT:
        return Status.NOT_CONVERGED
    if certificate.flat:
        return Status.UNIDENTIFIABLE
    return Status.AT_BOUND if certificate.bounds_hit else Status.CONVERGED


def r_squared(measured: FloatArray, fitted: FloatArray) -> float:
    """Share of the variance explained; NaN where nothing varies."""
    total = float(((measured - measured.mean()) ** 2).sum())
    return 1.0 - float(((measured - fitted) ** 2).sum()) / total if total > 0 else math.nan


def r_squared_log_excess(measured: FloatArray, fitted: FloatArray, floor: float) -> float:
    """R2 of log(loss - E): unlike R2 of the loss, not flattered by a large E."""
    above = measured > floor
    if above.sum() < 3:
        return math.nan
    return r_squared(np.log(measured[above] - floor), np.log(fitted[above] - floor))


def alternatives(problem: Problem, best: Solution) -> dict[str, dict[str, float]]:
    """The fit under least squares and under the customary delta of 1e-3."""
    starts = np.concatenate([best.free, problem.starts(3)])
    found, problem = {}, dataclasses.replace(problem, own=None)
    others = {"least squares": math.inf}
    if problem.scale.relative:
        others["Huber, delta 0.001"] = DELTA_SMALLEST
    for name, delta in others.items():
        solution = problem.solve(starts, delta=delta).best()
        theta = problem.law.to_natural(solution.free, problem.centre)[0]
        found[name] = dict(zip(problem.law.names, (float(v) for v in theta), strict=True))
        found[name]["objective"] = float(solution.objective[0])
    return found


def _flat_said(names: tuple[str, ...]) -> str:
    """What parameters of no effect mean, and what to do."""
    what = "trade off without any" if len(names) > 1 else "has no"
    return (
        f"{' and '.join(names)} {what} effect on the fit, so that values and intervals of theirs "
        f"mean nothing: hold one (fixed={{'{names[-1]}': ...}}) or leave it out of the formula"
    )


def fit_warnings(fit: Fit) -> list[str]:
    """What a reader must know before using the fit; the gravest first."""
    found = []
    problem, certificate, floor = fit.problem, fit.certificate, fit.law.floor
    for name in certificate.bounds_hit:
        value = fit.params[name]
        if name == floor:
            where = "0: the data show no floor" if value <= 0 else "the smallest loss seen"
            found.append(f"{name} ran to {where}")
        else:
            given = name in fit.options.limits
            why = "that was given" if given else "the data do not determine it"
            found.append(f"{name} ran to a bound ({value:.3g}){' ' if given else ': '}{why}")
    if certificate.flat:
        found.append(_flat_said(certificate.flat))
    free = floor is not None and floor not in (*certificate.bounds_hit, *problem.fixed)
    if free and floor is not None and fit.intervals[floor].low <= 0:
        found.append(f"{floor} is not resolved: its interval reaches 0")
    if certificate.gradient > _GRADIENT:
        found.append(f"not converged: scaled gradient {certificate.gradient:.1e}")
    if certificate.agreed < _FEW_AGREED:
        found.append(f"only {certificate.agreed:.0%} of the starts reached the optimum")
    if certificate.condition > _ILL_CONDITIONED:
        found.append(f"ill-conditioned ({certificate.condition:.1e}): parameters trade off")
    if 0 < fit.options.n_boot < _FEW_REFITS:
        found.append(f"{fit.options.n_boot} refits give intervals that are too narrow: take 200")
    if problem.dof < 5:
        found.append(
            f"{problem.dof} degree{'s' * (problem.dof > 1)} of freedom: intervals are rough"
        )
    if unconverged := fit.bootstrap.unconverged:
        found.append(f"{unconverged} bootstrap refits did not converge and are left out")
    return found
