"""``python -m analysis.compare results/<study>``: the best models, and trained against random.

For each task and protocol with predictions: the best model of each family and paradigm, chosen
on validation, and each configuration's frozen features against the mean of randomly initialised
twins of its family and size. Intervals resample patients, the same for all models.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from analysis.comparison import Chosen, Options, Pair

SCHEMA = 1


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="python -m analysis.compare",
        description="Compare models on the same test patients, from the predictions they kept.",
    )
    found.add_argument("folder", type=Path, help="results folder with a live store (.runs)")
    found.add_argument("--task", help="only this task, such as ptbxl:superclass (without a fold)")
    found.add_argument("--protocol", help="only this protocol, such as linear-probe")
    found.add_argument(
        "--bootstrap", type=int, default=2000, metavar="N", help="resamples (default: 2000)"
    )
    found.add_argument("--seed", type=int, default=0, help="of the resamples (default: 0)")
    found.add_argument("--json", action="store_true", help="print all numbers as JSON")
    found.add_argument("--out", type=Path, help="write the JSON to this file as well")
    return found


def compare(
    folder: Path, options: Options, task: str | None = None, protocol: str | None = None
) -> dict[str, Any]:
    """All comparisons of a study as plain JSON values.

    Raises:
        ResultsError: the folder cannot be read, holds no predictions, or they do not fit.
    """
    from analysis.comparison import best
    from analysis.records import ResultsError, load
    from analysis.tested import evaluations, folds_of

    frame, store = load(folder), folder / ".runs" / "predictions"
    rows = evaluations(frame)
    kept = {path.stem for path in store.glob("*.npz")}
    there = rows[rows["evaluation"].isin(kept)][["task", "protocol"]].drop_duplicates()
    for column, wanted in (("task", task), ("protocol", protocol)):
        there = there if wanted is None else there[there[column] == wanted]
    if there.empty:
        asked = "/".join(filter(None, (task, protocol)))
        raise ResultsError(
            f"{store}: no predictions{f' of {asked}' if asked else ''}: "
            "run the study with `predictions: true` in its tasks"
        )
    chosen: list[Chosen] = []
    pairs: list[Pair] = []
    notes: list[str] = []
    for name, way in there.sort_values(["task", "protocol"]).itertuples(index=False):
        part = rows[(rows["task"] == name) & (rows["protocol"] == way)]
        with _skipping(notes):
            folds = folds_of(part, str(name))
            for _, kind in part[part["paradigm"] != "random"].groupby(["family", "paradigm"]):
                with _skipping(notes):
                    chosen.append(best(kind, folds, store, options))
            pairs += _pairs(part, folds, store, options, notes)
    if not chosen and not pairs:
        raise ResultsError("; ".join(notes) or f"{store}: nothing to compare")
    return {
        "schema": SCHEMA,
        "study": frame.attrs["study"],
        "resamples": options.resamples,
        "seed": options.seed,
        "chosen": [dataclasses.asdict(c) for c in chosen],
        "pairs": [dataclasses.asdict(p) for p in pairs],
        "notes": notes,
    }


@contextmanager
def _skipping(notes: list[str]) -> Iterator[None]:
    """Leave out, with a note, what lacks a result."""
    from analysis.tested import MissingResultError

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
    from analysis.comparison import against_twins
    from analysis.tested import CONFIGURATION

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
    lines = [f"{numbers['study']}: macro-AUROC; 95 % intervals of {numbers['resamples']} "
             "resamples of the patients"]  # fmt: skip
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
        twins = ", ".join(f"{v:.4f}" for v in p["twins"].values())
        lines += [
            f"  {c['family']} {c['size']} {c['paradigm'].upper()} from {c['corpus']}, D {c['D']}, "
            f"on {c['task']} ({c['protocol']}): {_estimate(p['pooled'])}",
            f"    less {len(p['twins'])} twins ({twins}): {_estimate(p['difference'], sign=True)} "
            f"folds together, {_estimate(p['difference_by_fold'], sign=True)} mean of folds; "
            f"{p['patients']} patients",
        ]
    if numbers["notes"]:
        lines += ["", *numbers["notes"]]
    return "\n".join(lines)


def _estimate(value: dict[str, float], *, sign: bool = False) -> str:
    form = "+.4f" if sign else ".4f"
    return f"{value['value']:{form}} [{value['low']:{form}}, {value['high']:{form}}]"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, or 2 for a folder that cannot be compared."""
    options = parser().parse_args(arguments)
    if options.bootstrap < 1:
        parser().error("--bootstrap must be at least 1")
    from analysis.comparison import Options
    from analysis.records import ResultsError

    how = Options(resamples=options.bootstrap, seed=options.seed)
    try:
        numbers = compare(options.folder, how, options.task, options.protocol)
        text = json.dumps(numbers, indent=1)
        if options.out:
            options.out.write_text(text + "\n", encoding="utf-8")
    except ResultsError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except OSError as error:
        print(f"error: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 2
    print(text if options.json else as_text(numbers))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
