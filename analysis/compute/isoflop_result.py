"""What isoFLOP curves say: the optimal N and D of each budget, and power laws through them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.compute.budgets import Refusal
from analysis.compute.lines import Lines
from analysis.fit.loglog import LogLine
from analysis.text.card import Card, jsonable
from analysis.text.numbers import number


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IsoFlop(Lines):
    """Compute-optimal allocation from isoFLOP curves (Hoffmann et al. 2022, Approach 2).

    Attributes:
        method: how a budget's optimum was read.
        rows: the runs: N, D (if measured), C (of the budget, FLOPs), loss (nats).
        budgets: one row per budget used: C, runs, N, N_low, N_high, D, D_low, D_high, loss,
            curvature, off_centre, width (see ``Optimum``). D is NaN where its own curve was
            refused, which ``refused`` explains, or where D was not measured.
        curves: C, N and loss of the curves drawn through the runs.
        N_line: N*(C) = k C^a, or None (see ``reason``).
        D_line: D*(C) = k' C^b, or None.
        refused: budgets without an optimum, and why.
        reason: why there is no N*(C); empty when there is one.
        warnings: what a reader must know first.
        sensitivity: a by another curve.
    """

    method: str
    rows: pd.DataFrame
    budgets: pd.DataFrame
    curves: pd.DataFrame
    N_line: LogLine | None
    D_line: LogLine | None
    refused: tuple[Refusal, ...]
    reason: str
    warnings: tuple[str, ...]
    sensitivity: Mapping[str, float]

    def card(self) -> Card:
        """What is shown."""
        return Card(
            title=f"Approach 2: isoFLOP curves, {self.method}",
            warnings=self.shown_warnings(),
            estimates=self.estimates(),
            facts=(
                ("budgets used", f"{len(self.budgets)}"),
                *(("refused", str(r)) for r in self.refused),
                *((f"a by {k}", number(v, 4)) for k, v in self.sensitivity.items()),
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """All numbers, as plain JSON values; NaN becomes None."""
        found: dict[str, Any] = jsonable({
            "approach": 2, "method": self.method, **self.numbers(), "budgets": self.budgets,
            "sensitivity": self.sensitivity,
            "refused": [dataclasses.asdict(r) for r in self.refused],
        })  # fmt: skip
        return found
