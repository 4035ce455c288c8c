"""Held-out: a model is measured by what it was trained for, on records held out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.format.corpus import Corpus
from scaling.data.batches import Split, split_of
from scaling.data.label_sets import columns
from scaling.evaluation.measure import (
    MEASURED,
    Scored,
    label_rows,
    loss_rows,
    split_rows,
)
from scaling.evaluation.multilabel import multilabel_rows
from scaling.evaluation.trained import Trained
from scaling.identity import Evaluation
from scaling.objectives.base import Measured
from scaling.records.patients import Row
from scaling.training.selection import training_rows

TRAIN_RECORDS = 1024  # of those trained on, for the gap between training and validation


def measure_held_out(
    trained: Trained, corpus: Corpus, evaluation: Evaluation
) -> tuple[list[Row], dict[str, Scored]]:
    """What the objective measures on training, validation and test records.

    Training records are the first that were trained on, measured as the others are: in evaluation
    mode, with the weights of the best step. They are left out where the evaluation is not of the
    corpus and task of the training.

    Returns:
        Rows, and for an objective that predicts labels the predictions they are from.

    Raises:
        ValueError: a split without records, classes that the task does not have, or metrics of
            labels where none are predicted.
        WeightsError: weights of another architecture; a parent's are gone.
    """
    objective, context, model = trained.whole()
    leads = trained.training.leads
    classes = trained.classes if objective.predicts_labels else None
    rows = _rows(trained, corpus, evaluation.task)
    splits = {
        name: split_of(corpus, of, evaluation.task, trained.device, leads, classes, streamed=True)
        for name, of in rows.items()
    }
    few = {n: s.first(TRAIN_RECORDS) if n == "train" else s for n, s in splits.items()}
    objective.annotate(few, context)
    core = columns(trained.classes, trained.core)
    measured = {name: objective.measure(model, split, core) for name, split in few.items()}
    scored = {
        name: _scored(rows[name], few[name], measured[name])
        for name in MEASURED
        if measured[name].scores_NC is not None
    }
    found: list[Row] = []
    for name, split in few.items():  # scored splits have their losses beside their metrics
        if name not in scored:
            found += loss_rows(name, measured[name].losses, split.patients)
    if scored:
        found += label_rows(scored, core)
    found += multilabel_rows(evaluation, scored, trained.classes)
    if "train" in splits:
        found += objective.quality(model, splits)
    return found, scored


def _rows(trained: Trained, corpus: Corpus, task: str) -> dict[str, NDArray[np.int64]]:
    """Rows of each split; those trained on where it is the corpus and task of the training."""
    training = trained.training
    rows = {split: split_rows(corpus, task, split) for split in MEASURED}
    if corpus.spec.identity() == training.corpus.identity() and task == training.task:
        rows["train"] = training_rows(corpus, training)
    return rows


def _scored(rows_N: NDArray[np.int64], split: Split, measured: Measured) -> Scored:
    assert measured.scores_NC is not None
    return Scored(
        rows_N=rows_N,
        patients_N=split.patients,
        losses=measured.losses,
        scores_NC=measured.scores_NC.numpy(),
        labels_NC=split.labels.cpu().numpy() > 0.5,
    )
