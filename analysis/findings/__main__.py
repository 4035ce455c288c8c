"""``python -m analysis.findings results/<study>``: our exponents beside S1's findings.

The page is printed; with ``--write`` it is kept in the folder, with its numbers and figures, in
place of what was published there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="python -m analysis.findings",
        description="Fit the laws of a study on every task and judge the findings of S1.",
    )
    found.add_argument("folder", type=Path, help="results folder")
    instead = found.add_mutually_exclusive_group()
    instead.add_argument(
        "--write",
        action="store_true",
        help="write FOLDER/findings.md, findings.json and figures/findings-*.png, which are "
        "tracked, instead of printing the page",
    )
    instead.add_argument("--out", type=Path, metavar="PAGE", help="the same, to another page")
    instead.add_argument("--json", action="store_true", help="print all numbers instead")
    found.add_argument(
        "--bootstrap", type=int, default=1000, metavar="N", help="refits (default: 1000)"
    )
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, or 2 for a folder that cannot be read or written."""
    options = parser().parse_args(arguments)
    if options.bootstrap < 0:
        parser().error("--bootstrap must not be negative")
    from analysis.figures import base as figures
    from analysis.report.findings import markdown, study_findings
    from analysis.report.findings_figures import CAPTIONS, pictures
    from analysis.text import print_text
    from scaling.records.files import write_whole
    from scaling.records.tables import ResultsError

    folder: Path = options.folder
    try:
        findings = study_findings(folder, n_boot=options.bootstrap)
        if options.json:
            print_text(findings.to_json())
            return 0
        if not (options.write or options.out):
            print_text(markdown(findings).rstrip())
            return 0
        page: Path = options.out or folder / "findings.md"
        captions = {}
        for name, picture in pictures(findings).items():
            write_whole(page.parent / "figures" / f"{name}.png", figures.png(picture))
            captions[f"figures/{name}.png"] = CAPTIONS[name]
        write_whole(page.with_suffix(".json"), (findings.to_json() + "\n").encode())
        write_whole(page, markdown(findings, captions).encode())
        print_text(f"{page}: written")
    except ResultsError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except OSError as error:
        print(f"error: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
