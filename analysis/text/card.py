"""Results as text, as a small HTML table and as plain JSON values; what commands print."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

from analysis.text.numbers import Interval, finite_or_none, interval, number


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
        notes: sentences behind them.
        terse: whether the text leaves what estimates mean to the table.
    """

    title: str
    warnings: tuple[str, ...]
    estimates: tuple[Estimate, ...]
    facts: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    terse: bool = False

    @property
    def table(self) -> list[dict[str, str]]:
        """Name, value, interval and meaning of each estimate, as text."""
        return [
            {
                "name": e.name,
                "value": number(e.value, 4),
                "interval": interval(e.interval),
                "meaning": e.meaning,
            }
            for e in self.estimates
        ]


class Result(ABC):
    """A result that shows itself as text and in a notebook."""

    __slots__ = ()

    @abstractmethod
    def card(self) -> Card:
        """What is shown."""

    def summary(self) -> str:
        """A few lines of text: warnings first, then estimates and facts."""
        card = self.card()
        lines = [card.title, *(f"  warning: {w}" for w in card.warnings)]
        for e in card.table:
            line = f"  {e['name']:>6} = {e['value']:<12} 95 % {e['interval']}"
            lines.append(line if card.terse else f"{line}  {e['meaning']}")
        lines += [f"  {name}: {value}" for name, value in card.facts]
        return "\n".join([*lines, *(f"  {note}" for note in card.notes)])

    def plot(self) -> Any:
        """The figure of this result, a ``matplotlib.figure.Figure``; see ``analysis.figures``.

        Raises:
            TypeError: there is no figure of it.
        """
        return reach_up("figures", "draw")(self)

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        card = self.card()
        warnings = "".join(f"<li>{escape(w)}</li>" for w in card.warnings)
        rows = "".join(
            f"<tr><td>{escape(e['name'])}</td><td>{e['value']}</td><td>{e['interval']}</td>"
            f"<td style='text-align:left'>{escape(e['meaning'])}</td></tr>"
            for e in card.table
        )
        facts = "; ".join(
            [*(f"{escape(n)}: {escape(v)}" for n, v in card.facts), *map(escape, card.notes)]
        )
        return (
            f"<b>{escape(card.title)}</b>"
            + (f"<ul>{warnings}</ul>" if warnings else "")
            + "<table><tr><th></th><th>estimate</th><th>95 % interval</th><th>meaning</th></tr>"
            + f"{rows}</table><small>{facts}</small>"
        )


def reach_up(module: str, function: str) -> Any:
    """A function of a room above, by name: that room reads results, so none may import it.

    Methods of results that users call, such as ``plot``, are made of it.
    """
    return getattr(import_module(f"analysis.{module}"), function)


def json_object(**values: object) -> dict[str, Any]:
    """An object of plain JSON values; see ``jsonable``."""
    return {name: jsonable(value) for name, value in values.items()}


def jsonable(value: object) -> Any:
    """``value`` as plain JSON values; NaN and infinities become None, an interval a pair.

    Raises:
        TypeError: a value of a kind that JSON has no form for.
    """
    plain: Any = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, Mapping):
        return {str(k): jsonable(v) for k, v in plain.items()}
    if isinstance(plain, float):
        return finite_or_none(plain)
    if plain is None or isinstance(plain, (str, bool, int)):
        return plain
    if isinstance(plain, Interval):
        plain = (plain.low, plain.high)
    elif isinstance(plain, pd.DataFrame):
        plain = plain.to_dict("records")
    if not isinstance(plain, (Sequence, np.ndarray)):
        raise TypeError(f"no JSON form for {type(plain).__name__}")
    return [jsonable(v) for v in plain]


def print_text(text: str) -> None:
    """Print a command's answer; a reader that has enough, such as ``head``, is no error.

    What the output's encoding lacks is printed as an escape.
    """
    encoding = sys.stdout.encoding or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)  # noqa: T201
    except BrokenPipeError:  # what is left must not fail again when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
