"""Tables of trainings that no law describes: codebooks, fine-tuned models."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.studies.groups import LAW_STAGE
from scaling.records.names import USED

SCRATCH = "scratch"
_CELL = ["family", "paradigm", "origin", "corpus", "labels_fraction", "size", "N", "D"]
_HEAD = ["family", "paradigm", "from", "corpus", "labels", "size", "N", "D"]


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
        wide = part.pivot_table(index=_CELL, columns="metric", values="value", aggfunc="mean")
        wide = wide.sort_index(level=["family", "paradigm", "origin", "N", "D"])
        runs = part.drop_duplicates(["trial", "fold"]).groupby(_CELL).size()
        found.append(
            {
                "title": f"{stage}, {objective}",
                "head": [*_HEAD, "runs", *(str(c) for c in wide.columns)],
                "rows": [
                    [*(str(v) for v in key), str(int(runs[key])),
                     *(None if pd.isna(v) else float(v) for v in values)]
                    for key, values in zip(wide.index, wide.to_numpy(), strict=True)
                ],
            }
        )  # fmt: skip
    return found


def other_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Held-out scores of stages without laws; ``origin`` is what a model began with."""
    rows = frame[
        (frame["stage"] != LAW_STAGE)
        & (frame["protocol"] == "held-out")
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
