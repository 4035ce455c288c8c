"""One chunk of a corpus in preparation: read, convert, and leave two files on the disk.

``000012.i16`` holds the signals of the records kept and ``000012.npz`` everything else. The
second is written last and under its final name in one step, so a chunk is done when it is there.
What a chunk leaves depends on the source and the spec alone, not on process or time.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.errors import CorpusError, UnusableError
from scaling.corpora.format.folder import DroppedRecord
from scaling.corpora.prepare.convert import Converted, convert
from scaling.corpora.quality.overlap import signature_words
from scaling.corpora.signals.presets import Preprocessing
from scaling.corpora.sources.read.base import Chunk, Recording, Rows
from scaling.identity import CorpusSpec
from scaling.records.files import write_whole

READ_AT_ONCE = 16


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a worker needs beside the chunk; travels by pickle.

    The files of chunks go to ``folder``; with ``drop_damaged`` damaged records are left out, and
    are no problems.
    """

    folder: Path
    spec: CorpusSpec
    preprocessing: Preprocessing
    drop_damaged: bool

    def signals(self, index: int) -> Path:
        """File of a chunk's signals."""
        return self.folder / f"{index:06d}.i16"

    def tables(self, index: int) -> Path:
        """File of everything else."""
        return self.folder / f"{index:06d}.npz"

    def bytes_of(self, records: int) -> int:
        """Bytes of the signals of so many records."""
        return 2 * records * len(self.preprocessing.leads) * self.spec.samples


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """What a finished chunk says of its n records kept, in order.

    Attributes:
        columns: column of ``records.parquet`` -> (n,) values.
        labels: task -> (n, classes).
        valid: task -> (n,).
        r_peaks: sample indices of all records, end to end.
        r_counts: (n,) R peaks of each.
        signatures: (n, 4).
        drops: the records left out.
        units: of the recordings, ``mV`` or ``1`` or (wrongly) both.
    """

    columns: dict[str, list[Any]]
    labels: dict[str, NDArray[np.uint8]]
    valid: dict[str, NDArray[np.bool_]]
    r_peaks: NDArray[np.int32]
    r_counts: NDArray[np.int64]
    signatures: NDArray[np.uint64]
    drops: tuple[DroppedRecord, ...]
    units: frozenset[str]

    def __len__(self) -> int:
        return len(self.r_counts)


def fill(index: int, chunk: Chunk, work: Work) -> list[str]:
    """Prepare one chunk and write its files.

    Returns:
        The damaged records, one message each. Where there are any, nothing is written, so that
        the chunk is read again once its files are mended.
    """
    try:
        rows, recordings = chunk.read()
    except CorpusError as error:
        return [str(error)]  # not one record: nothing says which could be left out
    kept: list[int] = []
    converted: list[Converted] = []
    drops: list[DroppedRecord] = []
    units: set[str] = set()
    for i, recording in enumerate(_counted(recordings, chunk.size)):
        try:
            converted.append(_convert(recording, work))
        except CorpusError as error:
            damaged = not isinstance(error, UnusableError)
            split, patient = rows.splits[i], int(rows.patients[i])
            drops.append(DroppedRecord(rows.records[i], patient, split, damaged, str(error)))
            continue
        kept.append(i)
        units |= {recording.units} if isinstance(recording, Recording) else set()
    problems = [f"{work.spec.source} record {d.record}: {d.reason}" for d in drops if d.damaged]
    if problems and not work.drop_damaged:
        return problems
    _write(index, work, _tables(rows, kept, converted, drops, units), converted)
    return []


def _counted(
    recordings: Iterable[Recording | CorpusError], size: int
) -> Iterable[Recording | CorpusError]:
    """The same, read some at a time, and checked to be as many as the chunk says."""
    count = 0
    waiting = iter(recordings)
    # Reading and converting in turn for each record makes both an eighth slower (caches).
    while some := list(itertools.islice(waiting, READ_AT_ONCE)):
        count += len(some)
        yield from some
    assert count == size, f"a chunk of {size} records gave {count} recordings"


def _convert(recording: Recording | CorpusError, work: Work) -> Converted:
    if isinstance(recording, CorpusError):
        raise recording
    found = convert(recording, work.preprocessing, work.spec.fs_hz, work.spec.samples)
    assert found.steps.shape == (len(work.preprocessing.leads), work.spec.samples)
    return found


def _tables(
    rows: Rows,
    kept: list[int],
    converted: list[Converted],
    drops: list[DroppedRecord],
    units: set[str],
) -> Tables:
    counts = np.array([len(c.r_peaks) for c in converted], np.int64)
    peaks = [c.r_peaks for c in converted]
    features = [c.features for c in converted]
    return Tables(
        columns={
            "record": [rows.records[i] for i in kept],
            "patient": [int(rows.patients[i]) for i in kept],
            "split": [rows.splits[i] for i in kept],
            "age": [rows.ages[i] for i in kept],
            "sex": [rows.sexes[i] for i in kept],
            "n_r_peaks": counts.tolist(),
            "flat_leads": [" ".join(c.flat_leads) for c in converted],
            "saturated_leads": [" ".join(c.saturated_leads) for c in converted],
            "repaired_leads": [" ".join(c.repaired_leads) for c in converted],
            "repaired_samples": [int(c.repaired_samples) for c in converted],
            "clipped_samples": [int(c.clipped_samples) for c in converted],
            "lead_error_mv": [_number(c.lead_error_mv) for c in converted],
        },
        labels={task: table[kept] for task, table in rows.labels.items()},
        valid={task: mask[kept] for task, mask in rows.valid.items()},
        r_peaks=np.concatenate([np.empty(0, np.int32), *peaks]).astype(np.int32),
        r_counts=counts,
        signatures=signature_words(np.stack(features)) if features else np.empty((0, 4), np.uint64),
        drops=tuple(drops),
        units=frozenset(units),
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _write(index: int, work: Work, tables: Tables, converted: list[Converted]) -> None:
    # Plain writes, not a memory map: a full disk is then an error, not a killed process.
    steps = b"".join(record.steps.astype("<i2", copy=False).tobytes() for record in converted)
    write_whole(work.signals(index), steps)
    text = {
        "columns": tables.columns,
        "drops": [dataclasses.astuple(drop) for drop in tables.drops],
        "units": sorted(tables.units),
    }
    arrays = {
        "text": np.frombuffer(json.dumps(text).encode(), np.uint8),
        "r_peaks": tables.r_peaks,
        "r_counts": tables.r_counts,
        "signatures": tables.signatures,
        **{f"labels/{task}": table for task, table in tables.labels.items()},
        **{f"valid/{task}": mask for task, mask in tables.valid.items()},
    }
    packed = io.BytesIO()
    np.savez(packed, **arrays)  # type: ignore[arg-type]
    write_whole(work.tables(index), packed.getvalue())


def load(index: int, work: Work) -> Tables | None:
    """What a finished chunk left; None where it is not finished or cannot be read."""
    try:
        with work.tables(index).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            text = json.loads(arrays["text"].tobytes())
            by_kind: dict[str, dict[str, NDArray[Any]]] = {"labels": {}, "valid": {}}
            for name in arrays.files:
                kind, _, task = name.partition("/")
                if kind in by_kind:
                    by_kind[kind][task] = arrays[name]
            return Tables(
                columns=text["columns"],
                labels=by_kind["labels"],
                valid=by_kind["valid"],
                r_peaks=arrays["r_peaks"],
                r_counts=arrays["r_counts"],
                signatures=arrays["signatures"],
                drops=tuple(DroppedRecord(*drop) for drop in text["drops"]),
                units=frozenset(text["units"]),
            )
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
