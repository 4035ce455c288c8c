"""Scores: probes by task, the model chosen on validation, trainings that no law describes."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from analysis.fit.intervals import t_quantile
from analysis.studies.groups import LAW_STAGE, with_names
from analysis.studies.rows import GROUP
from analysis.text import NORMAL, count, finite_or_none
from scaling.records.names import HELD_OUT, LINEAR_PROBE, USED

CONFIGURATION = (*GROUP, "size", "N", "D", "lr", "recipe")
SCORE = "macro_auroc"
METRICS = {"loss": "loss, nats", "macro_auroc": "macro-AUROC"}
PROBE = LINEAR_PROBE  # and, with a share of the labels, linear-probe@0.1
SCRATCH = "scratch"
_OTHER_CELL = ["family", "paradigm", "origin", "corpus", "labels_fraction", "size", "N", "D"]
_OTHER_HEAD = ["family", "paradigm", "from", "corpus", "labels", "size", "N", "D"]


def finished(frame: pd.DataFrame) -> pd.Series[bool]:
    """Whether a row is a measured value of a trial that finished."""
    return frame["status"].isin(USED) & frame["value"].notna() & (frame["metric"] != "")


def _is_probe(protocol: pd.Series[str]) -> pd.Series[bool]:
    return (protocol == PROBE) | protocol.str.startswith(f"{PROBE}@")


def probe_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of linear probes, with all of the labels or a share, of trials that finished."""
    rows = frame[finished(frame)]
    return rows[_is_probe(rows["protocol"])]


def probe_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """Test scores of linear probes, one row per configuration, task, metric, N and D.

    Args:
        frame: from ``load``, folds pooled.

    Returns:
        The columns that set a configuration apart (those of the laws, so that label sets,
        corpora or objectives are never averaged), ``task, protocol, metric, size, N, D, recipe,
        value, low, high, seeds``: the mean over seeds and folds and its 95 % interval; and
        ``name``: family and paradigm, with what else sets the configuration apart. ``metric`` is
        ``loss`` or ``macro_auroc``, ``protocol`` tells the share of the labels.
    """
    rows = probe_rows(frame)
    rows = rows[rows["metric"].isin(METRICS) & (rows["split"] == "test")]
    by = [*GROUP, "task", "protocol", "metric", "size", "N", "D", "recipe"]
    found = [
        (*key, *mean_interval(part), part["seed"].nunique())
        for key, part in rows.groupby(by, sort=True, dropna=False)
    ]
    return with_names(pd.DataFrame(found, columns=[*by, "value", "low", "high", "seeds"]))


def probe_tables(cells: pd.DataFrame) -> list[dict[str, Any]]:
    """Probes as tables: first the largest cells of all configurations, then each on its own.

    Returns:
        Tables with ``title``, ``head``, ``rows`` (text, then numbers or None) and ``folded``,
        whether a page may show it on demand only.
    """
    found = []
    for (protocol, metric), part in cells.groupby(["protocol", "metric"], sort=True):
        what = f"{METRICS[str(metric)]}, {protocol}"
        largest = part.sort_values(["N", "D"]).drop_duplicates(["name", "task"], keep="last")
        wide = largest.pivot_table(index="task", columns="name", values="value")
        found.append(_table(f"{what}: largest N, then largest D, of each", ["task"], wide))
        for name, own in part.groupby("name", sort=True):
            cell = ["size", "N", "D"]
            wide = own.pivot_table(index=cell, columns="task", values="value", aggfunc="mean")
            wide = wide.sort_index(level=["N", "D"])
            found.append({**_table(f"{what}: {name}", cell, wide), "folded": True})
    return sorted(found, key=lambda t: bool(t["folded"]))


def _table(title: str, index: list[str], wide: pd.DataFrame) -> dict[str, Any]:
    keys = [k if isinstance(k, tuple) else (k,) for k in wide.index]
    names = ([v if isinstance(v, str) else count(float(v)) for v in key] for key in keys)
    values = ([None if pd.isna(v) else float(v) for v in row] for row in wide.to_numpy())
    rows = [[*name, *own] for name, own in zip(names, values, strict=True)]
    head = [*index, *(str(c) for c in wide.columns)]
    return {"title": title, "head": head, "rows": rows, "folded": False}


