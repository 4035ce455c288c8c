"""Which rows of a table are fitted: those asked for, finished, not held out, at the last step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.run_columns import Chosen, listed
from analysis.run_tables import Table

FITTED = {"fit", "train", "training", "fitted", "used", "in"}
HELD = {
    "holdout", "held-out", "held_out", "heldout", "test", "val", "valid", "validation", "eval",
    "extrapolation", "predict", "out",
}  # fmt: skip
DROPPED = {"dropped", "drop", "excluded", "exclude", "outlier", "ignored", "unused", "none"}
FINISHED = {"done", "finished", "completed", "complete", "success", "succeeded", "ok",
            "budget_limited"}  # fmt: skip
UNFINISHED = {"failed", "crashed", "diverged", "killed", "running", "error", "oom", "cancelled",
              "canceled", "pending", "preempted"}  # fmt: skip
SIDES: Mapping[str, tuple[set[str], set[str], set[str]]] = {
    "status": (FINISHED, set(), UNFINISHED), "split": (FITTED, HELD, DROPPED),
}  # fmt: skip


def keep_where(table: Table, where: Mapping[str, str]) -> list[int]:
    """Rows at which every column has the value asked for."""
    keep = np.ones(len(table.places), dtype=bool)
    for column, value in where.items():
        if column not in table.cells:
            raise table.error(f"no column {column!r}; there are: {listed(table.columns)}")
        texts = table.texts(column)
        same = np.array([t == value for t in texts])
        if not same.any():
            values, _ = table.numbers(column)
            try:
                same = values == float(value)
            except ValueError:
                same = np.zeros(len(texts), dtype=bool)
        if not same.any():
            there = listed(list(dict.fromkeys(texts)), 6)
            raise table.error(f"no row has {column} = {value}; there are: {there}")
        keep &= same
    if not keep.any():
        raise table.error("no row is left by --where")
    return [int(i) for i in np.flatnonzero(keep)]


def marked(
    table: Table, chosen: dict[str, Chosen], took: list[str]
) -> tuple[list[int], list[bool]]:
    """Rows that finished and are not dropped, and which rows are held out (n,)."""
    count = len(table.places)
    kinds = np.full(count, "fit", dtype=object)
    for role in SIDES:
        uses = uses_of(table, chosen, role)
        if not uses:
            continue
        column = chosen[role].column
        texts = [word_of(t) for t in table.texts(column)]
        left = kinds != "out"
        alone = not any(uses[t] == 0 for t, own in zip(texts, left, strict=True) if own)
        tally = []
        for word, use in uses.items():
            same = left & np.array([t == word for t in texts])
            verb = ("fitted", "held out and predicted", "left out")[use]
            if use == 1 and alone:
                verb = "fitted, since no row is marked to be fitted"
            kinds[same] = ("fit", "fit" if alone else "held", "out")[use]
            tally.append(f"{int(same.sum())} {verb} ({word or 'empty'})")
        more = f"; not used: {listed(chosen[role].others)}" if chosen[role].others else ""
        took.append(f"{role} from column {column}: {', '.join(tally)}{more}")
    keep = [int(i) for i in np.flatnonzero(kinds != "out")]
    return keep, [bool(k == "held") for k in kinds]


def last_steps(frame: pd.DataFrame, took: list[str]) -> pd.DataFrame:
    """Rows without those of checkpoints of one run at one N and D, and trials that matter.

    A run whose D grows along its rows keeps them all, under one trial.
    """
    scales = [r for r in ("N", "D", "S") if r in frame]
    if "trial" in frame:
        sizes = frame.groupby("trial")["N" if "N" in frame else scales[0] if scales else "held"]
        if int(sizes.nunique().max()) > 1:
            frame = frame.drop(columns="trial")  # the number of a repeat, not the name of a run
    if "step" in frame:
        key = [c for c in ("trial", "seed", *scales, "held") if c in frame]
        latest = frame.groupby(key, dropna=False)["step"].transform("max")
        last = frame[frame["step"] == latest]
        known = "trial" in frame or "seed" in frame
        if known and scales and len(last) < len(frame) and bool(frame["step"].notna().all()):
            took.append(
                f"checkpoints: {len(last)} runs used at their last step, {len(frame) - len(last)} "
                f"rows of earlier steps at the same {' and '.join(scales)} left out"
            )
            frame = last
        frame = frame.drop(columns="step")
    if "trial" in frame and not bool(frame["trial"].duplicated().any()):
        frame = frame.drop(columns="trial")
    if "trial" in frame:
        took.append(
            f"{frame['trial'].nunique()} runs have {len(frame)} rows: rows of one run are "
            "resampled together"
        )
    return frame.drop(columns="seed", errors="ignore")


def word_of(text: str) -> str:
    """A value of a split or status, as it is compared."""
    return text.lower().replace(" ", "-")


def uses_of(table: Table, chosen: dict[str, Chosen], role: str) -> dict[str, int]:
    """What each word of a split or status does: 0 is fitted, 1 held out, 2 left out.

    Empty where there is no such column; one that only has the name is no longer chosen.
    """
    if role not in chosen:
        return {}
    fit, held, out = SIDES[role]
    words = dict.fromkeys(word_of(t) for t in table.texts(chosen[role].column))
    if not set(words) <= fit | held | out | {""} or not set(words) & (fit | held):
        del chosen[role]
        return {}
    return {w: 0 if w in fit else 1 if w in held else 2 for w in words}
