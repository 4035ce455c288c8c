"""``python -m analysis.pictures results/<study>``: pictures of a study's students."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from analysis.commands import exit_code, parse, print_text
from scaling.records.schema import EXPLAINED_POINTS, EXPLAINED_RECORDS


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="python -m analysis.pictures",
        description="Draw what the students of a study see and reach: restored leads, Grad-CAM, "
        "t-SNE of features, AUROC of each class, accuracy against cost.",
    )
    found.add_argument("folder", type=Path, help="results folder of a study with students")
    found.add_argument("--out", type=Path, help="where to write (default: FOLDER/pictures)")
    found.add_argument(
        "--students",
        nargs="+",
        metavar="ID",
        default=[],
        help="training ids of the students to show, of one setting (default: none, kd and "
        "liteheart of one draw)",
    )
    found.add_argument(
        "--records",
        type=int,
        default=EXPLAINED_RECORDS,
        help="test records with signals (default: %(default)s)",
    )
    found.add_argument(
        "--points",
        type=int,
        default=EXPLAINED_POINTS,
        help="test records in t-SNE (default: %(default)s)",
    )
    found.add_argument("--again", action="store_true", help="open the models again")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, or 2 for a folder that cannot be read or drawn."""
    options = parse(parser(), arguments, ())
    for name in ("records", "points"):
        if getattr(options, name) < 1:
            parser().error(f"--{name} must be at least 1")
    return exit_code(_run, options)


def _run(options: argparse.Namespace) -> None:
    from analysis.pictures.students import write_pictures

    folder: Path = options.out or options.folder / "pictures"
    notes, paths = write_pictures(
        options.folder,
        folder,
        students=options.students,
        records=options.records,
        points=options.points,
        again=options.again,
    )
    print_text("\n".join([*notes, *(f"{path}: written" for path in paths)]))


if __name__ == "__main__":
    sys.exit(main())
