"""Loss-to-loss: what a lower loss on the task trained on is worth on another.

L_ood - E_ood = K (L_id - E_id)^kappa, one law for each configuration and task (S1, Eq. 4, after
Brandfonbrener et al. 2025, arXiv 2411.12925). As in S1 both floors come from the joint fits of
that configuration; K and kappa are fitted to the pairs of measured losses, in log L_ood, with
Huber's loss.

The interval of kappa holds the floors' errors: each resample of the runs is one resample for
both losses of a run, both joint laws are refitted to it (they give the resample's E_id and
E_ood), and K and kappa to its pairs.

Where kappa is not 1, a sum of power laws for both losses and Eq. 4 cannot both be exact, and
the joint law's E_ood moves kappa towards 1 (from 0.3 to 0.5 on made losses). So kappa is given a
second time, with E_ood fitted to the pairs together with K and kappa.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from analysis.fit.bootstrap import corrected, resamples
from analysis.fit.certificate import Status, r_squared
from analysis.fit.intervals import DELTA_SMALLEST, robust_delta
from analysis.fit.losses import huber
from analysis.fit.problem import DEVIANCE, REFIT_STEPS
from analysis.fit.result import Fit
from analysis.fit.sampled import Sampled, source_of
from analysis.fit.solver import REFIT, IndexArray, Solution, minimise
from analysis.laws import FloatArray
from analysis.laws.base import EXPONENT
from analysis.studies.clusters import joined_clusters
from analysis.text import Card, Estimate, Result, number

FORMULA = "L_ood - E_ood = K (L_id - E_id)^kappa"
_KAPPA_STARTS = (0.1, 0.4, 1.0, 2.0)
_FLOOR_STARTS = (0.0, 0.3, 0.5, 0.7, 0.8, 0.87, 0.93, 0.97)  # of the smallest loss
_TRIAL_STEPS = 30  # from another start, by when a lower optimum shows
_SMALLEST = 1e-9  # of an excess loss or a term, relative to the largest


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Result):
    """A loss-to-loss law of one configuration and task.

    Attributes:
        kappa: transfer exponent; 1 passes excess loss on in proportion, less diminishes it.
        kappa_free: kappa where E_ood is fitted with it.
        K: excess loss on the other task, in nats, at an excess of 1 nat on the task trained on.
        floors: E of the task trained on and of the other, in nats.
        floor_free: E_ood fitted with ``kappa_free``, in nats.
        r2: share of the variance of the other task's loss explained.
        excess: excess losses of the runs (n, 2), trained on and other, in nats; a loss at or
            below its floor has an excess of 0 or less.
    """

    kappa: Sampled
    kappa_free: Sampled
    K: float
    floors: tuple[float, float]
    floor_free: float
    r2: float
    excess: FloatArray
    warnings: tuple[str, ...]

    @property
    def at_bound(self) -> bool:
        """Whether the estimate is a limit of the search and not a measurement."""
        return at_bound(self.kappa.point)

    @property
    def free_at_bound(self) -> bool:
        """The same of ``kappa_free``."""
        return at_bound(self.kappa_free.point)

    def card(self) -> Card:
        """What is shown."""
        return Card(
            title=f"{FORMULA} on {len(self.excess)} pairs",
            warnings=self.warnings,
            estimates=(
                Estimate(
                    name="kappa", value=self.kappa.point, interval=self.kappa.interval,
                    meaning="transfer exponent, floors of the joint laws",
                ),
                Estimate(
                    name="kappa'", value=self.kappa_free.point,
                    interval=self.kappa_free.interval,
                    meaning="transfer exponent, E_ood fitted to the pairs",
                ),
            ),
            facts=(
                ("K", number(self.K, 4)), ("E_id", number(self.floors[0], 4)),
                ("E_ood", number(self.floors[1], 4)), ("E_ood fitted", number(self.floor_free, 4)),
                ("R² of the loss", number(self.r2, 3)),
            ),
        )  # fmt: skip


def at_bound(kappa: float) -> bool:
    """Whether kappa is a limit of the search and not a measurement."""
    return not EXPONENT[0] * 1.001 < kappa < EXPONENT[1] * 0.999


def fit_transfer(trained_on: Fit, other: Fit) -> Transfer:
    """Fit kappa and K to the runs that both joint fits hold.

    Args:
        trained_on: joint fit of the loss on the task trained on; one row per run.
        other: joint fit of the loss on the other task, with the same seed and ``n_boot``.

    Raises:
        ValueError: one of the fits has no parameters, the runs of both are too few for a joint
            law, or the bootstraps differ.
    """
    if trained_on.options != other.options:
        raise ValueError("both fits need the same options, so that they share their resamples")
    pair = _shared_runs(trained_on, other)
    if not (pair[0].ok and pair[1].ok):
        raise ValueError("a loss-to-loss law needs both floors: a joint law could not be fitted")
    loss = np.stack([fit.problem.loss for fit in pair])
    floors = np.array([[fit.params["E"] for fit in pair]])
    pairs = LossPairs.of(np.log(loss)[:, None], floors, np.ones((1, 1)))
    delta = robust_delta(pairs.residual(pairs.solve(DELTA_SMALLEST).free)[0], 2)
    held, loose = pairs.solve(delta), pairs.solve(delta, hold=False)
    kappa, kappa_free = float(held.free[0, 1]), float(loose.free[0, 1])
    samples, samples_free = np.full((2, trained_on.options.n_boot), np.nan)
    draw, drawn, drawn_free = _resampled(pair, loose)
    if drawn is not None and drawn_free is not None:
        solution = drawn.solve(delta, kappa=kappa)
        samples[draw] = np.where(solution.converged, solution.free[:, 1], np.nan)
        solution = drawn_free.solve(delta, kappa=kappa_free, hold=False)
        samples_free[draw] = np.where(solution.converged, solution.free[:, 1], np.nan)
    source = source_of(trained_on.options, trained_on.rows["trial"])

    def sampled(point: float, values: FloatArray) -> Sampled:
        low, high = EXPONENT
        dof = pair[1].problem.dof
        return Sampled(point=point, samples=values, dof=dof, source=source, lower=low, upper=high)

    return Transfer(
        kappa=sampled(kappa, samples),
        kappa_free=sampled(kappa_free, samples_free),
        K=math.exp(float(held.free[0, 0]) - kappa * float(pairs.centre[0, 0])),
        floors=(float(floors[0, 0]), float(floors[0, 1])),
        floor_free=float(loose.free[0, 2]),
        r2=r_squared(loss[1], loss[1] * np.exp(pairs.residual(held.free)[0])),
        excess=(loss - floors.T).T,
        warnings=_warnings(pair, kappa),
    )


def _shared_runs(trained_on: Fit, other: Fit) -> tuple[Fit, Fit]:
    """Both fits on the runs they share, in the same order."""
    runs = [fit.residuals["trial"] for fit in (trained_on, other)]
    if any(trials.duplicated().any() for trials in runs):
        raise ValueError("a loss-to-loss law takes one pair of losses per run")
    shared = set(runs[0]) & set(runs[1])
    pair = [
        fit if len(trials) == len(shared) else fit.refit(trials.isin(shared).to_numpy())
        for fit, trials in zip((trained_on, other), runs, strict=True)
    ]
    if list(pair[0].residuals["trial"]) != list(pair[1].residuals["trial"]):
        raise ValueError("the runs of both fits must be in the same order")
    if pair[0].problem.pool is None and (pair[0].problem.runs != pair[1].problem.runs).any():
        both = joined_clusters(
            pair[0].problem.runs, pair[1].problem.runs
        )  # they share their resamples
        pair = [
            dataclasses.replace(f, problem=dataclasses.replace(f.problem, runs=both)) for f in pair
        ]
    return pair[0], pair[1]


def _warnings(pair: tuple[Fit, Fit], kappa: float) -> tuple[str, ...]:
    warnings = []
    if at_bound(kappa):
        warnings.append(f"kappa ran to a bound ({kappa:.3g}): the data do not determine it")
    for fit, name in zip(pair, ("E_id", "E_ood"), strict=True):
        hit = fit.certificate.bounds_hit
        if "E" in hit:
            warnings.append(f"{name} ran to a bound ({fit.params['E']:.3g})")
        if others := [other for other in hit if other != "E"]:
            warnings.append(f"{name} is doubtful: {' and '.join(others)} of its law ran to a bound")
        if fit.status is Status.NOT_CONVERGED:
            warnings.append(f"{name} is doubtful: its law did not converge")
    return tuple(warnings)


def _resampled(
    pair: tuple[Fit, Fit], loose: Solution
) -> tuple[npt.NDArray[np.intp], LossPairs | None, LossPairs | None]:
    """Pairs of losses of each resample of the runs.

    Returns:
        Which resample it is (R,); pairs with the floors of both refitted joint laws; pairs for a
        fitted E_ood, which follow the law itself and not the other task's joint law. None for
        both where nothing was resampled.
    """
    trained_on, other = (fit.bootstrap for fit in pair)
    draw = np.intersect1d(trained_on.draw, other.draw)
    if not len(draw):
        return draw, None, None
    drawn = []
    for fit in pair:
        free = fit.law.to_free(fit.theta, fit.problem.centre)[None]
        n_boot, seed = fit.options.n_boot, fit.options.seed
        drawn.append(resamples(fit.problem, free, n_boot, seed))
    measured = np.log(np.stack([fit.problem.loss for fit in pair]))
    target = np.repeat(measured[:, None], len(draw), axis=1)
    free_target, weights = target.copy(), np.ones((len(draw), 1))
    for i, part in enumerate(drawn):
        if part.target is not None:
            target[i] = free_target[i] = part.target[draw]
        if part.weights is not None:
            weights = part.weights[draw]
    if drawn[1].factor is not None:
        free_target[1] = _along_law(pair, measured, loose, drawn[1].factor[draw])
    floors = np.stack(
        [boot.theta[np.searchsorted(boot.draw, draw), 0] for boot in (trained_on, other)], axis=1
    )
    return draw, LossPairs.of(target, floors, weights), LossPairs.of(free_target, floors, weights)


def _along_law(
    pair: tuple[Fit, Fit], measured: FloatArray, loose: Solution, factor: FloatArray
) -> FloatArray:
    """Resampled log L_ood (R, n) about the loss-to-loss law at the fitted ID losses."""
    floors = np.array([[fit.params["E"] for fit in pair]])
    centre = LossPairs.of(measured[:, None], floors, np.ones((1, 1))).centre
    smooth = np.log(pair[0].law.value(pair[0].theta, pair[0].problem.x))
    exact = LossPairs.of(np.stack([smooth, measured[1]])[:, None], floors, np.ones((1, 1)))
    free = loose.free.copy()
    free[:, 0] += free[:, 1] * (exact.centre - centre)[:, 0]
    log_f, jacobian = exact.model(free, np.zeros(1, dtype=np.intp))
    resampled: FloatArray = log_f + factor * corrected(
        measured[1] - log_f[0], jacobian[0].T, pair[1].problem.runs
    )
    return resampled


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LossPairs:
    """R sets of n pairs of losses with known floors.

    Free parameters are the log of the term at the centre of the set, kappa, and E_ood.

    Attributes:
        log_excess: log(L_id - E_id) less its mean (R, n).
        centre: that mean (R, 1).
        floor: E_ood (R, 1).
        target: log L_ood (R, n).
        weights: of the pairs (R, n).
    """

    log_excess: FloatArray
    centre: FloatArray
    floor: FloatArray
    target: FloatArray
    weights: FloatArray

    @classmethod
    def of(cls, log_loss: FloatArray, floors: FloatArray, weights: FloatArray) -> LossPairs:
        """From log losses (2, R, n), floors (R, 2) and weights that broadcast to (R, n)."""
        excess = np.exp(log_loss[0]) - floors[:, :1]
        smallest = _SMALLEST * np.exp(log_loss[0]).max(axis=1, keepdims=True)
        weights = np.broadcast_to(weights, excess.shape) * (excess > smallest)
        log_excess = np.log(np.maximum(excess, smallest))
        total = np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
        centre = (weights * log_excess).sum(axis=1, keepdims=True) / total
        return cls(
            log_excess=log_excess - centre, centre=centre, floor=floors[:, 1:],
            target=log_loss[1], weights=weights,
        )  # fmt: skip

    def model(self, free: FloatArray, rows: IndexArray) -> tuple[FloatArray, FloatArray]:
        """Log L_ood of problems ``rows`` (A,) and its derivative (A, 3, n)."""
        x = self.log_excess[rows]
        term = np.exp(free[:, :1] + free[:, 1:2] * x)
        loss = free[:, 2:] + term
        return np.log(loss), np.stack([term / loss, term * x / loss, 1.0 / loss], axis=1)

    def residual(self, free: FloatArray) -> FloatArray:
        """Log of fitted over measured (R, n)."""
        residual: FloatArray = self.model(free, np.arange(len(free)))[0] - self.target
        return residual

    def solve(self, delta: float, kappa: float | None = None, *, hold: bool = True) -> Solution:
        """Best K and kappa of each set, from several kappas.

        Args:
            delta: Huber's delta, in log loss.
            kappa: of the measured pairs, for resamples: they start there and at the best
                regression.
            hold: keep E_ood at ``floor``; else it is fitted, in [0, smallest loss).
        """
        if kappa is None:
            return self._from(self._starting_points(_KAPPA_STARTS, self.floor[:, 0]), delta, hold)
        from_kappa = self._starting_points((kappa,), self.floor[:, 0])
        regressed = self._from(self._best_regression(delta, hold), delta, hold)
        # most sets end where the regression does; only those that fall lower go on from kappa
        tried = self._from(from_kappa, delta, hold, iterations=_TRIAL_STEPS)
        lower = tried.objective < regressed.objective * (1.0 - 1e-9)
        if not lower.any():
            return regressed
        return regressed.replaced(lower, self._from(from_kappa, delta, hold).at(lower))

    @property
    def _limit(self) -> FloatArray:
        """What E_ood stays below (R,)."""
        limit: FloatArray = np.exp(self.target.min(axis=1)) * (1 - _SMALLEST)
        return limit

    def _below_losses(self, floor: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``floor`` (R,) kept below the losses, and the losses' excess over it (R, n)."""
        loss, floor = np.exp(self.target), np.minimum(floor, self._limit)
        smallest = _SMALLEST * loss.max(axis=1, keepdims=True)
        return floor, np.maximum(loss - floor[:, None], smallest)

    def _starting_points(self, kappas: tuple[float, ...], floor: FloatArray) -> FloatArray:
        """Free starting points (R, S, 3) with these kappas and E_ood (R,)."""
        floor, excess = self._below_losses(floor)
        mean = np.average(np.log(excess), axis=1, weights=np.maximum(self.weights, 1e-12))
        places = np.broadcast_arrays(mean[:, None], np.array(kappas), floor[:, None])
        return np.stack(places, axis=-1)

    def _regressed(self, floor: FloatArray) -> FloatArray:
        """Free parameters (R, 3) by regression of log(L_ood - E_ood), with E_ood ``floor`` (R,)."""
        floor, excess = self._below_losses(floor)
        share = excess / np.exp(self.target)
        weights = self.weights * share**2 + 1e-12  # errors are even in log L_ood
        x, y = (
            v - np.average(v, axis=1, weights=weights)[:, None]
            for v in (self.log_excess, np.log(excess))
        )
        slope = (weights * x * y).sum(axis=1) / np.maximum((weights * x * x).sum(axis=1), 1e-300)
        kappa = np.clip(slope, *EXPONENT)
        level = np.average(
            np.log(excess) - kappa[:, None] * self.log_excess, axis=1, weights=weights
        )
        return np.stack([level, kappa, floor], axis=-1)

    def _best_regression(self, delta: float, hold: bool) -> FloatArray:
        """Each set's best of several regressions, one for each E_ood it may have (R, 1, 3)."""
        floors = [self.floor[:, 0]] + [share * self._limit for share in _FLOOR_STARTS if not hold]
        places = [self._regressed(floor) for floor in floors]
        every = np.arange(len(self.target))
        objective = [
            (huber(self.model(free, every)[0] - self.target, delta) * self.weights).sum(axis=1)
            for free in places
        ]
        best: FloatArray = np.stack(places)[np.argmin(objective, axis=0), every][:, None]
        return best

    def _from(
        self, start: FloatArray, delta: float, hold: bool, iterations: int = REFIT_STEPS
    ) -> Solution:
        """Best solution of each set from its starts (R, S, 3)."""
        sets, starts, _ = start.shape
        highest, limit = np.exp(self.target.max(axis=1)), self._limit
        floor = np.minimum(self.floor[:, 0], limit)
        low, high = (np.full(sets, v) for v in EXPONENT)
        least, most = (floor, floor) if hold else (np.zeros(sets), limit)
        lower = np.stack([np.log(_SMALLEST * highest), low, least], axis=-1)
        upper = np.stack([np.log(1e3 * highest), high, most], axis=-1)
        lower, upper, target, weights = (
            np.repeat(part, starts, axis=0) for part in (lower, upper, self.target, self.weights)
        )
        return minimise(
            lambda free, rows: self.model(free, rows // starts),
            start.reshape(-1, 3), target, lower, upper, delta=delta, weights=weights,
            tolerance=REFIT, decrement=DEVIANCE / self.target.shape[1], iterations=iterations,
        ).best_of(starts)  # fmt: skip
