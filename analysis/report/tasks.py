"""Scores by task: linear probes against scale, and the model chosen on validation."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from analysis.selection import USED
from analysis.tables import plain

CONFIGURATION = (
    "stage", "family", "paradigm", "objective", "corpus", "labels_fraction", "size", "N", "D",
    "lr", "recipe",
)  # fmt: skip
SCORE = "macro_auroc"
_Z = 1.959964


def _finished(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["status"].isin(USED) & frame["value"].notna() & (frame["metric"] != "")]


def probe_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """Test scores of linear probes, one row per family, paradigm, task, metric, N and D.

    Returns:
        Columns ``family, paradigm, task, metric, size, N, D, value, low, high, seeds``: the mean
        over seeds and its 95 % interval.
    """
    rows = _finished(frame)
    rows = rows[(rows["protocol"] == "linear-probe") & (rows["split"] == "test")]
    by = ["family", "paradigm", "task", "metric", "size", "N", "D", "recipe"]
    found = []
    for key, part in rows.groupby(by, sort=True):
        value, low, high = mean_interval(part)
        found.append({**dict(zip(by, key, strict=True)), "value": value, "low": low, "high": high,
                      "seeds": len(part)})  # fmt: skip
    return pd.DataFrame(found, columns=[*by, "value", "low", "high", "seeds"])


def mean_interval(rows: pd.DataFrame) -> tuple[float, float, float]:
    """Mean over seeds and its 95 % interval.

    Seeds share the test patients, so the error from those patients (``value_se``, averaged)
    does not shrink with seeds; the scatter between seeds does.
    """
    mean, count = float(rows["value"].mean()), len(rows)
    patients = float((rows["value_se"] ** 2).mean())
    seeds = float(rows["value"].var()) / count if count > 1 else 0.0
    error = math.sqrt(seeds + patients) if math.isfinite(patients) else math.nan
    return mean, mean - _Z * error, mean + _Z * error


def chosen_models(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """For each task and protocol, the configuration with the best mean validation macro-AUROC.

    Only the validation split chooses; the test score of the choice is the mean over its seeds,
    with a 95 % interval that holds seeds and patients.
    """
    rows = _finished(frame)
    rows = rows[(rows["metric"] == SCORE) & rows["protocol"].isin(("held-out", "linear-probe"))]
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
            same &= part[name] == value
        test = part[same & (part["split"] == "test")]
        if test.empty:
            continue
        mean, low, high = mean_interval(test)
        found.append({
            "task": str(task), "protocol": str(protocol), "family": str(best["family"]),
            "paradigm": str(best["paradigm"]), "size": str(best["size"]), "N": int(best["N"]),
            "D": int(best["D"]), "lr": float(best["lr"]), "seeds": len(test),
            "considered": len(means), "validation": float(means.max()), "test": mean,
            "low": plain(low), "high": plain(min(high, 1.0)),
            "runs": [float(v) for v in test["value"]],
        })  # fmt: skip
    return found
