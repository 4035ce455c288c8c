"""A claim of S1, what we measured about it, and whether it holds here."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Iterable
from typing import Literal

import numpy as np

from analysis.laws import FloatArray
from analysis.uncertainty import Interval, widened

_ENOUGH = 0.5  # share of the resamples that must have a value


class Verdict(enum.StrEnum):
    """Whether a claim of S1 holds for the runs at hand."""

    HOLDS = "holds"
    DOES_NOT_HOLD = "does not hold"
    UNKNOWN = "cannot be told here"


RULE = (
    "A claim *holds* where the 95 % interval lies wholly on S1's side of the line, *does not "
    "hold* where it lies wholly on the other side, and else *cannot be told here*; nor can it "
    "where the other way of finding kappa puts the estimate on the other side."
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A number with its resamples.

    Attributes:
        values: the estimate, then one value per resample (1 + R,), NaN where there is none.
        dof: degrees of freedom of the fit behind it; the smallest of several.
        lower: smallest value it can have.
        upper: largest value it can have.
    """

    values: FloatArray
    dof: int
    lower: float = -math.inf
    upper: float = math.inf

    @property
    def estimate(self) -> float:
        """The value for the runs as they are."""
        return float(self.values[0])

    @property
    def interval(self) -> Interval:
        """95 %, widened for few runs; unknown where most resamples have no value."""
        drawn = self.values[1:][np.isfinite(self.values[1:])]
        known = math.isfinite(self.estimate) and len(drawn) > _ENOUGH * (len(self.values) - 1)
        if not known:
            return Interval(low=math.nan, high=math.nan)
        low, high = widened(drawn, self.values[0], self.dof)
        return Interval(low=max(float(low), self.lower), high=min(float(high), self.upper))


def mean(parts: Iterable[Quantity]) -> Quantity:
    """Mean over parts, resample by resample; NaN without parts."""
    parts = list(parts)
    if not parts:
        return Quantity(values=np.array([math.nan]), dof=1)
    values: FloatArray = np.mean([p.values for p in parts], axis=0)
    return Quantity(
        values=values, dof=min(p.dof for p in parts), lower=parts[0].lower, upper=parts[0].upper
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One claim.

    Attributes:
        finding: the finding of S1 it belongs to, ``i`` to ``v``.
        claim: in words.
        printed: what S1 prints, or "" where its digits did not survive.
        measured: name of the quantity.
        estimate: its value here.
        interval: its 95 % interval.
        line: value that divides holding from not.
        side: side of the line on which the claim holds.
        note: what else a reader must know.
        check: the same quantity found in another way; the verdict needs it on the same side.
    """

    finding: str
    claim: str
    printed: str
    measured: str
    estimate: float
    interval: Interval
    line: float
    side: Literal["above", "below"]
    note: str = ""
    check: float | None = None

    @property
    def verdict(self) -> Verdict:
        """By ``RULE``."""
        low, high = self.interval.low, self.interval.high
        if not (math.isfinite(low) and math.isfinite(high)) or low <= self.line <= high:
            return Verdict.UNKNOWN
        above = low > self.line
        if self.check is not None and (self.check > self.line) != above:
            return Verdict.UNKNOWN
        return Verdict.HOLDS if above == (self.side == "above") else Verdict.DOES_NOT_HOLD
