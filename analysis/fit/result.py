"""A fit: the optimum of a law on the rows it came from, what it predicts, and what it says."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.fit.certificate import GRADIENT
from analysis.fit.optimum import Optimum
from analysis.fit.options import FitOptions
from analysis.fit.search import find_optimum
from analysis.laws import BoolArray, FloatArray, Law
from analysis.text import (
    NORMAL,
    Card,
    Estimate,
    Interval,
    Result,
    count,
    json_object,
    number,
    reach_up,
)

_FEW_REFITS = 40
_FEW_AGREED = 0.25
_ILL_CONDITIONED = 1e4


class ExtrapolationWarning(UserWarning):
    """A prediction lies so far beyond the data that its interval is an extrapolation as well."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fit(Optimum, Result):
    """A law fitted to runs: its optimum, and the rows it came from.

    Attributes:
        rows: one row per run: ``trial``, scales, response.
        at: values the other axes are held at, for a marginal law.
        labels: what figures call the axes and the response, where not as in a study.
        ended: parameter that the fit itself holds at the end of its range; empty for none.
    """

    rows: pd.DataFrame
    at: Mapping[str, float]
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ended: str = ""

    @classmethod
    def to(
        cls,
        rows: pd.DataFrame,
        law: Law,
        options: FitOptions,
        *,
        at: Mapping[str, float],
        labels: Mapping[str, str],
        remarks: Sequence[str] = (),
        notes: Sequence[str] = (),
        ended: str = "",
    ) -> Fit:
        """The fit of ``law`` to checked rows; ``remarks`` and ``notes`` come before its own."""
        best = find_optimum(rows, law, options)
        own = {f.name: getattr(best, f.name) for f in dataclasses.fields(Optimum)}
        own |= {"remarks": (*remarks, *best.remarks), "notes": (*notes, *best.notes)}
        return cls(**own, rows=rows, at=at, labels=labels, ended=ended)

    def refit(self, keep: BoolArray | None = None, **changes: Any) -> Fit:
        """The same fit to the rows that ``keep`` (n,) marks, with ``changes`` of ``options``."""
        rows = self.rows if keep is None else self.rows.loc[keep].reset_index(drop=True)
        options = dataclasses.replace(self.options, **changes)
        ended = self.ended if self.ended in options.fixed else ""
        return Fit.to(rows, self.law, options, at=self.at, labels=self.labels, ended=ended)

    @cached_property
    def released(self) -> Fit | None:
        """The fit with a held parameter free that no one knows: ``ended``, or the first borrowed.

        Values that come from other fits are not exact. What the data say of one, given the others,
        is how far they contradict each other; intervals hold this fit as well as that with all
        values held. None where the law borrows nothing, not all it borrows is held (a warning then
        says that the error of what is held is left out) or errors of the values are given. An end
        that the fit itself has held is not known at all.
        """
        names = (self.ended,) if self.ended else self.law.borrowed
        held = dict(self.options.fixed)
        known = bool(self.options.fixed_errors) and not self.ended
        if not self.ok or not names or not set(names) <= set(held) or known:
            return None
        del held[names[0]]
        freed = self.refit(fixed=held)
        return freed if freed.ok else None

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """95 % intervals by name; the floor's is the wider of bootstrap and profile.

        Where borrowed parameters are held, those of the others hold both this fit and the one
        with a parameter ``released``.
        """
        ends = dict(self.intervals_bootstrap)
        if self.released is not None:
            ends = {k: v.union(self.released.intervals_bootstrap[k]) for k, v in ends.items()}
        for name, value in self.options.fixed.items():
            if name == self.ended:
                continue
            half = NORMAL * self.options.fixed_errors.get(name, 0.0)
            ends[name] = Interval(low=value - half, high=value + half)
        if self.profile is not None:
            own, name = self.profile.interval, self.profile.name
            ends[name] = ends[name].union(own) if len(self.bootstrap.theta) else own
        for name in self.certificate.flat:  # refits never move along such a direction
            ends[name] = Interval(low=math.nan, high=math.nan)
        return {name: own.holding(self.params[name]) for name, own in ends.items()}

    @property
    def residuals(self) -> pd.DataFrame:
        """One row per run: scales, response, fitted, log_residual."""
        with np.errstate(all="ignore"):
            logs = np.log(self.problem.loss / self.fitted)
        return self.rows.assign(fitted=self.fitted, log_residual=logs)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know first: of the data, then of the fit, the gravest first."""
        return (*self.remarks, *(self._of_parameters() + self._of_search() if self.ok else ()))

    def _of_parameters(self) -> list[str]:
        """Warnings on parameters at a bound, without effect, or not resolved."""
        certificate, floor, said = self.certificate, self.law.floor, list[str]()
        for name in certificate.bounds_hit:
            value = self.params[name]
            if name == floor:
                where = "0: the data show no floor" if value <= 0 else "the smallest loss seen"
                said.append(f"{name} ran to {where}")
            elif name in self.options.limits:
                said.append(f"{name} ran to a bound ({value:.3g}) that was given")
            else:
                said.append(f"{name} ran to a bound ({value:.3g}): the data do not determine it")
        if flat := certificate.flat:
            what = "trade off without any" if len(flat) > 1 else "has no"
            said.append(
                f"{' and '.join(flat)} {what} effect on the fit, so that values and intervals of "
                f"theirs mean nothing: hold one (fixed={{'{flat[-1]}': ...}}) or leave it out of "
                "the formula"
            )
        fitted = floor not in (*certificate.bounds_hit, *self.problem.fixed)
        if floor is not None and fitted and self.intervals[floor].low <= 0:
            said.append(f"{floor} is not resolved: its interval reaches 0")
        return said

    def _of_search(self) -> list[str]:
        """Warnings on the search and the refits."""
        certificate, said = self.certificate, list[str]()
        if certificate.gradient > GRADIENT:
            said.append(f"not converged: scaled gradient {certificate.gradient:.1e}")
        if certificate.agreed < _FEW_AGREED:
            said.append(f"only {certificate.agreed:.0%} of the starts reached the optimum")
        if certificate.condition > _ILL_CONDITIONED:
            said.append(f"ill-conditioned ({certificate.condition:.1e}): parameters trade off")
        if 0 < (refits := self.options.n_boot) < _FEW_REFITS:
            said.append(f"{refits} refits give intervals that are too narrow: take 200")
        if (dof := self.problem.dof) < 5:
            said.append(f"{dof} degree{'s' * (dof > 1)} of freedom: intervals are rough")
        if unconverged := self.bootstrap.unconverged:
            said.append(f"{unconverged} bootstrap refits did not converge and are left out")
        return said

    def predict(
        self,
        at: pd.DataFrame | Mapping[str, npt.ArrayLike] | None = None,
        /,
        **scales: npt.ArrayLike,
    ) -> pd.DataFrame:
        """Predict the response at scales, with 95 % intervals.

        Args:
            at: a frame with the axes of the law among its columns; ``scales`` may add others.
            **scales: a scalar or (m,) for every axis of the law, such as ``N`` (backbone
                parameters) and ``D`` (unique training records).

        Returns:
            One row per point: the scales, ``loss`` (nats; the law's response by its name),
            ``mean_low``/``mean_high`` (interval of the curve), ``new_low``/``new_high`` (interval
            of a new run), ``beyond`` (how many times the point lies outside the data, in compute
            (the product of the axes), on its worst axis or in the reducible loss, whichever is
            most; 1 within) and ``untested`` (farther than any run that a rolling origin predicted).
            Intervals of points outside hold ``misfit`` as well, which grows with distance; those of
            a law with borrowed parameters held also hold the fit with one ``released``. Where the
            formula has no value, such as at an L_id below E_id, all are NaN.

        Raises:
            ValueError: a scale the law needs is missing, one it lacks is given, or one is not
                positive.

        Warns:
            ExtrapolationWarning: some points are ``untested``: there the interval extrapolates
                the error of the law too.
            UserWarning: the formula has no value at some points.
        """
        if at is not None:
            columns = at.columns if isinstance(at, pd.DataFrame) else at
            scales = {**{a: at[a] for a in self.law.axes if a in columns}, **scales}
        x = self.scales(scales)
        table = self.predicted(x)
        if isinstance(at, pd.DataFrame) and len(at) == len(table):
            table.index = at.index  # so that a column of it can be assigned to the frame given
        none, why = self.valueless(x)
        if none.any():
            where = f"{int(none.sum())} of {len(x)} points: " if len(x) > 1 else ""
            warnings.warn(f"{where}{why}", stacklevel=2)
            table.loc[none, "untested"] = False
        if len(self.bootstrap.theta) and bool(table["untested"].any()):
            warnings.warn(self.untested_words(table), ExtrapolationWarning, stacklevel=2)
        return table

    @np.errstate(all="ignore")  # a law may have no value at such parameters: NaN
    def predicted(self, x: FloatArray) -> pd.DataFrame:
        """``predict`` at ``x`` (m, K), without the warnings."""
        none = self.valueless(x)[0]
        response = np.where(none, math.nan, self.law.value(self.theta, x))
        return self._with_released(x, self.table(x, response))

    def _with_released(self, x: FloatArray, frame: pd.DataFrame) -> pd.DataFrame:
        """Predictions whose intervals hold those of the ``released`` fit as well."""
        if self.released is None:
            return frame
        other = self.released.table(x, self.law.value(self.released.theta, x))
        lost = frame[self.law.response].isna()
        for name in ("mean_low", "new_low", "mean_high", "new_high"):
            widest = np.fmin if name.endswith("low") else np.fmax
            frame[name] = pd.Series(widest(frame[name], other[name])).mask(lost)
        return frame

    def holdout(self, **cell: float) -> Any:
        """Refit without the runs at ``cell``, such as ``N=24_000, D=4096``, and predict it.

        Returns ``analysis.checks.held_out.Holdout``.

        Raises:
            ValueError: no run is there, or no other run is.
        """
        return reach_up("checks.held_out", "hold_out")(self, cell)

    def to_lmfit(self) -> Any:
        """The same fit by lmfit, with its report and profiles; see ``analysis.checks.lmfit``."""
        return reach_up("checks.lmfit", "to_lmfit")(self)

    def sensitivity(
        self,
        *,
        n_convention: Mapping[str, npt.ArrayLike] | None = None,
        weights: npt.ArrayLike | None = None,
    ) -> Any:
        """Refits under other choices, and what they move; see ``analysis.checks.sensitivity``."""
        refits = reach_up("checks.sensitivity", "sensitivity")
        return refits(self, n_convention=n_convention, weights=weights)

    @property
    def evidence(self) -> list[tuple[str, str]]:
        """Name and value of what shows whether the optimum is one."""
        c, response = self.certificate, self.law.response
        loss = "least squares" if math.isinf(c.delta) else f"Huber, delta {number(c.delta)}"
        if self.options.own is not None:
            loss = self.options.own.name
        excess = "-excess" if self.problem.scale.name == "log_excess" else ""
        of = f"log-{response}{excess} residuals"
        if not self.problem.scale.relative:
            of = f"residuals of the {response}"
        r2 = [(f"R² of the {response}", number(self.r2, 4))]
        if self.law.floor:
            r2.append((f"R² of the log excess {response}", number(self.r2_log_excess, 4)))
        return [
            ("status", str(self.status)),
            ("loss", f"{loss}, sum over runs of {of}"),
            ("objective", number(c.objective, 6)),
            ("starts that agreed", f"{c.agreed:.0%} of {c.starts}" if c.starts else "–"),
            ("scaled gradient", number(c.gradient, 2)),
            ("condition number", number(c.condition, 3)),
            ("bounds hit", ", ".join(c.bounds_hit) or "none"),
            *r2,
            ("scatter of a run", self._in_units(self.scatter)),
            ("bootstrap", f"{self.bootstrap.kind}, {len(self.bootstrap.theta)} refits by run"),
            ("error of the law at 4 times the data", self._in_units(self._typical)),
        ]

    def _in_units(self, residual: float) -> str:
        """A residual in per cent, or in the unit of the response."""
        if self.problem.scale.relative:
            return f"{number(100 * residual, 2)} %"
        return f"{number(residual, 3)} {self.law.unit}".strip()

    @property
    def _typical(self) -> float:
        """Half width of the law's own error at four times the data; NaN without parameters."""
        return math.nan if self.misfit is None else self.misfit.typical

    def card(self) -> Card:
        """Warnings, parameters, the evidence for them, and the ranges of the data."""
        at = "".join(f" at {axis} = {count(value)}" for axis, value in self.at.items())
        ranges = [
            ("data", f"{a} {count(low)} to {count(high)}") for a, (low, high) in self.ranges.items()
        ]
        ends = self.intervals
        return Card(
            title=f"{self.law.formula}{at}",
            warnings=self.warnings,
            estimates=tuple(
                Estimate(name=n, value=self.params[n], interval=ends[n], meaning=p.meaning)
                for n, p in zip(self.law.names, self.law.parameters, strict=True)
            ),
            facts=(*self.evidence, *ranges),
            notes=self.notes,
            terse=True,
        )

    def to_dict(self) -> dict[str, Any]:
        """All numbers, as plain JSON values; NaN becomes None; no params when unidentifiable."""
        evidence, refits = dataclasses.asdict(self.certificate), self.bootstrap
        del evidence["flat"]
        return json_object(
            law=self.law.name,
            formula=self.law.formula,
            source=self.law.source,
            status=str(self.status),
            at=self.at,
            points=len(self.rows),
            params=self.params if self.ok else {},
            errors=self.errors if self.ok else {},
            intervals=self.intervals if self.ok else {},
            intervals_bootstrap=self.intervals_bootstrap,
            interval_profile={p.name: p.interval} if (p := self.profile) else {},
            r2=self.r2,
            r2_log_excess=self.r2_log_excess,
            scatter=self.scatter,
            misfit=self._typical,
            ranges=self.ranges,
            certificate=evidence,
            bootstrap={
                "kind": refits.kind,
                "refits": len(refits.theta),
                "redrawn": refits.redrawn,
                "unconverged": refits.unconverged,
            },
            alternatives=self.alternatives,
            warnings=self.warnings,
            notes=self.notes,
        )
