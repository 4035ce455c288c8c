"""Which of two configurations transfers better (S1, Section 5)."""

from __future__ import annotations

import dataclasses
from typing import final

import numpy as np

from analysis.questions.answer import Line, Question
from analysis.questions.evidence.quantity import Quantity, combined
from analysis.questions.transfer import WAYS, TransferEfficiency


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TransferComparison(Question):
    """Mean kappas of two configurations on the tasks that both determine.

    Attributes:
        first: name of one.
        second: name of the other.
        found: difference and ratio, in both ways.
        warnings: none.
    """

    first: str
    second: str
    found: tuple[Line, ...]
    warnings: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[Line, ...]:
        """Difference and ratio, in both ways."""
        return self.found

    @property
    def title(self) -> str:
        """What was asked."""
        return f"Whether {self.first} transfers better than {self.second}"


def compare_transfer(first: TransferEfficiency, second: TransferEfficiency) -> TransferComparison:
    """Difference and ratio of mean kappa, on the same tasks, resample by resample."""
    found: list[Line] = []
    fitted = all(any(t.law for t in c.tasks) for c in (first, second))
    for together, way in WAYS.items():
        if together and not fitted:
            continue
        for doubtful in (False, True):
            shared = [
                t for t in first.usable(together=together, doubtful=doubtful)
                if t in second.usable(together=together, doubtful=doubtful)
            ]  # fmt: skip
            words = f"{way}, {'all' if doubtful else 'determined'}"
            one, other = (
                c.mean(together=together, doubtful=doubtful, among=shared) for c in (first, second)
            )
            if one is None or other is None:
                found.append(Line.none(words, "no task determines it for both"))
                continue
            found += _compared(one, other, words, len(shared))
    return TransferComparison(first=first.name, second=second.name, found=tuple(found))


def _compared(one: Quantity, other: Quantity, words: str, tasks: int) -> list[Line]:
    less = combined(np.subtract, one, other)
    ratio = combined(np.divide, one, other, positive=True, lower=0.0)
    ends = less.interval
    told = "" if ends.low > 0 or ends.high < 0 else "; not told apart"
    said = f"{tasks} task{'s' * (tasks != 1)}{told}"
    return [
        Line.of(f"difference, {words}", less, said),
        Line.of(f"ratio, {words}", ratio, said),
    ]
