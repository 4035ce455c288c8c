"""Figures of a fit and of the runs behind it.

Colours run along one dark-to-light scale (cividis: safe for colour-blind readers and ordered
in grey) and every series has its own marker, so no reading depends on hue alone.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from analysis.tables import count, number, short

if TYPE_CHECKING:
    from analysis.result import Fit

LABELS = {"N": "N, backbone parameters", "D": "D, unique training records"}
MARKERS = "osD^vP*X<>"
FLOOR, INK, PALE = "#b3391f", "#22303c", "#8a949e"
STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": PALE,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e9ec",
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.fonttype": "none",
}


class Picture(Figure):
    """A figure that a notebook shows by itself, without pyplot's global state."""

    def _repr_png_(self) -> bytes:
        return png(self)


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib settings of every figure."""
    with mpl.rc_context(STYLE):
        yield


def picture(columns: int, width: float = 4.6, height: float = 3.5) -> tuple[Picture, list[Axes]]:
    """A figure of one row of panels; width and height of a panel in inches."""
    figure = Picture(figsize=(width * columns, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)
    return figure, list(axes[0])


def png(figure: Figure, dpi: int = 120) -> bytes:
    """The figure as PNG."""
    target = io.BytesIO()
    with style():
        figure.savefig(target, format="png", dpi=dpi, metadata={"Software": None})
    return target.getvalue()


def svg(figure: Figure, name: str) -> str:
    """The figure as an ``<svg>`` element to stand in a page; ``name`` keeps its ids unique."""
    target = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": name, "svg.id": name}):
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    text = target.getvalue()
    return text[text.index("<svg") :]


def scale(axes: Axes, axis: str) -> None:
    """A log axis of counts, labelled 1K, 3K, 10K."""
    axes.set_xscale("log")
    axes.set_xlabel(LABELS[axis])
    low, high = axes.get_xlim()
    wide = high / low > 30
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if wide else (1.0, 2.0, 4.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: short(v)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def decimal(axes: Axes, which: Literal["x", "y"]) -> None:
    """A log axis labelled in plain decimals: 0.1, 0.2, 0.5, 1."""
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axis.set_minor_formatter(NullFormatter())


def colours(values: Sequence[float]) -> dict[float, tuple[Any, str]]:
    """Colour and marker by value, dark for small."""
    ordered = sorted(set(values))
    shades = mpl.colormaps["cividis"](np.linspace(0.0, 0.82, max(2, len(ordered))))
    return {v: (shades[i], MARKERS[i % len(MARKERS)]) for i, v in enumerate(ordered)}


def legend(axes: Axes, title: str) -> None:
    """A legend to the right of the panel."""
    axes.legend(
        title=title, loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.6,
        title_fontsize=8.5, alignment="left",
    )  # fmt: skip


def curves(fit: Fit, bayes: float | None = None) -> Picture:
    """Loss against each axis of the law: runs, fitted curves, 95 % bands, E and its interval.

    Args:
        fit: the fit; without parameters only the runs are drawn.
        bayes: Bayes loss of the task in nats, if known.
    """
    with style():
        figure, panels = picture(len(fit.law.axes))
        for axes, axis in zip(panels, fit.law.axes, strict=True):
            _curve_panel(axes, fit, axis)
            _floor(axes, fit, bayes)
            axes.set_ylabel("held-out loss, nats")
            axes.set_title(f"Loss against {axis}")
            scale(axes, axis)
    return figure


def _curve_panel(axes: Axes, fit: Fit, axis: str) -> None:
    other = next((a for a in fit.law.axes if a != axis), None)
    rows = fit.residuals
    keys = rows[other] if other else pd.Series(1.0, index=rows.index)
    low, high = fit.ranges[axis]
    grid = np.geomspace(low, high, 60)
    for value, (colour, marker) in colours(list(keys)).items():
        part = rows[keys == value]
        label = count(value) if other else None
        axes.plot(part[axis], part["loss"], marker, color=colour, ms=5, label=label,
                  mec="white", mew=0.6, zorder=3)  # fmt: skip
        if not fit.ok:
            continue
        scales: dict[str, Any] = {axis: grid, other: value} if other else {axis: grid}
        line = fit.predict(**scales)
        axes.plot(grid, line["loss"], color=colour, lw=1.4, zorder=2)
        if len(fit.bootstrap.theta):
            axes.fill_between(grid, line["mean_low"], line["mean_high"], color=colour,
                              alpha=0.16, lw=0)  # fmt: skip
    if other:
        legend(axes, other)


def _floor(axes: Axes, fit: Fit, bayes: float | None) -> None:
    """E with its interval, and the Bayes loss, labelled on their outer sides."""
    level = fit.params["E"]
    above = bayes is None or level >= bayes
    if fit.ok:
        interval = fit.intervals["E"]
        axes.axhline(level, color=FLOOR, lw=1.2, ls="--", zorder=1)
        if math.isfinite(interval.low):
            axes.axhspan(interval.low, interval.high, color=FLOOR, alpha=0.08, lw=0)
        _label(axes, f"E = {number(level)}", (0.01, level), above=above, colour=FLOOR)
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
                axes.plot(part[axis], 100 * part["log_residual"], marker, color=colour, ms=5,
                          mec="white", mew=0.6)  # fmt: skip
            axes.axhline(0, color=INK, lw=0.9)
            axes.axhspan(-band, band, color=PALE, alpha=0.14, lw=0)
            axes.set_ylabel("log measured / fitted, %")
            axes.set_title(f"Residuals against {axis}")
            scale(axes, axis)
        _against(panels[-1], rows)
    return figure


def _against(axes: Axes, rows: pd.DataFrame) -> None:
    """Measured against fitted loss."""
    axes.plot(rows["fitted"], rows["loss"], "o", color=INK, ms=4.5, mec="white", mew=0.6)
    ends = [
        float(rows[["fitted", "loss"]].min().min()),
        float(rows[["fitted", "loss"]].max().max()),
    ]
    axes.plot(ends, ends, color=PALE, lw=1)
    axes.set_xlabel("fitted loss, nats")
    axes.set_ylabel("measured loss, nats")
    axes.set_title("Measured against fitted")


def uncertainty(fit: Fit, bayes: float | None = None) -> Picture:
    """Profile of E, and the bootstrap cloud of E and the exponents."""
    names = [p.name for p in fit.law.parameters if not p.positive and p.name != "E"]
    with style():
        figure, panels = picture(len(names) + 1, width=3.6, height=3.1)
        _profile_panel(panels[0], fit, bayes)
        theta = fit.bootstrap.theta
        for axes, name in zip(panels[1:], names, strict=True):
            index = fit.law.names.index(name)
            axes.plot(theta[:, 0], theta[:, index], ".", color=INK, ms=3, alpha=0.35, mew=0)
            axes.plot(fit.params["E"], fit.params[name], "D", color=FLOOR, ms=6, mec="white")
            axes.set_xlabel("E, nats")
            axes.set_ylabel(name)
            axes.set_title(f"Bootstrap: E and {name}")
    return figure


def _profile_panel(axes: Axes, fit: Fit, bayes: float | None) -> None:
    from analysis.uncertainty import t_quantile

    if fit.profile is None:
        return
    limit = t_quantile(fit.problem.dof)
    root = np.sqrt(fit.profile.deviance)
    shown = root < 3 * limit
    axes.plot(fit.profile.value[shown], root[shown], color=INK, lw=1.5)
    axes.axhline(limit, color=PALE, lw=1, ls="--")
    axes.annotate("95 %", (0.01, limit), xycoords=("axes fraction", "data"), xytext=(2, 3),
                  textcoords="offset points", fontsize=8.5)  # fmt: skip
    if math.isfinite(fit.intervals["E"].low):
        axes.axvspan(fit.intervals["E"].low, fit.intervals["E"].high, color=FLOOR, alpha=0.08, lw=0)
    if bayes is not None:
        axes.axvline(bayes, color=INK, lw=1.2, ls=":")
    axes.set_xlabel("E, nats")
    axes.set_ylabel("distance from optimum, in t")
    axes.set_title("Profile of E")


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
                axes.plot(x, part.to_numpy(), marker + "-", color=colour, ms=5, lw=1.1,
                          label=count(value), mec="white", mew=0.6)  # fmt: skip
            axes.set_ylabel(label)
            axes.set_title(f"{title} against {axis}")
            legend(axes, other)
            scale(axes, axis)
    return figure
