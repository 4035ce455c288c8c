"""Which rows of a study's frame a law, a table or a figure is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from analysis.studies.folds import pooled
from scaling.records.names import USED
from scaling.records.schema import TRIALS

GROUP = (
    "stage", "family", "paradigm", "objective", "corpus", "preprocessing", "labels_fraction",
    "leads", "num_labels", "label_set", "codebook",
)  # fmt: skip
LAW_STAGE = "pretrain"
_NAMED = {"labels_fraction": "labels", "num_labels": "classes", "label_set": "label set"}


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
    protocol: str = "held-out",
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


def groups(frame: pd.DataFrame) -> Iterable[tuple[dict[str, Any], pd.DataFrame]]:
    """Parts of a frame that one law may describe, with what sets each apart.

    Only pretraining has laws: codebooks, random weights and fine-tuned models have tables.
    """
    check_study(frame)
    frame = frame if "fold" in frame.columns else pooled(frame)
    part = frame[(frame["stage"] == LAW_STAGE) & (frame["paradigm"] != "random")]
    key = part[list(GROUP)].copy()
    rest = [c for c in GROUP if c != "num_labels"]
    # A trial that failed early does not know its number of labels.
    known = key.groupby(rest, dropna=False)["num_labels"].transform("min")
    key["num_labels"] = key["num_labels"].fillna(known)
    for values, rows in part.groupby([key[c] for c in GROUP], dropna=False, sort=True):
        yield dict(zip(GROUP, values, strict=True)), rows


def title(key: dict[str, Any]) -> str:
    """Family, paradigm and corpus in one line."""
    return f"{key['family']}-{str(key['paradigm']).upper()} on {key['corpus']}"


def titles(keys: Sequence[dict[str, Any]]) -> list[str]:
    """A title for each group, with what sets it apart from others of the same title."""
    return told_apart(keys, [title(k) for k in keys])


def names(keys: Sequence[dict[str, Any]]) -> list[str]:
    """Family and paradigm of each group, with what sets it apart from others of both."""
    return told_apart(keys, [f"{k['family']}-{str(k['paradigm']).upper()}" for k in keys])


def told_apart(keys: Sequence[dict[str, Any]], plain: Sequence[str]) -> list[str]:
    """Each of ``plain``, with the columns of its group in which others of the same name differ."""
    found = []
    for key, name in zip(keys, plain, strict=True):
        same = [k for k, other in zip(keys, plain, strict=True) if other == name]
        apart = [
            f"{_NAMED.get(c, c)} {key[c]}"
            for c in GROUP
            if len({str(k[c]) for k in same}) > 1 and str(key[c]) not in ("", "<NA>")
        ]
        found.append(f"{name} ({', '.join(apart)})" if apart else name)
    return found


def with_names(cells: pd.DataFrame) -> pd.DataFrame:
    """With a column ``name``: family and paradigm, and what else sets a configuration apart.

    Args:
        cells: with the columns of ``GROUP``.
    """
    keys: list[dict[str, Any]] = [
        {c: row[c] for c in GROUP} for row in cells[list(GROUP)].to_dict("records")
    ]
    distinct = {str(k): k for k in keys}
    known = dict(zip(distinct, names(list(distinct.values())), strict=True))
    return cells.assign(name=pd.Series([known[str(k)] for k in keys], index=cells.index, dtype=str))
