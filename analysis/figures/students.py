"""Figures of students: restored leads, Grad-CAM, t-SNE, AUROC of each class, accuracy and cost.

The first three are of ``Explained``, the arrays that opened models left; the others of tables of
``analysis.compare.students``.
"""

from __future__ import annotations

import textwrap
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.lines import Line2D

from analysis.compare.students import TEACHER
from analysis.figures.base import (
    FLOOR,
    INK,
    MARKERS,
    PALE,
    SERIES,
    Picture,
    colours,
    grid,
    log_ticks,
    plain_text,
    scale,
    style,
)
from analysis.text import FloatArray, short
from scaling.records.explained import Explained, Numbers

CAPTIONS = {
    "restored": "Test records as recorded and with the hidden leads as the net restores them; the "
    "leads that it is given pass through. Numbers: Pearson's correlation of a restored lead with "
    "the recorded one, over the samples shown.",
    "grad-cam": "Grad-CAM (Selvaraju et al. 2017) of the teacher and of students, for one class of "
    "each record: the darker, the more the samples speak for the class. Each panel is scaled by "
    "its own largest value. The signals are what each model is given: all leads as recorded, or "
    "of hidden ones what the net restores, or zeros. p: probability that the model gives the "
    "class. The class is one that the record has; which records are shown depends on no model.",
    "t-sne": "t-SNE of what the head of each model reads, of the first test records: each model "
    "by itself, with axes that mean nothing by themselves. In colour: records of exactly one of "
    "the commonest classes.",
    "auroc-by-class": "AUROC of each class on test records, by method, at one size of the student. "
    "Means over trainings (draws, seeds, folds); bars: the 95 % interval over test patients of "
    "one training.",
    "accuracy-cost": "Macro-AUROC on test records against what is deployed, restoration net and "
    "student together, and against the student's parameters alone. Means over trainings (draws, "
    "seeds, folds); bars: the 95 % interval over test patients of one training. Points of "
    "equal cost are drawn beside each other. Where several recipes were tried, a point is the one "
    "best on validation.",
}
RESTORED = "#E69F00"
# Okabe and Ito's colours, which colour-blind readers tell apart; their yellow is lost on white.
CLASS_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#22303c")
HEAT = LinearSegmentedColormap.from_list("heat", ["#ffffff", "#fbe3b0", RESTORED, "#c35a00"])
CAM_LEADS = 3  # drawn in a map of all: what students are given first
_WANTED = ("II", "V2", "V5", "I")  # beside them
_BESIDE = 1.05  # how far points of one cost are moved at most
_FLAT = 1e-6  # a lead that spans less is constant
_NAME = 26  # letters in a line of a name


def restored_picture(explained: Explained) -> Picture | None:
    """True and restored leads of each record, one below the other; None where none restores."""
    if not len(explained.restored):
        return None
    records, leads = explained.true.shape[:2]
    with style():
        figure, panels = grid(records, 3, width=4.4, height=0.5 * leads + 1.0, below=0.4)
        step = _step(np.concatenate([explained.true, explained.restored]))
        for place, axes in enumerate(panels):
            _restored_panel(axes, explained, place, step)
            axes.set_title(_record_title(explained, place))
        lines = [
            Line2D([], [], color=INK, lw=1.2, label="recorded"),
            Line2D([], [], color=RESTORED, lw=1.4, label="restored; right: correlation"),
        ]
        figure.legend(handles=lines, loc="outside lower center", ncols=2)
    return figure


def cam_picture(explained: Explained, names: Mapping[str, str]) -> Picture:
    """Grad-CAM: a row for each model, a column for each record.

    Args:
        explained: what is drawn.
        names: of the students, by training id.
    """
    shown = _cam_leads(explained)
    models, records = len(explained.models), len(explained.record)
    signals = [_given(explained, m)[:, shown] for m in range(models)]
    step = _step(np.concatenate(signals))
    titles = _titles(explained, names)
    with style():
        size = (3.7 * records + 0.6, 1.75 * models + 0.6)
        figure = Picture(figsize=size, layout="constrained")
        panels = figure.subplots(models, records, squeeze=False, sharex=True)
        for m in range(models):
            for place in range(records):
                axes = panels[m][place]
                _cam_panel(axes, explained, m, place, signals[m][place], step)
                class_ = str(explained.classes[explained.explained[place]])
                odds = float(explained.logits[m, place, explained.explained[place]])
                told = f"p({plain_text(class_)}) = {1 / (1 + np.exp(-odds)):.2f}"
                if not explained.cam[m, place].any():
                    told = f"nothing speaks for it; {told}"
                axes.set_title(told, fontsize=8.5, fontweight="normal", loc="right")
                if not m:
                    axes.set_title(f"{_record_title(explained, place)}\n", loc="left")
            panels[m][0].set_ylabel(_wrapped(titles[m]), fontsize=8.5, labelpad=22)
        for axes in panels[-1]:
            axes.set_xlabel("time, s")
        bar = figure.colorbar(
            ScalarMappable(Normalize(0, 1), HEAT), ax=panels, shrink=0.6, aspect=30, pad=0.01
        )
        bar.set_label("Grad-CAM, share of the panel's largest value", fontsize=8.5)
    return figure


