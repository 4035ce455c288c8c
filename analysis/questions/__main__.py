"""``python -m analysis.questions results/<study>``: every question of S1, answered or refused."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from analysis.commands import add_bootstrap, exit_code, parse, print_text


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="python -m analysis.questions",
        description="Ask every question of S1 of a study: numbers with intervals, or the reason "
        "why there is none.",
    )
    found.add_argument("folder", type=Path, help="results folder, such as results/first-laws")
    found.add_argument("--json", action="store_true", help="print all numbers instead of text")
    found.add_argument(
        "--only",
        action="append",
        metavar="QUESTION",
        help="answers to this question, such as crossover (repeat for more)",
    )
    add_bootstrap(found)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, or 2 for a folder that cannot be read or has no such question."""
    return exit_code(_run, parse(parser(), arguments))


def _run(options: argparse.Namespace) -> None:
    from analysis.questions.answers import ask
    from analysis.studies.load import load
    from scaling.records.tables import ResultsError

    try:
        answers = ask(load(options.folder), n_boot=options.bootstrap, only=options.only)
    except ValueError as error:
        raise ResultsError(str(error)) from None
    numbers = json.dumps(answers.to_dict(), indent=1, allow_nan=False) if options.json else ""
    print_text(numbers or answers.text())


if __name__ == "__main__":
    sys.exit(main())
