"""What every answer is: lines with intervals and words, or with the reason why there is none."""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod

import pandas as pd

from analysis.fit.sampled import UNKNOWN, Sampled
from analysis.text import Card, Estimate, Interval, Result

NO_ANSWER = "no answer: "


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One number of an answer.

    Attributes:
        name: what it is of.
        value: the estimate; NaN only with a ``reason``. It may be infinite.
        interval: 95 %; NaN with a ``reason``.
        words: what it says.
        reason: why there is no value, or no interval; "" where there are both.
    """

    name: str
    value: float
    interval: Interval
    words: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        ends = (self.value, self.interval.low, self.interval.high)
        assert self.reason or not any(map(math.isnan, ends)), f"{self.name}: NaN without a reason"

    @classmethod
    def of(cls, name: str, number: Sampled, words: str = "", reason: str = "") -> Line:
        """A number; with a ``reason`` it is withheld, and an interval that lacks says why."""
        if not reason and math.isnan(number.point):
            reason = "the law has no parameters"
        if reason:
            return cls(name=name, value=math.nan, interval=UNKNOWN, words=words, reason=reason)
        return cls(
            name=name, value=number.point, interval=number.interval, words=words, reason=number.why
        )

    @classmethod
    def none(cls, name: str, reason: str) -> Line:
        """No answer."""
        return cls(name=name, value=math.nan, interval=UNKNOWN, reason=reason)

    @property
    def text(self) -> str:
        """Words and reason."""
        if self.words == self.reason:
            return self.words
        missing = NO_ANSWER if math.isnan(self.value) else "no interval: "
        parts = (self.words, missing + self.reason if self.reason else "")
        return "; ".join(p for p in parts if p)


class Question(Result):
    """An answered question: it shows itself as text, in a notebook and as a table.

    Attributes:
        warnings: what a reader must know before the numbers.
    """

    __slots__ = ()
    warnings: tuple[str, ...]

    @property
    @abstractmethod
    def title(self) -> str:
        """What was asked."""

    @property
    @abstractmethod
    def lines(self) -> tuple[Line, ...]:
        """The numbers."""

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """Name and value of everything else."""
        return ()

    def table(self) -> pd.DataFrame:
        """One row per number: ``name, value, low, high, words, reason``."""
        rows = [
            (e.name, e.value, e.interval.low, e.interval.high, e.words, e.reason)
            for e in self.lines
        ]
        return pd.DataFrame(rows, columns=["name", "value", "low", "high", "words", "reason"])

    def card(self) -> Card:
        """What is shown."""
        return Card(
            title=self.title,
            warnings=self.warnings,
            estimates=tuple(
                Estimate(name=e.name, value=e.value, interval=e.interval, meaning=e.text)
                for e in self.lines
            ),
            facts=self.facts,
        )


def beyond(ranges: tuple[float, float], scale: float) -> float:
    """How many times ``scale`` lies outside ``ranges``; 1 within."""
    low, high = ranges
    return max(1.0, scale / high, low / scale) if scale > 0 else math.inf
