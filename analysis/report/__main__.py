"""``python -m analysis.report results/first-laws``: write the report of a study."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


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
    found.add_argument(
        "--bootstrap", type=int, default=1000, metavar="N", help="refits (default: 1000)"
    )
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, or 2 for a folder that cannot be read or written."""
    options = parser().parse_args(arguments)
    if options.bootstrap < 0:
        parser().error("--bootstrap must not be negative")
    from analysis.report.content import study_content
    from analysis.report.page import write_figures, write_report
    from analysis.text import print_text
    from scaling.records.tables import ResultsError

    folder: Path = options.folder
    try:
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
    except ResultsError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except OSError as error:
        print(f"error: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
