"""``python -m analysis.report results/first-laws``: write the report of a study."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from analysis.commands import add_bootstrap, exit_code, parse, print_text


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="python -m analysis.report",
        description="Fit the laws of a study and write one self-contained HTML page.",
    )
    found.add_argument("folder", type=Path, help="results folder, such as results/first-laws")
    found.add_argument("--out", type=Path, help="page to write (default: FOLDER/report.html)")
    found.add_argument("--json", action="store_true", help="print all numbers, write no page")
    found.add_argument(
        "--figures",
        nargs="?",
        const="",
        metavar="DIR",
        help="write the figures as PNG to DIR as well (default: FOLDER/figures)",
    )
    add_bootstrap(found)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, or 2 for a folder that cannot be read or written."""
    return exit_code(_run, parse(parser(), arguments))


def _run(options: argparse.Namespace) -> None:
    from analysis.report.content import study_content
    from analysis.report.page import write_figures, write_report

    folder: Path = options.folder
    content = study_content(folder, n_boot=options.bootstrap)
    if options.json:
        print_text(content.to_json())
    else:
        page = options.out or folder / "report.html"
        write_report(content, page)
        print_text(f"{page}: written")
    if options.figures is not None:
        for path in write_figures(content, Path(options.figures or folder / "figures")):
            print(f"{path}: written", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
