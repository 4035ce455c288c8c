"""Join the chunks of a corpus in preparation into the files of a corpus.

Tables are streamed chunk by chunk, so memory does not grow with the corpus beyond a few numbers
a record. The signals of a chunk are deleted once they are on the disk at their final place: a
killed process finds, for every chunk, either its file or its signals in place.

The corpus of a cross-validation fold is made from the one of the official split. Both hold the
same records in the same order; only who trains, validates and tests differs. So the signals are
prepared once and shared by hard links (copied where the file system has none), and ten folds take
the disk and time of one corpus.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.errors import CorpusError, shown
from scaling.corpora.format import folder as files
from scaling.corpora.format.corpus import Corpus
from scaling.corpora.format.folder import (
    ROW_GROUP,
    DroppedRecord,
    RecordsWriter,
    commonest_reason,
    group_by_reason,
    read_columns,
    write_dropped,
)
from scaling.corpora.format.splits import check_disjoint
from scaling.corpora.prepare.chunks import Tables, Work, load
from scaling.corpora.quality.report import write_report
from scaling.corpora.sources.read.base import Source
from scaling.corpora.sources.read.listed import ListedSource
from scaling.identity import CorpusSpec
from scaling.records.names import SPLITS

FLUSH_BYTES = 256 * 2**20  # signals written before they are synced and their chunks deleted
SPLIT_FILES = (files.INFO, files.RECORDS, files.DROPPED, files.QUALITY, files.PAGE)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Survey:
    """What must be known of all chunks before the first byte is written."""

    kept: NDArray[np.int64]  # (chunks,)
    patients: NDArray[np.int64]  # (records,)
    splits: NDArray[np.int8]  # (records,)
    ids: NDArray[np.uint64]  # (records,) hashes of the record ids
    r_counts: NDArray[np.int64]  # (records,)
    drops: list[DroppedRecord]
    units: set[str]


def finish(build: Path, work: Work, source: Source, chunks: int, workers: int = 1) -> None:
    """Write the corpus into the folder ``build``; may be called again after being killed.

    Raises:
        CorpusError: nothing is left of a split, a record id repeats, or a patient is in two
            splits.
    """
    for path in build.iterdir():
        if path.name != files.SIGNALS:
            path.unlink()
    survey = _survey(work, chunks)
    _check(survey, work, chunks)
    unlabelled = _write_tables(build, work, source, survey)
    _write_signals(build / files.SIGNALS, work, survey)
    _seal(build, _info(work, source, survey, unlabelled, workers))


def _seal(build: Path, info: dict[str, Any], known: dict[str, Any] | None = None) -> None:
    """Seal the files, look at what they hold, and seal that too."""
    info = files.seal(build, info, known)
    write_report(Corpus.open(build))
    files.seal(build, info, info["files"])


def _all(work: Work, chunks: int) -> Iterator[Tables]:
    for i in range(chunks):
        tables = load(i, work)
        if tables is None:
            raise CorpusError(f"{work.tables(i)}: changed during preparation; prepare again")
        yield tables


def _survey(work: Work, chunks: int) -> _Survey:
    kept, patients, splits, ids, counts = [], [], [], [], []
    drops: list[DroppedRecord] = []
    units: set[str] = set()
    for tables in _all(work, chunks):
        kept.append(len(tables))
        patients.append(np.array(tables.columns["patient"], np.int64))
        splits.append(np.array([SPLITS.index(s) for s in tables.columns["split"]], np.int8))
        ids.append(np.array([_hash(r) for r in tables.columns["record"]], np.uint64))
        counts.append(tables.r_counts)
        drops += tables.drops
        units |= tables.units
    return _Survey(
        kept=np.array(kept, np.int64),
        patients=np.concatenate(patients),
        splits=np.concatenate(splits),
        ids=np.concatenate(ids),
        r_counts=np.concatenate(counts),
        drops=drops,
        units=units,
    )


def _hash(record: str) -> int:
    return int.from_bytes(hashlib.blake2b(record.encode(), digest_size=8).digest(), "little")


def _check(survey: _Survey, work: Work, chunks: int) -> None:
    source, drops = work.spec.source, survey.drops
    if not len(survey.patients):
        why = commonest_reason(drops)
        raise CorpusError(f"all {len(drops)} records of {source} were left out: {why}")
    for i, split in enumerate(SPLITS):
        lost = [drop for drop in drops if drop.split == split]
        if lost and not (survey.splits == i).any():
            why = commonest_reason(lost)
            raise CorpusError(f"all {len(lost)} {split} records of {source} were left out: {why}")
    if len(survey.units) > 1:
        raise CorpusError(f"{source} mixes recordings in millivolts with ones without a unit")
    ids, counts = np.unique(survey.ids, return_counts=True)
    if (counts > 1).any():
        again = set(ids[counts > 1].tolist())
        seen = collections.Counter(
            record
            for tables in _all(work, chunks)
            for record in tables.columns["record"]
            if _hash(record) in again
        )
        if twice := [record for record, n in seen.items() if n > 1]:
            raise CorpusError(f"record ids appear twice:\n{shown(twice)}")
    patients, splits = survey.patients, survey.splits
    check_disjoint({split: patients[splits == i] for i, split in enumerate(SPLITS)})


def _write_tables(
    build: Path, work: Work, source: Source, survey: _Survey
) -> dict[str, dict[str, int]]:
    """Everything but the signals.

    Returns:
        Task -> records that do not belong to it, and records that do but have no positive class.
    """
    n = len(survey.patients)
    counts = {task: {"not in task": 0, "no positive": 0} for task in source.classes}
    with ExitStack() as stack:
        table = stack.enter_context(RecordsWriter(build / files.RECORDS))
        offsets = np.concatenate([[0], np.cumsum(survey.r_counts)]).astype("<i8")
        _array(stack, build / files.R_PEAK_OFFSETS, "<i8", (n + 1,)).write(offsets.tobytes())
        peaks = _array(stack, build / files.R_PEAKS, "<i4", (int(offsets[-1]),))
        signatures = _array(stack, build / files.SIGNATURES, "<u8", (n, 4))
        labels, valid = {}, {}
        for task, classes in source.classes.items():
            name = build / files.task_file("labels", task)
            labels[task] = _array(stack, name, "|u1", (n, len(classes)))
            valid[task] = _array(stack, build / files.task_file("valid", task), "|b1", (n,))
        for tables in _all(work, len(survey.kept)):
            table.add(tables.columns)
            peaks.write(tables.r_peaks.astype("<i4").tobytes())
            signatures.write(tables.signatures.astype("<u8").tobytes())
            for task, count in counts.items():
                mask, positive = tables.valid[task], tables.labels[task].any(axis=1)
                labels[task].write(tables.labels[task].astype("|u1").tobytes())
                valid[task].write(mask.astype("|b1").tobytes())
                count["not in task"] += int((~mask).sum())
                count["no positive"] += int((mask & ~positive).sum())
    write_dropped(build / files.DROPPED, survey.drops)
    return counts


def _array(stack: ExitStack, path: Path, dtype: str, shape: tuple[int, ...]) -> IO[bytes]:
    """A .npy file whose header is written and whose data is to follow."""
    file = stack.enter_context(path.open("wb"))
    _header(file, dtype, shape)
    return file


def _header(file: IO[bytes], dtype: str, shape: tuple[int, ...]) -> None:
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_2_0(file, header)


def _write_signals(path: Path, work: Work, survey: _Survey) -> None:
    leads, samples = len(work.preprocessing.leads), work.spec.samples
    moved: list[Path] = []
    with path.open("r+b" if path.exists() else "w+b") as file:
        _header(file, "<i2", (len(survey.patients), leads, samples))
        place = file.tell()
        file.truncate(place + work.bytes_of(len(survey.patients)))
        for i, kept in enumerate(survey.kept.tolist()):
            if work.signals(i).exists():
                file.seek(place)
                file.write(work.signals(i).read_bytes())
                moved.append(work.signals(i))
            place += work.bytes_of(kept)
            if len(moved) * work.bytes_of(kept) > FLUSH_BYTES:
                _let_go(file, moved)
        _let_go(file, moved)


def _let_go(file: IO[bytes], moved: list[Path]) -> None:
    """Delete chunks whose signals are in place, once they are on the disk there."""
    file.flush()
    os.fsync(file.fileno())
    while moved:
        moved.pop().unlink()


def _info(
    work: Work, source: Source, survey: _Survey, unlabelled: dict[str, dict[str, int]], workers: int
) -> dict[str, Any]:
    spec, drops = work.spec, survey.drops
    reasons = group_by_reason(drops)[:20]
    return {
        "format": files.FORMAT,
        "spec": spec.to_dict(),
        "preprocessing": work.preprocessing.to_dict(),
        "leads": list(work.preprocessing.leads),
        "fs_hz": spec.fs_hz,
        "samples": spec.samples,
        "lsb": work.preprocessing.lsb,
        "units": work.preprocessing.units if survey.units == {"mV"} else "1",
        "records": len(survey.patients),
        "splits": {split: int((survey.splits == i).sum()) for i, split in enumerate(SPLITS)},
        "tasks": {task: list(classes) for task, classes in source.classes.items()},
        "order": source.order,
        "fingerprint": source.fingerprint,
        "quality": source.notes()
        | {
            "unlabelled": unlabelled,
            "dropped": len(drops),
            "dropped_as_damaged": sum(drop.damaged for drop in drops),
            "dropped_because": {group[0].reason: len(group) for group in reasons},
        },
        "bayes_loss": source.bayes_loss(workers),
    }


def write_fold(build: Path, official: Corpus, spec: CorpusSpec, source: ListedSource) -> None:
    """Write the corpus of a fold into the folder ``build``, which holds nothing yet.

    Args:
        build: an empty folder on the same disk as the official corpus.
        official: the prepared corpus of the same spec with fold 0.
        spec: the fold's.
        source: the source opened with ``spec``: it says which split each record is in.

    Raises:
        CorpusError: a patient is in two splits, or the official corpus holds a record that the
            source does not.
    """
    home = {entry.record: entry.split for entry in source.entries}
    if unknown := [name for name in official.record_ids if name not in home]:
        raise CorpusError(
            f"{official.path}: record {unknown[0]} is not in {spec.source} any more; {files.AGAIN}"
        )
    for path in official.path.iterdir():
        if path.name not in SPLIT_FILES:
            _share(path, build / path.name)
    splits = _write_fold_records(build / files.RECORDS, official, home)
    patients = official.patients
    check_disjoint({split: patients[splits == i] for i, split in enumerate(SPLITS)})
    drops = official.dropped()
    moved = [dataclasses.replace(drop, split=home.get(drop.record, drop.split)) for drop in drops]
    write_dropped(build / files.DROPPED, moved)
    counts = {split: int((splits == i).sum()) for i, split in enumerate(SPLITS)}
    info = official.info | {"spec": spec.to_dict(), "splits": counts}
    shared = {name: entry for name, entry in info["files"].items() if name not in SPLIT_FILES}
    _seal(build, info, shared)


def _share(path: Path, to: Path) -> None:
    try:
        os.link(path, to)
    except OSError:  # another disk, or a file system without links
        shutil.copyfile(path, to)


def _write_fold_records(path: Path, official: Corpus, home: Mapping[str, str]) -> NDArray[np.int8]:
    """Write the table with the splits of the fold; return them as indices into ``SPLITS``."""
    table = read_columns(official.path / files.RECORDS)
    splits = [home[record] for record in official.record_ids]
    with RecordsWriter(path) as writer:
        for start in range(0, len(official), ROW_GROUP):
            columns = table.slice(start, ROW_GROUP).to_pydict()
            writer.add(columns | {"split": splits[start : start + ROW_GROUP]})
    return np.array([SPLITS.index(split) for split in splits], np.int8)
