"""Figures of a fit: curves, residuals, uncertainty, and what other choices move.

``curves`` shows the response along each axis. A law of several axes has a curve for every
combination of the other scales, up to a few: of many different values some are picked, and runs
take the colour of the nearest.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from analysis.checks.sensitivity import Sensitivity, interval_of
from analysis.figures.base import (
    FLOOR,
    INK,
    PALE,
    RIM,
    Picture,
    axis_of,
    colours,
    draw,
    legend,
    picture,
    plain_text,
    scale,
    style,
)
from analysis.fit.intervals import t_quantile
from analysis.fit.result import Fit
from analysis.laws import FloatArray
from analysis.text import count, number

MOST_COLOURS = 10  # colours of a panel, where the other axis has more values
_POINTS = 60
_LARGEST = 1e290  # responses beyond leave matplotlib no room for margins


@draw.register
def curves(fit: Fit, bayes: float | None = None) -> Picture:
    """Response against each axis of the law: runs, curves, 95 % bands, floor and its interval.

    Args:
        fit: the fit; without parameters only the runs are drawn.
        bayes: Bayes loss of the task in nats, if known.
    """
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
        label = scale_text(value) if others else None
        axes.plot(x[own], y[own], marker, color=colour, ms=5, zorder=3, label=label, **RIM)
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
    axes.plot(grid, _drawable(line[fit.law.response].to_numpy()), color=colour, lw=1.4, zorder=2)
    if len(fit.bootstrap.theta):
        low_end, high_end = (_drawable(line[c].to_numpy()) for c in ("mean_low", "mean_high"))
        axes.fill_between(grid, low_end, high_end, color=colour, alpha=0.16, lw=0)


def _drawable(value: FloatArray) -> FloatArray:
    """NaN where a value cannot be drawn."""
    drawable: FloatArray = np.where(np.abs(value) < _LARGEST, value, np.nan)
    return drawable


def picked(values: FloatArray) -> FloatArray:
    """All distinct values, or some that are spread over them."""
    distinct: FloatArray = np.unique(values)
    count = min(MOST_COLOURS, len(distinct))
    spread: FloatArray = distinct[np.linspace(0, len(distinct) - 1, count).round().astype(int)]
    return spread


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
    away = (2 if left else -2, 3 if above else -11)
    place: Any = {"xycoords": ("axes fraction", "data"), "ha": "left" if left else "right"}
    axes.annotate(
        text, at, xytext=away, textcoords="offset points", color=colour, fontsize=8.5, **place
    )


def response_label(fit: Fit) -> str:
    """What the law gives, with its unit."""
    if fit.law.response in fit.labels:
        return plain_text(fit.labels[fit.law.response])
    if fit.law.response == "loss":
        return f"held-out loss, {fit.law.unit}"
    return f"{fit.law.response}, {fit.law.unit}".rstrip(", ")


def residuals(fit: Fit) -> Picture:
    """Log residuals against each axis and measured against fitted loss."""
    rows, axes_of_law = fit.residuals, fit.law.axes
    with style():
        figure, panels = picture(len(axes_of_law) + 1, width=3.6, height=3.1)
        band = 200 * fit.scatter
        for axes, axis in zip(panels, axes_of_law, strict=False):
            other = next((a for a in axes_of_law if a != axis), axis)
            for value, (colour, marker) in colours(list(rows[other])).items():
                part = rows[rows[other] == value]
                error = 100 * part["log_residual"]
                axes.plot(part[axis], error, marker, color=colour, ms=5, **RIM)
            axes.axhline(0, color=INK, lw=0.9)
            if fit.problem.scale.relative:
                axes.axhspan(-band, band, color=PALE, alpha=0.14, lw=0)
            axes.set_ylabel("log measured / fitted, %")
            axes.set_title(f"Residuals against {axis}")
            axis_of(axes, axis, fit.labels)
        _against(panels[-1], fit)
    return figure


def _against(axes: Axes, fit: Fit) -> None:
    """Measured against fitted response."""
    rows, label = fit.residuals[["fitted", fit.law.response]], response_label(fit)
    axes.plot(*rows.to_numpy().T, "o", color=INK, ms=4.5, **RIM)
    ends = [float(rows.min().min()), float(rows.max().max())]
    axes.plot(ends, ends, color=PALE, lw=1)
    axes.set_xlabel(f"fitted {label.removeprefix('held-out ')}")
    axes.set_ylabel(f"measured {label.removeprefix('held-out ')}")
    axes.set_title("Measured against fitted")


def uncertainty(fit: Fit, bayes: float | None = None) -> Picture:
    """Profile of the floor, and the bootstrap cloud of it and the exponents.

    A law without a floor has its first parameter in that place. Columns in a cloud are refits whose
    floor ended at the smallest loss of their resample, its bound: a wild resample moves a run by
    one of six factors, so a run far above the curve is often the smallest, at one loss.
    """
    first = fit.law.floor or fit.law.names[0]
    names = [p.name for p in fit.law.parameters if not p.positive and p.name != first]
    with style():
        figure, panels = picture(len(names) + 1, width=3.6, height=3.1)
        _profile_panel(panels[0], fit, bayes)
        theta = fit.bootstrap.theta
        for axes, name in zip(panels[1:], names, strict=True):
            x, y = (theta[:, fit.law.names.index(n)] for n in (first, name))
            axes.plot(x, y, ".", color=INK, ms=3, alpha=0.35, mew=0)
            axes.plot(fit.params[first], fit.params[name], "D", color=FLOOR, ms=6, mec="white")
            _parameter_axis(axes, fit, first)
            axes.set_ylabel(name)
            axes.set_title(f"Bootstrap: {first} and {name}")
    return figure


def _parameter_axis(axes: Axes, fit: Fit, name: str) -> None:
    """A parameter with its unit; few ticks, so that 0.1075 and 0.1100 stand apart."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    unit = fit.law.parameters[fit.law.names.index(name)].unit
    axes.set_xlabel(f"{name}, {unit}" if unit else name)


