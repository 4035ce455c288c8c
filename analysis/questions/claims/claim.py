"""A claim of S1, what we measured about it, and whether it holds here."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Iterable
from typing import Literal

import numpy as np

from analysis.fit.intervals import widened
from analysis.laws import FloatArray
from analysis.text.numbers import Interval

_ENOUGH = 0.5  # share of the resamples that must have a value


class Verdict(enum.StrEnum):
    """Whether a claim of S1 holds for the runs at hand."""

    HOLDS = "holds"
    DOES_NOT_HOLD = "does not hold"
    UNKNOWN = "cannot be told here"


RULE = (
    "A claim *holds* where the 95 % interval lies wholly on S1's side of the line, *does not "
    "hold* where it lies wholly on the other side, and else *cannot be told here*. Nor can it "
    "where a law behind it does not determine what is used of it, or where a second interval "
    "(kappa with E_ood fitted, compute with the measured MACs) does not lie on the same side."
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
        within = Interval(low=max(float(low), self.lower), high=min(float(high), self.upper))
        return within.holding(self.estimate)

    def less(self, other: Quantity) -> Quantity:
        """Difference, resample by resample."""
        return Quantity(
            values=self.values - other.values, dof=min(self.dof, other.dof),
            lower=self.lower - other.upper, upper=self.upper - other.lower,
        )  # fmt: skip


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
        check: 95 % interval of the same found in another way; None where there is no other way.
        doubt: why no verdict can rest on the laws behind it; "" where one can.
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
    check: Interval | None = None
    doubt: str = ""

    @property
    def verdict(self) -> Verdict:
        """By ``RULE``."""
        if self.why_unknown:
            return Verdict.UNKNOWN
        above = self._side(self.interval) == "above"
        return Verdict.HOLDS if above == (self.side == "above") else Verdict.DOES_NOT_HOLD

    @property
    def why_unknown(self) -> str:
        """Why it cannot be told; "" where it can."""
        if self.doubt:
            return self.doubt
        side = self._side(self.interval)
        if side is None:
            return "no interval"
        if side == "across":
            return "the interval holds the line"
        if self.check is None:
            return ""
        other = self._side(self.check)
        if other is None:
            return "no second interval"
        return "" if other == side else "the second interval is not on the same side"

    def _side(self, interval: Interval) -> Literal["above", "below", "across"] | None:
        low, high = interval.low, interval.high
        if not (math.isfinite(low) and math.isfinite(high)):
            return None
        if low <= self.line <= high:
            return "across"
        return "above" if low > self.line else "below"
