"""Which rows of a study's frame a law, a table or a figure is made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from analysis.records import TRIAL_COLUMNS

GROUP = (
    "stage", "family", "paradigm", "objective", "corpus", "preprocessing", "labels_fraction",
    "leads",
)  # fmt: skip
USED = ("done", "budget_limited")


def law_rows(
    frame: pd.DataFrame,
    task: str | None = None,
    metric: str = "loss",
    split: str = "test",
    protocol: str = "held-out",
) -> pd.DataFrame:
    """Rows a law is fitted to: one per trial that finished.

    Failed and diverged trials are left out; ``budget_limited`` ones are used, with a warning.
    ``attrs["warnings"]`` and ``attrs["notes"]`` say how many of each.

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
    rows = rows.reset_index(drop=True)
    rows.attrs["warnings"], rows.attrs["notes"] = _counts(frame, rows)
    return rows


def _counts(frame: pd.DataFrame, rows: pd.DataFrame) -> tuple[list[str], list[str]]:
    """What was used and left out, by status."""
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
    return warnings, [f"{_trials(len(used))} used, {len(left)} left out"]


def _trials(count: int) -> str:
    return f"{count} trial{'s' * (count != 1)}"


def trial_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The *trials* table of a frame of ``load``: one row per trial."""
    columns = ["C_total" if c == "C" else c for c in TRIAL_COLUMNS]
    return frame.drop_duplicates("trial")[columns].reset_index(drop=True)


def groups(frame: pd.DataFrame) -> Iterable[tuple[dict[str, Any], pd.DataFrame]]:
    """Parts of a frame that one law may describe, with what sets each apart."""
    for key, part in frame.groupby(list(GROUP), dropna=False, sort=True):
        values = key if isinstance(key, tuple) else (key,)
        yield dict(zip(GROUP, values, strict=True)), part
