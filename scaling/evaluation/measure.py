"""From predictions to the rows of an evaluation, and to a file for later comparison."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from scaling.corpora.format.corpus import Corpus
from scaling.evaluation.metrics import f1_thresholds, is_single_label, label_metrics
from scaling.records.files import write_whole
from scaling.records.patients import Estimate, Resamples, macro_auroc, mean_and_se
from scaling.records.schema import PREDICTED_SPLITS

Row = dict[str, Any]

MEASURED = PREDICTED_SPLITS


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


def loss_rows(
    split: str,
    losses: Mapping[str, Tensor],
    patients_N: NDArray[np.int64],
    resamples: Resamples | None = None,
) -> Iterator[Row]:
    """The mean of each loss (N,), its clustered standard error and its bootstrap interval."""
    resamples = resamples or Resamples.draw(patients_N)
    for metric, loss_N in losses.items():
        losses_N = loss_N.double().numpy()
        value, se = mean_and_se(losses_N, patients_N)
        bootstrap = Estimate.of(resamples.mean(losses_N))
        mean = Estimate(value, se, bootstrap.low, bootstrap.high)
        yield estimate_row(split, metric, mean, len(patients_N))


def label_rows(scored: Mapping[str, Scored], core: Sequence[int] = ()) -> list[Row]:
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
        rows += loss_rows(split, found.losses, found.patients_N, resamples)
        metrics = label_metrics(scores, labels, thresholds, resamples, single_label=single)
        if core:
            areas_R = macro_auroc(scores[:, core], labels[:, core], resamples)
            metrics["macro_auroc_core"] = Estimate.of(areas_R)
        rows += [estimate_row(split, name, value, records) for name, value in metrics.items()]
    return rows


def thresholds_of(scored: Mapping[str, Scored], classes: Sequence[str]) -> dict[str, float]:
    """Class -> log-odds from which ``label_rows`` predicts it, for whoever uses the model."""
    validation = scored["validation"]
    found = f1_thresholds(validation.scores_NC, validation.labels_NC)
    return dict(zip(classes, found.tolist(), strict=True))


def value_row(split: str, metric: str, value: float, n: int) -> Row:
    """A row of a value without standard error or interval."""
    return {"split": split, "metric": metric, "value": value, "n": n, "value_se": None}


def estimate_row(split: str, metric: str, estimate: Estimate, n: int) -> Row:
    """A row; without ``low`` and ``high`` where they are not known."""
    row = value_row(split, metric, estimate.value, n)
    if not math.isnan(estimate.se):
        row["value_se"] = estimate.se
    if not math.isnan(estimate.low):
        row |= {"low": estimate.low, "high": estimate.high}
    return row


def save_predictions(
    path: Path, corpus: Corpus, scored: Mapping[str, Scored], classes: Sequence[str]
) -> None:
    """Write predictions to one compressed array file, atomically.

    Arrays, over validation and test records: ``split`` (0 validation, 1 test), ``row`` in the
    prepared corpus, ``record`` id, ``patient``, ``labels`` (n, C) and ``logits`` (n, C), the
    log-odds of ``classes`` (C,). They are read with ``numpy.load(path, allow_pickle=False)``.

    Args:
        path: see ``LiveStore.predictions_of``.
        corpus: where the records are.
        scored: ``validation`` and ``test``.
        classes: names of the columns.

    Raises:
        OSError: they could not be written; nothing half-written is left.
    """
    parts = [scored[split] for split in MEASURED]
    rows = np.concatenate([part.rows_N for part in parts])
    ids = corpus.record_ids
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        split=np.repeat(np.arange(len(parts), dtype=np.int8), [len(p.rows_N) for p in parts]),
        row=rows,
        record=np.array([ids[row] for row in rows], dtype=np.str_),
        patient=np.concatenate([part.patients_N for part in parts]),
        labels=np.concatenate([part.labels_NC for part in parts]).astype(np.uint8),
        logits=np.concatenate([part.scores_NC for part in parts]).astype(np.float32),
        classes=np.array(classes, dtype=np.str_),
    )
    write_whole(path, buffer.getvalue())
