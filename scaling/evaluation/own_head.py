"""Measure a model by what it was trained for: the objective's own loss on records held out."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from scaling.corpora.format.corpus import Corpus
from scaling.data.batches import Split, predict, split_of
from scaling.data.label_sets import columns
from scaling.evaluation.measure import (
    MEASURED,
    Row,
    Scored,
    estimate_row,
    label_rows,
    log_odds,
    loss_row,
    split_rows,
)
from scaling.evaluation.trained import Trained
from scaling.identity import Evaluation
from scaling.objectives.base import Objective
from scaling.objectives.labels import LabelObjective
from scaling.objectives.supervised import loss_per_record
from scaling.records.patients import Estimate, Resamples
from scaling.training.selection import training_rows

TRAIN_RECORDS = 1024  # of those trained on, for the gap between training and validation


def measure_own_head(
    trained: Trained, corpus: Corpus, evaluation: Evaluation
) -> tuple[list[Row], dict[str, Scored]]:
    """Losses on training, validation and test records, and what there is to say of labels.

    Training records are the first that were trained on, measured as the others are: in evaluation
    mode, with the weights of the best step. They are left out where the evaluation is not of the
    corpus and task of the training.

    Returns:
        Rows, and for an objective on labels the predictions they are from.

    Raises:
        ValueError: a split without records, or classes that the task does not have.
        WeightsError: weights of another architecture; a parent's are gone.
    """
    objective, context, model = trained.whole()
    rows = {split: split_rows(corpus, evaluation.task, split) for split in MEASURED}
    training = trained.training
    if corpus.spec.identity() == training.corpus.identity() and evaluation.task == training.task:
        rows["train"] = training_rows(corpus, training)
    classes = trained.classes if isinstance(objective, LabelObjective) else None
    splits = {
        name: split_of(
            corpus, found, evaluation.task, trained.device, training.leads, classes, streamed=True
        )
        for name, found in rows.items()
    }
    measured = {
        name: split.first(TRAIN_RECORDS) if name == "train" else split
        for name, split in splits.items()
    }
    objective.annotate(measured, context)
    if not isinstance(objective, LabelObjective):
        found = _own_losses(objective, model, measured)
        return found + _codebook_rows(trained, model, splits), {}
    core = np.asarray(columns(trained.classes, trained.core), dtype=np.int64)
    scored = {
        name: _scored(objective, trained, model, split, rows[name][: len(split)], core)
        for name, split in measured.items()
    }
    found = label_rows(scored, core if len(core) else None)
    return _train_rows(scored) + found, {name: scored[name] for name in MEASURED}


def _own_losses(objective: Objective, model: nn.Module, splits: dict[str, Split]) -> list[Row]:
    """The loss of an objective without labels, on each split."""
    rows = []
    for name, split in splits.items():
        losses = objective.held_out(model, split)
        rows.append(loss_row(name, "loss", losses, split.patients, Resamples.draw(split.patients)))
    return rows


def _train_rows(scored: dict[str, Scored]) -> list[Row]:
    """The losses of the training records that were measured, if any were."""
    if "train" not in scored:
        return []
    found = scored["train"]
    resamples = Resamples.draw(found.patients_N)
    return [
        loss_row("train", metric, loss, found.patients_N, resamples)
        for metric, loss in found.losses.items()
    ]


def _scored(
    objective: LabelObjective,
    trained: Trained,
    model: nn.Module,
    split: Split,
    rows_N: NDArray[np.int64],
    core: NDArray[np.int64],
) -> Scored:
    """What the head says, and the losses of each record.

    ``loss`` is the objective's own. A focal loss is no likelihood, so it has the plain binary
    cross-entropy (``bce``) beside it, and a label set the loss of its core classes alone (which
    a softmax over all classes does not have).
    """
    logits_NC, labels_NC = predict(model, split), split.labels.cpu()
    losses: dict[str, Tensor] = {"loss": objective.per_record(model, logits_NC, labels_NC)}
    name = trained.training.objective
    if name == "focal":
        losses["bce"] = loss_per_record(logits_NC, labels_NC)
    if len(core) and name != "categorical":
        losses["loss_core"] = objective.per_record(model, logits_NC[:, core], labels_NC[:, core])
    scores_NC = log_odds(logits_NC) if name == "categorical" else logits_NC.double()
    return Scored(
        rows_N=rows_N,
        patients_N=split.patients,
        losses=losses,
        scores_NC=scores_NC.numpy(),
        labels_NC=labels_NC.numpy() > 0.5,
    )


def _codebook_rows(trained: Trained, model: nn.Module, splits: dict[str, Split]) -> list[Row]:
    """How well a codebook codes the test records; nothing for other models."""
    if trained.training.objective != "codebook" or "train" not in splits:
        return []
    from scaling.models.vq_hbr import VqHbr
    from scaling.objectives.codebook_quality import codebook_quality

    assert isinstance(model, VqHbr)
    with torch.no_grad():
        quality = codebook_quality(model, splits["train"], splits["test"])
    unknown = float("nan")
    return [
        estimate_row(
            "test", metric, Estimate(value, unknown, unknown, unknown), len(splits["test"])
        )
        for metric, value in quality.items()
    ]
