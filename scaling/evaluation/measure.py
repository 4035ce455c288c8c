"""From predictions to metrics, to the rows of an evaluation, and to a file for later comparison.

With y the labels, s the scores (log-odds), t_c a threshold per class and p = [s >= t] what is
predicted, per class: TP = sum p y, precision = TP / sum p, recall = TP / sum y,
F1 = 2 TP / (sum p + sum y). Macro means the mean over classes. A class that lacks positives or
negatives in a split says nothing there and is left out of every macro mean (of a resample too,
where it lacks them there); ``classes_used`` says how many are left. Precision is 0 where nothing is
predicted, as in scikit-learn.

Thresholds are chosen on validation and then held fixed, in resamples as well, so intervals
are of the test patients and not of the choice, and the F1 of validation itself is optimistic.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from scaling.corpora.format.corpus import Corpus
from scaling.records.files import write_whole
from scaling.records.multilabel import f_beta, f_beta_thresholds, known_classes
from scaling.records.patients import (
    Estimate,
    Resamples,
    Row,
    divide,
    estimate_row,
    macro_auroc,
    mean_and_se,
    mean_known,
)
from scaling.records.schema import PREDICTED_SPLITS

MEASURED = PREDICTED_SPLITS


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What a model says of the records of one split."""

    rows_N: NDArray[np.int64]  # (N,) rows of the records in the corpus
    patients_N: NDArray[np.int64]  # (N,) their patients
    losses: Mapping[str, Tensor]  # by metric name, (N,) on the CPU: the loss of each record in nats
    scores_NC: NDArray[np.float64]  # (N, C) log-odds of each class
    labels_NC: NDArray[np.bool_]  # (N, C)


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
    """Losses and metrics of ``validation`` and ``test``, thresholds chosen on validation.

    The macro-AUROC of the columns ``core`` is wanted apart.
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


def label_metrics(
    scores_NC: NDArray[np.float64],
    labels_NC: NDArray[np.bool_],
    thresholds_C: NDArray[np.float64],
    resamples: Resamples,
    *,
    single_label: bool = False,
) -> dict[str, Estimate]:
    """All metrics of one split, on the same resamples; see the module's text.

    Scores and thresholds are log-odds. ``single_label``: a record has exactly one of the labels.

    Returns:
        ``macro_auroc``, ``macro_f1``, ``macro_precision``, ``macro_recall`` in [0, 1];
        ``accuracy``, the mean over records and all classes of [p = y], or for a single-label
        task the share of records whose highest score is at their label; and ``classes_used``.
    """
    predicted_NC = scores_NC >= thresholds_C
    hits = resamples.sums(predicted_NC & labels_NC)
    positives, called = resamples.sums(labels_NC), resamples.sums(predicted_NC)
    known_RC = known_classes(positives, resamples)
    precision = np.nan_to_num(divide(hits, called))
    right_N = (
        (scores_NC.argmax(axis=1) == labels_NC.argmax(axis=1)).astype(np.float64)
        if single_label
        else (predicted_NC == labels_NC).mean(axis=1)
    )
    used = float(known_RC[0].sum())
    return {
        "macro_auroc": Estimate.of(macro_auroc(scores_NC, labels_NC, resamples)),
        "macro_f1": Estimate.of(mean_known(f_beta(hits, called, positives, 1.0), known_RC)),
        "accuracy": Estimate.of(resamples.mean(right_N)),
        "macro_precision": Estimate.of(mean_known(precision, known_RC)),
        "macro_recall": Estimate.of(mean_known(divide(hits, positives), known_RC)),
        "classes_used": Estimate.of(np.array([used])),
    }


def f1_thresholds(
    scores_NC: NDArray[np.float64], labels_NC: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The threshold of each class with the highest F1, (C,); see ``f_beta_thresholds``."""
    return f_beta_thresholds(scores_NC, labels_NC, 1.0)


def is_single_label(labels_NC: NDArray[np.bool_]) -> bool:
    """Whether there are several labels and every record has exactly one of them."""
    several = labels_NC.shape[1] > 1 and len(labels_NC) > 0
    return several and bool((labels_NC.sum(axis=1) == 1).all())


def thresholds_of(scored: Mapping[str, Scored], classes: Sequence[str]) -> dict[str, float]:
    """Class -> log-odds from which ``label_rows`` predicts it, for whoever uses the model."""
    validation = scored["validation"]
    found = f1_thresholds(validation.scores_NC, validation.labels_NC)
    return dict(zip(classes, found.tolist(), strict=True))


def save_predictions(
    path: Path,
    corpora: Mapping[str, Corpus],
    scored: Mapping[str, Scored],
    classes: Sequence[str],
) -> None:
    """Write predictions to one compressed array file, atomically.

    Arrays, over validation and test records: ``split`` (0 validation, 1 test), ``row`` in the
    prepared corpus of that split (``corpora`` has it by split), ``record`` id, ``patient``,
    ``labels`` (n, C) and ``logits`` (n, C), the log-odds of ``classes`` (C,). They are read with
    ``numpy.load(path, allow_pickle=False)``.

    Raises:
        OSError: they could not be written; nothing half-written is left.
    """
    parts = [scored[split] for split in MEASURED]
    ids = {split: corpora[split].record_ids for split in MEASURED}
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        split=np.repeat(np.arange(len(parts), dtype=np.int8), [len(p.rows_N) for p in parts]),
        row=np.concatenate([part.rows_N for part in parts]),
        record=np.array([ids[s][row] for s in MEASURED for row in scored[s].rows_N], np.str_),
        patient=np.concatenate([part.patients_N for part in parts]),
        labels=np.concatenate([part.labels_NC for part in parts]).astype(np.uint8),
        logits=np.concatenate([part.scores_NC for part in parts]).astype(np.float32),
        classes=np.array(classes, dtype=np.str_),
    )
    write_whole(path, buffer.getvalue())