def tsne_picture(explained: Explained, names: Mapping[str, str]) -> Picture:
    """t-SNE of the features of each model, coloured by class; see ``cam_picture``."""
    labels_PC = explained.point_labels > 0
    alone_P = labels_PC.sum(axis=1) == 1
    order = np.argsort(-labels_PC.sum(axis=0), kind="stable")[: len(CLASS_COLOURS)]
    commonest = [int(c) for c in order if labels_PC[alone_P, c].any()]
    other_P = ~(alone_P & labels_PC[:, commonest].any(axis=1))
    looks = [
        (str(explained.classes[c]), alone_P & labels_PC[:, c], CLASS_COLOURS[i], MARKERS[i], 3.4)
        for i, c in enumerate(commonest)
    ]
    looks.insert(0, ("several, none or another", other_P, "#c9ced3", ".", 2.6))
    with style():
        figure, panels = grid(len(explained.models), 4, width=3.3, height=3.3, below=0.4)
        for m, (axes, title) in enumerate(zip(panels, _titles(explained, names), strict=True)):
            for _, own_P, colour, marker, size in looks:
                x, y = explained.tsne[m, own_P].T
                axes.plot(x, y, marker, color=colour, ms=size, mew=0, alpha=0.85)
            axes.set(xticks=[], yticks=[], xlabel="t-SNE 1", ylabel="t-SNE 2")
            axes.set_title(_wrapped(title), fontsize=9.5)
        handles = [
            Line2D([], [], marker=marker, color=colour, ls="none", ms=5, label=plain_text(label))
            for label, own_P, colour, marker, _ in looks
            if own_P.any()
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(8, len(handles)))
    return figure


def class_picture(areas: pd.DataFrame, title: str, classes: Sequence[str] = ()) -> Picture:
    """AUROC of each class by method.

    Args:
        areas: of ``analysis.compare.students.class_areas``, not empty.
        title: the setting, in words.
        classes: their order, the first at the top; those that it lacks come last.
    """
    there = dict.fromkeys(areas["class"])
    rows = [c for c in ["", *classes] if c in there]
    rows += [c for c in there if c not in rows]
    names = _ordered(areas)
    looks = _looks(names)
    with style():
        height = 1.5 + len(rows) * (0.25 + 0.13 * len(names))
        figure = Picture(figsize=(6.4, height), layout="constrained")
        axes = figure.subplots()
        for i, name in enumerate(names):
            offset = (i - (len(names) - 1) / 2) / (len(names) + 1.5)
            for one in areas[areas["method"] == name].to_dict("records"):
                _interval(axes, one, rows.index(one["class"]) + offset, looks[name])
        axes.axvline(0.5, color=PALE, lw=1, ls=":")
        axes.set_yticks(range(len(rows)), [plain_text(c) or "mean of classes" for c in rows])
        axes.set_ylim(len(rows) - 0.45, -0.55)
        axes.grid(axis="y", visible=False)
        for edge in np.arange(len(rows) - 1) + 0.5:
            axes.axhline(edge, color="#e6e9ec", lw=0.8)
        axes.set_xlabel("AUROC on test records")
        axes.set_title(_wrapped(title, 70), fontsize=9.5)
        figure.legend(handles=_handles(looks, "none"), loc="outside lower center", ncols=2)
    return figure


