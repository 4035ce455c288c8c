"""Figures of the findings: exponents, transfer, and loss against size by configuration."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from analysis.figures import base as figures
from analysis.published import s1
from analysis.questions.answer import law_doubt
from analysis.questions.configurations import Configuration, TaskFit
from analysis.report.findings import Findings

CAPTIONS = {
    "findings-exponents": "Exponents of the joint laws on each task and transfer exponents, with "
    "95 % intervals. Hollow: at a bound of the search, of a law with a low R², or for kappa of "
    "floors that are not determined; no verdict rests on it. Crosses in the row of a task: S1's "
    "kappa for the task of the same name (Table S.7), in the colour of the configuration. Dotted "
    "line: kappa = 1, in proportion.",
    "findings-transfer": "Excess loss on each task against excess loss in distribution, one marker "
    "a run, with the loss-to-loss law (floors from the joint laws). In distribution each paradigm "
    "has its own loss, so that slopes compare and positions along the horizontal axis do not. Runs "
    "at a floor, with less than a thousandth of the largest excess, are not shown.",
    "findings-loss": "Probe loss of each task against N at the largest D, and beside it against D "
    "at the largest N. Markers: means over runs; lines: the joint law.",
}
AT_FLOOR = 1e-3  # of the largest excess: below, a run shows where the floor was put, and no slope
# Hue and lightness tell the families apart; marker and line tell all four.
COLOURS = {"resnet": "#12436D", "transformer": "#E69F00"}
_OTHER = "#22303c"
_MARKERS_AND_LINES: dict[tuple[str, str], tuple[str, Any]] = {
    ("resnet", "sl"): ("o", "-"),
    ("resnet", "ssl"): ("D", "--"),
    ("transformer", "sl"): ("s", "-."),
    ("transformer", "ssl"): ("^", ":"),
}
_AXIS = {"alpha": "N", "beta": "D"}
_TITLES = {"alpha": "exponent of N", "beta": "exponent of D", "kappa": "transfer exponent"}


def pictures(findings: Findings) -> dict[str, figures.Picture]:
    """Figures by name; those without anything to show are left out."""
    found = findings.configurations
    tasks = sorted({t.task for c in found for t in c.tasks if t.fit.ok})
    if not tasks:
        return {}
    return {
        "findings-exponents": _exponents(found, tasks),
        "findings-transfer": _transfers(found, tasks),
        "findings-loss": _losses(found, tasks),
    }


def _style(c: Configuration) -> tuple[str, str, Any]:
    return COLOURS.get(c.kind[0], _OTHER), *_MARKERS_AND_LINES.get(c.kind, ("P", (0, (1, 4))))


def _handles(found: Sequence[Configuration], *, lines: bool) -> list[Line2D]:
    """Marker and line of each configuration, for a legend that does not depend on a panel."""
    handles = []
    for c in found:
        colour, marker, line = _style(c)
        own: Any = {"color": colour, "marker": marker, "ls": line if lines else "none"}
        handles.append(Line2D([], [], label=c.name, **own, **figures.SERIES))
    return handles


def _exponents(found: Sequence[Configuration], tasks: Sequence[str]) -> figures.Picture:
    """Exponents and kappa of every task with 95 % intervals."""
    height = 1.6 + 0.16 * len(tasks) * len(found) + 0.12 * len(tasks)
    with figures.style():
        picture, panels = figures.picture(3, width=4.0, height=height)
        for axes, name in zip(panels, ("alpha", "beta", "kappa"), strict=True):
            for i, c in enumerate(found):
                offset = (i - (len(found) - 1) / 2) / (len(found) + 1)
                for row, task in enumerate(tasks):
                    _point(axes, c, name, task, row + offset)
            axes.set_yticks(range(len(tasks)), tasks if name == "alpha" else [])
            axes.set_ylim(len(tasks) - 0.5, -0.5)
            figures.decimal(axes, "x")
            axes.set_xlabel(_TITLES[name])
            axes.set_title(name)
        panels[2].axvline(1.0, color=figures.INK, lw=0.9, ls=":")
        ink: Any = {"color": figures.INK, "ls": "none", "ms": 5}
        handles = [
            *_handles(found, lines=False),
            Line2D([], [], marker="o", mfc="none", label="hollow: not determined", **ink),
            Line2D([], [], marker="x", label="kappa of S1", **ink),
        ]
        picture.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return picture


def _point(axes: Axes, c: Configuration, name: str, task: str, row: float) -> None:
    """One exponent with its interval; hollow where no verdict rests on it."""
    colour, marker, _ = _style(c)
    found = next((t for t in c.tasks if t.task == task and t.fit.ok), None)
    shown = found and _estimate(found, name)
    if shown:
        value, low, high, sure = shown
        rim, fill, width = ("white", colour, 0.5) if sure else (colour, "white", 1.0)
        axes.plot(value, row, marker, ms=4.5, mec=rim, mfc=fill, mew=width, zorder=3)
        if math.isfinite(low):
            axes.plot([low, high], [row] * 2, color=colour, lw=1.1, zorder=2)
    printed = s1.kappa(task).get(c.kind)
    if name == "kappa" and printed is not None:
        axes.plot(printed, row, "x", color=colour, ms=4.5, mew=1.2, zorder=4)


def _estimate(found: TaskFit, name: str) -> tuple[float, float, float, bool] | None:
    """Value, interval, and whether a verdict may rest on it."""
    if name == "kappa":
        transfer = found.transfer
        if transfer is None:
            return None
        kappa, interval = transfer.kappa.point, transfer.kappa.interval
        return kappa, interval.low, interval.high, not found.doubt
    interval = found.fit.intervals[name]
    sure = not law_doubt(found.fit, terms=_AXIS[name])
    return found.fit.params[name], interval.low, interval.high, sure


Draw = Callable[[Axes, Configuration, TaskFit], None]


def _grid(
    found: Sequence[Configuration], panels: Sequence[tuple[str, Draw]], width: float
) -> figures.Picture:
    """Panels of a task each, with one series per configuration and one legend for all."""
    picture, axes = figures.grid(len(panels), columns=4, width=width, height=2.7, below=0.4)
    for panel, (task, draw) in zip(axes, panels, strict=True):
        for c in found:
            part = next((t for t in c.tasks if t.task == task and t.fit.ok), None)
            if part:
                draw(panel, c, part)
        panel.set_title(task, fontsize=9)
    place: Any = {"loc": "outside lower center", "ncols": len(found), "handlelength": 3.2}
    picture.legend(handles=_handles(found, lines=True), **place)
    return picture


def _transfers(found: Sequence[Configuration], tasks: Sequence[str]) -> figures.Picture:
    with figures.style():
        return _grid(found, [(task, _against_excess) for task in tasks], 3.3)


def _losses(found: Sequence[Configuration], tasks: Sequence[str]) -> figures.Picture:
    """Loss against N, and beside it against D."""
    panels = [(task, draw) for task in tasks for draw in (_against("N"), _against("D"))]
    with figures.style():
        return _grid(found, panels, 3.1)


def _against(axis: str) -> Draw:
    """Probe losses at the largest value of the other axis, and the joint law there."""
    other = "D" if axis == "N" else "N"

    def draw(axes: Axes, c: Configuration, found: TaskFit) -> None:
        colour, marker, line = _style(c)
        rows, at = found.fit.residuals, found.fit.ranges[other][1]
        means = rows[rows[other] == at].groupby(axis)["loss"].mean()
        sizes = means.index.to_numpy(float)
        axes.plot(sizes, means.to_numpy(), marker, color=colour, ms=4.5, mec="white", mew=0.5)
        grid = np.geomspace(*found.fit.ranges[axis], 40)
        scales = {axis: grid, other: np.full(40, at)}
        x = np.stack([scales[a] for a in found.fit.law.axes], axis=1)
        axes.plot(grid, found.fit.law.value(found.fit.theta, x), ls=line, color=colour, lw=1.3)
        figures.scale(axes, axis)
        axes.set_xlabel(f"{axis}, at the largest {other}")
        axes.set_ylabel("probe loss, nats")

    return draw


def _against_excess(axes: Axes, c: Configuration, found: TaskFit) -> None:
    """Excess losses of the runs and the loss-to-loss law."""
    transfer = found.transfer
    if transfer is None:
        return
    colour, marker, line = _style(c)
    excess = transfer.excess
    excess = excess[(excess > AT_FLOOR * excess.max(axis=0, initial=0.0)).all(axis=1)]
    axes.plot(excess[:, 0], excess[:, 1], marker, color=colour, ms=3.5, mec="white", mew=0.4)
    if len(excess):
        grid = np.geomspace(excess[:, 0].min(), excess[:, 0].max(), 40)
        axes.plot(grid, transfer.K * grid**transfer.kappa.point, ls=line, color=colour, lw=1.3)
    figures.decimal(axes, "x")
    figures.decimal(axes, "y")
    low, high = axes.get_xlim()
    if high > 100 * low:  # labels at 1, 2 and 5 would touch
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0,)))
    axes.set_xlabel("excess loss trained on, nats")
    axes.set_ylabel("excess probe loss, nats")
