"""What fits predict of runs they never saw: a cell left out, and laws compared.

Laws and variants are compared over expanding windows in N, D and their product: each is fitted to
the smaller runs at every position of a rolling origin and predicts all larger ones
(``analysis.fit.rolling``). All see the same windows, so their errors are paired, and each is set
against the simplest rival. Choshen et al. 2024 (arXiv 2410.11840) find about 4 % relative error
near the floor of practice.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.fit.certificate import Status
from analysis.fit.fit import fit_law
from analysis.fit.options import Variant
from analysis.fit.result import Fit
from analysis.fit.rolling import Position, fitted_at, origins, windows
from analysis.laws import FloatArray, Law, get
from analysis.studies.fit_rows import Data
from analysis.text import Interval, json_object, number

MOST = 2.0  # times the lowest mean error, beyond which no simplicity is worth it
_FEWEST = 3
_LEAST = 1e-12  # relative error: less is rounding


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Holdout:
    """A cell predicted by a fit that never saw it.

    Attributes:
        cell: scales of the cell left out.
        losses: losses of its runs, in nats (the law's response, in its unit).
        predicted: what is predicted by the fit to the other cells.
        interval: 95 % prediction interval of the mean of as many new runs there.
        covered: whether the mean of the runs lies within; None where no fit was possible.
        relative_error: predicted over measured (mean of the runs), less 1.
        status: of the fit to the other cells.
    """

    cell: dict[str, float]
    losses: tuple[float, ...]
    predicted: float
    interval: Interval
    covered: bool | None
    relative_error: float
    status: Status

    def to_dict(self) -> dict[str, Any]:
        """All numbers, as plain JSON values."""
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return json_object(**{**own, "status": str(self.status)})


def hold_out(fit: Fit, cell: Mapping[str, float]) -> Holdout:
    """Refit without the runs at ``cell`` and predict it; see ``Fit.holdout``."""
    x = fit.scales(cell)
    inside = np.isclose(fit.problem.x, x[0], rtol=1e-9).all(axis=1)
    if not inside.any() or inside.all():
        raise ValueError(f"{'no' if not inside.any() else 'every'} run is at {cell}")
    rest = fit.refit(~inside)
    row = rest.predicted(x).iloc[0]
    losses = tuple(float(v) for v in fit.problem.loss[inside])
    scale, predicted = fit.problem.scale, float(row[fit.law.response])
    mean = float(scale.inverse(scale.forward(fit.problem.loss[inside]).mean()))
    known = rest.ok and bool(np.isfinite(row[["mean_low", "new_low"]].to_numpy(float)).all())
    apart = len(np.unique(fit.problem.runs[inside]))
    interval = _of_mean(row, rest, apart) if known else Interval(low=math.nan, high=math.nan)
    return Holdout(
        cell={axis: float(cell[axis]) for axis in fit.law.axes},
        losses=losses,
        predicted=predicted,
        interval=interval,
        covered=interval.covers(mean) if known else None,
        relative_error=predicted / mean - 1,
        status=rest.status,
    )


def leave_out_largest(fit: Fit) -> Holdout:
    """Leave out the cell of the largest D among the runs of the largest N, and predict it.

    Raises:
        ValueError: the fit has one cell only.
    """
    x = fit.problem.x
    order = np.lexsort(x.T[::-1])
    return hold_out(fit, dict(zip(fit.law.axes, (float(v) for v in x[order[-1]]), strict=True)))


def _of_mean(row: pd.Series[Any], fit: Fit, runs: int) -> Interval:
    """Prediction interval of the mean of ``runs`` new runs, from a row of ``predict``.

    On the scale of the residuals the interval of one run is that of the curve and a run's scatter
    in quadrature; the scatter of a mean is smaller by the root of ``runs``.
    """
    scale = fit.problem.scale
    names = [fit.law.response, "mean_low", "new_low", "mean_high", "new_high"]
    centre, *values = scale.forward(row[names].to_numpy(dtype=np.float64))
    ends = []
    for (curve, one), sign in zip((values[:2], values[2:]), (-1.0, 1.0), strict=True):
        own = (curve - centre) ** 2
        half = math.sqrt(own + max((one - centre) ** 2 - own, 0.0) / runs)
        ends.append(float(scale.inverse(centre + sign * half)))
    return Interval(low=ends[0], high=ends[1]).holding(float(row[fit.law.response]))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LawChoice:
    """Candidates side by side.

    Attributes:
        table: one row per candidate, best first: ``candidate``, ``parameters``, ``error`` (mean
            relative error of held-out runs over windows), ``against`` and ``against_se`` (mean and
            standard error over windows of its error less that of the simplest rival), ``z`` (rms
            error in the standard deviations the fit gives, 1 where the law holds), ``status``;
            ``why`` where a candidate could not take part.
        errors: relative error (mean over the runs of a window) by candidate and window.
        chosen: its label; likewise ``simplest``.
        fits: of every candidate to all runs, by label.
        reason: in words, why the one chosen was.
    """

    table: pd.DataFrame
    errors: pd.DataFrame
    chosen: str
    simplest: str
    fits: dict[str, Fit]
    reason: str

    @property
    def fit(self) -> Fit:
        """The candidate chosen, fitted to all runs."""
        return self.fits[self.chosen]

    def summary(self) -> str:
        """The table and the reason, as text."""
        return f"{self.table.to_string(index=False)}\n{self.reason}"

    def _repr_html_(self) -> str:
        return f"{self.table.to_html(index=False)}<p>{self.reason}</p>"

    def __str__(self) -> str:
        return self.summary()


def choose_law(
    data: Data,
    laws: Sequence[str | Law] = ("chinchilla", "kaplan", "tied"),
    *,
    variants: Sequence[Variant] = ("plain", "bounded", "regularised"),
    **options: Any,
) -> LawChoice:
    """Compare laws and variants by held-out error and choose one.

    The one chosen is the simplest (fewest parameters, then plain before the other variants)
    whose error is at most twice the lowest and, window by window, within one standard error of
    it: errors are compared as logarithms of their ratio in a window, so that no window with a
    huge error makes the standard error that excuses it. Held-out runs beyond the data given are
    never looked at.

    Args:
        data: as for ``fit_law``.
        laws: registered names or laws of the same response; the data need the axes of all.
        variants: of each, see ``fit_law``.
        **options: of ``fit_law`` for all candidates, such as ``delta`` or ``n_boot``.

    Raises:
        ValueError: fewer than three windows in which every law can be fitted, with what is
            missing; laws of different responses; no law.
    """
    chosen = [get(law) if isinstance(law, str) else law for law in laws]
    if not chosen:
        raise ValueError("no laws to compare")
    if len({law.response for law in chosen}) > 1:
        names = ", ".join(f"{law.name} ({law.response})" for law in chosen)
        raise ValueError(f"laws of different responses cannot be compared: {names}")
    fits = {
        _label(law, variant): fit_law(data, law, variant=variant, **options)
        for law in chosen
        for variant in variants
    }
    at = _common(fits)
    errors, scores = {}, {}
    for label, fit in fits.items():
        if fit.ok:
            positions = origins(fit.problem, at)
            errors[label] = [o.relative for o in positions]
            scores[label] = math.sqrt(float(np.mean([o.z**2 for o in positions])))
    return _chosen(fits, errors, scores, at)


def _label(law: Law, variant: str) -> str:
    return law.name if variant == "plain" else f"{law.name}, {variant}"


def _common(fits: dict[str, Fit]) -> list[Position]:
    """Windows along the axes of the law that has most, in which every law can be fitted."""
    able = {fit.law.name: fit for fit in fits.values() if fit.ok}
    if not able:
        reasons = "; ".join(f"{label}: {', '.join(f.remarks)}" for label, f in fits.items())
        raise ValueError(f"no law could be fitted ({reasons})")
    if len({len(fit.rows) for fit in able.values()}) > 1:
        raise ValueError("laws that use different runs, such as marginal ones, cannot be compared")
    widest = max(able.values(), key=lambda fit: len(fit.law.axes))
    shared = [
        (axis, cut, kept)
        for axis, cut, kept in windows(widest.problem)
        if all(fitted_at(fit.problem, kept) for fit in able.values())
    ]
    if len(shared) < _FEWEST:
        raise ValueError(
            f"{len(shared)} windows in which every law can be fitted, {_FEWEST} are needed: "
            "add sizes or data sizes, or compare simpler laws"
        )
    return shared


def _chosen(
    fits: dict[str, Fit],
    errors: dict[str, list[float]],
    scores: dict[str, float],
    at: list[Position],
) -> LawChoice:
    order = {label: i for i, label in enumerate(fits)}
    simplest = min(errors, key=lambda k: (fits[k].problem.varied, order[k]))
    mean = {label: float(np.mean(e)) for label, e in errors.items()}
    best = min(mean, key=lambda k: mean[k])
    chosen = min(near_best(errors), key=lambda k: (fits[k].problem.varied, order[k]))
    rows = []
    for label, fit in fits.items():
        row: dict[str, Any] = {
            "candidate": label,
            "parameters": fit.problem.varied,
            "status": str(fit.status),
            "why": "; ".join(fit.remarks) if not fit.ok else "",
        }
        if label in errors:
            gap, se = _gap(errors[label], errors[simplest])
            row |= {"error": mean[label], "against": gap, "against_se": se, "z": scores[label]}
        rows.append(row)
    columns = ["candidate", "parameters", "error", "against", "against_se", "z", "status", "why"]
    table = pd.DataFrame(rows).reindex(columns=columns).sort_values("error", kind="stable")
    windows_ = pd.MultiIndex.from_tuples([(a, c) for a, c, _ in at], names=["axis", "cut"])
    return LawChoice(
        table=table.reset_index(drop=True),
        errors=pd.DataFrame(errors, index=windows_),
        chosen=chosen,
        simplest=simplest,
        fits=fits,
        reason=_reason(chosen, best, mean, len(at)),
    )


def near_best(errors: Mapping[str, Sequence[float]]) -> list[str]:
    """Candidates whose errors cannot be told from those of the lowest mean, that one among them.

    ``errors`` are relative, over the same windows, by candidate.
    """
    mean = {label: float(np.mean(e)) for label, e in errors.items()}
    best = min(mean, key=lambda k: mean[k])
    near = []
    for label, own in errors.items():
        gap, se = _gap(_logs(own), _logs(errors[best]))
        if label == best or (mean[label] <= MOST * mean[best] and gap <= se):
            near.append(label)
    return near


def _logs(errors: Sequence[float]) -> FloatArray:
    return np.asarray(np.log(np.maximum(errors, _LEAST)))


def _gap(
    own: Sequence[float] | FloatArray, other: Sequence[float] | FloatArray
) -> tuple[float, float]:
    """Mean and standard error of the paired difference over windows."""
    difference: FloatArray = np.asarray(own) - np.asarray(other)
    return float(difference.mean()), float(difference.std(ddof=1) / math.sqrt(len(difference)))


def _reason(chosen: str, best: str, mean: dict[str, float], count: int) -> str:
    errors = f"{number(100 * mean[chosen], 3)} % over {count} windows"
    if chosen == best:
        return f"{chosen} predicts larger runs best: mean relative error {errors}."
    return (
        f"{chosen} (mean relative error {errors}) is simpler than {best} "
        f"({number(100 * mean[best], 3)} %) and, window by window, within one standard error of it."
    )
