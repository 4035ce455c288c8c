"""The prepared corpus on disk, and how to read it.

A folder holds ``corpus.json`` (what it is, and the size and SHA-256 of every other file),
``signals.npy`` (int16, records x leads x samples, 1 uV a step), ``records.parquet`` (record,
patient, split, age, sex) and, for each task, ``labels-<task>.npy`` (uint8, records x classes)
and ``valid-<task>.npy`` (bool, records). A source's only task has no name: ``labels.npy``.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.errors import CorpusError
from scaling.corpora.signal import lead_order
from scaling.corpora.splits import SPLITS, check_disjoint, check_size, nested_subset
from scaling.identity import CorpusSpec

FORMAT = 1
INFO, SIGNALS, RECORDS = "corpus.json", "signals.npy", "records.parquet"


def task_file(kind: str, task: str) -> str:
    """File name of a task's ``labels`` or ``valid`` array."""
    return f"{kind}-{task}.npy" if task else f"{kind}.npy"


class Corpus:
    """A prepared corpus, opened with ``Corpus.open``.

    Attributes:
        path: its folder.
        info: ``corpus.json``.
        spec: what it was prepared from.
        signals: (records, leads, samples) int16, memory-mapped.
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
        self.spec = CorpusSpec.from_dict(info["spec"])
        self.signals = signals
        self.patients = patients
        self.splits = splits

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open and check sizes, shapes and that no patient is in two splits.

        The content is not hashed; ``verify`` does that.

        Raises:
            CorpusError: not a corpus, another format, or files that do not fit ``corpus.json``.
        """
        info = _read_info(path)
        for name, file in info["files"].items():
            size = (path / name).stat().st_size if (path / name).exists() else None
            if size != file["bytes"]:
                raise CorpusError(
                    f"{path / name}: {'absent' if size is None else f'{size} bytes'}, not the "
                    f"{file['bytes']} bytes of {INFO}; delete {path} and prepare it again"
                )
        signals = np.load(path / SIGNALS, mmap_mode="r")
        expected = (info["records"], len(info["leads"]), info["samples"])
        if signals.shape != expected or signals.dtype != np.int16:
            raise CorpusError(
                f"{path / SIGNALS}: {signals.dtype} {signals.shape}, but {INFO} says {expected}"
            )
        patients, splits = _read_records(path / RECORDS)
        if len(patients) != info["records"]:
            raise CorpusError(f"{path / RECORDS}: {len(patients)} rows, not {info['records']}")
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
        labels: NDArray[np.uint8] = self._array("labels", task, (len(self.classes(task)),))
        return labels

    def valid(self, task: str) -> NDArray[np.bool_]:
        """(records,), whether each record belongs to the task."""
        valid: NDArray[np.bool_] = self._array("valid", task, ())
        return valid

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

    def batch(
        self, rows: NDArray[np.int64], leads: Sequence[str] | None = None
    ) -> NDArray[np.float32]:
        """Signals in millivolts.

        Args:
            rows: (batch,) rows in any order.
            leads: names of the leads wanted, in order; None for all.

        Returns:
            (batch, leads, samples) float32.

        Raises:
            CorpusError: a lead the corpus does not hold.
        """
        steps_BLT = self.signals[rows]
        if leads is not None and tuple(leads) != self.leads:
            steps_BLT = steps_BLT[:, lead_order(self.leads, leads)]
        return np.multiply(steps_BLT, np.float32(self.info["mv_per_lsb"]))

    def verify(self) -> None:
        """Hash every file and compare with ``corpus.json``.

        Raises:
            CorpusError: names the first file that was changed.
        """
        for name, file in self.info["files"].items():
            if digest(self.path / name) != file["sha256"]:
                raise CorpusError(
                    f"{self.path / name}: changed after preparation; delete {self.path} and "
                    "prepare it again"
                )

    def describe(self, task: str) -> dict[str, Any]:
        """Counts, classes and prevalence of a task, for ``corpora.json``."""
        rows = {split: self.rows(split, task) for split in SPLITS}
        labels = self.labels(task)[rows["train"]]
        return {
            "fingerprint": self.spec.fingerprint,
            "absent": self.info.get("quality", {}).get("missing_files", 0),
            "records": {split: len(r) for split, r in rows.items()},
            "patients": {split: len(np.unique(self.patients[r])) for split, r in rows.items()},
            "classes": list(self.classes(task)),
            "prevalence": [float(p) for p in labels.mean(axis=0)] if len(labels) else [],
            "preprocessing": self.info["preprocessing"],
            "bayes_loss": self.info["bayes_loss"],
        }

    def _array(self, kind: str, task: str, tail: tuple[int, ...]) -> NDArray[Any]:
        self.classes(task)
        path = self.path / task_file(kind, task)
        array = _load(path)
        if array.shape != (expected := (self.info["records"], *tail)):
            raise CorpusError(f"{path}: shape {array.shape}, but {INFO} says {expected}")
        return array


@functools.lru_cache(maxsize=16)
def _load(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path)
    array.flags.writeable = False  # it is shared by all who ask for it
    return array


def _read_info(path: Path) -> dict[str, Any]:
    try:
        info: dict[str, Any] = json.loads((path / INFO).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise CorpusError(f"{path} is not a prepared corpus: it has no {INFO}") from None
    except ValueError as error:
        raise CorpusError(f"{path / INFO}: not JSON ({error}); prepare it again") from None
    if not isinstance(info, dict) or info.get("format") != FORMAT:
        found = info.get("format") if isinstance(info, dict) else None
        raise CorpusError(
            f"{path / INFO}: format {found!r}, this version reads {FORMAT}; delete {path} and "
            "prepare it again"
        )
    return info


def _read_records(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Patient ids and split indices."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=["patient", "split"])
    except (pa.ArrowException, OSError) as error:
        raise CorpusError(f"{path}: cannot be read ({error}); prepare it again") from None
    codes = table["split"].combine_chunks().dictionary_encode()
    names = codes.dictionary.to_pylist()
    if unknown := set(names) - set(SPLITS):
        raise CorpusError(f"{path}: unknown split {', '.join(map(repr, sorted(unknown)))}")
    lookup = np.array([SPLITS.index(name) for name in names], np.int8)
    return table["patient"].to_numpy(), lookup[codes.indices.to_numpy()]


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def signal_bytes(records: int, leads: int, samples: int) -> int:
    """Bytes of the signals of a corpus, for plans and free-space checks."""
    return math.prod((records, leads, samples, 2))
