"""Scores against the amount of labels: of models trained further, and of probes."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.figures import base as figures
from analysis.report.tasks import PROBE, SCORE, SCRATCH, finished, other_rows, probe_rows
from analysis.studies.groups import with_names
from analysis.text import short
from scaling.records.names import HELD_OUT

CAPTIONS = {
    "labels-finetune": "Held-out test loss of fine-tuned models against those of the same size "
    "trained from scratch on the same records; means over seeds of the recipe best on validation.",
    "labels-sets": "Test macro-AUROC of models trained on label sets of different size: on the "
    "classes that all sets of a kind share, and of linear probes on other tasks; means over seeds.",
    "labels-probe": "Test macro-AUROC of linear probes on the frozen features of each model by the "
    "share of the labelled training records; means over seeds.",
}
_AXES = {
    "labels-finetune": ("labelled records", "held-out loss, nats"),
    "labels-sets": ("classes trained on", "macro-AUROC"),
    "labels-probe": ("share of the labels", "macro-AUROC"),
}
UNTRAINED = (SCRATCH, "random")  # origins drawn dashed
_COLUMNS = 3  # of panels
_LINES = ["-", "-.", ":", (0, (1, 3))]
_CELL = ["panel", "model", "N", "origin", "labels"]


def label_cells(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """What the figures show, by their names; none where there is one amount of labels only.

    Args:
        frame: from ``load``, folds pooled.

    Returns:
        Tables with ``panel, model, N, origin, labels, value``: test scores, means over seeds and
        folds of the recipe that is best on validation. ``panel`` is the task, ``model`` family
        and size, ``origin`` what it began with or how it was trained, ``labels`` records with a
        label or, for probes, their share, or for label sets their classes.
    """
    found = {
        "labels-finetune": (_tuned(frame), 1),
        "labels-probe": (_probed(frame), -1),
        "labels-sets": (_sets(frame), -1),
    }
    return {
        name: _best_recipe(rows, sign)
        for name, (rows, sign) in found.items()
        if len(rows["labels"].unique()) > 1
    }


def _best_recipe(rows: pd.DataFrame, sign: int) -> pd.DataFrame:
    """Test scores of the recipe with the smallest ``sign`` times its validation score."""
    by = [*_CELL, "recipe"]
    rows = rows.assign(model=rows["family"] + " " + rows["size"])
    wide = rows.pivot_table(index=by, columns="split", values="value", aggfunc="mean")
    wide = wide.reindex(columns=["validation", "test"]).dropna(subset=["test"]).reset_index()
    order = (sign * wide["validation"]).sort_values(kind="stable").index
    best = wide.loc[order].drop_duplicates(_CELL).sort_values(_CELL)
    return best[_CELL].assign(value=best["test"]).reset_index(drop=True)


def _tuned(frame: pd.DataFrame) -> pd.DataFrame:
    """Losses of fine-tuned models. Several losses are several panels: they do not compare."""
    rows = other_rows(frame)
    rows = rows[(rows["stage"] == "finetune") & (rows["metric"] == "loss")]
    loss = "" if len(rows["objective"].unique()) < 2 else " (" + rows["objective"] + ")"
    labels = rows["D"].astype("float64") * rows["labels_fraction"]
    return rows.assign(panel=rows["corpus"] + loss, labels=labels)


def _probed(frame: pd.DataFrame) -> pd.DataFrame:
    """Probes of pretrained and random models, with the share of labels that each had."""
    rows = probe_rows(frame)
    rows = with_names(rows[rows["metric"] == SCORE])
    share = rows["protocol"].str.removeprefix(PROBE).str.removeprefix("@").replace("", "1")
    several = len(rows["D"].unique()) > 1
    origin = [
        name.removeprefix(f"{family}-").replace("RANDOM", "random")
        + (f", D {int(d):,}" if several else "")
        for name, family, d in zip(rows["name"], rows["family"], rows["D"], strict=True)
    ]
    named = pd.Series(origin, index=rows.index, dtype="string")
    return rows.assign(panel=rows["task"], origin=named, labels=share.astype("float64"))


def _sets(frame: pd.DataFrame) -> pd.DataFrame:
    """Scores by label set: on the classes that its kind keeps, and of probes."""
    known = frame[finished(frame) & (frame["label_set"].fillna("") != "")]
    kind = known["label_set"].str.replace("-.*", "", regex=True)
    own = (known["protocol"] == HELD_OUT) & (known["metric"] == f"{SCORE}_core")
    probe = (known["protocol"] == PROBE) & (known["metric"] == SCORE)
    rows = known.assign(
        panel=(known["corpus"] + ", " + kind + " classes").where(own, "probe of " + known["task"]),
        origin=known["paradigm"].str.upper() + (", " + kind + " classes").where(probe, ""),
        labels=known["num_labels"].astype("float64"),
    )
    return rows[own | probe]


def label_pictures(cells: dict[str, pd.DataFrame]) -> dict[str, figures.Picture]:
    """A figure of each table of ``label_cells``: a panel a task, a line a model and origin."""
    return {name: _picture(rows, *_AXES[name]) for name, rows in cells.items()}


def _picture(rows: pd.DataFrame, horizontal: str, vertical: str) -> figures.Picture:
    panels = sorted(rows["panel"].unique())
    with figures.style():
        picture, axes = figures.grid(
            len(panels), columns=_COLUMNS, width=3.9, height=2.9, below=0.6
        )
        styles = _styles(rows)
        for panel, name in zip(axes, panels, strict=True):
            _draw(panel, rows[rows["panel"] == name], styles)
            panel.set_title(name, fontsize=9)
            panel.set_xlabel(horizontal)
            panel.set_ylabel(vertical)
        handles = [Line2D([], [], label=", ".join(key), **own) for key, own in styles.items()]
        columns = min(_COLUMNS, len(panels))
        picture.legend(handles=handles, loc="outside lower center", ncols=columns, handlelength=3.0)
    return picture


def _styles(rows: pd.DataFrame) -> dict[tuple[str, str], dict[str, Any]]:
    """Colour by model, dark for small; line and marker by origin, dashes for no training."""
    models = list(rows.sort_values("N")["model"].unique())
    shades = figures.colours(range(len(models)))
    trained = [o for o in sorted(rows["origin"].unique()) if o not in UNTRAINED]
    pairs = rows[["model", "origin"]].drop_duplicates().itertuples(index=False, name=None)
    styles = {}
    for model, origin in sorted(pairs, key=lambda pair: (models.index(pair[0]), pair[1])):
        i = trained.index(origin) if origin in trained else -1
        styles[model, origin] = {
            "color": shades[models.index(model)][0],
            "marker": figures.MARKERS[(i + 1) % len(figures.MARKERS)],
            "ls": "--" if i < 0 else _LINES[i % len(_LINES)],
            **figures.SERIES,
        }
    return styles


def _draw(axes: Axes, rows: pd.DataFrame, styles: dict[tuple[str, str], dict[str, Any]]) -> None:
    for (model, origin), own in styles.items():
        part = rows[(rows["model"] == model) & (rows["origin"] == origin)].sort_values("labels")
        axes.plot(part["labels"], part["value"], **own)
    axes.set_xscale("log")
    if rows["labels"].max() <= 1:
        figures.log_ticks(axes.xaxis, (1.0,), lambda share: f"{100 * share:g} %")
    else:
        figures.log_ticks(axes.xaxis, (1.0, 2.0, 4.0), short)
