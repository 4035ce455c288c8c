"""The files of a prepared corpus: their names, how they are sealed and checked, and the tables.

Besides ``corpus.json``, which holds what the corpus is and the size and SHA-256 of every other
file, a folder holds
``signals.npy`` (int16, records x leads x samples), ``records.parquet`` (one row a record:
ids, split, age, sex, quality; written as the records come, read by column), ``dropped.csv``
(records left out, with the reason),
``r_peaks.npy`` (int32, all records end to end) and ``r_peaks-offsets.npy`` (int64, records + 1),
``signatures.npy`` (uint64, records x 4), ``quality.csv`` and ``quality.html``, and for each task
``labels-<task>.npy`` (uint8, records x classes) and ``valid-<task>.npy`` (bool, records). A
source's only task has no name: ``labels.npy``.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.errors import CorpusError
from scaling.records.names import SPLITS

FORMAT = 2
INFO, SIGNALS, RECORDS, DROPPED = "corpus.json", "signals.npy", "records.parquet", "dropped.csv"
R_PEAKS, R_PEAK_OFFSETS, SIGNATURES = "r_peaks.npy", "r_peaks-offsets.npy", "signatures.npy"
QUALITY, PAGE = "quality.csv", "quality.html"
BLOCK = 65_536  # records whose labels are looked at at a time
ROW_GROUP = 65_536  # a group of records.parquet is written when it has about so many rows
AGAIN = "delete the folder and prepare it again"


def task_file(kind: str, task: str) -> str:
    """File name of a task's ``labels`` or ``valid`` array."""
    return f"{kind}-{task}.npy" if task else f"{kind}.npy"


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(folder: Path, info: dict[str, Any], files: dict[str, Any] | None = None) -> dict[str, Any]:
    """Sync every file of the folder and write ``corpus.json`` with their sizes and hashes.

    Args:
        folder: all files written.
        info: what the corpus is; ``files`` and ``sha256`` are filled in.
        files: entries of files hashed by an earlier call and not changed since.

    Returns:
        ``info`` as written.
    """
    known = dict(files or {})
    for path in sorted(p for p in folder.iterdir() if p.name not in known and p.name != INFO):
        sync(path)
        known[path.name] = {"bytes": path.stat().st_size, "sha256": digest(path)}
    info = info | {"files": dict(sorted(known.items()))}
    info["sha256"] = _own_digest(info)
    (folder / INFO).write_text(json.dumps(info, indent=1, allow_nan=False))
    sync(folder / INFO)
    sync(folder)
    return info


def sync(path: Path) -> None:
    """Have a file or folder written to the disk now."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_info(path: Path) -> dict[str, Any]:
    """``corpus.json`` of a folder.

    Raises:
        CorpusError: absent, not JSON, of another format, or changed after preparation.
    """
    try:
        info: dict[str, Any] = json.loads((path / INFO).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise CorpusError(f"{path} is not a prepared corpus: it has no {INFO}") from None
    except ValueError as error:
        raise CorpusError(f"{path / INFO}: not JSON ({error}); {AGAIN}") from None
    if not isinstance(info, dict) or info.get("format") != FORMAT:
        found = info.get("format") if isinstance(info, dict) else None
        raise CorpusError(
            f"{path / INFO}: format {found!r}, but this version reads {FORMAT}; {AGAIN}"
        )
    if info.get("sha256") != _own_digest(info):
        raise CorpusError(f"{path / INFO}: changed after preparation; {AGAIN}")
    return info


def _own_digest(info: dict[str, Any]) -> str:
    rest = {key: value for key, value in info.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def check_sizes(path: Path, info: dict[str, Any]) -> None:
    """Compare the size of every file with ``corpus.json``.

    Raises:
        CorpusError: names the first file that is absent or of another size.
    """
    for name, file in info["files"].items():
        size = (path / name).stat().st_size if (path / name).exists() else None
        if size != file["bytes"]:
            raise CorpusError(
                f"{path / name}: {'absent' if size is None else f'{size} bytes'}, not the "
                f"{file['bytes']} bytes of {INFO}; {AGAIN}"
            )


def check_content(path: Path, info: dict[str, Any], name: str) -> None:
    """Hash one file and compare it with ``corpus.json``.

    Raises:
        CorpusError: the file was changed.
    """
    if digest(path / name) != info["files"][name]["sha256"]:
        raise CorpusError(f"{path / name}: changed after preparation; {AGAIN}")


def map_array(path: Path, dtype: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
    """Memory-map an array read-only and check its type and shape; None allows any length.

    Raises:
        CorpusError: not an array, or not the one ``corpus.json`` describes.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError) as error:
        raise CorpusError(f"{path}: cannot be read ({error}); {AGAIN}") from None
    fits = len(array.shape) == len(shape) and all(
        want in (None, length) for want, length in zip(shape, array.shape, strict=True)
    )
    if array.dtype != np.dtype(dtype) or not fits:
        expected = f"{dtype} ({', '.join('any' if n is None else str(n) for n in shape)})"
        raise CorpusError(
            f"{path}: {array.dtype} {array.shape}, but {INFO} says {expected}; {AGAIN}"
        )
    return np.asarray(array)


def blocks(path: Path, records: int = BLOCK) -> Iterator[NDArray[Any]]:
    """Read an array a few records at a time, in order.

    Plain reads: the pages of a memory map that were touched count as memory of the process, and
    the labels of a million records are a gigabyte.
    """
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    shape, dtype, start = mapped.shape, mapped.dtype, mapped.offset
    width = int(np.prod(shape[1:]))
    with path.open("rb") as file:
        file.seek(start)
        for i in range(0, shape[0], records):
            rows = min(records, shape[0] - i)
            yield np.fromfile(file, dtype, rows * width).reshape(rows, *shape[1:])


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
    """A record left out, and where it would have been.

    Attributes:
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
    """The commonest reason, with the number of records and one of them."""
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
