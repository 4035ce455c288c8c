"""``python -m analysis.findings results/<study>``: our exponents beside S1's findings.

The page is printed; with ``--write`` it is kept in the folder, with its numbers and figures, in
place of what was published there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from analysis.commands import add_bootstrap, exit_code, parse, print_text


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
    add_bootstrap(found)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, or 2 for a folder that cannot be read or written."""
    return exit_code(_run, parse(parser(), arguments))


def _run(options: argparse.Namespace) -> None:
    from analysis.figures import base as figures
    from analysis.report.findings import markdown, study_findings
    from analysis.report.findings_figures import CAPTIONS, pictures
    from scaling.records.files import write_whole

    findings = study_findings(options.folder, n_boot=options.bootstrap)
    if options.json:
        print_text(findings.to_json())
        return
    if not (options.write or options.out):
        print_text(markdown(findings).rstrip())
        return
    page: Path = options.out or options.folder / "findings.md"
    captions = {}
    for name, picture in pictures(findings).items():
        write_whole(page.parent / "figures" / f"{name}.png", figures.png(picture))
        captions[f"figures/{name}.png"] = CAPTIONS[name]
    write_whole(page.with_suffix(".json"), (findings.to_json() + "\n").encode())
    write_whole(page, markdown(findings, captions).encode())
    print_text(f"{page}: written")


if __name__ == "__main__":
    sys.exit(main())
