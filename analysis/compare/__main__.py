"""``python -m analysis.compare results/<study>``: the best models, and trained against random.

With ``--methods`` its methods are compared instead: students and their teachers.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from analysis.commands import exit_code, print_text
from scaling.records.layout import COMPARISON, METHODS_COMPARED


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
        f"{COMPARISON} or {METHODS_COMPARED}",
    )
    command.add_argument("--task", help="only this task, such as ptbxl:superclass (without a fold)")
    command.add_argument("--protocol", help="only this protocol, such as linear-probe")
    command.add_argument("--bootstrap", type=int, metavar="N", help="resamples (default: 2000)")
    command.add_argument("--seed", type=int, help="of the resamples (default: 0)")
    _add_methods(command)
    command.add_argument("--json", action="store_true", help="print all numbers as JSON")
    command.add_argument("--out", type=Path, help="write the JSON to this file as well")
    return command


def _add_methods(command: argparse.ArgumentParser) -> None:
    methods = command.add_argument_group(
        "methods", "without names each block of students has its own baseline, ceiling and teacher"
    )
    methods.add_argument(
        "--methods", action="store_true",
        help="compare its methods: objectives, and what else tells trials apart",
    )  # fmt: skip
    for role, about in (
        ("baseline", "the method that others are set against"),
        ("ceiling", "the method that the gap from the baseline leads to"),
        ("teacher", "the method that taught: the gap to it too"),
    ):
        methods.add_argument(f"--{role}", metavar="NAME", help=about)
    methods.add_argument(
        "--pair", nargs=2, action="append", metavar=("NAME", "OTHER"), dest="pairs",
        help="set one method against another too; may be repeated",
    )  # fmt: skip
    methods.add_argument("--metrics", nargs="+", metavar="METRIC", help="only these (default: all)")
    methods.add_argument(
        "--margin", type=float,
        help="largest difference that counts as none, a share of a metric's range (default: 0.01)",
    )  # fmt: skip
    methods.add_argument("--all", action="store_true", help="print every method below the blocks")
    methods.add_argument("--markdown", action="store_true", help="print Markdown")
    methods.add_argument("--figure", type=Path, help="write the figure to this PNG file as well")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, or 2 for a folder that cannot be compared."""
    options = parser().parse_args(arguments)
    if options.bootstrap is not None and options.bootstrap < 1:
        parser().error("--bootstrap must be at least 1")
    if options.margin is not None and not 0 <= options.margin < 1:
        parser().error("--margin must be from 0 to 1")
    for name in ("baseline", "ceiling", "teacher", "pairs", "metrics", "margin", "all", "markdown",
                 "figure"):  # fmt: skip
        if getattr(options, name) not in (None, False) and not options.methods:
            parser().error(f"--{'pair' if name == 'pairs' else name} needs --methods")
    return exit_code(_run, options)


def _run(options: argparse.Namespace) -> None:
    numbers, text = _methods(options) if options.methods else _models(options)
    plain = json.dumps(numbers, indent=1)
    if options.out:
        options.out.write_text(plain + "\n", encoding="utf-8")
    print_text(plain if options.json else text)


def _models(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from analysis.compare.study import as_text, compare_models  # after --help, which needs none

    numbers = compare_models(
        options.folder, task=options.task, protocol=options.protocol,
        resamples=options.bootstrap, seed=options.seed,
    )  # fmt: skip
    return numbers, as_text(numbers)


def _methods(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from analysis.compare.method_study import compare_methods
    from analysis.compare.method_text import methods_as_markdown, methods_as_text

    numbers = compare_methods(
        options.folder, baseline=options.baseline, ceiling=options.ceiling,
        teacher=options.teacher, pairs=options.pairs or (), metrics=options.metrics,
        task=options.task, protocol=options.protocol, margin=options.margin,
        resamples=options.bootstrap, seed=options.seed,
    )  # fmt: skip
    if options.figure:
        from analysis.figures.base import png
        from analysis.figures.methods import methods_picture

        options.figure.parent.mkdir(parents=True, exist_ok=True)
        options.figure.write_bytes(png(methods_picture(numbers)))
    if options.markdown:
        return numbers, methods_as_markdown(numbers)
    return numbers, methods_as_text(numbers, every=options.all)


if __name__ == "__main__":
    sys.exit(main())