def _profile_panel(axes: Axes, fit: Fit, bayes: float | None) -> None:
    if fit.profile is None:
        return
    limit = t_quantile(fit.problem.dof)
    root = np.sqrt(fit.profile.deviance)
    near = root < 3 * limit
    axes.plot(fit.profile.value[near], root[near], color=INK, lw=1.5)
    axes.axhline(limit, color=PALE, lw=1, ls="--")
    _label(axes, "95 %", (0.01, limit), above=True, colour=INK)
    name = fit.profile.name
    if math.isfinite(fit.intervals[name].low):
        ends = (fit.intervals[name].low, fit.intervals[name].high)
        axes.axvspan(*ends, color=FLOOR, alpha=0.08, lw=0)
    if bayes is not None:
        axes.axvline(bayes, color=INK, lw=1.2, ls=":")
    _parameter_axis(axes, fit, name)
    axes.set_ylabel("distance from optimum, in t")
    axes.set_title(f"Profile of {name}")


def measured(rows: pd.DataFrame, label: str, title: str) -> Picture:
    """Means over seeds against N and against D, without a law.

    Args:
        rows: columns ``N``, ``D``, ``value`` and ``value_se`` (may be NaN), one row per run.
        label: of the vertical axis, with its unit.
        title: what is shown.
    """
    with style():
        figure, panels = picture(2)
        for axes, (axis, other) in zip(panels, (("N", "D"), ("D", "N")), strict=True):
            for value, (colour, marker) in colours([float(v) for v in rows[other]]).items():
                part = rows[rows[other] == value].groupby(axis)["value"].mean()
                x = part.index.to_numpy(dtype=np.float64)
                line = {"color": colour, "ms": 5, "lw": 1.1, "label": count(value), **RIM}
                axes.plot(x, part.to_numpy(), marker + "-", **line)
            axes.set_ylabel(label)
            axes.set_title(f"{title} against {axis}")
            legend(axes, other)
            scale(axes, axis)
    return figure


@draw.register
def sensitivity_picture(result: Sensitivity) -> Picture:
    """Every parameter by choice; the band is the fit's own interval."""
    names, rows = result.fit.law.names, len(result.table)
    with style():
        figure = Picture(figsize=(2.2 + 2.1 * len(names), 1.0 + 0.2 * rows), layout="constrained")
        panels = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
        for axes, name in zip(panels, names, strict=True):
            _choices_panel(axes, result, name)
        labels = result.table["choice"] + " " + result.table["value"]
        panels[0].set_yticks(np.arange(rows), labels.tolist(), fontsize=8)
        panels[0].invert_yaxis()
    return figure


def _choices_panel(axes: Axes, result: Sensitivity, name: str) -> None:
    values, fit = result.table[name].to_numpy(dtype=np.float64), result.fit
    axes.axvspan(*interval_of(fit, name), color=PALE, alpha=0.2, lw=0)
    axes.axvline(fit.params[name], color=PALE, lw=1)
    moved = (result.table[f"{name}_change"].abs() > 1).to_numpy()
    for which, colour, marker in ((~moved, INK, "o"), (moved, FLOOR, "D")):
        axes.plot(values[which], np.flatnonzero(which), marker, color=colour, ms=4.5)
    positive = fit.law.parameters[fit.law.names.index(name)].positive
    if positive and np.nanmax(values) > 10 * np.nanmin(values) > 0:
        axes.set_xscale("log")
    axes.set_title(name)
    axes.tick_params(axis="x", labelsize=7.5)