def cost_picture(points: pd.DataFrame, title: str) -> Picture:
    """Macro-AUROC against MACs of what is deployed, and against N of the student.

    Args:
        points: of ``analysis.compare.students.accuracy_and_cost``, not empty.
        title: the setting, in words.
    """
    names = _ordered(points)
    looks = _looks(names)
    # Methods of one size cost the same: beside each other they are seen.
    moved = np.geomspace(1 / _BESIDE, _BESIDE, len(looks)) if len(looks) > 1 else [1.0]
    apart = dict(zip(names, moved, strict=True)) | {TEACHER: 1.0}
    labels = {
        "macs_system": "MACs a record, restoration and model",
        "N": "N, backbone parameters of the model",
    }
    with style():
        figure, panels = grid(2, 2, width=4.6, height=3.9, below=0.3 + 0.1 * len(names))
        for axes, (cost, label) in zip(panels, labels.items(), strict=True):
            for name in names:
                of = points[(points["method"] == name) & points[cost].notna()].sort_values(cost)
                colour, marker = looks[name]
                if of.empty:
                    continue
                x = of[cost].to_numpy(float) * apart[name]
                axes.vlines(x, of["low"], of["high"], color=colour, lw=0.9, alpha=0.6)
                axes.plot(x, of["value"], marker + "-", color=colour, **_points(marker))
            scale(axes, "N", label)
            low, high = axes.get_xlim()
            if high < 10 * low:  # powers of two alone would leave a label or two
                log_ticks(axes.xaxis, (1.0, 1.5, 2.0, 3.0, 5.0, 7.0), short)
        panels[0].set_ylabel("macro-AUROC on test records")
        figure.suptitle(_wrapped(title, 90), fontsize=9.5, fontweight="bold", x=0.01, ha="left")
        figure.legend(handles=_handles(looks, "-"), loc="outside lower center", ncols=2)
    return figure


def _time(explained: Explained) -> FloatArray:
    return np.arange(explained.true.shape[2]) / float(explained.fs_hz)


def _step(signals: FloatArray) -> float:
    """Distance between two leads: as much as most of them span."""
    spans = np.ptp(signals, axis=-1)
    return float(np.quantile(spans, 0.9)) or 1.0


def _below(signals_LT: FloatArray, step: float) -> FloatArray:
    """Leads (L, T), each ``step`` below the one before."""
    return signals_LT - step * np.arange(len(signals_LT))[:, None]


def _ends(below_LT: FloatArray, step: float) -> tuple[float, float]:
    """Limits of an axis that hold all samples of such leads, and some room."""
    low, high = float(below_LT.min()), float(below_LT.max())
    return min(low, -(len(below_LT) - 0.5) * step) - 0.1 * step, max(high, 0.5 * step) + 0.1 * step


def _restored_panel(axes: Axes, explained: Explained, place: int, step: float) -> None:
    """Leads of a record below each other; at the right correlations, and a bar of one unit."""
    leads, given = explained.leads.tolist(), set(explained.input_leads.tolist())
    time, end = _time(explained), float(_time(explained)[-1])
    true_LT = _below(explained.true[place], step)
    made_LT = _below(explained.restored[place], step)
    for row, name in enumerate(leads):
        axes.plot(time, true_LT[row], color=INK, lw=0.9)
        if name not in given:
            axes.plot(time, made_LT[row], color=RESTORED, lw=1.1)
            found = _correlation(explained.true[place, row], explained.restored[place, row])
            text = "–" if np.isnan(found) else f"{found:.2f}".replace("-", "−")
            axes.text(end * 1.16, -row * step, text, fontsize=8, ha="right", va="center")
    axes.set_yticks(
        [-row * step for row in range(len(leads))],
        [f"{name} (given)" if name in given else name for name in leads],
    )
    low, high = _ends(true_LT, step)
    axes.set_ylim(min(low, float(made_LT.min())), max(high, float(made_LT.max())))
    axes.set_xlim(0, end * 1.16)
    axes.set_xticks(np.arange(0, end, max(1, round(end / 5))))
    axes.set_xlabel("time, s")
    axes.grid(visible=False)
    axes.spines["bottom"].set_bounds(0, end)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    _bar(axes, explained, step, 0.965)


def _bar(axes: Axes, explained: Explained, step: float, at: float) -> None:
    """A bar of one unit (or two) beside the first lead, ``at`` this share of the panel's width."""
    tall, unit = 1.0 if step < 3 else 2.0, str(explained.unit) or "SD"
    where: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "clip_on": False}
    axes.plot([at, at], [-tall / 2, tall / 2], color=INK, lw=1.6, **where)
    look: dict[str, Any] = {"rotation": 90, "fontsize": 7.5, "ha": "left", "va": "center"}
    axes.text(at + 0.008, 0.0, f"{tall:g} {unit}", **look, **where)


