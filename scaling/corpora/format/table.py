"""The records of a corpus: ``records.parquet``, and ``dropped.csv`` of those left out, with why.

The first has one row a record, written as the records come and read by column.
"""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.errors import CorpusError
from scaling.corpora.format.folder import AGAIN
from scaling.records.names import SPLITS

ROW_GROUP = 65_536  # a group is written when it has about so many rows


def columns() -> dict[str, Any]:
    """Name and type of each column; lead names are separated by spaces."""
    import pyarrow as pa

    return {
        "record": pa.string(),
        "patient": pa.int64(),
        "split": pa.string(),
        "age": pa.float32(),  # years
        "sex": pa.string(),
        "n_r_peaks": pa.int32(),
        "flat_leads": pa.string(),
        "saturated_leads": pa.string(),
        "repaired_leads": pa.string(),
        "repaired_samples": pa.int32(),
        "clipped_samples": pa.int32(),
        "lead_error_mv": pa.float32(),
    }


class RecordsWriter:
    """Writes rows as they come, a group at a time; a context manager."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._schema = pa.schema(columns())
        self._writer = pq.ParquetWriter(path, self._schema)
        self._waiting: dict[str, list[Any]] = {name: [] for name in columns()}

    def add(self, rows: dict[str, list[Any]]) -> None:
        """Add rows: column -> values."""
        for name, values in rows.items():
            self._waiting[name] += values
        if len(self._waiting["record"]) >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._waiting["record"]:
            self._writer.write_table(pa.table(self._waiting, schema=self._schema))
            self._waiting = {name: [] for name in self._waiting}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._writer.close()


def read_columns(path: Path, *names: str) -> Any:
    """The table with the columns named, or all.

    Raises:
        CorpusError: the file cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Not pq.read_table, which imports pandas: a quarter of a second.
        with pq.ParquetFile(path) as file:
            if absent := set(names or columns()) - set(file.schema_arrow.names):
                raise CorpusError(f"{path}: has no column {', '.join(sorted(absent))}; {AGAIN}")
            return file.read(columns=list(names) or None)
    except (pa.ArrowException, OSError) as error:
        raise CorpusError(f"{path}: cannot be read ({error}); {AGAIN}") from None


def read_splits(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Patient ids (records,) and indices into ``SPLITS`` (records,).

    Raises:
        CorpusError: the file cannot be read, or names another split.
    """
    table = read_columns(path, "patient", "split")
    patients = table["patient"].combine_chunks()
    codes = table["split"].combine_chunks().dictionary_encode()
    names = codes.dictionary.to_pylist()
    if unknown := set(names) - set(SPLITS):
        raise CorpusError(f"{path}: unknown split {', '.join(map(repr, sorted(unknown)))}")
    lookup = np.array([SPLITS.index(name) for name in names], np.int8)
    # Not to_numpy, which imports pandas as well.
    rows: NDArray[np.int64] = np.asarray(np.from_dlpack(patients), np.int64)
    return rows, lookup[np.from_dlpack(codes.indices)]


@dataclasses.dataclass(frozen=True, slots=True)
class DroppedRecord:
    """A record left out.

    Attributes:
        record: its id.
        patient: its patient.
        split: where it would have been.
        damaged: whether its file is damaged, rather than unusable by the preset or source.
        reason: why, in words.
    """

    record: str
    patient: int
    split: str
    damaged: bool
    reason: str


def group_by_reason(drops: Iterable[DroppedRecord]) -> list[list[DroppedRecord]]:
    """Group drops whose reasons differ only in numbers and paths, the largest group first."""
    groups: dict[str, list[DroppedRecord]] = {}
    for drop in drops:
        alike = re.sub(r"\d+(\.\d+)?", "#", re.sub(r"\S*[/\\]\S*", "", drop.reason))
        groups.setdefault(alike, []).append(drop)
    return sorted(groups.values(), key=len, reverse=True)


def commonest_reason(drops: Iterable[DroppedRecord]) -> str:
    """The commonest_reason reason, with the number of records and one of them."""
    group = group_by_reason(drops)[0]
    return f"{len(group)} like record {group[0].record}: {group[0].reason}"


def write_dropped(path: Path, drops: Sequence[DroppedRecord]) -> None:
    """Write ``dropped.csv``; it has a header even where nothing was dropped."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in dataclasses.fields(DroppedRecord)])
        writer.writerows(dataclasses.astuple(drop) for drop in drops)


def read_dropped(path: Path) -> list[DroppedRecord]:
    """Read ``dropped.csv``."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            DroppedRecord(
                row["record"], int(row["patient"]), row["split"], row["damaged"] == "True",
                row["reason"],
            )
            for row in csv.DictReader(file)
        ]  # fmt: skip
