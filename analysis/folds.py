"""Cross-validation: the folds of one corpus are one corpus to a law, a table or a figure.

A fold is named in the corpus or task it belongs to (``ptbxl:superclass@fold3``).
"""

from __future__ import annotations

import re

import pandas as pd

_FOLD = re.compile(r"@fold(\d+)")
_CELL = (
    "stage", "family", "size", "paradigm", "objective", "corpus", "preprocessing", "recipe",
    "labels_fraction", "leads", "num_labels",
)  # fmt: skip


def fold_of(name: str) -> int:
    """The fold in a corpus or task name; 0 where there is none (the official split)."""
    found = _FOLD.search(name)
    return int(found.group(1)) if found else 0


def without_fold(name: str) -> str:
    """A corpus or task name less its fold."""
    return _FOLD.sub("", name)


def pooled(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame of ``load`` with folds named apart.

    Args:
        frame: from ``load``.

    Returns:
        A copy in which ``corpus`` and ``task`` name no fold and the column ``fold`` says which
        it was: the task's, else the corpus', 0 for the official split; ``corpus_fold`` is that
        of the corpus trained on. Folds differ a little in
        their number of training records; ``D`` is the median over the folds of a cell (the same
        configuration; its smallest D in each fold, its second smallest, and so on).
    """
    found = frame.copy()
    corpus_fold = frame["corpus"].map(fold_of).astype("int64")
    task_fold = frame["task"].map(fold_of).astype("int64")
    found["corpus_fold"] = corpus_fold
    found["fold"] = task_fold.where(task_fold > 0, corpus_fold)
    for column in ("corpus", "task"):
        found[column] = frame[column].map(without_fold).astype("string")
    if (corpus_fold > 0).any():
        found["D"] = _typical(found, corpus_fold)
    return found


def _typical(frame: pd.DataFrame, fold: pd.Series[int]) -> pd.Series[int]:
    """Median D over the folds of a cell, rounded."""
    cell = list(_CELL)
    keyed = frame.assign(of=fold)
    rank = keyed.groupby([*cell, "of"], dropna=False)["D"].rank("dense")
    median = keyed.assign(rank=rank).groupby([*cell, "rank"], dropna=False)["D"].transform("median")
    return median.where(fold > 0, frame["D"]).round().astype("Int64")
