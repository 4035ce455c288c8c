"""``python -m analysis.compare results/<study>``: the best models, and trained against random."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from analysis.commands import exit_code, print_text
from scaling.records.layout import COMPARISON


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="python -m analysis.compare",
        description="Compare models on the same test patients, from the predictions they kept.",
    )
    command.add_argument(
        "folder",
        type=Path,
        help="results folder with predictions in its live store (.runs), or with a published "
        f"{COMPARISON}",
    )
    command.add_argument("--task", help="only this task, such as ptbxl:superclass (without a fold)")
    command.add_argument("--protocol", help="only this protocol, such as linear-probe")
    command.add_argument("--bootstrap", type=int, metavar="N", help="resamples (default: 2000)")
    command.add_argument("--seed", type=int, help="of the resamples (default: 0)")
    command.add_argument("--json", action="store_true", help="print all numbers as JSON")
    command.add_argument("--out", type=Path, help="write the JSON to this file as well")
    return command


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, or 2 for a folder that cannot be compared."""
    options = parser().parse_args(arguments)
    if options.bootstrap is not None and options.bootstrap < 1:
        parser().error("--bootstrap must be at least 1")
    return exit_code(_run, options)


def _run(options: argparse.Namespace) -> None:
    from analysis.compare.study import as_text, compare_models  # after --help, which needs none

    numbers = compare_models(
        options.folder, task=options.task, protocol=options.protocol,
        resamples=options.bootstrap, seed=options.seed,
    )  # fmt: skip
    text = json.dumps(numbers, indent=1)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    print_text(text if options.json else as_text(numbers))


if __name__ == "__main__":
    sys.exit(main())
