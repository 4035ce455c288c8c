"""Results as text, as a small HTML table and as plain JSON values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

from analysis.text.numbers import Interval, interval, number, plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval and what it means."""

    name: str
    value: float
    interval: Interval
    meaning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a reader is shown first.

    Attributes:
        title: what was fitted.
        warnings: what a reader must know before the numbers.
        estimates: the numbers.
        facts: name and value of everything else.
    """

    title: str
    warnings: tuple[str, ...]
    estimates: tuple[Estimate, ...]
    facts: tuple[tuple[str, str], ...] = ()


class Shown(ABC):
    """A result that shows itself as text and in a notebook."""

    __slots__ = ()

    @abstractmethod
    def card(self) -> Card:
        """What is shown."""

    def summary(self) -> str:
        """A few lines of text: warnings first, then estimates and facts."""
        card = self.card()
        lines = [card.title, *(f"  warning: {w}" for w in card.warnings)]
        lines += [
            f"  {e.name:>6} = {number(e.value, 4):<10} 95 % {interval(e.interval)}  {e.meaning}"
            for e in card.estimates
        ]
        return "\n".join([*lines, *(f"  {name}: {value}" for name, value in card.facts)])

    def plot(self) -> Any:
        """The figure of this result, a ``matplotlib.figure.Figure``; see ``analysis.figures``.

        Raises:
            TypeError: there is no figure of it.
        """
        return import_module("analysis.figures").draw(self)  # by name: figures read results

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        card = self.card()
        warnings = "".join(f"<li>{escape(w)}</li>" for w in card.warnings)
        rows = "".join(
            f"<tr><td>{escape(e.name)}</td><td>{number(e.value, 4)}</td>"
            f"<td>{interval(e.interval)}</td>"
            f"<td style='text-align:left'>{escape(e.meaning)}</td></tr>"
            for e in card.estimates
        )
        facts = "; ".join(f"{escape(name)}: {escape(value)}" for name, value in card.facts)
        return (
            f"<b>{escape(card.title)}</b>"
            + (f"<ul>{warnings}</ul>" if warnings else "")
            + "<table><tr><th></th><th>estimate</th><th>95 % interval</th><th>meaning</th></tr>"
            + f"{rows}</table><small>{facts}</small>"
        )


def jsonable(value: object) -> Any:
    """``value`` as plain JSON values; NaN and infinities become None, an interval a pair.

    Raises:
        TypeError: a value of a kind that JSON has no form for.
    """
    found: Any = value.item() if isinstance(value, np.generic) else value
    if isinstance(found, Mapping):
        return {str(k): jsonable(v) for k, v in found.items()}
    if isinstance(found, float):
        return plain(found)
    if found is None or isinstance(found, (str, bool, int)):
        return found
    if isinstance(found, Interval):
        found = (found.low, found.high)
    elif isinstance(found, pd.DataFrame):
        found = found.to_dict("records")
    if not isinstance(found, (Sequence, np.ndarray)):
        raise TypeError(f"no JSON form for {type(found).__name__}")
    return [jsonable(v) for v in found]
