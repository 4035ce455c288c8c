"""``python -m analysis.fit runs.csv``: a law of anyone's runs, and what it says of larger ones."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.commands import exit_code, parse


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="python -m analysis.fit",
        description="Fit a scaling law to a table of runs: N, D and the loss, found by name.",
        epilog="Exit codes: 0, and 2 for a file or argument that cannot be used.",
    )
    add = found.add_argument
    add("runs", type=Path, help="CSV, TSV, JSON lines, Excel or parquet file")
    add("--law", default="chinchilla", help="which law (default: chinchilla; see docs/laws.md)")
    add(
        "--map",
        action="append",
        default=[],
        metavar="N=COLUMN,...",
        help="columns by role, such as N=params,loss=val_loss; N=params*1e6 multiplies",
    )
    add(
        "--by",
        action="append",
        metavar="COLUMN",
        help="column that sets data sets apart (repeat for more; 'none' fits all rows as one)",
    )
    add("--where", action="append", default=[], metavar="COLUMN=VALUE", help="rows to keep")
    add(
        "--at",
        action="append",
        default=[],
        metavar="N=..,D=..",
        help="predict there; repeat for more points (7B and 1e9 are understood)",
    )
    add(
        "--compute",
        action="append",
        default=[],
        metavar="FLOPS",
        help="optimal N and D at this compute; repeat for more",
    )
    add("--out", type=Path, metavar="DIR", help="write report.html, figures and parameters.tex")
    add("--json", action="store_true", help="print all numbers instead of text")
    add("--seed", type=int, default=0, help="of the refits (default: 0)")
    add(
        "--n-boot",
        type=int,
        metavar="N",
        help="refits of each data set (default: 1000, shared by several data sets)",
    )
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, or 2 for bad input, which is named on stderr."""
    options = parse(parser(), arguments, not_negative=("--n-boot", "--seed"))
    return exit_code(_run, options, refused=ValueError)


def _run(options: argparse.Namespace) -> None:
    if options.runs.is_dir():
        raise ValueError(
            f"{options.runs} is a folder; python -m analysis.report {options.runs} reads a study"
        )
    from analysis.laws import get
    from analysis.runs.read import read_runs

    law = get(options.law)
    if options.out is not None:
        from analysis.report.fit_answers import check_folder

        check_folder(options.out)  # before runs are fitted for nothing
    points = [_point(text, law.axes) for text in options.at]
    budgets = [_number(text, "--compute") for part in options.compute for text in part.split(",")]
    by = None if options.by is None else [c for c in options.by if c != "none"]
    where = _once([_pair(text, "--where") for text in options.where], "--where")
    columns = _once([pair for text in options.map for pair in _mapped(text)], "--map")
    runs = read_runs(options.runs, law, columns=columns, by=by, where=where)
    from analysis.report.fit_answers import answers_of, numbers, refits_of, text_of

    refits = refits_of(runs) if options.n_boot is None else options.n_boot
    answers = answers_of(runs, options.law, points, budgets, refits=refits, seed=options.seed)
    if not any(a.fit.ok for a in answers):
        print(runs, file=sys.stderr if options.json else sys.stdout)
        why = "; ".join(dict.fromkeys(w for a in answers for w in a.fit.warnings))
        raise ValueError(f"{runs.name}: no law can be fitted: {why}")
    if options.json:
        print(json.dumps(numbers(runs, answers), indent=1, allow_nan=False))  # noqa: T201
    else:
        print(text_of(runs, answers, refits))  # noqa: T201
    if options.out is not None:
        from analysis.report.fit_answers import write_all

        for path in write_all(runs, answers, options.out):
            print(f"{path}: written", file=sys.stderr)  # noqa: T201


def _number(text: str, option: str) -> float:
    from analysis.runs.tables import number_of

    try:
        found = number_of(text)
    except ValueError:
        found = float("nan")
    if not 0 < found < float("inf"):
        raise ValueError(f"{option}: {text!r} is not a positive number such as 1e21")
    return found


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ValueError(f"{option}: {text!r} is not NAME=VALUE")
    return name.strip(), value.strip()


def _once(pairs: Sequence[tuple[str, str]], option: str) -> dict[str, str]:
    """Pairs by name, each name given once."""
    names = [name for name, _ in pairs]
    if doubled := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ValueError(f"{option}: {doubled[0]} is given {names.count(doubled[0])} times")
    return dict(pairs)


def _mapped(text: str) -> list[tuple[str, str]]:
    """Roles and columns; a comma that no role follows belongs to a column's name."""
    return [_pair(part, "--map") for part in re.split(r",(?=\s*\w+\s*=)", text)]


def _point(text: str, axes: Sequence[str]) -> dict[str, float]:
    if match := re.search(r"=\s*(\d+),(\d+\w*)\s*(,|$)", text):
        number, told = f"{match[1]}.{match[2]}", f"{match[1]},{match[2]}"
        raise ValueError(f"--at {text}: {told} has a decimal comma; write {number}")
    pairs = _once([_pair(part, "--at") for part in text.split(",")], f"--at {text}")
    if set(pairs) != set(axes):
        raise ValueError(f"--at {text}: give {', '.join(f'{a}=..' for a in axes)}")
    return {name: _number(value, f"--at {name}") for name, value in pairs.items()}
