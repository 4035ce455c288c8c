"""Whether the parameters of a fit survive other choices: one call refits under all of them.

A law's exponents are quoted as facts, yet they depend on Huber's delta, on whether residuals are
relative, on single runs and on what N counts (Besiroglu et al. 2024; Porian et al. 2024). Every
choice here is refitted to convergence. Refits to part of the points (without each run, the largest
losses, the smallest scale) are the same problem with other weights: they are solved all at once,
each within the bounds that its own points allow.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.fit.certificate import GRADIENT, Status, at_bounds
from analysis.fit.intervals import DELTA_SMALLEST, robust_delta, t_quantile
from analysis.fit.options import VARIANTS
from analysis.fit.result import Fit
from analysis.fit.solver import Solution
from analysis.laws import BoolArray, FloatArray
from analysis.text import Card, Estimate, Result, json_object, number

Row = dict[str, Any]  # of the table of ``Sensitivity``

USABLE = (Status.CONVERGED, Status.AT_BOUND)
DELTAS = 5
SHARES = (0.0, 0.05, 0.1, 0.2)  # of the points left out for their large losses, at least one
STARTS = 4
_FEW = 300  # points up to which refits without a run try more than the optimum
_LISTED = 10  # runs of the influence table that ``to_dict`` holds


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity(Result):
    """Refits of a fit under other choices.

    Attributes:
        fit: the fit.
        table: one row per choice, the fit itself first: ``choice``, ``value``, each parameter,
            ``<parameter>_change`` (from the fit, in half widths of its 95 % interval on that
            side; of logarithms for positive parameters), ``objective``, ``comparable``,
            ``status``, ``points``.
        influence: one row per run, the most influential first: ``trial``, scales, response, by
            how many standard errors each parameter changes without it, ``largest`` (absolute)
            and ``status``.
    """

    fit: Fit
    table: pd.DataFrame
    influence: pd.DataFrame

    @property
    def changes(self) -> pd.DataFrame:
        """Change in half widths by parameter, of the refits that can be used."""
        used = self.table[self.table["status"].isin([str(s) for s in USABLE])]
        moved = used[[f"{n}_change" for n in self.fit.law.names]]
        return moved.set_axis(list(self.fit.law.names), axis=1)

    @property
    def verdicts(self) -> dict[str, str]:
        """``robust``, or which choice moves the parameter most, by parameter."""
        verdicts = {}
        changes = self.changes
        labels = (self.table["choice"] + " " + self.table["value"]).loc[changes.index]
        for name in self.fit.law.names:
            size = np.nan_to_num(changes[name].abs().to_numpy(dtype=np.float64), posinf=np.inf)
            far, at = number(float(size.max()), 2), labels.iloc[int(size.argmax())]
            moves = f"moves by {far} half widths of its interval: {at}"
            verdicts[name] = "robust" if size.max() <= 1.0 else moves
        return verdicts | dict.fromkeys(self.fit.problem.fixed, "held")

    @property
    def robust(self) -> bool:
        """Whether no choice moves any parameter by more than its interval."""
        return all(v in ("robust", "held") for v in self.verdicts.values())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Parameters that move, and refits that failed."""
        said = [f"{n} {v}" for n, v in self.verdicts.items() if v.startswith("moves")]
        for status in (Status.UNIDENTIFIABLE, Status.NOT_CONVERGED):
            rows = self.table[self.table["status"] == str(status)]
            said += [f"{r.choice} {r.value}: {status}" for r in rows.itertuples()]
        return tuple(said)

    def card(self) -> Card:
        """Parameters with their verdicts, and the run that matters most."""
        first = self.influence.iloc[0]
        name = str(self.influence.loc[0, list(self.fit.law.names)].abs().astype(float).idxmax())
        moved = f"{first['trial']}: {name} by {number(float(first[name]), 2)} standard errors"
        params, ends = self.fit.params, self.fit.intervals
        return Card(
            title=f"Sensitivity of {self.fit.law.formula}",
            warnings=self.warnings,
            estimates=tuple(
                Estimate(name=n, value=params[n], interval=ends[n], meaning=v)
                for n, v in self.verdicts.items()
            ),
            facts=(("choices", f"{len(self.table) - 1}"), ("most influential run", moved)),
        )

    def to_dict(self) -> dict[str, Any]:
        """All numbers, as plain JSON values; of the runs the ten most influential."""
        return json_object(
            law=self.fit.law.name,
            robust=self.robust,
            verdicts=self.verdicts,
            choices=self.table,
            influence=self.influence.head(_LISTED),
            warnings=self.warnings,
        )


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
    dropped, influence = _without_runs(fit)
    itself = fit.theta, fit.certificate.objective, fit.status, len(fit.rows)
    refits = [
        _row(fit, ("fit", ""), *itself, comparable=True),
        *_deltas(fit),
        *_residuals(fit),
        *_variants(fit),
        *dropped,
        *_conventions(fit, n_convention or {}),
        *_weighted(fit, weights),
    ]
    return Sensitivity(fit=fit, table=pd.DataFrame(refits), influence=influence)


