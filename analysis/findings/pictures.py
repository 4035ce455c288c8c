"""Figures of the findings: exponents, transfer, and loss against size by configuration."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from analysis import figures
from analysis.findings.configurations import Configuration, TaskFit
from analysis.findings.content import Findings
from analysis.tables import count

# Hue and lightness tell the families apart, marker and line the paradigms.
COLOURS = {"resnet": "#12436D", "transformer": "#E69F00"}
_OTHER = "#22303c"
_MARKERS = {"sl": "o", "ssl": "D"}
_LINES = {"sl": "-", "ssl": "--"}
_COLUMNS = 4


def pictures(findings: Findings) -> dict[str, figures.Picture]:
    """Figures by name; those without anything to show are left out."""
    found = findings.configurations
    tasks = sorted({t.task for c in found for t in c.tasks if t.fit.ok})
    if not tasks:
        return {}
    return {
        "findings-exponents": _exponents(found, tasks),
        "findings-transfer": _panels(found, tasks, "transfer"),
        "findings-loss": _panels(found, tasks, "loss"),
    }


def _look(c: Configuration) -> tuple[str, str, str]:
    family, paradigm = c.kind
    return COLOURS.get(family, _OTHER), _MARKERS.get(paradigm, "s"), _LINES.get(paradigm, ":")


def _exponents(found: Sequence[Configuration], tasks: Sequence[str]) -> figures.Picture:
    """Exponents and kappa of every task with 95 % intervals."""
    height = 1.2 + 0.16 * len(tasks) * len(found) + 0.12 * len(tasks)
    with figures.style():
        picture, panels = figures.picture(3, width=4.0, height=height)
        for axes, name in zip(panels, ("alpha", "beta", "kappa"), strict=True):
            for i, c in enumerate(found):
                _row(axes, c, name, tasks, (i - (len(found) - 1) / 2) / (len(found) + 1))
            axes.set_yticks(range(len(tasks)), tasks if name == "alpha" else [])
            axes.invert_yaxis()
            figures.decimal(axes, "x")
            axes.set_xlabel({"alpha": "exponent of N", "beta": "exponent of D",
                             "kappa": "transfer exponent"}[name])  # fmt: skip
            axes.set_title(name)
        panels[2].axvline(1.0, color=figures.INK, lw=0.9, ls=":")
        figures.legend(panels[2], "")
    return picture


def _row(axes: Axes, c: Configuration, name: str, tasks: Sequence[str], offset: float) -> None:
    colour, marker, _ = _look(c)
    label: str | None = c.name
    for i, task in enumerate(tasks):
        found = next((t for t in c.tasks if t.task == task and t.fit.ok), None)
        shown = found and _estimate(found, name)
        if not shown:
            continue
        value, low, high = shown
        axes.plot(value, i + offset, marker, color=colour, ms=4.5, mec="white", mew=0.5,
                  label=label, zorder=3)  # fmt: skip
        if math.isfinite(low):
            axes.plot([low, high], [i + offset] * 2, color=colour, lw=1.1, zorder=2)
        label = None


def _estimate(found: TaskFit, name: str) -> tuple[float, float, float] | None:
    if name == "kappa":
        transfer = found.transfer
        if transfer is None:
            return None
        return transfer.kappa, transfer.interval.low, transfer.interval.high
    if not found.identified({"alpha": "N", "beta": "D"}[name]):
        return None
    interval = found.fit.intervals[name]
    return found.fit.params[name], interval.low, interval.high


def _panels(found: Sequence[Configuration], tasks: Sequence[str], kind: str) -> figures.Picture:
    """One panel per task, one series per configuration."""
    columns = min(_COLUMNS, len(tasks))
    rows = math.ceil(len(tasks) / columns)
    with figures.style():
        picture = figures.Picture(figsize=(3.3 * columns, 2.7 * rows), layout="constrained")
        panels = list(picture.subplots(rows, columns, squeeze=False).flat)
        for axes, task in zip(panels, tasks, strict=False):
            for c in found:
                part = next((t for t in c.tasks if t.task == task and t.fit.ok), None)
                if part and kind == "loss":
                    _against_size(axes, c, part)
                elif part and part.transfer:
                    _against_excess(axes, c, part)
            axes.set_title(task, fontsize=9)
        for axes in panels[len(tasks) :]:
            axes.set_visible(False)
        for i, axes in enumerate(panels[: len(tasks)]):
            label = "N" if kind == "loss" else "excess loss trained on, nats"
            axes.set_xlabel(label if i + columns >= len(tasks) else "")
        for axes in panels[: len(tasks) : columns]:
            axes.set_ylabel("probe loss, nats" if kind == "loss" else "excess probe loss, nats")
        handles, labels = panels[0].get_legend_handles_labels()
        picture.legend(handles, labels, loc="outside lower center", ncols=len(found))
    return picture


def _against_size(axes: Axes, c: Configuration, found: TaskFit) -> None:
    """Probe losses at the largest D, and the joint law there."""
    colour, marker, line = _look(c)
    rows, d = found.fit.residuals, found.fit.ranges["D"][1]
    means = rows[rows["D"] == d].groupby("N")["loss"].mean()
    axes.plot(means.index.to_numpy(float), means.to_numpy(), marker, color=colour, ms=4.5,
              mec="white", mew=0.5, label=f"{c.name}, D = {count(d)}")  # fmt: skip
    low, high = found.fit.ranges["N"]
    grid = np.geomspace(low, high, 40)
    curve = found.fit.law.value(found.fit.theta, np.stack([grid, np.full(40, d)], axis=1))
    axes.plot(grid, curve, line, color=colour, lw=1.2)
    figures.scale(axes, "N")


def _against_excess(axes: Axes, c: Configuration, found: TaskFit) -> None:
    """Excess losses of the runs and the loss-to-loss law."""
    transfer = found.transfer
    assert transfer is not None
    colour, marker, line = _look(c)
    excess = transfer.excess[(transfer.excess > 0).all(axis=1)]
    axes.plot(excess[:, 0], excess[:, 1], marker, color=colour, ms=3.5, mec="white", mew=0.4,
              label=c.name)  # fmt: skip
    if len(excess):
        grid = np.geomspace(excess[:, 0].min(), excess[:, 0].max(), 40)
        axes.plot(grid, transfer.K * grid**transfer.kappa, line, color=colour, lw=1.2)
    figures.decimal(axes, "x")
    figures.decimal(axes, "y")
