"""Predictions that evaluations kept: one file each, read without running anything in it."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scaling.records.schema import PREDICTED_SPLITS, PREDICTION_ARRAYS
from scaling.records.tables import ResultsError

TEST = PREDICTED_SPLITS.index("test")  # in the array ``split``


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """Logits of test records, sorted by record.

    Attributes:
        record: record ids (n,).
        patient: patient of each record (n,).
        fold: fold that each record was tested in (n,); 0 for the official split.
        labels: true labels (n, C).
        logits: (n, C), higher for more likely.
        classes: names of the classes (C,).
    """

    record: npt.NDArray[np.str_]
    patient: npt.NDArray[np.int64]
    fold: npt.NDArray[np.int64]
    labels: npt.NDArray[np.bool_]
    logits: npt.NDArray[np.float64]
    classes: tuple[str, ...]


def read_test(path: Path, fold: int) -> Predictions:
    """Test records of a predictions file.

    Raises:
        ResultsError: the file is not there, is not an archive of the arrays it should hold, or
            its arrays do not fit each other; the message names the file.
    """
    arrays = _arrays(path)
    test = arrays["split"] == TEST
    rows = len(test)
    classes = tuple(str(c) for c in arrays["classes"])
    for name in ("row", "record", "patient"):
        if arrays[name].shape != (rows,):
            raise ResultsError(f"{path}: {name} has shape {arrays[name].shape}, not ({rows},)")
    for name in ("labels", "logits"):
        if arrays[name].shape != (rows, len(classes)):
            raise ResultsError(
                f"{path}: {name} has shape {arrays[name].shape}, not ({rows}, {len(classes)})"
            )
    if not test.any():
        raise ResultsError(f"{path}: no test record")
    logits = arrays["logits"][test].astype(np.float64)
    if not np.isfinite(logits).all():
        raise ResultsError(f"{path}: logits of test records are not all finite")
    record = arrays["record"][test].astype(np.str_)
    order = np.argsort(record, kind="stable")
    _once(record[order], f"{path}")
    return Predictions(
        record=record[order],
        patient=arrays["patient"][test].astype(np.int64)[order],
        fold=np.full(len(record), fold, dtype=np.int64),
        labels=arrays["labels"][test][order] > 0,
        logits=logits[order],
        classes=classes,
    )


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    if not path.exists():
        raise ResultsError(
            f"{path}: no such file: run the study with `predictions: true` in its stage "
            "(published tables do not hold predictions)"
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            if missing := [name for name in PREDICTION_ARRAYS if name not in file.files]:
                raise ResultsError(f"{path}: no array {', '.join(missing)}")
            return {name: file[name] for name in PREDICTION_ARRAYS}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, ResultsError):
            raise
        raise ResultsError(f"{path}: cannot be read ({error})") from None


def _once(record: npt.NDArray[np.str_], where: str) -> None:
    """Refuse a record that comes twice; ``record`` is sorted."""
    again = record[1:][record[1:] == record[:-1]]
    if again.size:
        raise ResultsError(
            f"{where}: record {again[0]} is tested twice ({len(np.unique(again))} such records)"
        )


def joined_folds(parts: Sequence[Predictions], where: str) -> Predictions:
    """Folds of one model configuration as one set in which every record is tested once.

    Raises:
        ResultsError: a record is tested in two folds, a patient too, or the classes differ;
            the message begins with ``where``.
    """
    if len({part.classes for part in parts}) > 1:
        raise ResultsError(f"{where}: folds differ in their classes")
    merged = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("record", "patient", "fold", "labels", "logits")
    }
    order = np.argsort(merged["record"], kind="stable")
    merged = {name: values[order] for name, values in merged.items()}
    _once(merged["record"], where)
    pairs = np.unique(np.stack([merged["patient"], merged["fold"]], axis=1), axis=0)
    patients, counts = np.unique(pairs[:, 0], return_counts=True)
    if (counts > 1).any():
        raise ResultsError(f"{where}: patient {patients[counts > 1][0]} is tested in two folds")
    return Predictions(**merged, classes=parts[0].classes)


def check_same_records(first: Predictions, second: Predictions, names: tuple[str, str]) -> None:
    """Refuse two sets that were not tested on the same records and labels.

    Raises:
        ResultsError: says how many records only one of them has, or which labels differ.
    """
    for a, b, name in ((first, second, names[0]), (second, first, names[1])):
        only = np.setdiff1d(a.record, b.record)
        if only.size:
            raise ResultsError(
                f"{names[0]} and {names[1]} were not tested on the same records: "
                f"{only.size} only in {name}, such as {only[0]}"
            )
    if first.classes != second.classes:
        raise ResultsError(f"{names[0]} and {names[1]} were not tested on the same classes")
    differ = np.flatnonzero((first.labels != second.labels).any(axis=1))
    if differ.size:
        raise ResultsError(
            f"labels of record {first.record[differ[0]]} differ between {names[0]} and {names[1]}"
        )
    if (first.fold != second.fold).any() or (first.patient != second.patient).any():
        raise ResultsError(f"{names[0]} and {names[1]} differ in folds or patients")
