"""Figures of compute: isoFLOP curves, envelopes of training curves, and the allocation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes

from analysis.compute.allocation import Allocation
from analysis.compute.approaches import Approaches
from analysis.compute.envelope import Envelope
from analysis.compute.isoflop import IsoFlop
from analysis.compute.optima import AllocationLines
from analysis.figures.base import (
    FLOOR,
    INK,
    LABELS,
    MARKERS,
    PALE,
    Picture,
    axis_of,
    colours,
    draw,
    legend,
    log_ticks,
    picture,
    plain_text,
    scale,
    style,
)
from analysis.fit.loglog import LogLine
from analysis.text import number, short

MOST_IN_LEGEND = 12
_LEVELS = 6
_BEYOND = 3.0  # how far the plane of N and D goes beyond what was measured
_COUNTED = {"N": "parameters", "D": "records"}
T = TypeVar("T")
_LINES = {"N": (FLOOR, "-"), "D": (INK, "--")}


def flops(value: float) -> str:
    """A budget: 1e18, 3e18, 2.5e19."""
    mantissa, power = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(power)}"


def flops_axis(axes: Axes) -> None:
    """A horizontal log axis of compute."""
    axes.set_xscale("log")
    axes.set_xlabel(LABELS["C"])
    low, high = axes.get_xlim()
    log_ticks(axes.xaxis, (1.0,) if high / low > 100 else (1.0, 2.0, 5.0), flops, most=7)


def counts_axis(axes: Axes, label: str) -> None:
    """A vertical log axis of counts."""
    axes.set_yscale("log")
    axes.set_ylabel(label)
    low, high = axes.get_ylim()
    wide = high / low
    log_ticks(
        axes.yaxis, (1.0,) if wide >= 1e4 else (1.0, 3.0) if wide > 30 else (1.0, 2.0, 5.0), short
    )


def line_with_band(axes: Axes, line: LogLine, ends: tuple[float, float]) -> None:
    """A power law of C and its 95 % band; dashed outside the budgets it goes through."""
    at = np.geomspace(*ends, 80)
    value, low, high = line.predict(at)
    inside = (at >= line.ends[0] * 0.999) & (at <= line.ends[1] * 1.001)
    axes.plot(at, value, "--", color=FLOOR, lw=1.1, zorder=2)
    axes.plot(at[inside], value[inside], color=FLOOR, lw=1.8, zorder=2)
    if np.isfinite(low).all() and np.isfinite(high).all():
        axes.fill_between(at, low, high, color=FLOOR, alpha=0.13, lw=0)


def _side_by_side(
    result: T, left: Callable[[Axes, T], None], right: Callable[[Axes, T], None]
) -> Picture:
    with style():
        figure, panels = picture(2, width=4.9, height=3.8)
        for axes, fill in zip(panels, (left, right), strict=True):
            fill(axes, result)
    return figure


@draw.register
def isoflop_picture(isoflop: IsoFlop) -> Picture:
    """Loss against N by budget with the minima, and the minima against C with the line."""
    return _side_by_side(isoflop, _curves, _minima)


def _curves(axes: Axes, isoflop: IsoFlop) -> None:
    styles = colours(list(isoflop.rows["C"]))
    many = len(styles) > MOST_IN_LEGEND
    for C, (colour, marker) in styles.items():
        runs, label = isoflop.rows[isoflop.rows["C"] == C], None if many else flops(C)
        axes.plot(
            runs["N"], runs["loss"], marker, color=colour, ms=4, mec="white", mew=0.5, label=label
        )
        if len(isoflop.curves):
            curve = isoflop.curves[isoflop.curves["C"] == C]
            axes.plot(curve["N"], curve["loss"], color=colour, lw=1.2, zorder=2)
    if len(isoflop.budgets):
        optima = isoflop.budgets
        diamond: Any = {"color": FLOOR, "ms": 6, "mec": "white", "zorder": 4}
        axes.plot(optima["N"], optima["loss"], "D", label="minimum", **diamond)
    axes.set_ylabel("held-out loss, nats")
    axes.set_title("Loss against N by budget")
    legend(axes, "C" if not many else f"{len(styles)} budgets")
    scale(axes, "N")


def _minima(axes: Axes, isoflop: IsoFlop) -> None:
    table = isoflop.budgets
    axes.set_title(_title(isoflop))
    if not len(table):
        axes.set_axis_off()
        middle: Any = {"ha": "center", "va": "center", "transform": axes.transAxes}
        axes.text(0.5, 0.5, isoflop.reason, wrap=True, color=INK, fontsize=8.5, **middle)
        return
    known = np.isfinite(table["N_high"]) & (table["N_low"] > 0)
    ends = np.where(known, (table["N"] - table["N_low"], table["N_high"] - table["N"]), 0.0)
    axes.errorbar(table["C"], table["N"], yerr=np.maximum(ends, 0.0), fmt="D", color=INK, ms=5,
                  mec="white", elinewidth=1, capsize=2, zorder=3)  # fmt: skip
    open_ended = table[~known]
    axes.plot(open_ended["C"], open_ended["N"], "D", color="white", mec=INK, ms=5, zorder=4,
              label="interval without end" if len(open_ended) else None)  # fmt: skip
    if isoflop.N_line is not None:
        low, high = isoflop.rows["C"].min(), isoflop.rows["C"].max()
        line_with_band(axes, isoflop.N_line, (low, 3 * high))
    if len(open_ended):
        axes.legend(loc="upper left")
    flops_axis(axes)
    counts_axis(axes, "N*, backbone parameters")


def _title(lines: AllocationLines) -> str:
    if lines.N_line is None:
        return "N*(C): refused"
    interval = lines.a_interval
    return f"N* ~ C^{lines.a:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


@draw.register
def envelope_picture(envelope: Envelope) -> Picture:
    """Training curves with their envelope, and the size on it against C."""
    return _side_by_side(envelope, _training_curves, _sizes)


def _training_curves(axes: Axes, envelope: Envelope) -> None:
    styles: dict[float, tuple[Any, str]] = colours(list(envelope.rows["N"]))
    for _, run in envelope.rows.groupby("trial", sort=False):
        axes.plot(run["C"], run["loss"], color=styles[run["N"].iloc[0]][0], lw=1, alpha=0.9)
    if len(styles) <= MOST_IN_LEGEND:
        for N, (colour, _) in styles.items():
            axes.plot([], [], color=colour, lw=2, label=short(N))
    C, lowest = envelope.frontier["C"], envelope.frontier["loss"].cummin()
    axes.plot(C, lowest, color=FLOOR, lw=2.4, ls=":", label="envelope")
    axes.set_ylabel("held-out loss, nats")
    axes.set_title("Training curves and their envelope")
    flops_axis(axes)
    legend(axes, "N")


def _sizes(axes: Axes, envelope: Envelope) -> None:
    axes.set_title(_title(envelope))
    frontier = envelope.frontier
    used = frontier[frontier["bracketed"]]
    other = frontier[~frontier["bracketed"] & frontier["lowest"]]
    axes.plot(used["C"], used["N"], "o", color=INK, ms=3.5, label="best of smaller and larger")
    axes.plot(other["C"], other["N"], "x", color=PALE, ms=4, label="best, an end of the sizes")
    if envelope.N_line is not None:
        line_with_band(axes, envelope.N_line, (frontier["C"].min(), frontier["C"].max()))
    axes.legend(loc="upper left")
    flops_axis(axes)
    counts_axis(axes, "N of the best run")


@draw.register
def allocation_picture(allocation: Allocation) -> Picture:
    """Lines of equal loss and of equal compute with the optimum; N* and D* with 95 % bands."""
    return _side_by_side(allocation, _contours, _optima)


def _contours(axes: Axes, allocation: Allocation) -> None:
    """N and D: equal loss touches equal compute on the line along which the loss is least.

    The losses are those of the optimum at evenly spaced logs of C, so that no two lines meet; in
    N and C, as S1 draws them (Figure 5 b-e), their far arms lie on each other.
    """
    best = allocation.optimal(np.geomspace(*allocation.ranges["C"], _LEVELS))
    levels = [float(v) for v in best["loss"]]
    lines = allocation.contours(levels, plane="ND", margin=_BEYOND)
    for level, (colour, _) in colours(levels).items():
        line = lines[lines["level"] == level]
        axes.plot(line["N"], line["D"], color=colour, lw=1.4, label=number(level))
    ranges, cost = allocation.ranges, allocation.compute
    wide = [(ranges[axis][0] / _BEYOND, ranges[axis][1] * _BEYOND) for axis in ("N", "D")]
    N = np.geomspace(*wide[0], 60)
    for i, C in enumerate(best["C"]):
        D = np.exp((math.log(C) - cost.log_k - cost.m * np.log(N)) / cost.q)
        axes.plot(N, D, color=PALE, lw=0.8, ls=":", zorder=1, label=None if i else "equal C")
    least, most = ranges["C"]
    path = allocation.optimal(np.geomspace(least / 100, most * 100, 120))
    axes.plot(path["N"], path["D"], color=FLOOR, lw=2.2, label="least loss")
    runs = allocation.runs
    axes.plot(runs["N"], runs["D"], "o", color=INK, ms=3.5, mec="white", mew=0.5, label="runs")
    axes.set_title("Lines of equal loss")
    axes.set_xlim(*wide[0])
    axes.set_ylim(*wide[1])
    legend(axes, "loss, nats")
    axis_of(axes, "N", allocation.labels)
    counts_axis(axes, plain_text(allocation.labels.get("D", LABELS["D"])))


def _optima(axes: Axes, allocation: Allocation) -> None:
    low, high = allocation.ranges["C"]
    table = allocation.optimal(np.geomspace(low / 3, high * 10, 80))
    for axis, (colour, dash) in _LINES.items():
        axes.plot(table["C"], table[axis], dash, color=colour, lw=1.7, label=f"{axis}*")
        ends = table[[f"{axis}_low", f"{axis}_high"]].to_numpy()
        if np.isfinite(ends).all():
            axes.fill_between(table["C"], ends[:, 0], ends[:, 1], color=colour, alpha=0.13, lw=0)
    axes.axvspan(low, high, color=PALE, alpha=0.12, lw=0, label="C measured")
    share = allocation.counted.share_data
    axes.set_title(f"Optimal N and D: {share:.0%} of marginal C to data")
    axes.legend(loc="upper left")
    flops_axis(axes)
    of_n, of_d = (
        allocation.labels.get(a, f"{a}, {v}").partition(", ")[2] or v for a, v in _COUNTED.items()
    )
    counts_axis(axes, plain_text(f"N*, {of_n}; D*, {of_d}"))


@draw.register
def approaches_picture(approaches: Approaches) -> Picture:
    """The exponents a and b with their intervals, one approach above the other."""
    with style():
        figure, panels = picture(2, width=4.2, height=2.2)
        for axes, name in zip(panels, ("a", "b"), strict=True):
            _exponents(axes, approaches, name)
    return figure


def _exponents(axes: Axes, approaches: Approaches, name: str) -> None:
    labels = []
    for place, row in enumerate(approaches.table.to_dict("records")):
        believed = bool(row["believed"])
        labels.append(f"{row['approach']} {row['name']}" + (" (believed)" if believed else ""))
        if math.isnan(row[name]):
            axes.annotate("not known", (0.02, place), xycoords=("axes fraction", "data"),
                          va="center", color=PALE, fontsize=8.5)  # fmt: skip
            continue
        colour = FLOOR if believed else PALE if row["refused"] else INK
        ends = (row[f"{name}_low"], row[f"{name}_high"])
        if all(map(math.isfinite, ends)):
            axes.plot(ends, (place, place), color=colour, lw=1.6)
        axes.plot(row[name], place, MARKERS[place], color=colour, ms=7, mec="white")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlabel(f"{name} of {'N' if name == 'a' else 'D'}* ~ C^{name}")
    axes.margins(x=0.15)