def _correlation(true: FloatArray, made: FloatArray) -> float:
    """Pearson's; NaN where one of them is flat."""
    if min(np.ptp(true), np.ptp(made)) < _FLAT:
        return float("nan")
    return float(np.corrcoef(true, made)[0, 1])


def _record_title(explained: Explained, place: int) -> str:
    has = explained.classes[explained.labels[place] > 0]
    return plain_text(f"{explained.record[place]}: {', '.join(has.tolist())}")


def _titles(explained: Explained, names: Mapping[str, str]) -> list[str]:
    """What to call each model."""
    ids = explained.models.tolist()
    return [TEACHER if taught else names.get(name, name)
            for name, taught in zip(ids, explained.teacher.tolist(), strict=True)]  # fmt: skip


def _cam_leads(explained: Explained) -> list[int]:
    leads = explained.leads.tolist()
    wanted = [*explained.input_leads.tolist()[:1], *_WANTED, *leads]
    return [leads.index(name) for name in dict.fromkeys(wanted) if name in leads][:CAM_LEADS]


def _given(explained: Explained, model: int) -> Numbers:
    """Records as a model is given them, (R, L, T)."""
    if explained.teacher[model]:
        return explained.true
    if explained.restoring[model]:
        return explained.restored
    hidden = ~np.isin(explained.leads, explained.input_leads)
    return np.where(hidden[None, :, None], 0.0, explained.true)


def _cam_panel(
    axes: Axes, explained: Explained, model: int, place: int, signals: FloatArray, step: float
) -> None:
    """The map behind the leads that the model is given."""
    time, map_T = _time(explained), explained.cam[model, place]
    names = explained.leads[_cam_leads(explained)].tolist()
    below_LT = _below(signals, step)
    low, high = _ends(below_LT, step)
    share_1T = map_T[None] / map_T.max() if map_T.max() > 0 else np.zeros_like(map_T)[None]
    axes.imshow(
        share_1T, cmap=HEAT, vmin=0, vmax=1, aspect="auto", interpolation="nearest",
        extent=(0, time[-1], low, high),
    )  # fmt: skip
    for signal_T in below_LT:
        axes.plot(time, signal_T, color=INK, lw=0.8)
    axes.set_yticks([-row * step for row in range(len(names))], names, fontsize=8)
    axes.set_ylim(low, high)
    axes.set_xlim(0, time[-1])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False)
    _bar(axes, explained, step, 1.015)


def _ordered(rows: pd.DataFrame) -> list[str]:
    """Methods, the teacher first."""
    names = [str(name) for name in dict.fromkeys(rows["method"])]
    return sorted(names, key=lambda name: name != TEACHER)


def _looks(names: Sequence[str]) -> dict[str, tuple[Any, str]]:
    """Colour and marker of each method."""
    students = [name for name in names if name != TEACHER]
    found: dict[str, tuple[Any, str]] = {TEACHER: (FLOOR, "*")} if TEACHER in names else {}
    shades = colours([float(i) for i in range(len(students))])
    markers = [marker for marker in MARKERS if marker != "*"]
    for i, name in enumerate(students):
        found[name] = shades[float(i)][0], markers[i % len(markers)]
    return found


def _handles(looks: Mapping[str, tuple[Any, str]], line: str) -> list[Line2D]:
    return [
        Line2D(
            [], [], color=colour, marker=marker, ls=line, label=plain_text(name), **_points(marker)
        )
        for name, (colour, marker) in looks.items()
    ]


def _interval(axes: Axes, row: Mapping[Hashable, Any], at: float, look: tuple[Any, str]) -> None:
    colour, marker = look
    if np.isfinite(row["low"]):
        axes.plot([row["low"], row["high"]], [at] * 2, color=colour, lw=1.1, zorder=2)
    axes.plot(row["value"], at, marker, color=colour, zorder=3, **_points(marker))


def _points(marker: str) -> dict[str, Any]:
    return {**SERIES, "ms": 10 if marker == "*" else SERIES["ms"]}


def _wrapped(text: str, width: int = _NAME) -> str:
    return plain_text(textwrap.fill(text, width))
