"""Exponents of two configurations compared."""

from __future__ import annotations

import dataclasses
import math
from typing import final

from analysis.fit.loglog import UNKNOWN
from analysis.questions.answer import Line
from analysis.questions.evidence.additive import PLURAL, Axis
from analysis.questions.evidence.quantity import Quantity
from analysis.questions.reaching import Parity
from analysis.text.numbers import Interval, interval, number


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Exponents of two configurations compared.

    Attributes:
        first: name of one.
        second: name of the other.
        axis: compared.
        times: by which the first is scaled.
        log_ratio: log of the first's exponent over the second's; None with a ``reason``.
        tasks: it is a mean over.
        reason: why nothing can be compared; "" where something can.
        parity: how many times more the second needs for the same loss, where asked for.
    """

    first: str
    second: str
    axis: Axis
    times: float
    log_ratio: Quantity | None
    tasks: tuple[str, ...]
    reason: str
    parity: Parity | None = None

    @property
    def ratio(self) -> float:
        """Exponent of the first over that of the second; NaN with a ``reason``."""
        return math.nan if self.log_ratio is None else math.exp(self.log_ratio.point)

    @property
    def interval(self) -> Interval:
        """95 % interval of ``ratio``."""
        if self.log_ratio is None:
            return UNKNOWN
        ends = self.log_ratio.interval
        return Interval(low=math.exp(ends.low), high=math.exp(ends.high)).holding(self.ratio)

    @property
    def needed(self) -> float:
        """How many times the second must be scaled for what ``times`` does for the first."""
        return _power(self.times, self.ratio)

    @property
    def needed_interval(self) -> Interval:
        """95 % interval of ``needed``; its end is infinite where no float holds it."""
        ends = self.interval
        found = Interval(low=_power(self.times, ends.low), high=_power(self.times, ends.high))
        return found.holding(self.needed)

    @property
    def resolved(self) -> bool:
        """Whether the interval of ``ratio`` is known and does not hold 1."""
        return self.interval.low > 1 or self.interval.high < 1

    @property
    def words(self) -> str:
        """The answer in one sentence."""
        if self.log_ratio is None:
            return ""
        what = PLURAL[self.axis]
        said = (
            f"what {number(self.times)} times the {what} take off the excess loss of {self.first} "
            f"takes {number(self.needed)} {interval(self.needed_interval)} times for {self.second}"
        )
        if self.log_ratio.why or self.resolved:
            return said
        return f"{said}; which needs more is not resolved, as the ratio may be 1"

    @property
    def line(self) -> Line:
        """The ratio as a line of a table."""
        why = self.reason or (self.log_ratio.why if self.log_ratio else "")
        return Line(
            name=f"{self.first} over {self.second}", value=self.ratio, interval=self.interval,
            words=self.words, reason=why,
        )  # fmt: skip


def _power(base: float, exponent: float) -> float:
    try:
        return float(base**exponent)
    except OverflowError:
        return math.inf
