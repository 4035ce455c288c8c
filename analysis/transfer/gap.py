"""How far the loss on held-out records lies above the loss on the records trained on."""

from __future__ import annotations

import pandas as pd

from analysis.studies.rows import GROUP, pooled
from scaling.records.names import HELD_OUT, USED

_CELL = (*GROUP, "size", "N", "D")


def gap_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """The train-validation gap by configuration, N and D.

    Both losses are those of the weights at the best validation step, without dropout or
    augmentation, so the gap is the model's and not the training's. S1 (Appendix B.6) plots it
    against D; its Eq. S.8 puts a law to it.

    Args:
        frame: from ``load``.

    Returns:
        One row per cell, means over seeds and folds: the columns that set a configuration apart,
        ``size, N, D, train, validation`` (in the unit of the objective), ``gap`` (validation less
        train), ``relative`` (gap over train) and ``runs``. Empty where no training loss was
        measured.
    """
    columns = [*_CELL, "train", "validation", "gap", "relative", "runs"]
    frame = frame if "fold" in frame.columns else pooled(frame)
    rows = frame[
        (frame["protocol"] == HELD_OUT)
        & (frame["metric"] == "loss")
        & frame["split"].isin(("train", "validation"))
        & frame["status"].isin(USED)
        & frame["value"].notna()
    ]
    by_run = rows.pivot_table(
        index=["trial", "fold"], columns="split", values="value", aggfunc="mean"
    )
    if not {"train", "validation"} <= set(by_run.columns):
        return pd.DataFrame(columns=columns)
    by_run = by_run.dropna().reset_index()
    cells = by_run.merge(rows.drop_duplicates("trial")[["trial", *_CELL]], on="trial")
    means = (
        cells.groupby(list(_CELL), dropna=False)
        .agg(
            train=("train", "mean"), validation=("validation", "mean"), runs=("train", "size")
        )
        .reset_index()
    )  # fmt: skip
    means["gap"] = means["validation"] - means["train"]
    means["relative"] = means["gap"] / means["train"]
    order = ["stage", "family", "paradigm", "N", "D"]
    return means.sort_values(order, kind="stable")[columns].reset_index(drop=True)
