"""``python -m scaling.corpora``: list, prepare, check, show and download corpora."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from scaling.corpora import commands
from scaling.corpora.errors import CorpusError

OK, WRONG, BAD_CONFIGURATION, INTERRUPTED = 0, 1, 2, 130


def parser() -> argparse.ArgumentParser:
    """The command line; a test holds the list of flags."""
    parse = argparse.ArgumentParser(
        prog="python -m scaling.corpora",
        description="Prepare ECG datasets and virtual cohorts, and look at what was prepared.",
        epilog="exit code: 0 done, 1 check found something wrong, 2 error, 130 interrupted",
    )
    add = parse.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add.add_parser("list", help="the sources there are")
    _add_prepare(add.add_parser("prepare", help="make a corpus from a source, or find it made"))
    check = add.add_parser("check", help="hash every file of a corpus, print its quality report")
    check.add_argument("corpus", type=Path, help="folder of a prepared corpus")
    check.add_argument(
        "--against", type=Path, metavar="OTHER", help="look for its recordings in another corpus"
    )
    show = add.add_parser("show", help="draw one record on ECG paper")
    show.add_argument("corpus", type=Path, help="folder of a prepared corpus")
    show.add_argument("record", help="record id, as in records.parquet")
    show.add_argument("--out", type=Path, help="PNG to write (default: RECORD.png)")
    download = add.add_parser("download", help="fetch an open PhysioNet set, verified")
    download.add_argument("source", help="a name of 'list' whose access is open")
    download.add_argument("--out", type=Path, required=True, help="folder of the dataset")
    return parse


def _add_prepare(parse: argparse.ArgumentParser) -> None:
    parse.description = "Killed at any point, the same command goes on from what is done."
    parse.add_argument("source", help="a name of 'list'")
    parse.add_argument("--root", type=Path, help="folder of the dataset's files")
    parse.add_argument(
        "--out", type=Path, help="cache in which the corpus gets its folder (default: the usual)"
    )
    parse.add_argument("--preset", default="none", help="preprocessing (default: %(default)s)")
    parse.add_argument("--fs-hz", type=_positive, help="rate stored (default: preset's, or 100)")
    parse.add_argument(
        "--window-s", type=_seconds, help="seconds stored (default: preset's, or 10)"
    )
    for split in ("records", "validation", "test"):
        what = "training" if split == "records" else split
        parse.add_argument(f"--{split}", type=_positive, help=f"{what} records of a cohort")
    parse.add_argument("--seed", type=_seed, help="seed of a cohort (default: 0)")
    parse.add_argument(
        "--drop-damaged", action="store_true", help="leave out and list damaged records"
    )
    parse.add_argument("--workers", type=_positive, help="processes (default: one for each core)")


def _positive(word: str) -> int:
    return _whole(word, 1)


def _seed(word: str) -> int:
    return _whole(word, 0)


def _whole(word: str, least: int) -> int:
    if not word.isdecimal() or int(word) < least:
        raise argparse.ArgumentTypeError(f"must be a whole number, {least} or more; not {word!r}")
    return int(word)


def _seconds(word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not 0.0 < number < math.inf:  # false for NaN
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0; not {word!r}")
    return number


def main(words: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = parser().parse_args(words)
    try:
        _run(options)
    except CorpusError as error:
        print(error, file=sys.stderr)
        return WRONG if options.command == "check" else BAD_CONFIGURATION
    except BrokenPipeError:
        sys.stdout = None  # whoever read the output has gone, and that is all
        return OK
    except OSError as error:
        kept = "; what is done is kept: mend this and run the same command again"
        print(f"{error}{kept if options.command == 'prepare' else ''}", file=sys.stderr)
        return BAD_CONFIGURATION
    except KeyboardInterrupt:
        print("\ninterrupted; run the same command again to continue", file=sys.stderr)
        return INTERRUPTED
    return OK


def _run(options: argparse.Namespace) -> None:
    if options.command == "list":
        commands.list_sources()
    elif options.command == "prepare":
        commands.prepare_source(commands.spec_of(options), options)
    elif options.command == "check":
        commands.check_corpus(options.corpus, options.against)
    elif options.command == "show":
        commands.show_record(options.corpus, options.record, options.out)
    else:
        commands.download_source(options.source, options.out)


if __name__ == "__main__":
    sys.exit(main())
