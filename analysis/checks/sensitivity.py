"""Whether the parameters of a fit survive other choices: one call refits under all of them.

A law's exponents are quoted as facts, yet they depend on Huber's delta, on whether residuals are
relative, on single runs and on what N counts (Besiroglu et al. 2024; Porian et al. 2024). Every
choice here is refitted to convergence.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.checks.influence import STARTS, refits_of, without_runs
from analysis.checks.sensitivity_result import Refit, Sensitivity, table
from analysis.fit.intervals import DELTA_SMALLEST, robust_delta
from analysis.fit.options import VARIANTS
from analysis.fit.result import Fit
from analysis.laws import FloatArray

DELTAS = 5


def sensitivity(
    fit: Fit,
    *,
    n_convention: Mapping[str, npt.ArrayLike] | None = None,
    weights: npt.ArrayLike | None = None,
) -> Sensitivity:
    """Refit under other choices of delta, residuals, points, N, variant and weights.

    Args:
        fit: a fit with parameters.
        n_convention: other counts of N by name: a column of ``fit.rows``, an array (n,) in its
            order, or a Series by trial.
        weights: inverse variances up to a factor, such as of the noise between seeds; given as
            a count is.

    Raises:
        ValueError: the fit has no parameters, the law no N, or a count or weight is missing or
            not positive and finite.
    """
    if not fit.ok:
        raise ValueError(f"the fit has no parameters to vary: {'; '.join(fit.remarks)}")
    base = Refit(
        choice="fit", value="", theta=fit.theta, objective=fit.certificate.objective,
        comparable=True, status=fit.status, points=len(fit.rows),
    )  # fmt: skip
    dropped, influence = without_runs(fit)
    refits = [
        base, *_deltas(fit), *_residuals(fit), *_variants(fit), *dropped,
        *_conventions(fit, n_convention or {}), *_weighted(fit, weights),
    ]  # fmt: skip
    return Sensitivity(fit=fit, table=table(fit, refits), influence=influence)


def _deltas(fit: Fit) -> list[Refit]:
    """A scan of Huber's delta, from nearly least absolute deviations to least squares."""
    problem = fit.problem
    if problem.own is not None:
        return []
    smallest = DELTA_SMALLEST
    if not problem.scale.relative:
        smallest *= problem.typical
    chosen = problem.delta
    if not np.isfinite(chosen):
        chosen = robust_delta(problem.residual(fit.free[None]), problem.varied, smallest)
    scan = np.geomspace(min(smallest, chosen), 3.0 * chosen, DELTAS)
    starts = np.concatenate([fit.free[None], problem.starts(STARTS)])
    found = []
    for delta in [*scan, np.inf]:
        if delta == problem.delta:
            continue
        best = problem.solve(starts, delta=float(delta)).best()
        label = f"{delta:.2g}" if np.isfinite(delta) else "infinite (least squares)"
        found += refits_of(fit, [("delta", label)], best, np.ones((1, len(fit.rows)), dtype=bool))
    return found


def _residuals(fit: Fit) -> list[Refit]:
    """Relative and absolute residuals, each with Huber's loss and as least squares."""
    kinds = {"": "huber", ", least squares": "least_squares"}
    return [
        _refit(_again(fit, residual=scale, loss=loss, delta=None), "residual", scale + label)
        for scale in ("log", "linear")
        if scale != fit.options.residual
        for label, loss in kinds.items()
    ]


def _variants(fit: Fit) -> list[Refit]:
    """The other variants, for laws with exponents."""
    if not fit.law.exponents:
        return []
    others = [v for v in VARIANTS if v != fit.options.variant]
    return [_refit(_again(fit, variant=v, delta=_delta(fit)), "variant", v) for v in others]


def _conventions(fit: Fit, counts: Mapping[str, npt.ArrayLike]) -> list[Refit]:
    """Other counts of N."""
    if counts and "N" not in fit.law.axes:
        raise ValueError(f"{fit.law.name} has no N to count otherwise: {fit.law.formula}")
    found = []
    for name, given in counts.items():
        changed = dataclasses.replace(fit, rows=fit.rows.assign(N=_column(fit, name, given)))
        found.append(_refit(_again(changed, delta=_delta(fit)), "N", name, comparable=True))
    return found


def _weighted(fit: Fit, weights: npt.ArrayLike | None) -> list[Refit]:
    """With the weights given, and without those of the fit."""
    found = []
    if weights is not None:
        own = _column(fit, "weights", weights)
        changed = dataclasses.replace(fit, rows=fit.rows.assign(weight=own))
        found.append(_refit(_again(changed, weights="weight"), "weights", "given"))
    if fit.options.weights is not None:
        found.append(_refit(_again(fit, weights=None), "weights", "none"))
    return found


def _delta(fit: Fit) -> float | None:
    return fit.problem.delta if fit.options.loss == "huber" else None


def _again(fit: Fit, **changes: Any) -> Fit:
    return fit.refit(n_boot=0, **changes)


def _refit(fit: Fit, choice: str, value: str, comparable: bool = False) -> Refit:
    return Refit(
        choice=choice, value=value, theta=fit.theta, objective=fit.certificate.objective,
        comparable=comparable, status=fit.status, points=len(fit.rows),
    )  # fmt: skip


def _column(fit: Fit, name: str, given: npt.ArrayLike) -> FloatArray:
    """Values (n,) for the rows of the fit."""
    if isinstance(given, str):
        if given not in fit.rows:
            raise ValueError(f"{name}: the rows have no column {given!r}, give its values")
        given = fit.rows[given]
    elif isinstance(given, pd.Series) and set(fit.rows["trial"]) <= set(given.index):
        given = given.reindex(fit.rows["trial"])
    values = np.asarray(given, dtype=np.float64)
    if values.shape != (len(fit.rows),):
        raise ValueError(f"{name}: {len(fit.rows)} values are needed, not {values.shape}")
    bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if bad.size:
        trial = fit.rows["trial"].iloc[int(bad[0])]
        raise ValueError(f"{name}: {values[bad[0]]} for {trial} is not a positive finite number")
    return values
