"""Figures of the allocation from a fitted surface, and of the three approaches."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from analysis.figures.base import (
    FLOOR,
    INK,
    LABELS,
    MARKERS,
    PALE,
    Picture,
    axis_of,
    colours,
    legend,
    picture,
    plain_text,
    style,
)
from analysis.figures.frontier import counts_axis, flops_axis
from analysis.text.numbers import number

if TYPE_CHECKING:
    from analysis.compute.allocation_result import Allocation
    from analysis.compute.approaches import Approaches

_LEVELS = 6
_BEYOND = 3.0  # how far the plane of N and D goes beyond what was measured
_OF = {"N": "parameters", "D": "records"}
_LOOKS = {"N": (FLOOR, "-"), "D": (INK, "--")}


def allocation_picture(found: Allocation) -> Picture:
    """Lines of equal loss and of equal compute with the optimum; N* and D* with 95 % bands."""
    with style():
        figure, (left, right) = picture(2, width=4.9, height=3.8)
        _contours(left, found)
        _optima(right, found)
    return figure


def _contours(axes: Axes, found: Allocation) -> None:
    """N and D: equal loss touches equal compute on the line along which the loss is least.

    The losses are those of the optimum at evenly spaced logs of C, so that no two lines meet; in
    N and C, as S1 draws them (Figure 5 b-e), their far arms lie on each other.
    """
    best = found.optimal(np.geomspace(*found.ranges["C"], _LEVELS))
    levels = [float(v) for v in best["loss"]]
    lines = found.contours(levels, plane="ND", margin=_BEYOND)
    for level, (colour, _) in colours(levels).items():
        line = lines[lines["level"] == level]
        axes.plot(line["N"], line["D"], color=colour, lw=1.4, label=number(level))
    wide = [(low / _BEYOND, high * _BEYOND) for low, high in
            (found.ranges["N"], found.ranges["D"])]  # fmt: skip
    N = np.geomspace(*wide[0], 60)
    for i, C in enumerate(best["C"]):
        D = np.exp((math.log(C) - found.compute.log_k - found.compute.m * np.log(N))
                   / found.compute.q)  # fmt: skip
        axes.plot(N, D, color=PALE, lw=0.8, ls=":", zorder=1,
                  label="equal C" if i == 0 else None)  # fmt: skip
    path = found.optimal(np.geomspace(found.ranges["C"][0] / 100, found.ranges["C"][1] * 100, 120))
    axes.plot(path["N"], path["D"], color=FLOOR, lw=2.2, label="least loss")
    axes.plot(found.runs["N"], found.runs["D"], "o", color=INK, ms=3.5, mec="white", mew=0.5,
              label="runs")  # fmt: skip
    axes.set_title("Lines of equal loss")
    axes.set_xlim(*wide[0])
    axes.set_ylim(*wide[1])
    legend(axes, "loss, nats")
    axis_of(axes, "N", found.labels)
    counts_axis(axes, plain_text(found.labels.get("D", LABELS["D"])))


def _optima(axes: Axes, found: Allocation) -> None:
    low, high = found.ranges["C"]
    table = found.optimal(np.geomspace(low / 3, high * 10, 80))
    for axis, (colour, dash) in _LOOKS.items():
        axes.plot(table["C"], table[axis], dash, color=colour, lw=1.7, label=f"{axis}*")
        ends = table[[f"{axis}_low", f"{axis}_high"]].to_numpy()
        if np.isfinite(ends).all():
            axes.fill_between(table["C"], ends[:, 0], ends[:, 1], color=colour, alpha=0.13, lw=0)
    axes.axvspan(low, high, color=PALE, alpha=0.12, lw=0, label="C measured")
    share = found.counted.share_data
    axes.set_title(f"Optimal N and D: {share:.0%} of marginal C to data")
    axes.legend(loc="upper left")
    flops_axis(axes)
    of_n, of_d = (found.labels.get(a, f"{a}, {v}").partition(", ")[2] or v for a, v in _OF.items())
    counts_axis(axes, plain_text(f"N*, {of_n}; D*, {of_d}"))


def approaches_picture(found: Approaches) -> Picture:
    """The exponents a and b with their intervals, one approach above the other."""
    with style():
        figure, panels = picture(2, width=4.2, height=2.2)
        for axes, name in zip(panels, ("a", "b"), strict=True):
            _claims(axes, found, name)
    return figure


def _claims(axes: Axes, found: Approaches, name: str) -> None:
    labels = []
    for place, row in enumerate(found.table.to_dict("records")):
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
