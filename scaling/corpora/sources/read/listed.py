"""A source whose records are all listed before any signal is read: most datasets of files.

A source module reads its tables into ``Entry`` values and returns a ``ListedSource``; how one
signal is read is a small picklable callable that travels to the workers.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from scaling.corpora.errors import CorpusError, refuse
from scaling.corpora.sources.read.base import CHUNK, Chunk, Order, Recording, Rows, Summary

BEYOND = "records beyond the number that was asked for"

Reader = Callable[["Entry"], Recording]


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One record as the tables describe it.

    Attributes:
        record: record id, unique in the source.
        patient: patient number, see ``tables.patient_number``.
        split: ``train``, ``validation`` or ``test``.
        labels: task -> indices of the positive classes; a task that is absent here does not
            hold the record (its label is missing or was not measured).
        where: what the reader needs to find the signal, such as a path or (file, row).
        age: years, None where unknown.
        sex: ``female``, ``male``, or None where unknown.
        fold: cross-validation fold, from 1; 0 where the source has none.
    """

    record: str
    patient: int
    split: str
    labels: dict[str, tuple[int, ...]]
    where: Any
    age: float | None = None
    sex: str | None = None
    fold: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ListedSource:
    """A dataset as found under a root; see ``base.Source``.

    Attributes:
        classes: task -> class names in label order.
        entries: the records whose files are present, in the order they are stored.
        read: reads the recording of an entry; raises CorpusError. Must be picklable.
        fingerprint: content id of the files.
        absent: records that the tables list but whose files are not there.
        left_out: reason -> number of records that the source's own rule leaves out.
        remarks: sentences for whoever reads the quality report: how the split was made, what is
            not known, what looks wrong in the files; None for a source that never says any.
    """

    classes: dict[str, tuple[str, ...]]
    entries: tuple[Entry, ...]
    read: Reader
    fingerprint: str
    absent: int = 0
    left_out: dict[str, int] = dataclasses.field(default_factory=dict)
    remarks: tuple[str, ...] | None = None

    def tested_on(self, fold: int, folds: int) -> ListedSource:
        """The same records, tested on one fold and validated on the one before it.

        Args:
            fold: 1 to ``folds``; fold 1 is validated on the last.
            folds: how many there are.
        """
        held_out = {fold: "test", fold - 1 or folds: "validation"}
        entries = tuple(
            dataclasses.replace(entry, split=held_out.get(entry.fold, "train"))
            for entry in self.entries
        )
        return dataclasses.replace(self, entries=entries)

    def at_most(self, sizes: Mapping[str, int]) -> Self:
        """The first records of each split, by patient as ``splits.nested_subset`` takes them.

        Args:
            sizes: split -> records; a split that is not named is kept whole.
        """
        import numpy as np

        from scaling.corpora.format.splits import nested_subset

        patients = np.array([entry.patient for entry in self.entries], np.int64)
        splits = np.array([entry.split for entry in self.entries])
        kept = ~np.isin(splits, list(sizes))
        for split, size in sizes.items():
            rows = np.flatnonzero(splits == split)
            if len(rows):
                kept[nested_subset(patients, rows, min(size, len(rows)))] = True
        entries = tuple(entry for entry, keep in zip(self.entries, kept, strict=True) if keep)
        left_out = dict(self.left_out)
        if beyond := len(self.entries) - len(entries):
            left_out[BEYOND] = beyond
        return dataclasses.replace(self, entries=entries, left_out=left_out)

    @property
    def order(self) -> Order:
        """Patients by hash: the order of files may mean something."""
        return "hashed"

    def summary(self, task: str) -> Summary:
        """Count the records that belong to the task, from the tables alone."""
        members = [entry for entry in self.entries if task in entry.labels]
        splits = ("train", "validation", "test")
        counts = {split: sum(e.split == split for e in members) for split in splits}
        return Summary(
            **counts,
            patients=len({e.patient for e in members if e.split == "train"}),
            classes=self.classes[task],
            fingerprint=self.fingerprint,
            absent=self.absent,
        )

    def chunks(self) -> list[Chunk]:
        """The present records in order."""
        starts = range(0, len(self.entries), CHUNK)
        return [ListedChunk(self.classes, self.entries[i : i + CHUNK], self.read) for i in starts]

    def notes(self) -> dict[str, Any]:
        """Absent files, what the source's own rule leaves out, and the remarks."""
        remarks = {} if self.remarks is None else {"remarks": list(self.remarks)}
        return {"missing_files": self.absent, "left_out": dict(self.left_out)} | remarks

    def bayes_loss(self, workers: int = 1) -> dict[str, Any] | None:
        """Nobody knows it."""
        return None


