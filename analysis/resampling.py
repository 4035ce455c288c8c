"""Refits that show the uncertainty: the bootstrap over runs.

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
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.laws import FloatArray
from analysis.problem import Problem
from analysis.solution import Solution
from analysis.uncertainty import leverages

PAIRS_FROM = 100  # runs from which pairs are resampled
_WEBB = np.sqrt([0.5, 1.0, 1.5])
_REDRAWS = 50
_GLANCE = 30  # steps from another start, by when a lower optimum shows


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


def bootstrap(
    problem: Problem, best: Solution, valley: FloatArray, n_boot: int, seed: int
) -> Bootstrap:
    """Refit ``n_boot`` resamples of the runs, each from the place that fits it best.

    Args:
        problem: the law and the data.
        best: the optimum (R = 1).
        valley: free parameters along the direction least determined (M, P), such as the
            profile of E: each resample starts from the one with its lowest objective, and from
            the optimum too. Empty: from the optimum only.
        n_boot: resamples.
        seed: of the random numbers.
    """
    if n_boot == 0:
        return Bootstrap.none(best.free.shape[1])
    drawn = resamples(problem, best.free, n_boot, seed)
    rows = np.arange(n_boot)
    if not len(valley):
        chosen = _refitted(problem, drawn, best.free, rows)
    else:
        chosen = _refitted(problem, drawn, valley[_lowest(problem, drawn, valley)], rows)
        tried = _refitted(problem, drawn, best.free, rows, iterations=_GLANCE)
        lower = tried.objective < chosen.objective * (1.0 - 1e-9)
        if lower.any():
            found = _refitted(problem, drawn, tried.free[lower], rows[lower])
            chosen = chosen.replaced(lower, found)
    free = chosen.free[chosen.converged]
    return Bootstrap(
        kind=drawn.kind,
        theta=problem.law.to_natural(free, problem.centre),
        draw=np.flatnonzero(chosen.converged),
        redrawn=drawn.redrawn,
        unconverged=int((~chosen.converged).sum()),
    )


def _lowest(problem: Problem, drawn: Resamples, places: FloatArray) -> npt.NDArray[np.intp]:
    """Which of free ``places`` (M, P) has the lowest objective, for each resample (R,)."""
    fitted = problem.model(places)[0]
    own = np.ones(fitted.shape[1]) if problem.weights is None else problem.weights
    if drawn.target is None:
        terms = problem.penalty.value(fitted - problem.target)
        objective = terms @ (own if drawn.weights is None else own * drawn.weights).T
    else:
        objective = np.stack([problem.penalty.value(f - drawn.target) @ own for f in fitted])
    known = np.where(np.isfinite(objective), objective, np.inf)
    return np.asarray(known.argmin(axis=0), dtype=np.intp)


def _refitted(
    problem: Problem,
    drawn: Resamples,
    start: FloatArray,
    rows: npt.NDArray[np.intp],
    **control: Any,
) -> Solution:
    """Refits of resamples ``rows``, from ``start`` (1, P) or one start each."""
    starts = np.repeat(start, len(rows), axis=0) if len(start) == 1 else start
    return problem.refit(
        starts,
        target=None if drawn.target is None else drawn.target[rows],
        weights=None if drawn.weights is None else drawn.weights[rows],
        **control,
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
    """Random factors (n_boot, n) of the points, one per run."""
    index, runs = problem.drawn
    return random_factors(rng, n_boot, runs)[:, index]


def random_factors(rng: np.random.Generator, n_boot: int, runs: int) -> FloatArray:
    """Factors of the runs' residuals (n_boot, runs): Webb's six points, mean 0, variance 1."""
    sign = rng.choice([-1.0, 1.0], size=(n_boot, runs))
    factors: FloatArray = sign * rng.choice(_WEBB, size=(n_boot, runs))
    return factors


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
