"""``python -m analysis.compare results/<study>``: the best models, and trained against random.

With ``--methods`` named methods are compared instead.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

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
    methods = command.add_argument_group("methods", "of a study with predictions in its live store")
    methods.add_argument(
        "--methods", action="store_true",
        help="compare its methods: objectives, and what else tells trials apart",
    )  # fmt: skip
    methods.add_argument(
        "--baseline", metavar="NAME", help="the method that others are set against"
    )
    methods.add_argument(
        "--pair", nargs=2, action="append", metavar=("NAME", "OTHER"), dest="pairs",
        help="set one method against another too; may be repeated",
    )  # fmt: skip
    methods.add_argument("--metrics", nargs="+", metavar="METRIC", help="only these (default: all)")
    methods.add_argument(
        "--margin", type=float,
        help="largest difference that counts as none, a share of a metric's range (default: 0.01)",
    )  # fmt: skip
    command.add_argument("--json", action="store_true", help="print all numbers as JSON")
    command.add_argument("--out", type=Path, help="write the JSON to this file as well")
    return command


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, or 2 for a folder that cannot be compared."""
    options = parser().parse_args(arguments)
    if options.bootstrap is not None and options.bootstrap < 1:
        parser().error("--bootstrap must be at least 1")
    if options.margin is not None and not 0 <= options.margin < 1:
        parser().error("--margin must be from 0 to 1")
    for name in ("baseline", "pairs", "metrics", "margin"):
        if getattr(options, name) is not None and not options.methods:
            parser().error(
                f"--{name.removesuffix('s') if name == 'pairs' else name} needs --methods"
            )
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
    from analysis.compare.method_study import compare_methods, methods_as_text

    more = {} if options.margin is None else {"margin": options.margin}
    numbers = compare_methods(
        options.folder, baseline=options.baseline, pairs=options.pairs or (),
        metrics=options.metrics, task=options.task, protocol=options.protocol,
        resamples=options.bootstrap, seed=options.seed, **more,
    )  # fmt: skip
    return numbers, methods_as_text(numbers)


if __name__ == "__main__":
    sys.exit(main())
