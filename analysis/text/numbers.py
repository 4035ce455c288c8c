"""Numbers and intervals, and how they are written as text and as plain JSON values."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

NORMAL = 1.959963984540054  # two-sided 95 % quantile of the normal distribution
FloatArray = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
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
