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
from analysis.fit.certificate import r_squared
from analysis.fit.fit import refit
from analysis.fit.intervals import DELTA_SMALLEST, robust_delta
from analysis.fit.result import Fit
from analysis.fit.sampled import Sampled, source_of
from analysis.fit.solve.solver import Solution
from analysis.fit.status import Status
from analysis.laws import FloatArray
from analysis.laws.parameters import EXPONENT
from analysis.studies.clusters import joined
from analysis.text.card import Card, Estimate, Shown
from analysis.text.fits import number
from analysis.transfer.pairs import LossPairs

FORMULA = "L_ood - E_ood = K (L_id - E_id)^kappa"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Shown):
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
        warnings: what a reader must know first.
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
        return _at_bound(self.kappa.point)

    @property
    def free_at_bound(self) -> bool:
        """The same of ``kappa_free``."""
        return _at_bound(self.kappa_free.point)

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


def _at_bound(kappa: float) -> bool:
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
    pair = _matched(trained_on, other)
    if not (pair[0].ok and pair[1].ok):
        raise ValueError("a loss-to-loss law needs both floors: a joint law could not be fitted")
    loss = np.stack([fit.problem.loss for fit in pair])
    floors = np.array([[fit.params["E"] for fit in pair]])
    first = LossPairs.of(np.log(loss)[:, None], floors, np.ones((1, 1)))
    delta = robust_delta(first.residual(first.solve(DELTA_SMALLEST).free)[0], 2)
    found, loose = first.solve(delta), first.solve(delta, hold=False)
    kappa, kappa_free = float(found.free[0, 1]), float(loose.free[0, 1])
    samples, samples_free = np.full((2, trained_on.options.n_boot), np.nan)
    draw, ours, theirs = _resampled(pair, loose)
    if ours is not None and theirs is not None:
        solution = ours.solve(delta, near=kappa)
        samples[draw] = np.where(solution.converged, solution.free[:, 1], np.nan)
        solution = theirs.solve(delta, near=kappa_free, hold=False)
        samples_free[draw] = np.where(solution.converged, solution.free[:, 1], np.nan)
    source = source_of(trained_on.options, trained_on.rows["trial"])

    def sampled(point: float, values: FloatArray) -> Sampled:
        low, high = EXPONENT
        dof = pair[1].problem.dof
        return Sampled(point=point, samples=values, dof=dof, source=source, lower=low, upper=high)

    return Transfer(
        kappa=sampled(kappa, samples),
        kappa_free=sampled(kappa_free, samples_free),
        K=math.exp(float(found.free[0, 0]) - kappa * float(first.centre[0, 0])),
        floors=(float(floors[0, 0]), float(floors[0, 1])),
        floor_free=float(loose.free[0, 2]),
        r2=r_squared(loss[1], loss[1] * np.exp(first.residual(found.free)[0])),
        excess=(loss - floors.T).T,
        warnings=_warnings(pair, kappa),
    )


def _matched(trained_on: Fit, other: Fit) -> tuple[Fit, Fit]:
    """Both fits on the runs they share, in the same order."""
    runs = [fit.residuals["trial"] for fit in (trained_on, other)]
    if any(trials.duplicated().any() for trials in runs):
        raise ValueError("a loss-to-loss law takes one pair of losses per run")
    shared = set(runs[0]) & set(runs[1])
    pair = [
        fit if len(trials) == len(shared) else refit(fit, trials.isin(shared).to_numpy())
        for fit, trials in zip((trained_on, other), runs, strict=True)
    ]
    if list(pair[0].residuals["trial"]) != list(pair[1].residuals["trial"]):
        raise ValueError("the runs of both fits must be in the same order")
    if pair[0].problem.pool is None and (pair[0].problem.runs != pair[1].problem.runs).any():
        both = joined(pair[0].problem.runs, pair[1].problem.runs)  # they share their resamples
        pair = [
            dataclasses.replace(f, problem=dataclasses.replace(f.problem, runs=both)) for f in pair
        ]
    return pair[0], pair[1]


def _warnings(pair: tuple[Fit, Fit], kappa: float) -> tuple[str, ...]:
    found = []
    if _at_bound(kappa):
        found.append(f"kappa ran to a bound ({kappa:.3g}): the data do not determine it")
    for fit, name in zip(pair, ("E_id", "E_ood"), strict=True):
        hit = fit.certificate.bounds_hit
        if "E" in hit:
            found.append(f"{name} ran to a bound ({fit.params['E']:.3g})")
        if others := [other for other in hit if other != "E"]:
            found.append(f"{name} is doubtful: {' and '.join(others)} of its law ran to a bound")
        if fit.status is Status.NOT_CONVERGED:
            found.append(f"{name} is doubtful: its law did not converge")
    return tuple(found)


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
        free_target[1] = _along(pair, measured, loose, drawn[1].factor[draw])
    floors = np.stack(
        [boot.theta[np.searchsorted(boot.draw, draw), 0] for boot in (trained_on, other)], axis=1
    )
    return draw, LossPairs.of(target, floors, weights), LossPairs.of(free_target, floors, weights)


def _along(
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
