"""All comparisons of a study: from the predictions it kept, or as they were published.

For each task and protocol with predictions: the best model of each family and paradigm, chosen
on validation, and each configuration's frozen features against the mean of randomly initialised
twins of its family and size. Intervals resample patients, the same for all models, and seeds where
there are several. Predictions stay in the live store; without them the comparison published beside
it is read.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.compare.comparison import (
    BestModel,
    ResampleOptions,
    TwinComparison,
    against_twins,
    best_on_validation,
)
from analysis.compare.evaluations import (
    CONFIGURATION,
    MissingResultError,
    evaluations_on_test,
    folds_of,
)
from analysis.compare.published import nothing_of, read_published
from analysis.studies.load import study as load_study
from scaling.records.layout import COMPARISON, live_store
from scaling.records.tables import ResultsError

SCHEMA = 1
_KEYS = ("study", "resamples", "seed", "chosen", "pairs", "notes")


def compare_models(
    folder: str | Path,
    *,
    task: str | None = None,
    protocol: str | None = None,
    resamples: int | None = None,
    seed: int | None = None,
) -> dict[str, Any]:
    """All comparisons of a study as plain JSON values.

    Args:
        folder: a results folder, such as ``results/ptbxl-cv``.
        task: only this task, without a fold; None for all.
        protocol: only this protocol; None for all.
        resamples: of the patients; None for 2,000.
        seed: of the resamples; None for 0.

    Returns:
        ``study``, ``resamples``, ``seed``, ``chosen`` and ``pairs`` (the fields of
        ``comparison.BestModel`` and ``comparison.TwinComparison``), ``notes`` on what was left
        out, and ``published``: the file they were read from, None where they were computed from
        predictions.

    Raises:
        ResultsError: the folder cannot be read, it holds neither predictions nor a published
            comparison, they do not fit, or a published one has other resamples than asked for.
    """
    folder = Path(folder)
    study, store = load_study(folder), live_store(folder).predictions
    if not any(store.glob("*.npz")) and (folder / COMPARISON).exists():
        return _published(folder / COMPARISON, study.name, task, protocol, resamples, seed)
    options = ResampleOptions(**_given(resamples=resamples, seed=seed))
    best: list[BestModel] = []
    pairs: list[TwinComparison] = []
    notes: list[str] = []
    for part, folds in _comparable(study.frame, store, task, protocol, notes):
        for _, kind in part[part["paradigm"] != "random"].groupby(["family", "paradigm"]):
            with _skipping(notes):
                best.append(best_on_validation(kind, folds, store, options))
        pairs += _pairs(part, folds, store, options, notes)
    if not best and not pairs:
        raise ResultsError("; ".join(notes) or f"{store}: nothing to compare")
    return {
        "schema": SCHEMA,
        "study": study.name,
        "resamples": options.resamples,
        "seed": options.seed,
        "chosen": [dataclasses.asdict(b) for b in best],
        "pairs": [dataclasses.asdict(p) for p in pairs],
        "notes": notes,
        "published": None,
    }


def _given(**values: int | None) -> dict[str, int]:
    """Those that were given."""
    return {name: value for name, value in values.items() if value is not None}


def _comparable(
    frame: pd.DataFrame, store: Path, task: str | None, protocol: str | None, notes: list[str]
) -> list[tuple[pd.DataFrame, tuple[int, ...]]]:
    """Evaluations of each task and protocol with predictions, and the folds of the task.

    Raises:
        ResultsError: there are none.
    """
    rows = evaluations_on_test(frame)
    kept = {path.stem for path in store.glob("*.npz")}
    there = rows[rows["evaluation"].isin(kept)][["task", "protocol"]].drop_duplicates()
    for column, wanted in (("task", task), ("protocol", protocol)):
        there = there if wanted is None else there[there[column] == wanted]
    if there.empty:
        asked = "/".join(filter(None, (task, protocol)))
        raise ResultsError(
            f"{store}: no predictions{f' of {asked}' if asked else ''}: "
            "run the study with `predictions: true` in its stage"
        )
    comparable = []
    for name, way in there.sort_values(["task", "protocol"]).itertuples(index=False):
        part = rows[(rows["task"] == name) & (rows["protocol"] == way)]
        with _skipping(notes):
            comparable.append((part, folds_of(part, str(name))))
    return comparable


def _published(
    path: Path,
    study: str,
    task: str | None,
    protocol: str | None,
    resamples: int | None,
    seed: int | None,
) -> dict[str, Any]:
    """What was published of the study: all of it, or one task or protocol.

    Raises:
        ResultsError: it cannot be read, is of another study, or holds no such task, protocol or
            resamples.
    """
    numbers = read_published(path, study, SCHEMA, _KEYS, _given(resamples=resamples, seed=seed))
    try:
        for key, value in (("task", task), ("protocol", protocol)):
            numbers["chosen"] = [c for c in numbers["chosen"] if value in (None, c["kind"][key])]
            numbers["pairs"] = [
                p for p in numbers["pairs"] if value in (None, p["configuration"][key])
            ]
        as_text(numbers)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ResultsError(f"{path}: broken ({error!r})") from None
    if not numbers["chosen"] and not numbers["pairs"]:
        raise nothing_of(path, task, protocol)
    return numbers


@contextmanager
def _skipping(notes: list[str]) -> Iterator[None]:
    """Leave out, with a note, what lacks a result."""
    try:
        yield
    except MissingResultError as error:
        notes.append(f"left out: {error}")


def _pairs(
    part: pd.DataFrame,
    folds: tuple[int, ...],
    store: Path,
    options: ResampleOptions,
    notes: list[str],
) -> list[TwinComparison]:
    """Every configuration that has random twins."""
    comparisons: list[TwinComparison] = []
    trained = part[part["paradigm"] != "random"]
    for _, rows in trained.groupby(list(CONFIGURATION), dropna=False, sort=True):
        same = (part["family"] == rows["family"].iloc[0]) & (part["size"] == rows["size"].iloc[0])
        twins = part[same & (part["paradigm"] == "random")]
        if len(twins):
            with _skipping(notes):
                comparisons.append(against_twins(rows, twins, folds, store, options))
    return comparisons


def as_text(numbers: dict[str, Any]) -> str:
    """The comparisons as a few lines of text."""
    lines = [
        f"{numbers['study']}: macro-AUROC; 95 % intervals of {numbers['resamples']} resamples of "
        "the patients, and of seeds where there are several"
    ]
    if numbers["published"]:
        lines.append(f"as published in {numbers['published']}; the predictions behind it are not")
    for c in numbers["chosen"]:
        kind = c["kind"]
        lines += [
            "",
            f"{kind['family']}-{kind['paradigm'].upper()} on {kind['task']} ({kind['protocol']}): "
            f"{_estimate(c['pooled'])} folds together, {_estimate(c['by_fold'])} mean of folds",
            f"  {c['records']} records of {c['patients']} patients, each tested once; chosen: "
            f"{c['rule']} (of {c['considered']})",
            "  " + ", ".join(f"{f['fold']}: {f['size']}" for f in c["folds"]),
        ]
    if numbers["pairs"]:
        lines += ["", "frozen features against the mean of randomly initialised twins"]
    for p in numbers["pairs"]:
        c = p["configuration"]
        lines += [
            f"  {c['family']} {c['size']} {c['paradigm'].upper()} from {c['corpus']}, D {c['D']}, "
            f"on {c['task']} ({c['protocol']}): {_estimate(p['pooled'])}",
            f"    {_seeds(p)}",
            f"    less {len(p['twins'])} twins ({_each(p['twins'])}): "
            f"{_estimate(p['difference'], sign=True)} "
            f"folds together, {_estimate(p['difference_by_fold'], sign=True)} mean of folds; "
            f"{p['patients']} patients",
        ]
    if numbers["notes"]:
        lines += ["", *numbers["notes"]]
    return "\n".join(lines)


def _seeds(pair: dict[str, Any]) -> str:
    """What the intervals of a pair say of other seeds."""
    if "runs" not in pair:  # published before seeds were drawn
        return f"seeds: {pair['seeds']}; the intervals are over patients alone"
    if len(pair["runs"]) == 1:
        return "one seed: the intervals say nothing of what another one would give"
    spread = statistics.stdev(pair["runs"].values())
    return f"seeds: {len(pair['runs'])} ({_each(pair['runs'])}; sd {spread:.4f})"


def _each(runs: dict[str, float]) -> str:
    return ", ".join(f"{value:.4f}" for value in runs.values())


def _estimate(value: dict[str, float], *, sign: bool = False) -> str:
    form = "+.4f" if sign else ".4f"
    return f"{value['value']:{form}} [{value['low']:{form}}, {value['high']:{form}}]"
