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
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.fit.intervals import hat_basis
from analysis.fit.problem import Problem
from analysis.fit.solver import Solution
from analysis.laws import FloatArray

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
        placed = np.full(draws, np.nan)
        placed[self.draw] = values
        return placed


def bootstrap(
    problem: Problem,
    best: Solution,
    valley: FloatArray,
    n_boot: int,
    seed: int,
    held: Mapping[str, float] | None = None,
) -> Bootstrap:
    """Refit ``n_boot`` resamples of the runs, each from the place that fits it best.

    Args:
        problem: the law and the data.
        best: the optimum (R = 1).
        valley: free parameters along the direction least determined (M, P), such as the
            profile of E: each resample starts from the one with its lowest objective, and from
            the optimum too. Empty: from the optimum only.
        n_boot: how many.
        seed: of the random numbers.
        held: standard errors of held parameters: each resample holds them at a draw.
    """
    if n_boot == 0:
        return Bootstrap.none(best.free.shape[1])
    drawn = resamples(problem, best.free, n_boot, seed)
    if held:
        drawn = dataclasses.replace(drawn, bounds=_drawn_bounds(problem, drawn, held, n_boot, seed))
    rows = np.arange(n_boot)
    if not len(valley):
        chosen = _refitted(problem, drawn, best.free, rows)
    else:
        chosen = _refitted(problem, drawn, valley[_lowest(problem, drawn, valley)], rows)
        tried = _refitted(problem, drawn, best.free, rows, iterations=_GLANCE)
        lower = tried.objective < chosen.objective * (1.0 - 1e-9)
        if lower.any():
            again = _refitted(problem, drawn, tried.free[lower], rows[lower])
            chosen = chosen.replaced(lower, again)
    free = chosen.free[chosen.converged]
    return Bootstrap(
        kind=drawn.kind,
        theta=problem.law.to_natural(free, problem.centre),
        draw=np.flatnonzero(chosen.converged),
        redrawn=drawn.redrawn,
        unconverged=int((~chosen.converged).sum()),
    )


def _drawn_bounds(
    problem: Problem, drawn: Resamples, held: Mapping[str, float], n_boot: int, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Free bounds (n_boot, P) that hold parameters at draws about their values.

    Draws stay within what the law allows for the resample, such as a floor below its losses.
    """
    rng = np.random.default_rng([seed, 1])
    free = dataclasses.replace(
        problem, limits={k: v for k, v in problem.limits.items() if k not in held}
    )
    target = problem.target if drawn.target is None else drawn.target
    shape = (n_boot, len(problem.law.names))
    lower, upper = (
        np.broadcast_to(b, shape).copy() for b in free.bounds(problem.scale.inverse(target))
    )
    for name, error in held.items():
        index = problem.law.names.index(name)
        logged = problem.law.parameters[index].form == "log"
        draw = problem.limits[name][0] + error * rng.standard_normal(n_boot)
        at = np.log(np.maximum(draw, np.finfo(float).tiny)) if logged else draw
        lower[:, index] = upper[:, index] = np.clip(at, lower[:, index], upper[:, index])
    return lower, upper


def _lowest(problem: Problem, drawn: Resamples, places: FloatArray) -> npt.NDArray[np.intp]:
    """Which of free ``places`` (M, P) has the lowest objective, for each resample (R,)."""
    fitted = problem.model(places)[0]
    own = problem.point_weights
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
    if drawn.bounds is not None:
        control |= {"lower": drawn.bounds[0][rows], "upper": drawn.bounds[1][rows]}
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
        bounds: free bounds (R, P) of each resample, or None for those of the problem.
    """

    kind: str
    target: FloatArray | None
    factor: FloatArray | None
    weights: FloatArray | None
    redrawn: int = 0
    bounds: tuple[FloatArray, FloatArray] | None = None


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
        index, runs = problem.drawn
        factor = random_factors(rng, n_boot, runs)[:, index]  # one a run
        residual = problem.target - fitted[0]
        target = fitted + factor * corrected(residual, jacobian[0].T, problem.runs)
        return Resamples(kind="wild", target=target, factor=factor, weights=None)
    weights, redrawn = _pairs(problem, n_boot, rng)
    return Resamples(kind="pairs", target=None, factor=None, weights=weights, redrawn=redrawn)


def corrected(residual: FloatArray, jacobian: FloatArray, runs: npt.NDArray[np.intp]) -> FloatArray:
    """Residuals (n,) over one less their leverage in ``jacobian`` (n, P): the HC3 correction.

    Of runs (n,) with several rows the whole block of the hat matrix is taken off, which is CR3
    (Bell & McCaffrey 2002): (I - H_gg)^-1 r_g = r_g + Q_g (I - Q_g' Q_g)^-1 Q_g' r_g.
    """
    least = 1.0 / len(residual)
    basis = hat_basis(jacobian)
    freed: FloatArray = residual / np.maximum(1.0 - (basis**2).sum(axis=1), least)
    for run in np.flatnonzero(np.bincount(runs) > 1):
        rows = runs == run
        own, r = basis[rows], residual[rows]
        leverage, axes = np.linalg.eigh(own.T @ own)
        along = axes.T @ (own.T @ r) / np.maximum(1.0 - leverage, least)
        freed[rows] = r + own @ (axes @ along)
    return freed


def random_factors(rng: np.random.Generator, n_boot: int, runs: int) -> FloatArray:
    """Factors of the runs' residuals (n_boot, runs): Webb's six points, mean 0, variance 1."""
    sign = rng.choice([-1.0, 1.0], size=(n_boot, runs))
    return np.asarray(sign * rng.choice(_WEBB, size=(n_boot, runs)))


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
