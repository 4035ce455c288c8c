"""What other choices make of the parameters of a fit, as a table, a verdict and a figure."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pandas as pd

from analysis.fit.certificate import Status
from analysis.fit.intervals import t_quantile
from analysis.fit.result import Fit
from analysis.laws import FloatArray
from analysis.text.card import Card, Estimate, Result, jsonable
from analysis.text.numbers import number

USABLE = (Status.CONVERGED, Status.AT_BOUND)
_LISTED = 10  # runs of the influence table that ``to_dict`` holds


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refit:
    """The parameters under one other choice.

    Attributes:
        choice: what was chosen differently, such as ``delta``.
        value: what was chosen.
        theta: natural parameters (P,), NaN where they are not identifiable.
        objective: at the optimum.
        comparable: whether the objective may be compared with that of the fit.
        status: of the refit.
        points: how many were used.
    """

    choice: str
    value: str
    theta: FloatArray
    objective: float
    comparable: bool
    status: Status
    points: int


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
        found = used[[f"{n}_change" for n in self.fit.law.names]]
        return found.set_axis(list(self.fit.law.names), axis=1)

    @property
    def verdicts(self) -> dict[str, str]:
        """``robust``, or which choice moves the parameter most, by parameter."""
        found = {}
        changes = self.changes
        labels = (self.table["choice"] + " " + self.table["value"]).loc[changes.index]
        for name in self.fit.law.names:
            size = np.nan_to_num(changes[name].abs().to_numpy(dtype=np.float64), posinf=np.inf)
            far, at = number(float(size.max()), 2), labels.iloc[int(size.argmax())]
            moves = f"moves by {far} half widths of its interval: {at}"
            found[name] = "robust" if size.max() <= 1.0 else moves
        return found | dict.fromkeys(self.fit.problem.fixed, "held")

    @property
    def robust(self) -> bool:
        """Whether no choice moves any parameter by more than its interval."""
        return all(v in ("robust", "held") for v in self.verdicts.values())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Parameters that move, and refits that failed."""
        found = [f"{n} {v}" for n, v in self.verdicts.items() if v.startswith("moves")]
        for status in (Status.UNIDENTIFIABLE, Status.NOT_CONVERGED):
            rows = self.table[self.table["status"] == str(status)]
            found += [f"{r.choice} {r.value}: {status}" for r in rows.itertuples()]
        return tuple(found)

    def card(self) -> Card:
        """Parameters with their verdicts, and the run that matters most."""
        first = self.influence.iloc[0]
        name = str(self.influence.loc[0, list(self.fit.law.names)].abs().astype(float).idxmax())
        return Card(
            title=f"Sensitivity of {self.fit.law.formula}",
            warnings=self.warnings,
            estimates=tuple(
                Estimate(
                    name=n, value=self.fit.params[n], interval=self.fit.intervals[n], meaning=v
                )
                for n, v in self.verdicts.items()
            ),
            facts=(
                ("choices", f"{len(self.table) - 1}"),
                (
                    "most influential run",
                    f"{first['trial']}: {name} by {number(float(first[name]), 2)} standard errors",
                ),
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """All numbers, as plain JSON values; of the runs the ten most influential."""
        found: dict[str, Any] = jsonable({
            "law": self.fit.law.name,
            "robust": self.robust,
            "verdicts": self.verdicts,
            "choices": self.table,
            "influence": self.influence.head(_LISTED),
            "warnings": self.warnings,
        })  # fmt: skip
        return found


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


def table(fit: Fit, refits: list[Refit]) -> pd.DataFrame:
    """The refits as the table of ``Sensitivity``."""
    rows = []
    for refit in refits:
        row: dict[str, Any] = {"choice": refit.choice, "value": refit.value}
        row |= dict(zip(fit.law.names, refit.theta, strict=True))
        row |= {
            f"{n}_change": change(fit, n, v)
            for n, v in zip(fit.law.names, refit.theta, strict=True)
        }
        rows.append(row | {
            "objective": refit.objective, "comparable": refit.comparable,
            "status": str(refit.status), "points": refit.points,
        })  # fmt: skip
    return pd.DataFrame(rows)


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
