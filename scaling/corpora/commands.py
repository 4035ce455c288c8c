"""What the commands of ``python -m scaling.corpora`` do.

Importing this module needs only the standard library, so that ``list`` and ``--help`` answer
at once.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from scaling.corpora.catalogue import SOURCES, SourceInfo
from scaling.corpora.errors import CorpusError
from scaling.corpora.registry import source_info
from scaling.identity import CorpusSpec

if TYPE_CHECKING:
    from scaling.corpora.format.corpus import Corpus

QUIET_S = 10.0  # between lines of progress where there is no terminal


def list_sources() -> None:
    """Print each source: records, leads, rates, access, licence, what it is, where it is from."""
    infos = [info for info in SOURCES.values() if info.kind != "simulated"]
    table = [("source", "records", "leads", "Hz", "access", "licence"), *map(_row, infos)]
    first, *lines = _aligned(table).splitlines()
    _say(first)
    for line, info in zip(lines, infos, strict=True):
        _say("\n    ".join(filter(None, (line, info.about, info.url))))


def _row(info: SourceInfo) -> tuple[str, ...]:
    size = f"{info.size:,}" if info.size else "yours" if info.kind == "files" else "any"
    rates = "/".join(map(str, info.rates_hz)) or "any"
    made = "made here" if info.kind == "virtual" else ""
    return info.name, size, str(info.leads), rates, made or info.access, info.licence or made


def spec_of(options: argparse.Namespace) -> CorpusSpec:
    """The corpus that the flags of ``prepare`` ask for.

    Raises:
        CorpusError: unknown source or preset, a root for a source that is made here, or a seed
            for one that has files.
    """
    from scaling.corpora.signals.presets import preset

    info = source_info(options.source)
    if info.kind == "virtual" and options.root is not None:
        raise CorpusError(f"{info.name} is made here: leave out --root")
    if info.kind == "files" and options.seed is not None:
        raise CorpusError(f"{info.name} is read from files: --seed is for virtual cohorts")
    chosen = preset(options.preset)
    fs_hz = options.fs_hz or chosen.fs_hz or 100
    window_s = options.window_s
    if window_s is None:
        window_s = chosen.samples / fs_hz if chosen.samples else 10.0
    return CorpusSpec(
        source=options.source,
        fs_hz=fs_hz,
        window_s=window_s,
        records=options.records,
        validation=options.validation,
        test=options.test,
        preprocessing=options.preset,
        seed=options.seed or 0,
    )


def prepare_source(spec: CorpusSpec, options: argparse.Namespace) -> None:
    """Prepare a corpus; print its quality report and where it is.

    Raises:
        CorpusError: as ``prepare.prepare``.
    """
    from scaling.corpora.prepare.prepare import prepare
    from scaling.workspace import cache_dir

    meter = Meter(f"preparing {spec.source}", sys.stderr)
    try:
        folder = prepare(
            spec,
            options.out or cache_dir(),
            options.root,
            meter,
            drop_damaged=options.drop_damaged,
            workers=options.workers,
        )
    finally:
        meter.close()
    print_report(folder)
    _say(str(folder))


def check_corpus(path: Path, against: Path | None = None) -> None:
    """Hash every file, check the splits, and print the quality report.

    Args:
        path: the corpus.
        against: another corpus; what the two share is printed too.

    Raises:
        CorpusError: names the file that was changed, the patient in two splits, or the training
            record of one corpus that is in the test split of the other.
    """
    from scaling.corpora.format.corpus import Corpus

    corpus = Corpus.open(path)
    corpus.verify()
    print_report(path)
    _say(f"{path}: {len(corpus):,} records, every file as it was prepared, patients in one split")
    if against is not None:
        _compare(corpus, Corpus.open(against))


def _compare(corpus: Corpus, other: Corpus) -> None:
    """Print the recordings that two corpora share, and refuse those that leak."""
    from scaling.corpora.quality.overlap import check_no_leak, overlap

    shared = overlap(corpus, other)
    if shared:
        head = ("record", "split", "is there", "split", "bits of 256 that differ")
        rows = [(s.record_a, s.split_a, s.record_b, s.split_b, str(s.distance)) for s in shared]
        _say(_aligned([head, *rows]))
    _say(f"{len(shared):,} recordings of {corpus.path.name} are in {other.path.name}")
    check_no_leak(corpus, other)
    check_no_leak(other, corpus)


def show_record(path: Path, record: str, out: Path | None) -> None:
    """Draw one record to a PNG.

    Raises:
        CorpusError: not a corpus, no such record, or another format asked for.
    """
    from scaling.corpora.format.corpus import Corpus
    from scaling.corpora.quality.paper import save_png

    target = out or Path(record.replace("/", "-") + ".png")
    if target.suffix != ".png":
        raise CorpusError(f"--out {target}: a PNG is written, so its name must end in .png")
    save_png(Corpus.open(path), record, target)
    _say(str(target))


def download_source(name: str, out: Path) -> None:
    """Fetch an open PhysioNet set.

    Raises:
        CorpusError: not open, or a file cannot be fetched whole.
    """
    from scaling.corpora.download.physionet import run

    _say(str(run(source_info(name), out)))


def print_report(folder: Path) -> None:
    """Print the rows of ``quality.csv`` that found something, and where the page is."""
    from scaling.corpora.format.folder import PAGE
    from scaling.corpora.quality.report import read_table

    head, *rows = read_table(folder)
    shown = [head, *(row for row in rows if row[1] != "0")]
    _say(_aligned([[*row[:2], *row[3:]] for row in shown]))
    _say(f"nothing found by the other {len(rows) - len(shown) + 1} checks")
    _say(f"plots: {folder / PAGE}")


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns side by side: text to the left, numbers to the right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    last = len(widths) - 1
    lines = [
        "  ".join(
            cell.ljust(width) if k in (0, last) else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


class Meter:
    """Progress: one line that is written over on a terminal, else a line now and then."""

    def __init__(self, what: str, out: TextIO) -> None:
        self._what, self._out = what, out
        self._live = out.isatty()
        self._start: tuple[float, int] | None = None
        self._told_s = -QUIET_S

    def __call__(self, done: int, total: int) -> None:
        """Tell of ``done`` records of ``total``."""
        now_s = time.monotonic()
        if self._start is None:
            self._start = (now_s, done)
        if not self._live and now_s - self._told_s < QUIET_S and done != total:
            return
        self._told_s = now_s
        line = f"{self._what}: {done:,} of {total:,} records{self._left(now_s, done, total)}"
        self._out.write(f"\r\x1b[K{line}" if self._live else f"{line}\n")
        self._out.flush()

    def _left(self, now_s: float, done: int, total: int) -> str:
        if self._start is None or done == total:
            return ", joining and measuring" if done == total else ""
        began_s, first = self._start
        if done == first:
            return f" ({first:,} from an earlier run)" if first else ""
        return f", {clock((now_s - began_s) / (done - first) * (total - done))} left"

    def close(self) -> None:
        """End the line."""
        if self._live and self._start is not None:
            self._out.write("\n")


def clock(seconds: float) -> str:
    """A duration as ``h:mm:ss``."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
