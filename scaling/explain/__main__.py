"""``python -m scaling.explain results/<study> --students ID ...``: what pictures are drawn from.

``python -m analysis.pictures`` chooses students, runs this where it is needed, and draws.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scaling.records.layout import live_store
from scaling.records.schema import EXPLAINED_POINTS, EXPLAINED_RECORDS

OK, REFUSED = 0, 2


def parser() -> argparse.ArgumentParser:
    """The command line; needs no torch."""
    parse = argparse.ArgumentParser(
        prog="python -m scaling.explain",
        description="Open finished students, their teacher and their restoration net, and write "
        "restored leads, Grad-CAM and t-SNE of test records to one file of arrays.",
        epilog="exit code: 0 done, 2 they cannot be opened or compared",
    )
    parse.add_argument("folder", type=Path, help="results folder with a live store (.runs)")
    parse.add_argument(
        "--students", nargs="+", required=True, metavar="ID", help="training ids of one setting"
    )
    parse.add_argument(
        "--records",
        type=_positive,
        default=EXPLAINED_RECORDS,
        help="with signals (default: %(default)s)",
    )
    parse.add_argument(
        "--points", type=_positive, default=EXPLAINED_POINTS, help="in t-SNE (default: %(default)s)"
    )
    parse.add_argument(
        "--out", type=Path, help="file to write (default: explained.npz in the live store)"
    )
    return parse


def _positive(word: str) -> int:
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    given = parser().parse_args(arguments)
    from scaling.corpora.errors import CorpusError
    from scaling.explain.explain import explain
    from scaling.explain.opened import ExplainError
    from scaling.weights import ParentError, WeightsError
    from scaling.workspace import Workspace, cache_dir

    store = live_store(given.folder)
    try:
        workspace = Workspace(store=store.store, cache=cache_dir())
        found = explain(workspace, given.students, given.records, given.points)
        path = given.out or store.explained
        found.save(path)
    except (ExplainError, WeightsError, ParentError, CorpusError) as error:
        sys.stderr.write(f"error: {error}\n")
        return REFUSED
    except OSError as error:
        sys.stderr.write(f"error: {error.filename or given.folder}: {error.strerror or error}\n")
        return REFUSED
    sys.stdout.write(f"{path}: written\n")
    return OK


if __name__ == "__main__":
    sys.exit(main())
