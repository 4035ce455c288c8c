"""Methods on the same patients: a dot with its 95 % interval for each, block by block."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from analysis.compare.method_tables import (
    HEADLINE,
    METRIC_NAMES,
    ROLE_NAMES,
    block_title,
    objective_name,
)
from analysis.compare.method_text import MOST_BLOCKS
from analysis.compare.roles import CEILING, LITEHEART, LITEHEART_I, LITEHEART_II, TEACHER
from analysis.figures.base import FLOOR, INK, PALE, RIM, Picture, plain_text, style

Numbers = Mapping[str, Any]
_LINES = {CEILING: "--", TEACHER: ":"}
_PUBLISHED, _FORMS, _MATCHED = "as published", "restored, labelled only", "matched inputs"
_LOOK = {_PUBLISHED: ("o", PALE), _FORMS: ("s", INK), _MATCHED: ("D", FLOOR)}
_WIDTH, _ROW, _FRAME = 4.9, 0.21, 1.15  # inches of a panel, of a method, and around all of them
_TITLE = 80  # letters of a line of a title, which goes on above the next panel
_APART = 0.8  # between groups, in rows


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """Groups of methods, each (label, name), the lines behind them, and all values."""

    title: str
    groups: Mapping[str, Sequence[tuple[str, str]]]
    lines: Mapping[str, str]  # role -> method
    values: Mapping[str, Numbers]  # method -> metric -> estimate

    @property
    def height(self) -> float:
        """In rows."""
        return sum(map(len, self.groups.values())) + _APART * len(self.groups)


def methods_picture(numbers: Numbers) -> Picture:
    """Macro-AUROC and macro-F1 of the methods of each block; of each task where it has no block.

    Published and matched forms stand apart, and ceiling and teacher are lines. Drawn are the
    largest blocks alone.

    Args:
        numbers: of ``compare_methods``.
    """
    metrics = [m for m in HEADLINE if m in numbers["metrics"]] or numbers["metrics"][:2]
    panels = [panel for one in numbers["comparisons"] for panel in _panels(one)][:MOST_BLOCKS]
    heights = [_ROW * panel.height + _FRAME for panel in panels]
    with style():
        figure = Picture(figsize=(_WIDTH * len(metrics), sum(heights)), layout="constrained")
        rows = figure.subplots(
            len(panels), len(metrics), squeeze=False, height_ratios=heights, sharey="row"
        )
        for panel, row in zip(panels, rows, strict=True):
            for axes, metric in zip(row, metrics, strict=True):
                _draw(axes, panel, metric)
            row[0].set_title(plain_text(textwrap.fill(panel.title, _TITLE)), fontsize=9.5)
            if panel.lines:
                row[-1].legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)
    return figure


def _panels(one: Numbers) -> Iterator[_Panel]:
    values = {m["name"]: m["values"] for m in one["methods"]}
    objectives = {m["name"]: m["settings"].get("objective", "") for m in one["methods"]}
    for block in one["blocks"]:
        roles = block["roles"]
        matched = [name for name in (roles.get(LITEHEART), *block["matched"]) if name]
        groups = {
            _PUBLISHED: [(objective_name(objectives[n]), n) for n in block["published"]],
            _FORMS: [(ROLE_NAMES[r], roles[r]) for r in (LITEHEART_I, LITEHEART_II) if r in roles],
            _MATCHED: [(objective_name(objectives[n]), n) for n in matched],
        }
        yield _Panel(
            title=block_title(one, block), values=values,
            groups={group: names for group, names in groups.items() if names},
            lines={role: roles[role] for role in _LINES if role in roles},
        )  # fmt: skip
    if not one["blocks"]:
        yield _Panel(
            title=f"{one['task']} ({one['protocol']})", values=values,
            groups={"": [(name, name) for name in values]},
            lines={r: n for r, n in one["roles"].items() if r in _LINES and n in values},
        )  # fmt: skip


def _draw(axes: Axes, panel: _Panel, metric: str) -> None:
    """One metric; the first method is the highest row."""
    labels, ticks, at = [], [], 0.0
    for group, methods in panel.groups.items():
        marker, colour = _LOOK.get(group, ("o", INK))
        for label, name in methods:
            e = panel.values[name][metric]
            known = e["low"] is not None and e["high"] is not None
            if known:
                axes.plot([e["low"], e["high"]], [at, at], color=colour, lw=1.6, zorder=3)
            if e["value"] is not None:
                axes.plot(e["value"], at, marker, color=colour, ms=6, zorder=4, **RIM)
            labels.append(plain_text(label))
            ticks.append(at)
            at += 1
        axes.annotate(
            group, (0.01, at - len(methods) - 0.5), xycoords=axes.get_yaxis_transform(), ha="left",
            va="bottom", fontsize=8, color=colour if colour != PALE else INK,
        )  # fmt: skip
        at += _APART
    for role, name in panel.lines.items():
        if (value := panel.values[name][metric]["value"]) is not None:
            look: Any = {"color": INK, "ls": _LINES[role], "lw": 1.4, "zorder": 2}
            axes.axvline(value, label=ROLE_NAMES[role], **look)
    axes.set_yticks(ticks, labels)
    axes.set_ylim(at - _APART - 0.4, -1.0)
    axes.set_xlabel(METRIC_NAMES[metric])
    axes.grid(visible=False, axis="y")
