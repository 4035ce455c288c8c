"""Refits that show the uncertainty: bootstrap over runs, and the profile of a parameter.

The unit of resampling is the run, never the checkpoint. Two bootstraps are used:

* *wild* (few runs): log loss is the fit plus each run's residual, divided by one less its
  leverage (the jackknife-like HC3 correction), times a random sign-like factor (Webb's six
  points). Every cell of the grid stays in every resample, so the law never becomes
  unidentifiable by chance (MacKinnon & Webb 2017).
* *pairs* (many runs): runs are drawn with replacement. Resamples that lose an axis are drawn
  again and counted.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from analysis.laws import FloatArray
from analysis.problem import Problem
from analysis.solver import REFIT, Solution
from analysis.uncertainty import Interval, leverages, noise_variance, t_quantile

PAIRS_FROM = 100  # runs from which pairs are resampled
PROFILE_POINTS = 41
_WEBB = np.sqrt([0.5, 1.0, 1.5])
_REDRAWS = 50
_SWEEPS = 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """Parameters of refits to resampled runs.

    Attributes:
        kind: ``wild``, ``pairs``, or ``none`` when none was asked for or possible.
        theta: natural parameters (R, P).
        draw: number of the resample of each row of ``theta`` (R,).
        redrawn: resamples drawn again because an axis had too few scales left.
        unconverged: refits that did not converge; left out of ``theta``.
    """

    kind: str
    theta: FloatArray
    draw: npt.NDArray[np.intp]
    redrawn: int = 0
    unconverged: int = 0

    @classmethod
    def none(cls, parameters: int) -> Bootstrap:
        """No refits."""
        return cls(kind="none", theta=np.empty((0, parameters)), draw=np.empty(0, dtype=np.intp))

    def by_draw(self, values: FloatArray, draws: int) -> FloatArray:
        """``values`` (R,) of the refits by number of the resample (draws,), NaN where none."""
        found = np.full(draws, np.nan)
        found[self.draw] = values
        return found


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
    residual = problem.residual(best.free)
    inside = max(float((np.abs(residual) <= problem.delta).mean()), 1.0 / len(residual))
    unit = noise_variance(residual, problem.delta, problem.dof) * inside
    rise = np.maximum(found.objective - best.objective[0], 0.0)
    deviance = 2.0 * rise / max(unit, 1e-24)
    return Profile(
        name=name,
        value=values,
        deviance=deviance,
        free=found.free,
        interval=_below(values, deviance, t_quantile(problem.dof) ** 2),
    )


def _constrained(problem: Problem, best: Solution, index: int, values: FloatArray) -> Solution:
    """Optima with parameter ``index`` held at each of ``values`` (M,)."""
    low, high = (np.repeat(b[None], len(values), axis=0) for b in problem.bounds(problem.loss))
    low[:, index] = high[:, index] = values
    starts = np.concatenate([best.free, problem.starts(3)])

    def solve(free: FloatArray) -> Solution:
        each = len(free) // len(values)
        ends = [np.repeat(bound, each, axis=0) for bound in (low, high)]
        return problem.solve(free, lower=ends[0], upper=ends[1], tolerance=REFIT).best_of(each)

    found = solve(np.tile(starts, (len(values), 1)))
    for _ in range(_SWEEPS):
        sides = [np.roll(found.free, shift, axis=0) for shift in (1, -1)]
        near = solve(np.stack([found.free, *sides], axis=1).reshape(-1, found.free.shape[1]))
        improved = near.objective < found.objective * (1.0 - 1e-9)
        found = near
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


def bootstrap(
    problem: Problem, best: Solution, others: FloatArray, n_boot: int, seed: int
) -> Bootstrap:
    """Refit ``n_boot`` resamples of the runs, each from the optimum and from ``others``.

    Args:
        problem: the law and the data.
        best: the optimum (R = 1).
        others: more free starting points (S, P), such as the ends of E's profile.
        n_boot: resamples.
        seed: of the random numbers.
    """
    starts = np.concatenate([best.free, others])
    if n_boot == 0:
        return Bootstrap.none(best.free.shape[1])
    drawn = resamples(problem, best.free, n_boot, seed)
    target, weights = (
        None if part is None else np.repeat(part, len(starts), axis=0)
        for part in (drawn.target, drawn.weights)
    )
    solution = problem.solve(
        np.tile(starts, (n_boot, 1)), target=target, weights=weights, tolerance=REFIT
    )
    chosen = solution.best_of(len(starts))
    free = chosen.free[chosen.converged]
    return Bootstrap(
        kind=drawn.kind,
        theta=problem.law.to_natural(free, problem.centre),
        draw=np.flatnonzero(chosen.converged),
        redrawn=drawn.redrawn,
        unconverged=int((~chosen.converged).sum()),
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Resamples:
    """Resampled runs: new log losses (wild) or how often each point counts (pairs).

    Attributes:
        kind: ``wild`` or ``pairs``.
        target: responses on the scale of the residuals (R, n), or None for those measured.
        factor: what multiplies each point's residual in ``target`` (R, n), or None.
        weights: of the points (R, n), or None for 1.
        redrawn: resamples drawn again because an axis had too few scales left.
    """

    kind: str
    target: FloatArray | None
    factor: FloatArray | None
    weights: FloatArray | None
    redrawn: int = 0


def resamples(problem: Problem, free: FloatArray, n_boot: int, seed: int) -> Resamples:
    """Draw ``n_boot`` resamples of the runs about the fit ``free`` (1, P).

    The random numbers depend on the seed, ``n_boot`` and the runs drawn for (``problem.drawn``)
    only. Two problems of one pool, such as the loss on the task trained on and on another, get
    the same factors or weights, run by run, so that what the losses of a run share is kept, also
    where one of them lacks a run. A resample drawn again for one of them is not shared.
    """
    rng = np.random.default_rng(seed)
    if problem.drawn[1] < PAIRS_FROM:
        fitted, jacobian = problem.model(free)
        factor = _factors(problem, n_boot, rng)
        target = fitted + factor * corrected(problem.target - fitted[0], jacobian[0].T)
        return Resamples(kind="wild", target=target, factor=factor, weights=None)
    weights, redrawn = _pairs(problem, n_boot, rng)
    return Resamples(kind="pairs", target=None, factor=None, weights=weights, redrawn=redrawn)


def corrected(residual: FloatArray, jacobian: FloatArray) -> FloatArray:
    """Residuals (n,) over one less their leverage in ``jacobian`` (n, P): the HC3 correction."""
    spread = np.maximum(1.0 - leverages(jacobian), 1.0 / len(residual))
    found: FloatArray = residual / spread
    return found


def _factors(problem: Problem, n_boot: int, rng: np.random.Generator) -> FloatArray:
    """Random sign-like factors (n_boot, n), one per run: Webb's six points."""
    index, runs = problem.drawn
    sign = rng.choice([-1.0, 1.0], size=(n_boot, runs))
    factor: FloatArray = (sign * rng.choice(_WEBB, size=(n_boot, runs)))[:, index]
    return factor


def _pairs(problem: Problem, n_boot: int, rng: np.random.Generator) -> tuple[FloatArray, int]:
    """Weights of the points (n_boot, n) when runs are drawn with replacement."""
    index, runs = problem.drawn
    share = np.full(runs, 1.0 / runs)
    counts = rng.multinomial(runs, share, size=n_boot).astype(np.float64)
    redrawn = 0
    for _ in range(_REDRAWS):
        lost = np.flatnonzero(~problem.law.identifiable(problem.x, counts[:, index]))
        if not lost.size:
            break
        counts[lost] = rng.multinomial(runs, share, size=len(lost))
        redrawn += len(lost)
    return counts[:, index], redrawn
