"""``python -m analysis.compare results/<study>``: the best models, and trained against random.

For each task and protocol with predictions: the best model of each family and paradigm, chosen
on validation, and each configuration's frozen features against the mean of randomly initialised
twins of its family and size. Intervals resample patients, the same for all models, and seeds where
there are several. Predictions stay in the live store; without them the comparison published beside
it is read.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.records.layout import COMPARISON, live_store

if TYPE_CHECKING:
    import pandas as pd

    from analysis.compare.comparison import Chosen, Options, Pair

SCHEMA = 1
_KEYS = ("study", "resamples", "seed", "chosen", "pairs", "notes")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="python -m analysis.compare",
        description="Compare models on the same test patients, from the predictions they kept.",
    )
    found.add_argument(
        "folder",
        type=Path,
        help="results folder with predictions in its live store (.runs), or with a published "
        f"{COMPARISON}",
    )
    found.add_argument("--task", help="only this task, such as ptbxl:superclass (without a fold)")
    found.add_argument("--protocol", help="only this protocol, such as linear-probe")
    found.add_argument("--bootstrap", type=int, metavar="N", help="resamples (default: 2000)")
    found.add_argument("--seed", type=int, help="of the resamples (default: 0)")
    found.add_argument("--json", action="store_true", help="print all numbers as JSON")
    found.add_argument("--out", type=Path, help="write the JSON to this file as well")
    return found


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
        ``comparison.Chosen`` and ``comparison.Pair``), ``notes`` on what was left out, and
        ``published``: the file they were read from, None where they were computed from
        predictions.

    Raises:
        ResultsError: the folder cannot be read, it holds neither predictions nor a published
            comparison, they do not fit, or a published one has other resamples than asked for.
    """
    from analysis.compare.comparison import Options, best
    from analysis.studies.load import study as read
    from scaling.records.tables import ResultsError

    folder = Path(folder)
    found, store = read(folder), live_store(folder).predictions
    if not any(store.glob("*.npz")) and (folder / COMPARISON).exists():
        return _published(folder / COMPARISON, found.name, task, protocol, resamples, seed)
    options = Options(**_given(resamples=resamples, seed=seed))
    chosen: list[Chosen] = []
    pairs: list[Pair] = []
    notes: list[str] = []
    for part, folds in _comparable(found.frame, store, task, protocol, notes):
        for _, kind in part[part["paradigm"] != "random"].groupby(["family", "paradigm"]):
            with _skipping(notes):
                chosen.append(best(kind, folds, store, options))
        pairs += _pairs(part, folds, store, options, notes)
    if not chosen and not pairs:
        raise ResultsError("; ".join(notes) or f"{store}: nothing to compare")
    return {
        "schema": SCHEMA,
        "study": found.name,
        "resamples": options.resamples,
        "seed": options.seed,
        "chosen": [dataclasses.asdict(c) for c in chosen],
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
    from analysis.compare.evaluations import evaluations, folds_of
    from scaling.records.tables import ResultsError

    rows = evaluations(frame)
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
    found = []
    for name, way in there.sort_values(["task", "protocol"]).itertuples(index=False):
        part = rows[(rows["task"] == name) & (rows["protocol"] == way)]
        with _skipping(notes):
            found.append((part, folds_of(part, str(name))))
    return found


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
    from scaling.records.tables import ResultsError

    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path}: cannot be read ({error})") from None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise ResultsError(f"{path}: not a comparison of schema {SCHEMA}, which this version reads")
    if missing := [key for key in _KEYS if key not in found]:
        raise ResultsError(f"{path}: no key {', '.join(missing)}")
    if found["study"] != study:
        raise ResultsError(f"{path}: compares {found['study']!r}, but study.json is {study!r}")
    for name, asked in _given(resamples=resamples, seed=seed).items():
        if asked != found[name]:
            raise ResultsError(
                f"{path}: published with {name} {found[name]}, not {asked}: other resamples need "
                "the predictions, which are not published: run the study, or do not ask for them"
            )
    found["published"] = str(path)
    try:
        for key, value in (("task", task), ("protocol", protocol)):
            found["chosen"] = [c for c in found["chosen"] if value in (None, c["kind"][key])]
            found["pairs"] = [p for p in found["pairs"] if value in (None, p["configuration"][key])]
        as_text(found)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ResultsError(f"{path}: broken ({error!r})") from None
    if not found["chosen"] and not found["pairs"]:
        of = "/".join(filter(None, (task, protocol)))
        raise ResultsError(f"{path}: no comparison{f' of {of}' if of else ''}")
    return found


@contextmanager
def _skipping(notes: list[str]) -> Iterator[None]:
    """Leave out, with a note, what lacks a result."""
    from analysis.compare.evaluations import MissingResultError

    try:
        yield
    except MissingResultError as error:
        notes.append(f"left out: {error}")


def _pairs(
    part: pd.DataFrame,
    folds: tuple[int, ...],
    store: Path,
    options: Options,
    notes: list[str],
) -> list[Pair]:
    """Every configuration that has random twins."""
    from analysis.compare.comparison import against_twins
    from analysis.compare.evaluations import CONFIGURATION

    found: list[Pair] = []
    trained = part[part["paradigm"] != "random"]
    for _, rows in trained.groupby(list(CONFIGURATION), dropna=False, sort=True):
        same = (part["family"] == rows["family"].iloc[0]) & (part["size"] == rows["size"].iloc[0])
        twins = part[same & (part["paradigm"] == "random")]
        if len(twins):
            with _skipping(notes):
                found.append(against_twins(rows, twins, folds, store, options))
    return found


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


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, or 2 for a folder that cannot be compared."""
    options = parser().parse_args(arguments)
    if options.bootstrap is not None and options.bootstrap < 1:
        parser().error("--bootstrap must be at least 1")
    from analysis.text.card import print_text
    from scaling.records.tables import ResultsError

    try:
        numbers = compare_models(
            options.folder, task=options.task, protocol=options.protocol,
            resamples=options.bootstrap, seed=options.seed,
        )  # fmt: skip
        text = json.dumps(numbers, indent=1)
        if options.out:
            options.out.write_text(text + "\n", encoding="utf-8")
    except ResultsError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except OSError as error:
        print(f"error: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 2
    print_text(text if options.json else as_text(numbers))
    return 0
