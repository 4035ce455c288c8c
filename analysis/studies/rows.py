"""Which rows of a study's frame a law, a table or a figure is made of.

The folds of one corpus are one corpus to a law, a table or a figure: a fold is named in the corpus
or task it belongs to (``ptbxl:superclass@fold3``).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from scaling.records.names import HELD_OUT, USED
from scaling.records.schema import TRIALS
from scaling.records.tables import ResultsError

GROUP = (
    "stage", "family", "paradigm", "objective", "corpus", "preprocessing", "labels_fraction",
    "leads", "num_labels", "label_set", "codebook", "given", "options",
)  # fmt: skip
_FOLD = re.compile(r"@fold(\d+)")
# Not num_labels: a trial that failed early does not know it, and a fold may lack a class.
_CELL = (
    "stage", "family", "size", "paradigm", "objective", "corpus", "preprocessing", "recipe",
    "labels_fraction", "leads", "label_set", "given", "options",
)  # fmt: skip
_SAME = 1 / 3  # of the smallest step between two D of one fold: as close is the same D
_APART = 2 / 3  # and as far is another; what lies between is refused
_WIDEST = math.log(1.25)  # folds of one D differ by less than this, whatever the steps


def check_study(frame: pd.DataFrame) -> None:
    """Refuse a frame that is not of ``load``.

    Raises:
        ValueError: which columns it lacks.
    """
    needed = ("trial", "corpus", "status", "task", "split", "metric", "protocol", "value")
    if missing := [c for c in needed if c not in frame.columns]:
        raise ValueError(
            f"not the frame of a study, as load returns it: no column {', '.join(missing)}; a law "
            "of a table of runs: fit_law(frame), or python -m analysis.fit runs.csv"
        )


def law_rows(
    frame: pd.DataFrame,
    task: str | None = None,
    metric: str = "loss",
    split: str = "test",
    protocol: str = HELD_OUT,
) -> pd.DataFrame:
    """Rows a law is fitted to: one per trial that finished.

    Failed and diverged trials are left out; ``budget_limited`` ones are used. ``remarks`` says how
    many of each.

    Args:
        frame: from ``load``, or part of it.
        task: measured on; None for the task each trial was trained on.
        metric: of the *evaluations* table.
        split: of the *evaluations* table.
        protocol: of the *evaluations* table.

    Raises:
        ValueError: no such rows (the message lists what there is), or rows of several
            families, objectives, corpora or the like, which no single law describes.
    """
    check_study(frame)
    frame = frame if "fold" in frame.columns else pooled(frame)
    where = frame["corpus"] if task is None else task
    chosen = (frame["metric"] == metric) & (frame["split"] == split)
    chosen &= (frame["protocol"] == protocol) & (frame["task"] == where)
    rows = frame[chosen & frame["value"].notna() & frame["status"].isin(USED)]
    if rows.empty:
        kinds = frame.loc[frame["metric"] != "", ["protocol", "task", "metric", "split"]]
        there = ["/".join(k) for k in kinds.drop_duplicates().itertuples(index=False)]
        asked = "/".join((protocol, task or "own task", metric, split))
        raise ValueError(
            f"no finished trial has {asked}; there are: {', '.join(there) or 'no values at all'}"
        )
    for column in GROUP:
        kinds_found = rows[column].dropna().unique()
        if len(kinds_found) > 1:
            names = ", ".join(str(k) for k in kinds_found)
            raise ValueError(
                f"rows mix several of {column} ({names}): choose one, such as "
                f"frame[frame.{column} == {kinds_found[0]!r}]"
            )
    return mean_over_folds(rows)


def mean_over_folds(rows: pd.DataFrame) -> pd.DataFrame:
    """One row where one trial was measured on several folds: their mean.

    Their test records differ, so the variances of the means add; ``fold`` becomes 0.
    """
    same = ["trial", "task", "split", "metric", "protocol", "step"]
    doubled = rows.duplicated(same, keep=False)
    if not doubled.any():
        return rows.reset_index(drop=True)
    by = rows.assign(square=rows["value_se"] ** 2).groupby(same, sort=False, dropna=False)
    sums = by.agg(
        value=("value", "mean"), n=("n", "sum"), square=("square", "mean"), folds=("value", "size")
    )
    means = by.head(1).reset_index(drop=True)
    several = sums["folds"].to_numpy() > 1
    means["value"], means["n"] = sums["value"].to_numpy(), sums["n"].to_numpy()
    means["value_se"] = (sums["square"] / sums["folds"]).to_numpy() ** 0.5
    means.loc[several, ["low", "high"]] = float("nan")
    means.loc[several, "fold"] = 0
    return means.drop(columns="square")


def remarks(frame: pd.DataFrame, rows: pd.DataFrame) -> tuple[list[str], list[str]]:
    """What a law uses of a frame, and what was left out, by status.

    Args:
        frame: from ``load``, or part of it.
        rows: what ``law_rows`` took of it.

    Returns:
        Warnings (trials without a loss, stopped early or of several recipes) and notes (how many
        trials and folds).
    """
    trials = frame.drop_duplicates("trial").set_index("trial")["status"]
    used = set(rows["trial"])
    left = trials[~trials.index.isin(used)]
    warnings = []
    for status in ("failed", "diverged"):
        if count := int((left == status).sum()):
            warnings.append(f"{_trials(count)} {status} and left out")
    if count := int(left.isin(USED).sum()):
        warnings.append(f"{_trials(count)} without this measurement left out")
    if count := int((trials[trials.index.isin(used)] == "budget_limited").sum()):
        warnings.append(f"{_trials(count)} stopped at the step cap before converging (used)")
    kinds = rows.drop_duplicates(["N", "D", "recipe"])
    if bool(kinds.duplicated(["N", "D"]).any()):
        warnings.append("cells hold runs of several recipes: all are used")
    notes = [f"{_trials(len(used))} used, {len(left)} left out"]
    if (folds := rows["fold"].nunique()) > 1:
        notes.append(f"{folds} folds, each with its own training and test records")
    return warnings, notes


def _trials(count: int) -> str:
    return f"{count} trial{'s' * (count != 1)}"


def trial_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The *trials* table of a frame of ``load``: one row per trial."""
    columns = ["C_total" if c.name == "C" else c.name for c in TRIALS]
    return frame.drop_duplicates("trial")[columns].reset_index(drop=True)


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
