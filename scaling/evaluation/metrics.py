"""Metrics of label predictions, each with a patient bootstrap.

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

import numpy as np
from numpy.typing import NDArray

from scaling.records.patients import Estimate, Resamples, divide, macro_auroc, mean_known

EVEN_ODDS = 0.0  # the log-odds of a probability of one half


def label_metrics(
    scores_NC: NDArray[np.float64],
    labels_NC: NDArray[np.bool_],
    thresholds_C: NDArray[np.float64],
    resamples: Resamples,
    *,
    single_label: bool = False,
) -> dict[str, Estimate]:
    """All metrics of one split, on the same resamples; see the module's text.

    Args:
        scores_NC: (N, C) log-odds of each class.
        labels_NC: (N, C).
        thresholds_C: (C,) log-odds from which a class is predicted.
        resamples: of these N records.
        single_label: whether a record has exactly one of the labels.

    Returns:
        ``macro_auroc``, ``macro_f1``, ``macro_precision``, ``macro_recall`` in [0, 1];
        ``accuracy``, the mean over records and all classes of [p = y], or for a single-label
        task the share of records whose highest score is at their label; and ``classes_used``.
    """
    predicted_NC = scores_NC >= thresholds_C
    hits = resamples.sums(predicted_NC & labels_NC)
    positives, called = resamples.sums(labels_NC), resamples.sums(predicted_NC)
    records_R = resamples.weights_NR.sum(axis=0, dtype=np.float64)
    known_RC = (positives > 0) & (positives < records_R[:, None])
    precision = np.nan_to_num(divide(hits, called))
    right_N = (
        (scores_NC.argmax(axis=1) == labels_NC.argmax(axis=1)).astype(np.float64)
        if single_label
        else (predicted_NC == labels_NC).mean(axis=1)
    )
    used = float(known_RC[0].sum())
    return {
        "macro_auroc": Estimate.of(macro_auroc(scores_NC, labels_NC, resamples)),
        "macro_f1": Estimate.of(mean_known(divide(2 * hits, called + positives), known_RC)),
        "accuracy": Estimate.of(resamples.mean(right_N)),
        "macro_precision": Estimate.of(mean_known(precision, known_RC)),
        "macro_recall": Estimate.of(mean_known(divide(hits, positives), known_RC)),
        "classes_used": Estimate.of(np.array([used])),
    }


def f1_thresholds(
    scores_NC: NDArray[np.float64], labels_NC: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The threshold of each class with the highest F1, (C,), for ``scores >= threshold``.

    Candidates are the scores themselves; records of equal score are predicted alike. Of equally
    good thresholds the highest is taken. A class without positives has no best threshold: it
    gets even odds, a log-odds of 0.

    Args:
        scores_NC: (N, C) log-odds of validation records.
        labels_NC: (N, C) their labels.
    """
    found = np.full(scores_NC.shape[1], EVEN_ODDS)
    for c, (scores, labels) in enumerate(zip(scores_NC.T, labels_NC.T, strict=True)):
        if not labels.any():
            continue
        order = np.argsort(-scores, kind="stable")
        ranked, hits = scores[order], np.cumsum(labels[order])
        f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + hits[-1])
        last_of_a_tie = np.append(ranked[1:] != ranked[:-1], True)
        found[c] = ranked[np.argmax(np.where(last_of_a_tie, f1, -1.0))]
    return found


def is_single_label(labels_NC: NDArray[np.bool_]) -> bool:
    """Whether there are several labels and every record has exactly one of them."""
    several = labels_NC.shape[1] > 1 and len(labels_NC) > 0
    return several and bool((labels_NC.sum(axis=1) == 1).all())
