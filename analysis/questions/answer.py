"""What every answer is: lines with intervals and words, or with the reason why there is none.

A number is given where the law determines what is used of it (``law_doubt`` and those after it).
"""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import pandas as pd

from analysis.fit.certificate import Status
from analysis.fit.result import Fit
from analysis.fit.sampled import UNKNOWN, Sampled
from analysis.text import Card, Estimate, Interval, Result, number
from analysis.transfer import Transfer

NO_ANSWER = "no answer: "
# Of the loss, for joint and loss-to-loss laws. On 25 runs of pure noise a joint law of five
# parameters reaches 0.17 on average, 0.5 once in 170 and 0.7 once in 20,000 (beta distribution);
# S1's loss-to-loss laws have 0.63 to 0.95 (Table S.7).
R2_SMALLEST = 0.7
SHARE_OF_TASKS = 0.5  # of those shared that a mean over tasks must rest on
_TERMS = {"N": ("A", "alpha"), "D": ("B", "beta")}


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
    def of_parameters(cls, law: Fit, names: Sequence[str], prefix: str = "") -> list[Line]:
        """Parameters of a law that was fitted."""
        missing = "" if len(law.bootstrap.theta) else "no resamples (n_boot = 0)"
        return [
            cls(
                name=f"{prefix}{p.name}",
                value=law.params[p.name],
                interval=law.intervals_bootstrap[p.name],
                words=p.meaning,
                reason=missing,
            )
            for p in law.law.parameters
            if p.name in names
        ]

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


def side_of(interval: Interval, line: float) -> Literal["above", "below", ""]:
    """On which side of a line an interval lies wholly; "" where it holds it or is not known."""
    if interval.low > line:
        return "above"
    return "below" if interval.high < line else ""


class Question(Result):
    """An answered question: it shows itself as text, in a notebook and as a table.

    Where a question has a ``reason`` it says why there is no number; "" where there is one.

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


def law_doubt(fit: Fit, *, terms: str = "", floor: bool = False) -> str:
    """Why a law cannot be used for these terms or its floor; "" where it can.

    Args:
        fit: a joint law.
        terms: axes (``N``, ``D`` or both) whose exponent and amplitude are used.
        floor: whether E is used. An exponent at a bound spoils it, unless its term has vanished.
    """
    if not fit.ok:
        return "no joint law"
    if fit.status is Status.NOT_CONVERGED:
        return "not converged"
    hit = fit.certificate.bounds_hit
    wrong = [name for axis in terms for name in _TERMS[axis] if name in hit]
    if floor:
        wrong += [
            name
            for name in ("E", *(e for a, e in _TERMS.values() if a not in hit))
            if name in hit and name not in wrong
        ]
    if wrong:
        return f"{' and '.join(wrong)} at a bound"
    if not fit.r2 >= R2_SMALLEST:
        return f"R² {number(fit.r2, 2)} below {R2_SMALLEST:g}"
    return ""


def terms_doubt(fit: Fit, terms: str) -> str:
    """Why the terms of these axes (such as ``ND``) cannot be used; "" where they can.

    A term whose amplitude or exponent is at a bound of the fit is not determined by the data,
    nor is any where the law explains too little of the loss.
    """
    if not fit.ok:
        return "; ".join(fit.remarks) or "no law could be fitted"
    return law_doubt(fit, terms="ND" if fit.law.name == "tied" and terms else terms)


def curve_doubt(fit: Fit) -> str:
    """Why the fitted losses cannot be compared, which needs no exponent; "" where they can.

    A law with little to explain, of a loss that hardly changes, runs through it all the same.
    """
    if fit.ok and fit.status is Status.NOT_CONVERGED:
        return str(Status.NOT_CONVERGED)
    return "" if fit.ok else terms_doubt(fit, "")


def transfer_doubt(transfer: Transfer | None, trained_on: Fit, other: Fit) -> str:
    """Why kappa cannot be used; "" where it can."""
    for fit, name in ((trained_on, "in distribution"), (other, "there")):
        if why := law_doubt(fit, floor=True):
            return f"{name}: {why}"
    if transfer is None:
        return "no loss-to-loss law"
    if transfer.at_bound or transfer.free_at_bound:
        return "kappa at a bound"
    if not transfer.r2 >= R2_SMALLEST:
        return f"R² {number(transfer.r2, 2)} of loss-to-loss below {R2_SMALLEST:g}"
    return ""


def tasks_doubt(used: int, shared: int) -> str:
    """Why a mean over ``used`` of ``shared`` tasks cannot be used; "" where it can."""
    if used >= max(1, math.ceil(SHARE_OF_TASKS * shared)):
        return ""
    return f"laws determine it on {used} of {tasks(shared)} only" if shared else "no shared task"


def tasks(count: int) -> str:
    """``1 task``, ``2 tasks``."""
    return f"{count} task{'s' * (count != 1)}"


def left_out(reasons: Sequence[str]) -> str:
    """``; left out: 2 (R² ...), 1 (...)`` by reason, or "" where nothing was."""
    counts = Counter(
        "R² too low" if reason.rpartition(": ")[2].startswith("R²") else reason
        for reason in reasons
    )
    return "; left out: " + ", ".join(f"{n} ({w})" for w, n in counts.items()) if counts else ""
