"""A source whose records are all listed before any signal is read: most datasets of files.

A source module reads its tables into ``Entry`` values and returns a ``ListedSource``; how one
signal is read is a small picklable callable that travels to the workers.

A set that was published without a split follows three CSV files that somebody published (MERL and
HeartLang share those of CPSC 2018 and CSN) where the user put them into the root; otherwise its
split is iterative stratification (Sechidis et al., ECML PKDD 2011) of the same shares.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Self

from scaling.corpora.errors import CorpusError, refuse
from scaling.corpora.sources.read.base import CHUNK, Chunk, Order, Recording, Rows, Summary
from scaling.corpora.sources.read.tables import read_table
from scaling.records.names import SPLITS

BEYOND = "records beyond the number that was asked for"
NO_PATIENTS = "patients are not published: every record counts as one patient"
IN_SHARES = (
    "no published split in the root: split by iterative stratification in the published shares"
)

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
        chunk: reads its entries.
    """

    classes: dict[str, tuple[str, ...]]
    entries: tuple[Entry, ...]
    read: Reader
    fingerprint: str
    absent: int = 0
    left_out: dict[str, int] = dataclasses.field(default_factory=dict)
    remarks: tuple[str, ...] | None = None
    chunk: type[ListedChunk] = ListedChunk

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
        left_out = self.left_out | {BEYOND: len(self.entries) - len(entries)}
        return dataclasses.replace(self, entries=entries, left_out=left_out)

    @property
    def order(self) -> Order:
        """Patients by hash: the order of files may mean something."""
        return "hashed"

    def summary(self, task: str) -> Summary:
        """Count the records that belong to the task, from the tables alone."""
        members = [entry for entry in self.entries if task in entry.labels]
        counts = {split: sum(e.split == split for e in members) for split in SPLITS}
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
        return [self.chunk(self.classes, self.entries[i : i + CHUNK], self.read) for i in starts]

    def notes(self) -> dict[str, Any]:
        """Absent files, what the source's own rule leaves out, and the remarks."""
        left_out = {reason: count for reason, count in self.left_out.items() if count}
        remarks = {} if self.remarks is None else {"remarks": [r for r in self.remarks if r]}
        return {"missing_files": self.absent, "left_out": left_out} | remarks

    def bayes_loss(self, workers: int = 1) -> dict[str, Any] | None:
        """Nobody knows it."""
        return None


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


_FILES = {"train": "train", "val": "validation", "test": "test"}
FOLDERS = (".", "splits")
EIGHT_ONE_ONE = (0.8, 0.1, 0.1)
STRATIFIED_SEED = 0


@dataclasses.dataclass(frozen=True, slots=True)
class PublishedSplit:
    """A split as three CSV files give it.

    Attributes:
        splits: record -> ``train``, ``validation`` or ``test``.
        labels: record -> indices of the positive classes, in the order that was asked for;
            empty where none were asked for.
        tables: contents of the three files, for the fingerprint.
    """

    splits: dict[str, str]
    labels: dict[str, tuple[int, ...]]
    tables: tuple[bytes, ...]


def published_split(
    root: Path, prefixes: Iterable[str], column: str, classes: Sequence[str] = ()
) -> PublishedSplit | None:
    """Read ``<prefix>_train.csv``, ``_val.csv`` and ``_test.csv`` in the root or ``splits``.

    Args:
        root: folder of the source.
        prefixes: names the files may begin with.
        column: holds the record's name, or a path that ends in it.
        classes: columns of 0 and 1 to read as labels.

    Returns:
        None where none of the files is there.

    Raises:
        CorpusError: some of the three are there but not all, a column is missing, a label is
            neither 0 nor 1, or a record is listed twice.
    """
    for folder in FOLDERS:
        for prefix in prefixes:
            paths = {split: root / folder / f"{prefix}_{end}.csv" for end, split in _FILES.items()}
            present = [path for path in paths.values() if path.is_file()]
            if len(present) == len(paths):
                return _read(paths, column, classes)
            if present:
                absent = ", ".join(str(p) for p in paths.values() if p not in present)
                raise CorpusError(
                    f"{present[0]} is part of a split of three files, but {absent} is missing: "
                    "add it, or take them all away for a stratified split"
                )
    return None


def _read(paths: dict[str, Path], column: str, classes: Sequence[str]) -> PublishedSplit:
    splits: dict[str, str] = {}
    labels: dict[str, tuple[int, ...]] = {}
    problems: list[str] = []
    for split, path in paths.items():
        for where, row in read_table(path, (column, *classes)):
            record = PurePosixPath(row[column].strip()).name.split(".")[0]
            if not record or record in splits:
                before = f" (also in {splits[record]})" if record in splits else ""
                problems.append(f"{where}: record {record!r} is empty or listed twice{before}")
                continue
            splits[record] = split
            if wrong := [name for name in classes if row[name] not in ("0", "1")]:
                problems.append(f"{where}: {wrong[0]} is {row[wrong[0]]!r}, neither 0 nor 1")
            elif classes:
                labels[record] = tuple(i for i, name in enumerate(classes) if row[name] == "1")
    refuse(problems, "rows of the split")
    return PublishedSplit(splits, labels, tuple(path.read_bytes() for path in paths.values()))


def stratified(
    entries: Sequence[Entry],
    strata: Sequence[tuple[int, ...]],
    columns: int,
    shares: tuple[float, float, float] = EIGHT_ONE_ONE,
) -> list[Entry]:
    """Entries with their splits set by iterative stratification, always the same for the same.

    Args:
        entries: all records, whose own split is not looked at.
        strata: what to balance: the positive columns of each entry.
        columns: number of columns.
        shares: of training, validation and test.
    """
    import numpy as np

    from scaling.corpora.format.splits import stratified_split

    if not entries:
        return []
    labels = np.zeros((len(entries), columns), np.uint8)
    for row, positive in zip(labels, strata, strict=True):
        row[list(positive)] = 1
    patients = np.array([entry.patient for entry in entries], np.int64)
    splits = stratified_split(labels, patients, shares, STRATIFIED_SEED)
    return [
        dataclasses.replace(entry, split=str(split))
        for entry, split in zip(entries, splits, strict=True)
    ]
