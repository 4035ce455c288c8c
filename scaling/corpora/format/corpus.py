"""Read a prepared corpus: signals, labels, patients, R peaks and quality. See ``folder``."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.errors import CorpusError
from scaling.corpora.format import folder
from scaling.corpora.format.folder import DroppedRecord, read_columns, read_dropped, read_splits
from scaling.corpora.format.splits import check_disjoint, check_size, nested_subset
from scaling.corpora.signals.leads import lead_order
from scaling.identity import CorpusSpec
from scaling.records.names import SPLITS, nearest

if TYPE_CHECKING:
    import pandas as pd

_BLOCK = 65_536  # records of labels summed at a time


class Corpus:
    """A prepared corpus, opened with ``Corpus.open``. Arrays are memory-mapped and read-only.

    Attributes:
        path: its folder.
        info: ``corpus.json``.
        spec: what it was prepared from.
        signals: (records, leads, samples) int16, in steps of ``lsb``.
        patients: (records,) patient ids.
        splits: (records,) index into ``SPLITS``.
    """

    def __init__(
        self,
        path: Path,
        info: dict[str, Any],
        signals: NDArray[np.int16],
        patients: NDArray[np.int64],
        splits: NDArray[np.int8],
    ) -> None:
        self.path = path
        self.info = info
        self.spec = CorpusSpec(**info["spec"])
        self.signals = signals
        self.patients = patients
        self.splits = splits
        self._maps: dict[str, NDArray[Any]] = {}

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open and check sizes, shapes, the table's hash and that no patient is in two splits.

        The larger files are not hashed; ``verify`` does that.

        Raises:
            CorpusError: not a corpus, another format, or files that do not fit ``corpus.json``.
        """
        info = folder.read_info(path)
        folder.check_sizes(path, info)
        folder.check_content(path, info, folder.RECORDS)
        shape = (info["records"], len(info["leads"]), info["samples"])
        signals = folder.map_array(path / folder.SIGNALS, "int16", shape)
        patients, splits = read_splits(path / folder.RECORDS)
        if len(patients) != info["records"]:
            raise CorpusError(
                f"{path / folder.RECORDS}: {len(patients)} rows, not {info['records']}"
            )
        try:
            check_disjoint({name: patients[splits == i] for i, name in enumerate(SPLITS)})
        except CorpusError as error:
            raise CorpusError(f"{path}: {error}") from None
        return cls(path, info, signals, patients, splits)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the label sets."""
        return tuple(self.info["tasks"])

    @property
    def leads(self) -> tuple[str, ...]:
        """Lead names in the order of ``signals``."""
        return tuple(self.info["leads"])

    @property
    def lsb(self) -> float:
        """One step of ``signals`` in ``units``."""
        return float(self.info["lsb"])

    @property
    def units(self) -> str:
        """``mV``, or ``1`` where the signals were standardised and have no unit."""
        return str(self.info["units"])

    def classes(self, task: str) -> tuple[str, ...]:
        """Class names in label order.

        Raises:
            CorpusError: no such task.
        """
        if task not in self.info["tasks"]:
            known = ", ".join(repr(name) for name in self.tasks)
            raise CorpusError(f"{self.path}: no task {task!r}; there is {known}")
        return tuple(self.info["tasks"][task])

    def labels(self, task: str) -> NDArray[np.uint8]:
        """(records, classes), 0 or 1, for all records; see ``valid``."""
        return self._array(
            folder.task_file("labels", task), "uint8", (len(self), len(self.classes(task)))
        )

    def valid(self, task: str) -> NDArray[np.bool_]:
        """(records,), whether each record belongs to the task."""
        self.classes(task)
        return self._array(folder.task_file("valid", task), "bool", (len(self),))

    @property
    def signatures(self) -> NDArray[np.uint64]:
        """(records, 4), near-duplicate signatures; see ``overlap``."""
        return self._array(folder.SIGNATURES, "uint64", (len(self), 4))

    @property
    def r_peak_offsets(self) -> NDArray[np.int64]:
        """(records + 1,): where each record's R peaks begin in ``all_r_peaks``."""
        return self._array(folder.R_PEAK_OFFSETS, "int64", (len(self) + 1,))

    @property
    def all_r_peaks(self) -> NDArray[np.int32]:
        """Sample indices of the R peaks of all records, end to end."""
        return self._array(folder.R_PEAKS, "int32", (None,))

    def r_peaks(self, row: int) -> NDArray[np.int32]:
        """(n,) sample indices of one record's R peaks, ascending; empty where none was found.

        Raises:
            IndexError: no such row.
        """
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} records")
        start, stop = self.r_peak_offsets[row : row + 2]
        return self.all_r_peaks[start:stop]

    def __len__(self) -> int:
        return len(self.patients)

    def rows(self, split: str, task: str | None = None) -> NDArray[np.int64]:
        """Rows of a split in stored order; with a task, only those that belong to it.

        Raises:
            CorpusError: no such split or task.
        """
        if split not in SPLITS:
            raise CorpusError(f"no split {split!r}; there is {', '.join(SPLITS)}")
        chosen = self.splits == SPLITS.index(split)
        if task is not None:
            chosen &= self.valid(task)
        return np.flatnonzero(chosen).astype(np.int64)

    def subset(self, task: str, size: int, seed: int = 0) -> NDArray[np.int64]:
        """Choose ``size`` training rows of a task, nested by patient.

        A smaller subset is a prefix of a larger one. Files are taken patient by patient in
        hashed order; a virtual cohort, whose patients are random by index already, in stored
        order, so that a larger pool leaves the subset as it was.

        Raises:
            CorpusError: more than there are, or a seed for a virtual cohort, which has one
                order (its own seed makes other patients).
        """
        rows = self.rows("train", task)
        if self.info["order"] == "hashed":
            return nested_subset(self.patients, rows, size, seed)
        if seed:
            raise CorpusError(f"{self.spec.source} has one order: change the seed of the corpus")
        check_size(size, len(rows))
        return rows[:size]

    def steps(
        self, rows: NDArray[np.int64], out: NDArray[np.int16] | None = None
    ) -> NDArray[np.int16]:
        """Gather the stored signals of ``rows``, in any order: (batch, leads, samples) int16.

        They are in steps of ``lsb``, and written to a C-contiguous ``out`` where it is given.

        Raises:
            IndexError: a row that is not there.
        """
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)} records")
        # The rows are checked above; mode "raise" would gather to a buffer first and then copy.
        return np.take(self.signals, rows, axis=0, out=out, mode="clip")

    def batch(
        self,
        rows: NDArray[np.int64],
        leads: Sequence[str] | None = None,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Signals of ``rows``, in any order, in ``units``: (batch, leads, samples) float32.

        All leads, or those named, in that order; written to ``out`` where it is given.

        Raises:
            CorpusError: a lead the corpus does not hold.
            IndexError: a row that is not there.
        """
        if leads is None or tuple(leads) == self.leads:
            steps_BLT = self.steps(rows)
        else:
            steps_BLT = self.signals[rows[:, None], lead_order(self.leads, leads)]
        return np.multiply(steps_BLT, np.float32(self.lsb), out=out)

    @functools.cached_property
    def _table(self) -> Any:
        return read_columns(self.path / folder.RECORDS)

    def quality(self) -> pd.DataFrame:
        """One row a record: ids, split, age, sex and what was found while it was converted."""
        frame: pd.DataFrame = self._table.to_pandas()
        return frame

    def record(self, row: int) -> dict[str, Any]:
        """One row of the same; None where something is unknown."""
        values: list[dict[str, Any]] = self._table.slice(row, 1).to_pylist()
        return values[0]

    def dropped(self) -> list[DroppedRecord]:
        """Records left out by preparation."""
        return read_dropped(self.path / folder.DROPPED)

    @functools.cached_property
    def record_ids(self) -> tuple[str, ...]:
        """Record ids in stored order."""
        return tuple(self._table["record"].to_pylist())

    def row_of(self, record: str) -> int:
        """Row of a record.

        Raises:
            CorpusError: no such record, or it was dropped; suggests the nearest id.
        """
        try:
            return self.record_ids.index(record)
        except ValueError:
            for drop in self.dropped():
                if drop.record == record:
                    message = f"{self.path}: record {record} was left out: {drop.reason}"
                    raise CorpusError(message) from None
            hint = nearest(record, self.record_ids[:_BLOCK])
            message = f"{self.path}: no record {record!r}" + (f"; {hint}" if hint else "")
            raise CorpusError(message) from None

    def verify(self) -> None:
        """Hash every file and compare with ``corpus.json``.

        Raises:
            CorpusError: names the first file that was changed.
        """
        for name in self.info["files"]:
            folder.check_content(self.path, self.info, name)

    def describe(self, task: str) -> dict[str, Any]:
        """Counts, classes and prevalence of a task, for ``corpora.json``."""
        rows = {split: self.rows(split, task) for split in SPLITS}
        return {
            "fingerprint": self.spec.fingerprint,
            "absent": self.info["quality"].get("missing_files", 0),
            "records": {split: len(r) for split, r in rows.items()},
            "patients": {split: len(np.unique(self.patients[r])) for split, r in rows.items()},
            "classes": list(self.classes(task)),
            "prevalence": self.prevalence(task, rows["train"]),
            "preprocessing": self.info["preprocessing"],
            "bayes_loss": (self.info["bayes_loss"] or {}).get(task),
        }

    def prevalence(self, task: str, rows: NDArray[np.int64]) -> list[float]:
        """Share of positives of each class among ``rows``; empty without rows."""
        chosen = np.zeros(len(self), bool)
        chosen[rows] = True
        counts, start = np.zeros(len(self.classes(task)), np.int64), 0
        for labels in self.label_blocks(task):
            stop = start + len(labels)
            counts += labels[chosen[start:stop]].sum(axis=0, dtype=np.int64)
            start = stop
        return [float(n) / len(rows) for n in counts] if len(rows) else []

    def label_blocks(self, task: str) -> Iterator[NDArray[np.uint8]]:
        """``labels`` a few records at a time, in order, for a look at all of a large corpus."""
        self.labels(task)  # checks the file
        return folder.blocks(self.path / folder.task_file("labels", task), folder.BLOCK)

    def _array(self, name: str, dtype: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
        if name not in self._maps:
            self._maps[name] = folder.map_array(self.path / name, dtype, shape)
        return self._maps[name]
