"""What all figures share: their style, their axes, and ``draw``.

Colours run along one dark-to-light scale (cividis: safe for colour-blind readers and ordered
in grey) and every series has its own marker, so no reading depends on hue alone.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import singledispatch
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
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
RIM: Any = {"mec": "white", "mew": 0.6}  # of markers that may overlap
SERIES: Any = {"ms": 5, "lw": 1.4, "mec": "white", "mew": 0.5}  # markers joined by a line
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


def grid(
    panels: int, columns: int, width: float, height: float, below: float
) -> tuple[Picture, list[Axes]]:
    """A figure of ``panels`` panels, up to ``columns`` in a row, and room below for a legend.

    Lengths are in inches, of a panel and of the room.
    """
    columns = min(columns, panels)
    rows = math.ceil(panels / columns)
    figure = Picture(figsize=(width * columns, height * rows + below), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for empty in axes[panels:]:
        empty.set_visible(False)
    return figure, axes[:panels]


def png(figure: Figure, dpi: int = 120) -> bytes:
    """The figure as PNG."""
    target = io.BytesIO()
    with style():
        figure.savefig(target, format="png", dpi=dpi, metadata={"Software": None})
    return target.getvalue()


def svg(figure: Figure, name: str) -> str:
    """The figure as an ``<svg>`` element of a page, transparent; ``name`` keeps its ids unique."""
    target = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": name, "svg.id": name}):
        metadata = {"Date": None, "Creator": None}
        figure.savefig(target, format="svg", transparent=True, metadata=metadata)
    text = target.getvalue()
    return text[text.index("<svg") :]


def log_ticks(
    axis: Axis, subs: Sequence[float], text: Callable[[float], str], most: int | None = None
) -> None:
    """Ticks of a log axis at ``subs`` of each decade, ``most`` in all, labelled by ``text``."""
    axis.set_major_locator(LogLocator(subs=subs, numticks=most))
    axis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))
    axis.set_minor_formatter(NullFormatter())


def scale(axes: Axes, axis: str, label: str | None = None) -> None:
    """A log axis of counts, labelled 1K, 3K, 10K."""
    axes.set_xscale("log")
    axes.set_xlabel(label or LABELS[axis])
    low, high = axes.get_xlim()
    wide = high / low
    subs = (1.0,) if wide > 1e4 else (1.0, 3.0) if wide > 30 else (1.0, 2.0, 4.0)
    log_ticks(axes.xaxis, subs, short)


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
    axes.set(**{f"{which}scale": "log"})
    log_ticks(axes.xaxis if which == "x" else axes.yaxis, (1.0, 2.0, 5.0), "{:g}".format)


def colours(values: Sequence[float]) -> dict[float, tuple[Any, str]]:
    """Colour and marker by value, dark for small."""
    ordered = sorted(set(values))
    shades = mpl.colormaps["cividis"](np.linspace(0.0, 0.82, max(2, len(ordered))))
    return {v: (shades[i], MARKERS[i % len(MARKERS)]) for i, v in enumerate(ordered)}


def legend(axes: Axes, title: str) -> None:
    """A legend to the right of the panel."""
    place: Any = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "alignment": "left"}
    axes.legend(title=title, handlelength=1.6, title_fontsize=8.5, **place)


@singledispatch
def draw(result: object) -> Picture:
    """The figure of a result, as ``result.plot()`` gives it.

    Raises:
        TypeError: there is no figure of such a result.
    """
    raise TypeError(f"no figure of {type(result).__name__}")
