"""Numbers, intervals and results as text, as HTML tables and as plain JSON values."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

NORMAL = 1.959963984540054  # two-sided 95 % quantile of the normal distribution
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A 95 % interval; ``low`` and ``high`` may be infinite or NaN (not known)."""

    low: float
    high: float

    def covers(self, value: float) -> bool:
        """Whether ``value`` lies within, ends included."""
        return self.low <= value <= self.high

    def agrees(self, point: float, value: float, se: float) -> bool:
        """Whether the estimate it is of can equal a value that is itself uncertain.

        The 95 % interval of their difference holds zero; half widths of either side add up in
        squares (MOVER; Zou and Donner 2008, Statistics in Medicine 27:1693).

        Args:
            point: the estimate that this is the interval of.
            value: an independent number.
            se: its standard error; 0 where it is exact, and then this is ``covers``.
        """
        reach = point - self.low if value < point else self.high - point
        return abs(value - point) <= math.hypot(reach, NORMAL * se)

    def union(self, other: Interval) -> Interval:
        """Smallest interval that holds both."""
        return Interval(low=min(self.low, other.low), high=max(self.high, other.high))

    def holding(self, point: float) -> Interval:
        """This interval with the estimate it is of; an end that is not known stays so."""
        low, high = holding(np.asarray(point), np.asarray(self.low), np.asarray(self.high))
        return Interval(low=float(low), high=float(high))


def holding(point: FloatArray, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Ends (...) moved so far that they hold ``point`` (...); NaN ends stay.

    An interval about a point may miss it by a rounding: exp(log x) need not be x.
    """
    return np.where(point < low, point, low), np.where(point > high, point, high)


def finite_or_none(value: float | None) -> float | None:
    """A number JSON can hold; NaN and infinities become None."""
    return None if value is None or not math.isfinite(value) else float(value)


def number(value: float | None, digits: int = 3) -> str:
    """A number to ``digits`` significant figures; a dash when unknown."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    rounded = abs(float(f"{value:.{digits - 1}e}"))  # 0.00009999 reads 0.000100
    if value != 0 and not 1e-4 <= rounded < 1e6:
        mantissa, power = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(power)}"
    places = digits - 1 - math.floor(math.log10(rounded)) if value else 0
    return f"{round(value, places):,.{max(0, places)}f}"


def count(value: float) -> str:
    """A count: exact below 10,000, else with K, M, G or T: 256, 4,096, 95K, 1.23M.

    What is no count, such as a loss on an axis, keeps its digits: 0.312.
    """
    if value < 100 and value != round(value):
        return number(value)
    if value < 1e4:
        return f"{value:,.0f}"
    return short(value)


def short(value: float) -> str:
    """A count in three figures at most: 256, 3K, 95K, 1.23M, 15T."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K")):
        if value >= size:
            return (
                f"{value / size:.3g}{unit}" if value < 999 * size else f"{value / size:.0f}{unit}"
            )
    return f"{value:g}"


def interval(value: Interval, digits: int = 3) -> str:
    """``[low, high]``; a dash when unknown."""
    if math.isnan(value.low) or math.isnan(value.high):
        return "–"
    return f"[{number(value.low, digits)}, {number(value.high, digits)}]"


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
