"""Splits for sets that were published without one.

Three CSV files that somebody published (MERL and HeartLang share those of CPSC 2018 and CSN)
are followed where the user put them into the root; otherwise the split is iterative
stratification (Sechidis et al., ECML PKDD 2011) of the same shares.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from scaling.corpora.errors import CorpusError, refuse
from scaling.corpora.sources.read.listed import Entry
from scaling.corpora.sources.read.tables import read_table

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
