"""Evidence for and against an optimum: certificate, R2, other losses, warnings."""

from __future__ import annotations

import math

import numpy as np

from analysis.laws import FloatArray
from analysis.resampling import Bootstrap
from analysis.result import Certificate, Status
from analysis.solver import Solution
from analysis.uncertainty import DELTA_SMALLEST, Interval, Problem

_AGREE = 1e-6
_GRADIENT = 1e-5
_FEW_AGREED = 0.25
_ILL_CONDITIONED = 1e4


def certify(problem: Problem, solution: Solution, best: Solution) -> Certificate:
    """Evidence that ``best`` is the optimum, from the ``solution`` of every start."""
    law = problem.law
    lower, upper = law.bounds(problem.loss)
    width = upper - lower
    hit = (best.free[0] - lower <= 1e-9 * width) | (upper - best.free[0] <= 1e-9 * width)
    jacobian = law.log_value(best.free, problem.x, problem.centre)[1][0]
    scaled = jacobian / np.maximum(np.linalg.norm(jacobian, axis=0), 1e-300)
    objective = float(best.objective[0])
    same = solution.objective <= objective * (1 + _AGREE) + 1e-20
    return Certificate(
        objective=objective,
        delta=problem.delta,
        starts=len(solution.objective),
        agreed=float(same.mean()),
        gradient=float(best.gradient[0]),
        condition=float(np.linalg.cond(scaled)),
        bounds_hit=tuple(n for n, h in zip(law.names, hit, strict=True) if h),
    )


def status_of(certificate: Certificate) -> Status:
    """Whether an optimum with this certificate can be used."""
    if not certificate.gradient <= _GRADIENT:
        return Status.NOT_CONVERGED
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
    starts = problem.law.to_free(problem.law.guess(problem.x, problem.loss)[:8], problem.centre)
    starts = np.concatenate([best.free, starts])
    found = {}
    for name, delta in {"least squares": math.inf, "Huber, delta 0.001": DELTA_SMALLEST}.items():
        solution = problem.solve(starts, delta=delta).best()
        theta = problem.law.to_natural(solution.free, problem.centre)[0]
        found[name] = dict(zip(problem.law.names, (float(v) for v in theta), strict=True))
        found[name]["objective"] = float(solution.objective[0])
    return found


def fit_warnings(
    problem: Problem,
    theta: FloatArray,
    certificate: Certificate,
    intervals: dict[str, Interval],
    boot: Bootstrap,
) -> list[str]:
    """What a reader must know before using the fit; the gravest first."""
    found = []
    floor = intervals["E"]
    for name in certificate.bounds_hit:
        value = float(theta[problem.law.names.index(name)])
        if name == "E":
            where = "0: the data show no floor" if value <= 0 else "the smallest loss seen"
            found.append(f"E ran to {where}")
        else:
            found.append(f"{name} ran to a bound ({value:.3g}): the data do not determine it")
    if "E" not in certificate.bounds_hit and floor.low <= 0:
        found.append("E is not resolved: its interval reaches 0")
    if certificate.gradient > _GRADIENT:
        found.append(f"not converged: scaled gradient {certificate.gradient:.1e}")
    if certificate.agreed < _FEW_AGREED:
        found.append(f"only {certificate.agreed:.0%} of the starts reached the optimum")
    if certificate.condition > _ILL_CONDITIONED:
        found.append(f"ill-conditioned ({certificate.condition:.1e}): parameters trade off")
    if problem.dof < 5:
        found.append(
            f"{problem.dof} degree{'s' * (problem.dof > 1)} of freedom: intervals are rough"
        )
    if boot.unconverged:
        found.append(f"{boot.unconverged} bootstrap refits did not converge and are left out")
    return found