@dataclasses.dataclass(frozen=True, slots=True)
class ListedChunk:
    """Some entries; see ``base.Chunk``."""

    classes: dict[str, tuple[str, ...]]
    entries: tuple[Entry, ...]
    reader: Reader

    @property
    def size(self) -> int:
        """Number of records."""
        return len(self.entries)

    def read(self) -> tuple[Rows, Iterable[Recording | CorpusError]]:
        """Tables and recordings."""
        import numpy as np

        labels, valid = {}, {}
        for task, classes in self.classes.items():
            table = np.zeros((self.size, len(classes)), np.uint8)
            for i, entry in enumerate(self.entries):
                table[i, list(entry.labels.get(task, ()))] = 1
            labels[task] = table
            valid[task] = np.array([task in entry.labels for entry in self.entries], np.bool_)
        rows = Rows(
            records=[entry.record for entry in self.entries],
            patients=np.array([entry.patient for entry in self.entries], np.int64),
            splits=[entry.split for entry in self.entries],
            ages=[entry.age for entry in self.entries],
            sexes=[entry.sex for entry in self.entries],
            labels=labels,
            valid=valid,
        )
        return rows, self._recordings()

    def _recordings(self) -> Iterator[Recording | CorpusError]:
        for entry in self.entries:
            try:
                yield self.reader(entry)
            except CorpusError as error:
                yield error


def check_entries(entries: Iterable[Entry], problems: list[str], where: str) -> None:
    """Raise if a record id repeats or a patient is in two splits; ``problems`` come first.

    Args:
        entries: all records.
        problems: what was found wrong already, such as rows that cannot be read.
        where: the table or folder to name.

    Raises:
        CorpusError: lists the first ten problems.
    """
    problems = list(problems)
    seen: set[str] = set()
    home: dict[int, str] = {}
    for entry in entries:
        if entry.record in seen:
            problems.append(f"{where}: record {entry.record} appears twice")
        seen.add(entry.record)
        if home.setdefault(entry.patient, entry.split) != entry.split:
            problems.append(
                f"{where}: patient {entry.patient} is in both {home[entry.patient]} and "
                f"{entry.split}: splits must be by patient"
            )
    refuse(problems)


def present_records(
    entries: Iterable[Entry], root: Path, stem: Callable[[Entry], str], suffixes: tuple[str, ...]
) -> tuple[tuple[Entry, ...], bytes]:
    """The entries whose header and signal file are there, and a digest of paths and sizes.

    The digest is not one of content: reading a million headers takes minutes, where opening
    may take seconds. The checksums in a header are compared when its record is read.

    Args:
        entries: as listed.
        root: folder that the stems are below.
        stem: path of an entry's record below the root, without suffix.
        suffixes: of the signal file, in the order they are tried.
    """
    present = []
    digest = hashlib.sha256()
    for entry in entries:
        below = stem(entry)
        path = f"{root}/{below}"
        if (head := _size(path + ".hea")) is None:
            continue
        for suffix in suffixes:
            if (signal := _size(path + suffix)) is not None:
                digest.update(f"{below}{suffix} {head} {signal}\n".encode())
                present.append(entry)
                break
    return tuple(present), digest.digest()


def _size(path: str) -> int | None:
    try:
        # Twice as fast as Path.stat, millions of times.
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return None
