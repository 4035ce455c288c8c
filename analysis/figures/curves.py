"""What a law says of its response along each axis: runs, curves, bands and floor.

A law of several axes has a curve for every combination of the other scales, up to a few: of many
different values some are picked, and runs take the colour of the nearest.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from analysis.figures.base import (
    FLOOR,
    INK,
    Picture,
    axis_of,
    colours,
    legend,
    picture,
    response_label,
    style,
)
from analysis.fit.result import Fit
from analysis.laws import FloatArray
from analysis.text.fits import count, number

SERIES = 10  # colours of a panel, where the other axis has more values
_POINTS = 60
_SHOWN = (1e-290, 1e290)  # responses beyond leave matplotlib no room for margins


def draw(fit: Fit, bayes: float | None) -> Picture:
    """The panels of ``analysis.figures.base.curves``."""
    with style():
        figure, panels = picture(len(fit.law.axes))
        for axes, axis in zip(panels, fit.law.axes, strict=True):
            _runs_and_curves(axes, fit, axis)
            _floor(axes, fit, bayes)
            axes.set_ylabel(response_label(fit))
            name = "Loss" if fit.law.response == "loss" else fit.law.response
            axes.set_title(f"{name} against {axis}")
            axis_of(axes, axis, fit.labels)
    return figure


def _runs_and_curves(axes: Axes, fit: Fit, axis: str) -> None:
    rows, law = fit.rows, fit.law
    others = [a for a in law.axes if a != axis]
    x, y = rows[axis].to_numpy(dtype=np.float64), rows[law.response].to_numpy(dtype=np.float64)
    first = rows[others[0]].to_numpy(dtype=np.float64) if others else np.ones(len(rows))
    values = picked(first)
    near, far = (np.log(v) if (first > 0).all() else v for v in (first, values))
    nearest = np.abs(near[:, None] - far).argmin(axis=1)
    for i, (colour, marker) in enumerate(colours(list(values)).values()):
        own = nearest == i
        value = float(np.median(first[own]))  # of many values, the middle of those nearest
        axes.plot(x[own], y[own], marker, color=colour, ms=5, mec="white", mew=0.6, zorder=3,
                  label=scale_text(value) if others else None)  # fmt: skip
        if fit.ok:
            for rest in _rest(rows.loc[own, others[1:]].to_numpy(dtype=np.float64)):
                at = dict(zip(others, (value, *rest), strict=True)) if others else {}
                _curve(axes, fit, axis, at, colour)
    if others:
        legend(axes, others[0])


def _rest(other: FloatArray) -> list[FloatArray]:
    """Values of further axes (K - 2,) that get a curve: smallest, middle and largest."""
    distinct = np.unique(other, axis=0)
    return [distinct[i] for i in sorted({0, len(distinct) // 2, len(distinct) - 1})]


def _curve(axes: Axes, fit: Fit, axis: str, at: dict[str, float], colour: Any) -> None:
    low, high = fit.ranges[axis]
    grid = (np.geomspace if low > 0 else np.linspace)(low, high, _POINTS)
    scales: dict[str, Any] = {axis: grid, **at}
    line = fit.predicted(fit.scales(scales))
    axes.plot(grid, _shown(line[fit.law.response].to_numpy()), color=colour, lw=1.4, zorder=2)
    if len(fit.bootstrap.theta):
        low_end, high_end = (_shown(line[c].to_numpy()) for c in ("mean_low", "mean_high"))
        axes.fill_between(grid, low_end, high_end, color=colour, alpha=0.16, lw=0)


def _shown(value: FloatArray) -> FloatArray:
    """NaN where a value cannot be drawn."""
    found: FloatArray = np.where(np.abs(value) < _SHOWN[1], value, np.nan)
    return found


def picked(values: FloatArray) -> FloatArray:
    """All distinct values, or some that are spread over them."""
    distinct: FloatArray = np.unique(values)
    count = min(SERIES, len(distinct))
    found: FloatArray = distinct[np.linspace(0, len(distinct) - 1, count).round().astype(int)]
    return found


def scale_text(value: float) -> str:
    """A scale as text: 256, 95K, 1.00e15, 0.250."""
    counted = 1e4 <= value < 1e12 or (value < 1e12 and float(value).is_integer())
    return count(value) if counted else number(value)


def _floor(axes: Axes, fit: Fit, bayes: float | None) -> None:
    """The floor with its interval, and the Bayes loss, labelled on their outer sides."""
    name = fit.law.floor
    level = math.nan if name is None else fit.params[name]
    above = bayes is None or level >= bayes
    if name is not None and math.isfinite(level):
        interval = fit.intervals[name]
        axes.axhline(level, color=FLOOR, lw=1.2, ls="--", zorder=1)
        if math.isfinite(interval.low):
            axes.axhspan(interval.low, interval.high, color=FLOOR, alpha=0.08, lw=0)
        _label(axes, f"{name} = {number(level)}", (0.01, level), above=above, colour=FLOOR)
    if bayes is not None:
        axes.axhline(bayes, color=INK, lw=1.2, ls=":", zorder=1)
        low, high = axes.get_ylim()
        above = (fit.ok and not above) or bayes < low + 0.1 * (high - low)  # off the tick labels
        _label(axes, f"Bayes loss {number(bayes)}", (0.99, bayes), above=above, colour=INK)


def _label(axes: Axes, text: str, at: tuple[float, float], *, above: bool, colour: str) -> None:
    left = at[0] < 0.5
    axes.annotate(
        text, at, xycoords=("axes fraction", "data"),
        xytext=(2 if left else -2, 3 if above else -11), textcoords="offset points",
        ha="left" if left else "right", color=colour, fontsize=8.5,
    )  # fmt: skip
