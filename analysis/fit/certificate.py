"""The evidence for an optimum: its status, its certificate, R2, and the fit under other losses."""

from __future__ import annotations

import dataclasses
import enum
import math
from typing import Any

import numpy as np

from analysis.fit.intervals import DELTA_SMALLEST
from analysis.fit.problem import Problem
from analysis.fit.solver import Solution
from analysis.laws import BoolArray, FloatArray, Law

GRADIENT = 1e-5  # largest cosine of a gradient that counts as none
_AGREE = 1e-6
_EDGE = 1e-9  # of the width between bounds: closer to one is at it
_FLAT = 1e-13  # singular value of a unit Jacobian that is a rounding error
_SHARE = 1e-6  # of a parameter in a direction that does not move the fit


class Status(enum.StrEnum):
    """Whether the optimum can be used."""

    CONVERGED = "converged"
    AT_BOUND = "at bound"
    NOT_CONVERGED = "not converged"
    UNIDENTIFIABLE = "unidentifiable"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Evidence that the optimum is one.

    Attributes:
        objective: sum of Huber terms at the optimum.
        delta: Huber's delta, in log loss; infinite for least squares.
        starts: starting points tried.
        agreed: share of them that reached the same objective (relative 1e-6).
        gradient: largest cosine between the residuals and a free column of the Jacobian.
        condition: condition number of the scaled Jacobian in the free parameters.
        bounds_hit: parameters on a bound.
        vanished: nuisance parameters that the data put at 0, which is no bound.
        flat: parameters that may move, alone or against each other, without moving the fit at all.
    """

    objective: float
    delta: float
    starts: int
    agreed: float
    gradient: float
    condition: float
    bounds_hit: tuple[str, ...]
    vanished: tuple[str, ...] = ()
    flat: tuple[str, ...] = ()

    @classmethod
    def none(cls, delta: float, starts: int) -> Certificate:
        """Where there is no optimum, after ``starts`` attempts."""
        names = ("objective", "agreed", "gradient", "condition")
        unknown: dict[str, Any] = dict.fromkeys(names, math.nan)
        return cls(delta=delta, starts=starts, bounds_hit=(), **unknown)

    @property
    def status(self) -> Status:
        """Whether an optimum with this certificate can be used."""
        if not self.gradient <= GRADIENT:
            return Status.NOT_CONVERGED
        if self.flat:
            return Status.UNIDENTIFIABLE
        return Status.AT_BOUND if self.bounds_hit else Status.CONVERGED


def certify(problem: Problem, tried: Solution, best: Solution) -> Certificate:
    """Evidence that ``best`` (R = 1) is the optimum, from what every start came to."""
    law = problem.law
    lower, upper = problem.bounds(problem.loss)
    moved, hit = lower < upper, at_bounds(law, best.free[0], lower, upper)
    gone = _vanishing(law) & _at_lower(best.free[0], lower, upper) & moved
    whole = problem.model(best.free)[1][0].T
    jacobian = whole[:, moved]
    scaled = jacobian / np.maximum(np.linalg.norm(jacobian, axis=0), 1e-300)
    objective = float(best.objective[0])
    same = tried.objective <= objective * (1 + _AGREE) + 1e-20
    return Certificate(
        objective=objective,
        delta=problem.delta,
        starts=len(tried.objective),
        agreed=float(same.mean()),
        gradient=float(best.gradient[0]),
        condition=float(np.linalg.cond(scaled)) if moved.any() else 1.0,
        bounds_hit=tuple(n for n, h in zip(law.names, hit, strict=True) if h),
        vanished=tuple(n for n, h in zip(law.names, gone, strict=True) if h),
        flat=_flat(whole, law.names, moved & ~hit & ~gone),
    )


def at_bounds(law: Law, free: FloatArray, lower: FloatArray, upper: FloatArray) -> BoolArray:
    """Which free parameters (..., P) lie on a bound that they may leave.

    The lower bound of a nuisance parameter, where it vanishes, is none.
    """
    low = _at_lower(free, lower, upper) & ~_vanishing(law)
    return np.asarray((low | (upper - free <= _EDGE * (upper - lower))) & (lower < upper))


def _at_lower(free: FloatArray, lower: FloatArray, upper: FloatArray) -> BoolArray:
    return np.asarray(free - lower <= _EDGE * (upper - lower))


def _vanishing(law: Law) -> BoolArray:
    return np.array([bool(p.vanished) for p in law.parameters])


def _flat(jacobian: FloatArray, names: tuple[str, ...], inner: BoolArray) -> tuple[str, ...]:
    """Of the parameters that ``inner`` (P,) marks, those of directions that move no point."""
    if not (inner.any() and np.isfinite(jacobian).all()):
        return ()
    size = np.linalg.norm(jacobian, axis=0)
    scaled = (jacobian / np.where(size > 0, size, 1.0))[:, inner]
    _, singular, right = np.linalg.svd(scaled, full_matrices=False)  # there are more points
    moved = (np.abs(right[singular <= _FLAT]) > _SHARE).any(axis=0)
    return tuple(str(name) for name in np.array(names)[inner][moved])


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
    problem = dataclasses.replace(problem, own=None)
    deltas = {"least squares": math.inf}
    if problem.scale.relative:
        deltas["Huber, delta 0.001"] = DELTA_SMALLEST
    others = {}
    for name, delta in deltas.items():
        solution = problem.solve(starts, delta=delta).best()
        theta = problem.law.to_natural(solution.free, problem.centre)[0]
        others[name] = dict(zip(problem.law.names, (float(v) for v in theta), strict=True))
        others[name]["objective"] = float(solution.objective[0])
    return others
