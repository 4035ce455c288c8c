"""What the envelope of training curves says."""

from __future__ import annotations

import dataclasses
from typing import Any

import pandas as pd

from analysis.compute.lines import Lines
from analysis.fit.loglog import LogLine
from analysis.text.card import Card, jsonable


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Envelope(Lines):
    """Compute-optimal allocation from training curves (Hoffmann et al. 2022, Approach 1).

    Attributes:
        rows: the curves: N, D (if known), C (FLOPs spent by then), loss (nats), trial, and
            ``pareto`` (whether no row has both less compute and less loss).
        frontier: the envelope: C, loss, N, D and trial of the best run, ``lowest`` (whether no
            less compute reached a lower loss) and ``bracketed`` (whether moreover a smaller and
            a larger size were measured at that C); the lines use the latter.
        N_line: N*(C) = k C^a, or None (see ``reason``).
        D_line: D*(C) = k' C^b, or None.
        sizes: distinct N the line goes through.
        reason: why there is no N*(C); empty when there is one.
        warnings: what a reader must know first.
    """

    rows: pd.DataFrame
    frontier: pd.DataFrame
    N_line: LogLine | None
    D_line: LogLine | None
    sizes: int
    reason: str
    warnings: tuple[str, ...]

    def card(self) -> Card:
        """What is shown."""
        used = int(self.frontier["bracketed"].sum())
        return Card(
            title="Approach 1: envelope of training curves",
            warnings=self.shown_warnings(),
            estimates=self.estimates(),
            facts=(
                ("runs", f"{self.rows['trial'].nunique()}"),
                ("sizes on the line", f"{self.sizes}"),
                ("points between a smaller and a larger size", f"{used} of {len(self.frontier)}"),
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """All numbers, as plain JSON values; NaN becomes None."""
        found: dict[str, Any] = jsonable(
            {"approach": 1, **self.numbers(), "sizes": self.sizes, "frontier": self.frontier}
        )
        return found
