"""Profile of a parameter: how much worse the fit becomes when it is held elsewhere."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from analysis.fit.intervals import mean_slope, noise_variance, t_quantile
from analysis.fit.solve.problem import Problem
from analysis.fit.solve.solver import IndexArray, Solution
from analysis.laws import FloatArray
from analysis.text.numbers import Interval

PROFILE_POINTS = 41
_SWEEPS = 10
_ITERATIONS = 100
_BETTER = 1e-6  # of the objective: less cannot be seen in an interval


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Objective when one parameter is held at each of several values.

    Attributes:
        name: the parameter.
        value: values it is held at (M,).
        deviance: rise of the objective over its smallest, in units of its noise (M,); under
            the law it is the square of a Student t with n - P degrees of freedom.
        free: constrained optima (M, P).
        interval: where the deviance stays below the 95 % quantile.
    """

    name: str
    value: FloatArray
    deviance: FloatArray
    free: FloatArray
    interval: Interval


def profile(problem: Problem, best: Solution, name: str) -> Profile:
    """Objective along parameter ``name``, by refits from the optimum outwards.

    Each point starts from the optimum and from the law's own guesses, then from the answers of
    its neighbours until none improves, so that no point stops early.

    Raises:
        ValueError: the parameter's free and natural forms differ, as those of amplitudes do.
    """
    law, index = problem.law, problem.law.names.index(name)
    if law.parameters[index].form != "same":
        raise ValueError(f"{name} has no profile: only E and exponents have one")
    lower, upper = problem.bounds(problem.loss)
    values = np.union1d(
        np.linspace(lower[index], upper[index], PROFILE_POINTS), best.free[0, index]
    )
    found = _constrained(problem, best, index, values)
    residual, loss = -problem.residual(best.free), problem.penalty
    unit = noise_variance(residual, loss, problem.dof) * mean_slope(residual, loss)
    rise = np.maximum(found.objective - best.objective[0], 0.0)
    deviance = 2.0 * rise / max(unit, 1e-24)
    return Profile(
        name=name,
        value=values,
        deviance=deviance,
        free=found.free,
        interval=_below(values, deviance, t_quantile(problem.dof) ** 2).holding(
            float(best.free[0, index])
        ),
    )


def _constrained(problem: Problem, best: Solution, index: int, values: FloatArray) -> Solution:
    """Optima with parameter ``index`` held at each of ``values`` (M,)."""
    low, high = (np.repeat(b[None], len(values), axis=0) for b in problem.bounds(problem.loss))
    low[:, index] = high[:, index] = values
    starts = np.concatenate([best.free, problem.starts(3)])

    def solve(free: FloatArray, rows: IndexArray) -> Solution:
        each = len(free) // len(rows)
        ends = [np.repeat(bound[rows], each, axis=0) for bound in (low, high)]
        return problem.refit(free, lower=ends[0], upper=ends[1], iterations=_ITERATIONS).best_of(
            each
        )

    found = solve(np.tile(starts, (len(values), 1)), np.arange(len(values)))
    todo = np.arange(len(values))
    for _ in range(_SWEEPS):
        sides = [found.free[np.clip(todo + shift, 0, len(values) - 1)] for shift in (-1, 1)]
        near = solve(np.stack(sides, axis=1).reshape(-1, found.free.shape[1]), todo)
        improved = near.objective < found.objective[todo] * (1.0 - _BETTER)
        rows = np.zeros(len(values), dtype=bool)
        rows[todo[improved]] = True
        found = found.replaced(rows, near.at(improved))
        todo = np.flatnonzero(rows | np.roll(rows, 1) | np.roll(rows, -1))
        if not improved.any():
            break
    return found


def _below(values: FloatArray, deviance: FloatArray, limit: float) -> Interval:
    """Ends of the stretch around the optimum where the deviance stays below ``limit``."""
    root = np.sqrt(deviance)
    centre, threshold = int(deviance.argmin()), math.sqrt(limit)

    def end(step: int) -> float:
        i = centre
        while 0 <= i + step < len(values):
            if root[i + step] > threshold:
                share = (threshold - root[i]) / (root[i + step] - root[i])
                return float(values[i] + share * (values[i + step] - values[i]))
            i += step
        return float(values[i])

    return Interval(low=end(-1), high=end(1))
