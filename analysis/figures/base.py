"""What all figures share: their style, their axes, and ``draw``.

Colours run along one dark-to-light scale (cividis: safe for colour-blind readers and ordered
in grey) and every series has its own marker, so no reading depends on hue alone.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import singledispatch
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from analysis.text import short

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
        title=title,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        handlelength=1.6,
        title_fontsize=8.5,
        alignment="left",
    )


@singledispatch
def draw(result: object) -> Picture:
    """The figure of a result, as ``result.plot()`` gives it.

    Raises:
        TypeError: there is no figure of such a result.
    """
    raise TypeError(f"no figure of {type(result).__name__}")
