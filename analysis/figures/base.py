"""Figures of a fit and of the runs behind it.

Colours run along one dark-to-light scale (cividis: safe for colour-blind readers and ordered
in grey) and every series has its own marker, so no reading depends on hue alone.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from analysis.text.fits import count, short

if TYPE_CHECKING:
    from analysis.fit.result import Fit

LABELS = {
    "N": "N, backbone parameters",
    "D": "D, unique training records",
    "S": "S, samples seen in training",
    "C": "C, training FLOPs",
    "L_id": "L_id, loss on the task trained on, nats",
    "loss": "loss, nats",
}
COUNTS = ("N", "D", "S")
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
    """The figure as an ``<svg>`` element to stand in a page, on the page's own ground.

    Args:
        figure: to be drawn.
        name: keeps its ids unique.
    """
    target = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": name, "svg.id": name}):
        figure.savefig(
            target, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    text = target.getvalue()
    return text[text.index("<svg") :]


def scale(axes: Axes, axis: str, label: str | None = None) -> None:
    """A log axis of counts, labelled 1K, 3K, 10K."""
    axes.set_xscale("log")
    axes.set_xlabel(label or LABELS[axis])
    low, high = axes.get_xlim()
    wide = high / low
    subs = (1.0,) if wide > 1e4 else (1.0, 3.0) if wide > 30 else (1.0, 2.0, 4.0)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: short(v)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def axis_of(axes: Axes, axis: str, labels: Mapping[str, str] = LABELS) -> None:
    """The axis of a law: counts and FLOPs in logarithms, losses as they are."""
    label = plain_text(labels.get(axis, LABELS.get(axis, axis)))
    if axis in COUNTS:
        scale(axes, axis, label)
        return
    axes.set_xlabel(label)
    if axis not in ("L_id", "loss") and axes.dataLim.x0 > 0:
        axes.set_xscale("log")


def plain_text(text: str) -> str:
    """A name as it is: a dollar sign would begin a formula."""
    return text.replace("$", r"\$")


def response_label(fit: Fit) -> str:
    """What the law gives, with its unit."""
    if fit.law.response in fit.labels:
        return plain_text(fit.labels[fit.law.response])
    if fit.law.response == "loss":
        return f"held-out loss, {fit.law.unit}"
    return f"{fit.law.response}, {fit.law.unit}".rstrip(", ")


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
    """Response against each axis of the law: runs, curves, 95 % bands, floor and its interval.

    Args:
        fit: the fit; without parameters only the runs are drawn.
        bayes: Bayes loss of the task in nats, if known.
    """
    from analysis.figures.curves import draw

    return draw(fit, bayes)


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
    axes.plot(*rows.to_numpy().T, "o", color=INK, ms=4.5, mec="white", mew=0.6)
    ends = [float(rows.min().min()), float(rows.max().max())]
    axes.plot(ends, ends, color=PALE, lw=1)
    axes.set_xlabel(f"fitted {label.removeprefix('held-out ')}")
    axes.set_ylabel(f"measured {label.removeprefix('held-out ')}")
    axes.set_title("Measured against fitted")


def uncertainty(fit: Fit, bayes: float | None = None) -> Picture:
    """Profile of the floor, and the bootstrap cloud of it and the exponents.

    A law without a floor has its first parameter in that place.
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
            axes.set_xlabel(_with_unit(fit, first))
            axes.set_ylabel(name)
            axes.set_title(f"Bootstrap: {first} and {name}")
    return figure


def _with_unit(fit: Fit, name: str) -> str:
    unit = fit.law.parameters[fit.law.names.index(name)].unit
    return f"{name}, {unit}" if unit else name


def _profile_panel(axes: Axes, fit: Fit, bayes: float | None) -> None:
    from analysis.fit.intervals import t_quantile

    if fit.profile is None:
        return
    limit = t_quantile(fit.problem.dof)
    root = np.sqrt(fit.profile.deviance)
    shown = root < 3 * limit
    axes.plot(fit.profile.value[shown], root[shown], color=INK, lw=1.5)
    axes.axhline(limit, color=PALE, lw=1, ls="--")
    axes.annotate("95 %", (0.01, limit), xycoords=("axes fraction", "data"), xytext=(2, 3),
                  textcoords="offset points", fontsize=8.5)  # fmt: skip
    name = fit.profile.name
    if math.isfinite(fit.intervals[name].low):
        ends = (fit.intervals[name].low, fit.intervals[name].high)
        axes.axvspan(*ends, color=FLOOR, alpha=0.08, lw=0)
    if bayes is not None:
        axes.axvline(bayes, color=INK, lw=1.2, ls=":")
    axes.set_xlabel(_with_unit(fit, name))
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
                axes.plot(x, part.to_numpy(), marker + "-", color=colour, ms=5, lw=1.1,
                          label=count(value), mec="white", mew=0.6)  # fmt: skip
            axes.set_ylabel(label)
            axes.set_title(f"{title} against {axis}")
            legend(axes, other)
            scale(axes, axis)
    return figure