def mean_interval(rows: pd.DataFrame) -> tuple[float, float, float]:
    """Mean over seeds and folds, and its 95 % interval.

    Seeds share the test patients, so the error from those patients (``value_se``, averaged)
    does not shrink with seeds; the scatter between seeds does. Folds of the task have patients
    of their own: the scatter of their means holds both, and with few folds its interval is
    Student's. Models of several folds tested on one official split share its patients.
    """
    mean, runs = float(rows["value"].mean()), len(rows)
    fold = "task_fold" if "task_fold" in rows else "fold"
    folds = rows.groupby(fold)["value"].mean() if fold in rows else rows["value"].iloc[:1]
    if len(folds) > 1:
        mean, error = float(folds.mean()), math.sqrt(float(folds.var()) / len(folds))
        quantile = t_quantile(len(folds) - 1)
    else:
        patients = float((rows["value_se"] ** 2).mean())
        seeds = float(rows["value"].var()) / runs if runs > 1 else 0.0
        error = math.sqrt(seeds + patients) if math.isfinite(patients) else math.nan
        quantile = NORMAL
    return mean, mean - quantile * error, mean + quantile * error


def chosen_models(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """For each task and protocol, the configuration with the best mean validation macro-AUROC.

    Only the validation split chooses; the test score of the choice is the mean over its seeds,
    with a 95 % interval that holds seeds and patients. Folds are averaged.
    """
    rows = frame[finished(frame)]
    rows = rows[(rows["metric"] == SCORE)]
    rows = rows[(rows["protocol"] == HELD_OUT) | _is_probe(rows["protocol"])]
    found = []
    for (task, protocol), part in rows.groupby(["task", "protocol"], sort=True):
        validation = part[part["split"] == "validation"]
        if validation.empty or not (part["split"] == "test").any():
            continue
        means = validation.groupby(list(CONFIGURATION), dropna=False)["value"].mean()
        winner: Any = means.idxmax()
        best = dict(zip(CONFIGURATION, winner, strict=True))
        same = pd.Series(True, index=part.index)
        for name, value in best.items():
            same &= part[name].isna() if pd.isna(value) else part[name] == value
        test = part[same & (part["split"] == "test")]
        if test.empty:
            continue
        mean, low, high = mean_interval(test)
        texts = ("family", "paradigm", "objective", "corpus", "label_set", "size")
        found.append(
            {
                "task": str(task),
                "protocol": str(protocol),
                **{name: str(best[name]) for name in texts},
                "N": int(best["N"]),
                "D": int(best["D"]),
                "lr": float(best["lr"]),
                "seeds": test["seed"].nunique(),
                "considered": len(means),
                "validation": float(means.max()),
                "test": mean,
                "low": finite_or_none(low),
                "high": finite_or_none(min(high, 1.0)),
                "runs": [float(v) for v in test["value"]],
            }
        )
    return found


def other_tables(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Held-out test scores of every stage but pretraining, means over seeds and folds.

    Args:
        frame: from ``load``, folds pooled.

    Returns:
        One table for each stage and objective: ``title``, ``head`` (what sets a row apart, then
        the metrics) and ``rows``. Random weights have no head and so no row: they are among the
        probes.
    """
    rows = other_rows(frame)
    rows = rows[rows["split"] == "test"]
    found = []
    for (stage, objective), part in rows.groupby(["stage", "objective"], sort=True):
        wide = part.pivot_table(index=_OTHER_CELL, columns="metric", values="value", aggfunc="mean")
        wide = wide.sort_index(level=["family", "paradigm", "origin", "N", "D"])
        runs = part.drop_duplicates(["trial", "fold"]).groupby(_OTHER_CELL).size()
        cells = [
            [*map(str, key), str(int(runs[key])), *(None if pd.isna(v) else float(v) for v in row)]
            for key, row in zip(wide.index, wide.to_numpy(), strict=True)
        ]
        head = [*_OTHER_HEAD, "runs", *map(str, wide.columns)]
        found.append({"title": f"{stage}, {objective}", "head": head, "rows": cells})
    return found


def other_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Held-out scores of stages without laws; ``origin`` is what a model began with."""
    rows = frame[
        (frame["stage"] != LAW_STAGE)
        & (frame["protocol"] == HELD_OUT)
        & frame["status"].isin(USED)
        & frame["value"].notna()
    ]
    return rows.assign(origin=rows["parents"].map(_origins(frame)))


def _origins(frame: pd.DataFrame) -> dict[str, str]:
    """What a model of these parents began with: a backbone, or nothing."""
    trials = frame.drop_duplicates("trial").set_index("trial")
    backbones = {
        str(trial): f"{row['paradigm'].upper()}, D {int(row['D']):,}"
        for trial, row in trials[trials["stage"] != "codebook"].to_dict("index").items()
    }
    found = {}
    for parents in trials["parents"].unique():
        known = [backbones[p] for p in parents.split(";") if p in backbones]
        found[str(parents)] = " and ".join(known) or SCRATCH
    return found