def _deltas(fit: Fit) -> list[Row]:
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
    refits = []
    for delta in [*scan, np.inf]:
        if delta == problem.delta:
            continue
        best = problem.solve(starts, delta=float(delta)).best()
        label = f"{delta:.2g}" if np.isfinite(delta) else "infinite (least squares)"
        refits += _refits_of(fit, [("delta", label)], best, np.ones((1, len(fit.rows)), dtype=bool))
    return refits


def _residuals(fit: Fit) -> list[Row]:
    """Relative and absolute residuals, each with Huber's loss and as least squares."""
    kinds = {"": "huber", ", least squares": "least_squares"}
    return [
        _again(fit, "residual", scale + label, residual=scale, loss=loss, delta=None)
        for scale in ("log", "linear")
        if scale != fit.options.residual
        for label, loss in kinds.items()
    ]


def _variants(fit: Fit) -> list[Row]:
    """The other variants, for laws with exponents."""
    if not fit.law.exponents:
        return []
    others = [v for v in VARIANTS if v != fit.options.variant]
    return [_again(fit, "variant", v, variant=v, delta=_delta(fit)) for v in others]


def _conventions(fit: Fit, counts: Mapping[str, npt.ArrayLike]) -> list[Row]:
    """Other counts of N."""
    if counts and "N" not in fit.law.axes:
        raise ValueError(f"{fit.law.name} has no N to count otherwise: {fit.law.formula}")
    refits = []
    for name, given in counts.items():
        rows = fit.rows.assign(N=_column(fit, name, given))
        refits.append(_again(fit, "N", name, rows, comparable=True, delta=_delta(fit)))
    return refits


def _weighted(fit: Fit, weights: npt.ArrayLike | None) -> list[Row]:
    """With the weights given, and without those of the fit."""
    refits = []
    if weights is not None:
        rows = fit.rows.assign(weight=_column(fit, "weights", weights))
        refits.append(_again(fit, "weights", "given", rows, weights="weight"))
    if fit.options.weights is not None:
        refits.append(_again(fit, "weights", "none", weights=None))
    return refits


def _delta(fit: Fit) -> float | None:
    return fit.problem.delta if fit.options.loss == "huber" else None


def _again(
    fit: Fit,
    choice: str,
    value: str,
    rows: pd.DataFrame | None = None,
    *,
    comparable: bool = False,
    **options: Any,
) -> Row:
    """The row of a refit by other ``options``, or to other ``rows``."""
    own = fit if rows is None else dataclasses.replace(fit, rows=rows)
    new = own.refit(n_boot=0, **options)
    label, objective = (choice, value), new.certificate.objective
    return _row(fit, label, new.theta, objective, new.status, len(new.rows), comparable)


def _row(
    fit: Fit,
    label: tuple[str, str],
    theta: FloatArray,
    objective: float,
    status: Status,
    points: int,
    comparable: bool = False,
) -> Row:
    """A row: the choice, its natural parameters (P,), NaN where unidentifiable, and changes."""
    params = dict(zip(fit.law.names, theta, strict=True))
    return {
        "choice": label[0],
        "value": label[1],
        **params,
        **{f"{name}_change": change(fit, name, value) for name, value in params.items()},
        "objective": objective,
        "comparable": comparable,
        "status": str(status),
        "points": points,
    }


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


def _without_runs(fit: Fit) -> tuple[list[Row], pd.DataFrame]:
    """Refits to fewer points, and the influence of every run."""
    runs = fit.problem.runs
    each = runs != np.arange(int(runs.max()) + 1)[:, None]
    places = (~each).argmax(axis=1)
    trials = fit.rows["trial"].to_numpy()[places]
    labels, keep = _parts(fit)
    labels = [*(("without run", str(t)) for t in trials), *labels]
    kept = np.concatenate([each, keep])
    starts = fit.free[None]
    if len(runs) <= _FEW:
        starts = np.concatenate([starts, fit.problem.starts(STARTS)])
    refits = _refits_of(fit, labels, fit.problem.optima(kept, starts), kept)
    influence = _influence(fit, refits[: len(each)], places)
    most = int(np.flatnonzero(trials == influence["trial"].iloc[0])[0])
    return [refits[most], *refits[len(each) :]], influence


