"""Which rows of a table are fitted: those asked for, finished, not held out, at the last step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.run_columns import Chosen, listed
from analysis.run_tables import Table

FITTED = {"fit", "train", "training", "fitted", "used", "in"}
HELD = {
    "holdout", "held_out", "heldout", "test", "val", "valid", "validation", "eval", "dev",
    "extrapolation", "predict", "out",
}  # fmt: skip
DROPPED = {"dropped", "drop", "excluded", "exclude", "outlier", "ignored", "unused", "none"}
FINISHED = {"done", "finished", "completed", "complete", "success", "succeeded", "ok",
            "budget_limited"}  # fmt: skip
UNFINISHED = {  # of wandb, Slurm, MLflow, Ray and Optuna as well
    "failed", "fail", "failure", "crashed", "crash", "diverged", "killed", "running", "error",
    "oom", "out_of_memory", "cancelled", "canceled", "pending", "queued", "scheduled", "waiting",
    "preempted", "preempting", "timeout", "timed_out", "node_fail", "boot_fail", "deadline",
    "stopped", "aborted", "interrupted", "suspended", "paused", "requeued", "revoked", "pruned",
    "unfinished", "incomplete",
}  # fmt: skip
SIDES: Mapping[str, tuple[set[str], set[str], set[str]]] = {
    "status": (FINISHED, set(), UNFINISHED), "split": (FITTED, HELD, DROPPED),
}  # fmt: skip
PICKING = (*SIDES, "step")  # roles that decide which rows are fitted
FIT, HOLD, OUT, UNKNOWN = range(4)  # what a word does to its rows


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
    table: Table, chosen: dict[str, Chosen], took: list[str], warnings: list[str]
) -> tuple[list[int], list[bool]]:
    """Rows that finished and are not dropped, and which rows are held out (n,)."""
    kinds = np.full(len(table.places), FIT)
    for role in SIDES:
        uses = uses_of(table, chosen, role)
        if not uses:
            continue
        column = chosen[role].column
        words = np.array([word_of(t) for t in table.texts(column)], dtype=object)
        left = kinds != OUT
        alone = not any(uses[w] == FIT for w in words[left])
        tally, unknown = [], {}
        for word, use in uses.items():
            same = left & (words == word)
            kinds[same] = (FIT, FIT if alone else HOLD, OUT, OUT)[use]
            if use == UNKNOWN:
                unknown[word] = int(same.sum())
                continue
            verb = ("fitted", "held out and predicted", "left out")[use]
            if use == HOLD and alone:
                verb = "fitted, since no row is marked to be fitted"
            tally.append(f"{int(same.sum())} {verb} ({word or 'empty'})")
        more = f"; not used: {listed(chosen[role].others)}" if chosen[role].others else ""
        took.append(f"{role} from column {column}: {', '.join(tally)}{more}")
        if any(unknown.values()):
            warnings.append(_unknown_said(role, column, unknown))
    keep = [int(i) for i in np.flatnonzero(kinds != OUT)]
    return keep, [bool(k == HOLD) for k in kinds]


def _unknown_said(role: str, column: str, words: Mapping[str, int]) -> str:
    """Rows that are left out for a word of a split or status that means nothing here."""
    rows = sum(words.values())
    said = listed([f"{w!r} ({n} row{'s' * (n > 1)})" for w, n in words.items() if n], 6)
    first = next(w for w, n in words.items() if n)
    return (
        f"{rows} row{'s' * (rows > 1)} left out, whose {role} is not known: {said} in column "
        f"{column}; --where {column}={first} keeps such rows alone, --by {column} fits the rows "
        "of each value"
    )


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
    """A value of a split or status, as it is shown and compared."""
    return text.lower().replace(" ", "-")


def uses_of(table: Table, chosen: dict[str, Chosen], role: str) -> dict[str, int]:
    """What each word of a split or status does: FIT, HOLD, OUT or UNKNOWN.

    Empty where there is no such column; one that only has the name, since most of its rows hold
    other words, is no longer chosen. Where no word says that a row is fitted, an empty cell does.
    """
    if role not in chosen:
        return {}
    words = [word_of(t) for t in table.texts(chosen[role].column)]
    uses = {w: _use(role, w) for w in dict.fromkeys(words)}
    if role == "status" and "terminated" in uses:  # by Ray Tune, where trials end; else killed
        uses["terminated"] = OUT if FIT in uses.values() else FIT
    said = [uses[w] for w in words if w]
    known = sum(u != UNKNOWN for u in said)
    if "" in uses and FIT not in said and known:
        uses[""] = FIT
    if 2 * known <= len(said) or not {FIT, HOLD} & set(uses.values()):
        del chosen[role]
        return {}
    return uses


def _use(role: str, word: str) -> int:
    """What one word does; Slurm adds who cancelled a job, and a plus where it cuts a word."""
    fit, held, out = SIDES[role]
    key = word.replace("-", "_").rstrip("+")
    key = key.split("_by_")[0] if role == "status" else key
    if key in fit:
        return FIT
    if key in held:
        return HOLD
    return OUT if key in out or not key else UNKNOWN
