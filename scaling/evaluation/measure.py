"""From predictions to the rows of an evaluation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scaling.corpora.format.corpus import Corpus
from scaling.evaluation.metrics import f1_thresholds, is_single_label, label_metrics, macro_auroc_of
from scaling.records.patients import Estimate, Resamples, mean_and_se
from scaling.records.schema import PREDICTED_SPLITS

Row = dict[str, Any]

MEASURED = PREDICTED_SPLITS
LARGEST_ODDS = 1e-12  # a probability is kept so far from 0 and 1, that its log-odds are finite


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What a model says of the records of one split.

    Attributes:
        rows_N: (N,) rows of the records in the corpus.
        patients_N: (N,) their patients.
        losses: by metric name, (N,) on the CPU: the loss of each record in nats.
        scores_NC: (N, C) log-odds of each class.
        labels_NC: (N, C).
    """

    rows_N: NDArray[np.int64]
    patients_N: NDArray[np.int64]
    losses: Mapping[str, Tensor]
    scores_NC: NDArray[np.float64]
    labels_NC: NDArray[np.bool_]


def split_rows(corpus: Corpus, task: str, split: str) -> NDArray[np.int64]:
    """Rows of a split of a task.

    Raises:
        ValueError: it has none.
        CorpusError: no such split or task.
    """
    rows = corpus.rows(split, task)
    if not len(rows):
        name = corpus.spec.source + (f":{task}" if task else "")
        raise ValueError(f"{name} has no {split} records: nothing can be measured")
    return rows


def log_odds(logits_NC: Tensor) -> Tensor:
    """Log-odds of each class under a softmax, (N, C): what one-against-rest metrics rank by."""
    return torch.logit(logits_NC.double().softmax(dim=1), eps=LARGEST_ODDS)


def loss_row(
    split: str, metric: str, loss_N: Tensor, patients_N: NDArray[np.int64], resamples: Resamples
) -> Row:
    """The mean of a loss, its clustered standard error and its bootstrap interval."""
    losses_N = loss_N.double().numpy()
    value, se = mean_and_se(losses_N, patients_N)
    bootstrap = Estimate.of(resamples.mean(losses_N))
    found = Estimate(value, se, bootstrap.low, bootstrap.high)
    return estimate_row(split, metric, found, len(patients_N))


def label_rows(scored: Mapping[str, Scored], core: NDArray[np.int64] | None = None) -> list[Row]:
    """Losses and metrics of both splits, thresholds chosen on validation.

    Args:
        scored: ``validation`` and ``test``.
        core: columns of the classes whose macro-AUROC is wanted apart.
    """
    validation = scored["validation"]
    thresholds = f1_thresholds(validation.scores_NC, validation.labels_NC)
    single = all(is_single_label(scored[split].labels_NC) for split in MEASURED)
    rows: list[Row] = []
    for split in MEASURED:
        found = scored[split]
        scores, labels, records = found.scores_NC, found.labels_NC, len(found.rows_N)
        resamples = Resamples.draw(found.patients_N)
        rows += [
            loss_row(split, metric, loss, found.patients_N, resamples)
            for metric, loss in found.losses.items()
        ]
        metrics = label_metrics(scores, labels, thresholds, resamples, single_label=single)
        if core is not None:
            metrics["macro_auroc_core"] = macro_auroc_of(
                scores[:, core], labels[:, core], resamples
            )
        rows += [estimate_row(split, name, value, records) for name, value in metrics.items()]
    return rows


def thresholds_of(scored: Mapping[str, Scored], classes: Sequence[str]) -> dict[str, float]:
    """Class -> log-odds from which ``label_rows`` predicts it, for whoever uses the model."""
    validation = scored["validation"]
    found = f1_thresholds(validation.scores_NC, validation.labels_NC)
    return dict(zip(classes, found.tolist(), strict=True))


def estimate_row(split: str, metric: str, found: Estimate, n: int) -> Row:
    """A row; without ``low`` and ``high`` where they are not known."""
    row: Row = {"split": split, "metric": metric, "value": found.value, "n": n}
    row["value_se"] = None if math.isnan(found.se) else found.se
    if not math.isnan(found.low):
        row |= {"low": found.low, "high": found.high}
    return row