def _parts(fit: Fit) -> tuple[list[tuple[str, str]], BoolArray]:
    """Which points to keep (K, n): not the largest losses, the smallest scales, or duplicates."""
    x, loss = fit.problem.x, fit.problem.loss
    order = np.argsort(-loss, kind="stable")
    parts = []
    for count in sorted({max(1, int(share * len(loss))) for share in SHARES}):
        keep = np.ones(len(loss), dtype=bool)
        keep[order[:count]] = False
        label = f"largest {fit.law.response}, {count} point{'s' * (count > 1)}"
        parts.append((("without", label), keep))
    for k, axis in enumerate(fit.law.axes):
        parts.append((("without", f"smallest {axis}"), x[:, k] > x[:, k].min()))
    doubled = fit.rows.duplicated([*fit.law.axes, fit.law.response]).to_numpy()
    if doubled.any():
        parts.append((("without", "duplicates"), ~doubled))
    return [label for label, _ in parts], np.array([keep for _, keep in parts])


def _refits_of(
    fit: Fit, labels: list[tuple[str, str]], solution: Solution, keep: BoolArray
) -> list[Row]:
    """Solutions for the points ``keep`` (K, n) as refits, with their status."""
    problem, law = fit.problem, fit.law
    lower, upper = problem.bounds_of(keep)
    hit = np.any(at_bounds(law, solution.free, lower, upper), axis=1).tolist()
    runs = np.array([len(np.unique(problem.runs[k])) for k in keep])
    known = law.identifiable(problem.x, keep.astype(np.float64)) & (runs > problem.varied)
    theta = np.where(known[:, None], law.to_natural(solution.free, problem.centre), np.nan)
    refits = []
    for i, label in enumerate(labels):
        status = Status.AT_BOUND if hit[i] else Status.CONVERGED
        if not known[i]:
            status = Status.UNIDENTIFIABLE
        elif not solution.gradient[i] <= GRADIENT:
            status = Status.NOT_CONVERGED
        objective = float(solution.objective[i]) if known[i] else np.nan
        refits.append(_row(fit, label, theta[i], objective, status, int(keep[i].sum())))
    return refits


def _influence(fit: Fit, refits: list[Row], places: npt.NDArray[np.intp]) -> pd.DataFrame:
    """Change of each parameter without each run, in standard errors; the largest first."""
    rows = fit.rows.iloc[places][["trial", *fit.law.axes, fit.law.response]]
    theta, point = np.array([[r[n] for n in fit.law.names] for r in refits]), fit.theta
    error = np.array([fit.errors[n] for n in fit.law.names])
    positive = np.array([p.positive for p in fit.law.parameters])
    with np.errstate(all="ignore"):
        moved = np.where(positive, point * np.log(theta / point), theta - point)
        change = np.where(moved == 0.0, 0.0, moved / error)
    table = rows.reset_index(drop=True).assign(
        **dict(zip(fit.law.names, change.T, strict=True)),
        largest=np.where(np.isfinite(change), np.abs(change), -np.inf).max(axis=1),
        status=[r["status"] for r in refits],
    )
    return table.sort_values("largest", ascending=False, kind="stable", ignore_index=True)


def interval_of(fit: Fit, name: str) -> tuple[float, float]:
    """The 95 % interval of a parameter; by its standard error where there was no bootstrap."""
    own = fit.intervals[name]
    if math.isfinite(own.low) and math.isfinite(own.high):
        return own.low, own.high
    value, width = fit.params[name], t_quantile(fit.problem.dof) * fit.errors[name]
    if fit.law.parameters[fit.law.names.index(name)].positive:
        factor = math.exp(min(width / value, 300.0))
        return value / factor, value * factor
    return value - width, value + width


def change(fit: Fit, name: str, value: float) -> float:
    """Distance of ``value`` from the estimate, in half widths of the interval on its side."""
    point, (low, high) = fit.params[name], interval_of(fit, name)
    if value == point:
        return 0.0
    ends = np.array([value, point, low, high])
    if fit.law.parameters[fit.law.names.index(name)].positive:
        ends = np.log(np.maximum(ends, np.finfo(float).tiny))
    moved = float(ends[0] - ends[1])
    sides = [float(ends[1] - ends[2]), float(ends[3] - ends[1])]
    width = sides[moved > 0] or max(sides)  # an estimate at a bound has one side only
    return moved / width if width > 0 else math.inf * moved
