"""Cross-validation: the folds of one corpus are one corpus to a law, a table or a figure.

A fold is named in the corpus or task it belongs to (``ptbxl:superclass@fold3``).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from scaling.records.tables import ResultsError

_FOLD = re.compile(r"@fold(\d+)")
# Not num_labels: a trial that failed early does not know it, and a fold may lack a class.
_CELL = (
    "stage", "family", "size", "paradigm", "objective", "corpus", "preprocessing", "recipe",
    "labels_fraction", "leads", "label_set",
)  # fmt: skip
_SAME = 1 / 3  # of the smallest step between two D of one fold: as close is the same D
_APART = 2 / 3  # and as far is another; what lies between is refused
_WIDEST = math.log(1.25)  # folds of one D differ by less than this, whatever the steps


class FoldError(ResultsError):
    """Data sizes of folds that cannot be matched; the message names them."""


def fold_of(name: str) -> int:
    """The fold in a corpus or task name; 0 where there is none (the official split)."""
    match = _FOLD.search(name)
    return int(match.group(1)) if match else 0


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
        of the corpus trained on, ``task_fold`` that of the task tested on. Folds differ a little
        in their number of training records; ``D`` is the median over the folds of a cell (the
        same configuration and nearly the same D).

    Raises:
        FoldError: data sizes of folds lie so that it is not clear which belong together.
    """
    copy = frame.copy()
    copy["corpus_fold"] = corpus_fold = frame["corpus"].map(fold_of).astype("int64")
    copy["task_fold"] = task_fold = frame["task"].map(fold_of).astype("int64")
    copy["fold"] = task_fold.where(task_fold > 0, corpus_fold)
    for column in ("corpus", "task"):
        copy[column] = frame[column].map(without_fold).astype("string")
    if (corpus_fold > 0).any():
        copy["D"] = _typical(copy)
    return copy


def _typical(frame: pd.DataFrame) -> pd.Series[int]:
    """Median D over the folds of a cell, rounded; the official split keeps its own."""
    cell = [c for c in _CELL if c in frame.columns]
    folded = frame[(frame["corpus_fold"] > 0) & frame["D"].notna()]
    typical = frame["D"].copy()
    for key, part in folded.groupby(cell, dropna=False, sort=False):
        pairs = part[["corpus_fold", "D"]].drop_duplicates()
        named = dict(zip(cell, key, strict=True))
        where = f"{named['family']} {named['size']} {named['paradigm']} on {named['corpus']}"
        known = matched(zip(pairs["corpus_fold"], pairs["D"], strict=True), where)
        typical.loc[part.index] = part["D"].map(known).astype("Int64")
    return typical


def matched(pairs: Iterable[tuple[int, int]], where: str) -> dict[int, int]:
    """The common D of each D, from pairs of a fold and a D it was trained with.

    Values are joined by distance in log D, measured by the smallest step between two D of one
    fold: up to a third of it (and 25 %) is the same D, from two thirds on another.

    Args:
        pairs: fold and D, each once.
        where: the cell, for messages.

    Raises:
        FoldError: a distance lies between, or one fold has two D of the same group.
    """
    folds: dict[int, set[int]] = {}
    for fold, d in pairs:
        folds.setdefault(int(d), set()).add(int(fold))
    ordered = sorted(folds)
    step = math.inf
    for fold in set().union(*folds.values()):
        own = np.log([d for d in ordered if fold in folds[d]])
        step = min(step, float(np.diff(own).min())) if len(own) > 1 else step
    same, apart = (min(share * step, share / _SAME * _WIDEST) for share in (_SAME, _APART))
    parts = [ordered[:1]]
    for before, d in itertools.pairwise(ordered):
        distance = math.log(d / before)
        if same < distance < apart:
            raise FoldError(
                f"{where}: D = {before:,} and D = {d:,} of different folds are neither clearly "
                "one data size nor clearly two: run the folds with data sizes further apart"
            )
        parts[-1].append(d) if distance <= same else parts.append([d])
    common: dict[int, int] = {}
    for part in parts:
        sizes = [d for d in part for _ in folds[d]]
        if len(sizes) > len(set().union(*(folds[d] for d in part))):
            listed = ", ".join(f"{d:,}" for d in part)
            raise FoldError(f"{where}: a fold has several of the data sizes {listed}")
        common |= dict.fromkeys(part, round(float(np.median(sizes))))
    return common
