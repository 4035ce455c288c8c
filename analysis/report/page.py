"""The page and the figure files of a report."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.figures import base as figures
from analysis.figures import fits
from analysis.fit.result import Fit
from analysis.questions.answers import Asked
from analysis.questions.configurations import TaskFit
from analysis.report import render
from analysis.report.content import Content, GroupContent, plan_numbers, provenance
from analysis.report.labels import CAPTIONS, label_pictures
from analysis.report.tasks import METRICS, probe_tables
from analysis.studies.rows import trial_rows
from analysis.text import count, interval, number
from scaling.records.files import write_whole
from scaling.records.names import LINEAR_PROBE

PANELS = 4  # other tasks drawn
PROBE_PICTURES = 4  # families, paradigms and tasks that get figures; more get tables
DRAWN_CELLS = 3  # fewer model and data sizes together make no curve: they are in the tables


def write_report(content: Content, path: Path) -> None:
    """Write the page, completely or not at all; it needs no other file.

    Raises:
        OSError: it cannot be written.
    """
    page = render(
        "report.html.j2",
        study=content.study.name,
        folder=str(content.study.folder),
        quoted=shlex.quote(str(content.study.folder)),
        warnings=content.warnings,
        plan=plan_numbers(content.study),
        groups=[_section(g, i) for i, g in enumerate(content.groups)],
        probes=[
            {"title": title, "figure": figures.svg(picture, f"probe{i}")}
            for i, (title, picture) in enumerate(_probe_pictures(content))
        ],
        probe_tables=[] if _drawn(content) else probe_tables(content.probes),
        labels=[
            {"caption": CAPTIONS[name], "figure": figures.svg(picture, name)}
            for name, picture in label_pictures(content.labels).items()
        ],
        questions=[(who, _told(a)) for who, a in content.questions.by_configuration().items()],
        skipped=content.questions.skipped,
        others=content.others,
        models=content.models,
        trials=_trials(content),
        provenance=provenance(content.study),
    )
    write_whole(path, page.encode())


def write_figures(content: Content, folder: Path) -> list[Path]:
    """Write every figure as a PNG; returns the paths.

    Raises:
        OSError: one cannot be written.
    """
    pictures: dict[str, figures.Picture] = {}
    for i, group in enumerate(content.groups):
        prefix = f"{i + 1}-" if len(content.groups) > 1 else ""
        pictures |= {f"{prefix}{k}": v for k, v in _pictures(group).items()}
    for title, picture in _probe_pictures(content):
        pictures["probe-" + "".join(c if c.isalnum() else "-" for c in title).lower()] = picture
    pictures |= label_pictures(content.labels)
    paths = []
    for name, picture in pictures.items():
        paths.append(folder / f"{name}.png")
        write_whole(paths[-1], figures.png(picture))
    return paths


def _pictures(group: GroupContent) -> dict[str, figures.Picture]:
    fit = group.joint
    if fit is None or len(group.rows[["N", "D"]].drop_duplicates()) < DRAWN_CELLS:
        return {}
    bayes = float(group.bayes["value"]) if group.bayes else None
    found = {"loss": fits.curves(fit, bayes)}
    if fit.ok:
        found["residuals"] = fits.residuals(fit)
        found["uncertainty"] = fits.uncertainty(fit, bayes)
    if group.compute is not None:
        found |= group.compute.pictures()
    if group.others:
        found["transfer"] = transfer_picture(fit, group.others)
    return found


def _drawn(content: Content) -> bool:
    """Whether probes are figures: few enough for one each, with points enough in each."""
    kinds = content.probes.groupby(["name", "task", "protocol"])
    cells = [len(part[["N", "D"]].drop_duplicates()) for _, part in kinds]
    return 0 < len(cells) <= PROBE_PICTURES and min(cells) >= DRAWN_CELLS


def _probe_pictures(content: Content) -> list[tuple[str, figures.Picture]]:
    if not _drawn(content):
        return []
    found = []
    by = ["name", "task", "protocol", "metric"]
    for key, part in content.probes.groupby(by, sort=True):
        name, task, protocol, metric = (str(k) for k in key)
        share = protocol.removeprefix(LINEAR_PROBE).replace("@", ", labels ")
        picture = fits.measured(part, METRICS[metric], f"Probe {METRICS[metric].split(',')[0]}")
        found.append((f"{name} on {task}{share}, {METRICS[metric]}", picture))
    return found


def _section(group: GroupContent, index: int) -> dict[str, Any]:
    return {
        "group": group,
        "fits": group.fits,
        "cells": _cells(group.rows),
        "capped": int((group.rows["status"] == "budget_limited").sum()),
        "figures": {k: figures.svg(v, f"{k}{index}") for k, v in _pictures(group).items()},
    }


def _told(asked: Sequence[Asked]) -> list[dict[str, Any]]:
    """Answers about one configuration, each of their warnings once."""
    said: set[str] = set()
    told = []
    for a in asked:
        warnings = [w for w in a.answer.warnings if w not in said]
        said |= {*warnings}
        lines = [(e.name, number(e.value), interval(e.interval), e.text) for e in a.answer.lines]
        told.append({"asked": a, "warnings": warnings, "lines": lines})
    return told


def _cells(rows: pd.DataFrame) -> dict[str, Any]:
    """Mean measured loss by size and data."""
    if rows.empty:
        return {}
    table = rows.pivot_table(index=["N", "size"], columns="D", values="value", aggfunc="mean")
    low, high = float(table.min().min()), float(table.max().max())
    span = max(high - low, 1e-12)
    shares = (table - low) / span if high > low else table * 0 + 1
    values = zip(table.to_numpy().tolist(), shares.to_numpy().tolist(), strict=True)
    cells = [
        {"N": int(n), "size": str(size), "values": list(zip(*own, strict=True))}
        for (n, size), own in zip(table.index, values, strict=True)
    ]
    return {"data": [int(d) for d in table.columns], "rows": cells}


def _trials(content: Content) -> list[dict[str, Any]]:
    by_trial: dict[str, float] = {}
    for group in content.groups:
        by_trial |= dict(zip(group.rows["trial"], group.rows["value"], strict=True))
    errors = content.study.errors
    rows = trial_rows(content.study.frame).sort_values(["family", "size", "D", "seed"])
    rows = rows.sort_values(["family", "N", "D", "seed"], na_position="last", kind="stable")
    return [
        {
            **{str(k): None if pd.isna(v) else v for k, v in row.items()},
            "loss": by_trial.get(row["trial"]),
            "error": errors.get(row["trial"], ""),
        }
        for row in rows.to_dict("records")
    ]


def transfer_picture(trained_on: Fit, tasks: Sequence[TaskFit]) -> figures.Picture:
    """Losses on each of the first four tasks against those on the task trained on."""
    shown = tasks[:PANELS]
    own = trained_on.rows[["trial", "N", "loss"]].rename(columns={"loss": "L_id"})
    with figures.style():
        figure, panels = figures.picture(len(shown), width=3.3, height=3.1)
        styles = figures.colours(sorted(map(float, own["N"].unique())))
        for axes, each in zip(panels, shown, strict=True):
            pairs = own.merge(each.fit.rows[["trial", "loss"]], on="trial")
            for n, part in pairs.groupby("N"):
                (colour, marker), label = styles[float(str(n))], count(float(str(n)))
                look = {"color": colour, "ms": 5, "label": label, **figures.RIM}
                axes.plot(part["L_id"], part["loss"], marker, **look)
            title, law = each.task.rsplit("/", 1)[-1], each.transfer
            if law:
                low, high = max(pairs["L_id"].min(), law.floors[0]), pairs["L_id"].max()
                at = low + (high - low) * np.linspace(0.0, 1.0, 120) ** 3  # steep near the floor
                line = law.floors[1] + law.K * (at - law.floors[0]) ** law.kappa.point
                axes.plot(at, line, color=figures.FLOOR, lw=1.4)
                title += f"\nkappa {number(law.kappa.point, 2)}, R² {number(law.r2, 2)}"
            axes.set_title(title)
            axes.set_xlabel("loss trained on, nats")
        panels[0].set_ylabel("loss of a linear probe, nats")
        figures.legend(panels[-1], "N")
    return figure
