"""Which models were tested on which records, what they predicted, and what they had seen before.

Predictions are one file an evaluation, read without running anything in it.
"""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.studies.rows import pooled
from scaling.records.names import HELD_OUT, USED
from scaling.records.schema import PREDICTED_SPLITS, PREDICTION_ARRAYS
from scaling.records.tables import ResultsError

CONFIGURATION = (
    "stage", "family", "paradigm", "objective", "corpus", "preprocessing", "labels_fraction",
    "leads", "num_labels", "label_set", "size", "N", "D", "recipe",
)  # fmt: skip
_EVALUATION = (
    *CONFIGURATION, "task", "protocol", "corpus_fold", "task_fold", "seed", "trial", "evaluation",
    "parents",
)  # fmt: skip
_BCE = ("supervised",)  # objectives whose own loss is binary cross-entropy


class MissingResultError(ResultsError):
    """Models without a result that a comparison needs; the others can still be compared."""


def evaluations_on_test(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per evaluation that has a macro-AUROC on a test split.

    Returns:
        The columns of a configuration, ``task, protocol, seed, trial, evaluation``; ``fold`` of
        the test records (0 for an official split); ``run``, which tells apart models that were
        tested on the same records: the seed, with the fold trained on where the test records are
        an official split; and by what a model may be chosen: ``bce`` and ``auroc``, binary
        cross-entropy and macro-AUROC on the validation split (NaN where not measured), which is
        that of the model's own corpus where it was tested on an external one.

    Raises:
        ResultsError: a model was tested on a fold other than the one it was trained for.
    """
    frame = pooled(frame)
    rows = frame[frame["status"].isin(USED) & frame["value"].notna()]
    test = rows[(rows["metric"] == "macro_auroc") & (rows["split"] == "test")]
    tested = test.drop_duplicates("evaluation")[[*_EVALUATION]]
    _check_folds(frame, tested)
    trained = tested["corpus_fold"].where(tested["task_fold"] == 0, 0)
    run = tested["seed"].astype("string")
    run = run.where(trained == 0, run + " of fold " + trained.astype("string"))
    validation = rows[rows["split"] == "validation"].drop_duplicates(["evaluation", "metric"])
    by = validation.pivot_table(index="evaluation", columns="metric", values="value")
    known = by.reindex(columns=["bce", "loss", "macro_auroc"])
    own = tested["evaluation"].map(known["loss"])
    # The loss of probes and on external corpora is binary cross-entropy whatever was minimised.
    own_is_bce = tested["objective"].isin(_BCE) | (tested["protocol"] != HELD_OUT)
    return tested.assign(
        fold=tested["task_fold"], run=run,
        bce=tested["evaluation"].map(known["bce"]).fillna(own.where(own_is_bce)),
        auroc=tested["evaluation"].map(known["macro_auroc"]),
    ).drop(columns=["corpus_fold", "task_fold"]).reset_index(drop=True)  # fmt: skip


def _check_folds(frame: pd.DataFrame, tested: pd.DataFrame) -> None:
    """Refuse models that, or whose parents, were trained on records they are tested on.

    Within one corpus the split tested on must be the one trained for: a fold's training records
    hold those of other folds, and of the official test split.
    """
    trials = frame.drop_duplicates("trial").set_index("trial")
    learnt = trials[trials["paradigm"] != "random"]
    trained_on = {
        str(t): (str(c).split(":", maxsplit=1)[0], int(f), str(p))
        for t, c, f, p in zip(
            learnt.index, learnt["corpus"], learnt["corpus_fold"], learnt["parents"], strict=True
        )
    }
    for row in tested.to_dict("records"):
        source, todo = str(row["task"]).split(":", maxsplit=1)[0], [str(row["trial"])]
        while todo:
            trial = todo.pop()
            if trial not in trained_on:
                continue
            corpus, fold, parents = trained_on[trial]
            if corpus == source and fold != row["task_fold"]:
                raise ResultsError(
                    f"trial {trial} was trained on {corpus} for {_split(fold)} but is tested on "
                    f"{_split(int(row['task_fold']))} of it (evaluation {row['evaluation']}): it "
                    "may have seen those records"
                )
            todo += [p for p in parents.split(";") if p]


def _split(fold: int) -> str:
    return f"fold {fold}" if fold else "the official split"


def folds_of(rows: pd.DataFrame, task: str) -> tuple[int, ...]:
    """The folds of a task in a study, or (0,) for the official split.

    Raises:
        MissingResultError: some are missing between 1 and the largest.
    """
    folds = sorted(int(f) for f in rows.loc[rows["task"] == task, "fold"].unique())
    if folds != [0]:
        missing = sorted(set(range(1, folds[-1] + 1)) - set(folds))
        if missing:
            raise MissingResultError(
                f"{task}: no result of {_names(missing)}: run the study to its end"
            )
    return tuple(f for f in folds if f > 0) or (0,)


def _names(folds: Iterable[int]) -> str:
    listed = [str(f) for f in folds]
    return f"fold{'s' * (len(listed) > 1)} {', '.join(listed)}"


def predictions_of(
    rows: pd.DataFrame, folds: tuple[int, ...], store: Path, name: str
) -> Predictions:
    """Test predictions of one model configuration and seed, every record once.

    Args:
        rows: of ``evaluations_on_test``, one for each fold.
        folds: that must be there.
        store: folder of the predictions.
        name: for messages.

    Raises:
        MissingResultError: a fold is missing.
        ResultsError: a fold is there twice, or a file of predictions is unusable.
    """
    have = [int(f) for f in rows["fold"]]
    if missing := sorted(set(folds) - set(have)):
        raise MissingResultError(
            f"{name}: no result of {_names(missing)}: run the study to its end"
        )
    wanted = rows[rows["fold"].isin(folds)].sort_values("fold")
    if wanted["fold"].duplicated().any():
        again = wanted.loc[wanted["fold"].duplicated(), "fold"].iloc[0]
        raise ResultsError(f"{name}: several results of fold {again}, none of which is the one")
    parts = [
        read_split(store / f"{row['evaluation']}.npz", int(row["fold"]))
        for row in wanted.to_dict("records")
    ]
    return joined_folds(parts, name)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """Logits of records, sorted by record; those that a model is tested on, as a rule."""

    record: npt.NDArray[np.str_]  # record ids (n,)
    patient: npt.NDArray[np.int64]  # patient of each record (n,)
    # fold that each record was tested in (n,); 0 for the official split
    fold: npt.NDArray[np.int64]
    labels: npt.NDArray[np.bool_]  # true labels (n, C)
    logits: npt.NDArray[np.float64]  # (n, C), higher for more likely
    classes: tuple[str, ...]  # names of the classes (C,)


def read_split(path: Path, fold: int, split: str = "test") -> Predictions:
    """Test records of a predictions file, or those of its other ``split``, validation.

    Raises:
        ResultsError: the file is not there, is not an archive of the arrays it should hold, or
            its arrays do not fit each other; the message names the file.
    """
    arrays = _arrays(path)
    there = arrays["split"] == PREDICTED_SPLITS.index(split)
    rows = len(there)
    classes = tuple(str(c) for c in arrays["classes"])
    for name in ("row", "record", "patient"):
        if arrays[name].shape != (rows,):
            raise ResultsError(f"{path}: {name} has shape {arrays[name].shape}, not ({rows},)")
    for name in ("labels", "logits"):
        if arrays[name].shape != (rows, len(classes)):
            raise ResultsError(
                f"{path}: {name} has shape {arrays[name].shape}, not ({rows}, {len(classes)})"
            )
    if not there.any():
        raise ResultsError(f"{path}: no {split} record")
    logits = arrays["logits"][there].astype(np.float64)
    if not np.isfinite(logits).all():
        raise ResultsError(f"{path}: logits of {split} records are not all finite")
    record = arrays["record"][there].astype(np.str_)
    order = np.argsort(record, kind="stable")
    _once(record[order], f"{path}")
    return Predictions(
        record=record[order],
        patient=arrays["patient"][there].astype(np.int64)[order],
        fold=np.full(len(record), fold, dtype=np.int64),
        labels=arrays["labels"][there][order] > 0,
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
