"""Multi-label metrics on resamples of patients, and the thresholds that some of them need.

The six of LiteHeart (S2, Extended Data Tables 2 to 6), with s the scores (log-odds), y the labels:

- **ranking loss**: share of the pairs of a positive and a negative class of a record that are in
  the wrong order, mean over records (Schapire and Singer 2000; Tsoumakas et al. 2010, Mining
  Multi-label Data, section 7.2). In [0, 1], smaller is better.
- **coverage**: how far down the ranked classes of a record one must go to have all of its
  positives, mean over records. In labels, from the mean number of positives to C; smaller is
  better. Tsoumakas et al. subtract one. S2 prints labels (2.4 to 7.8 of 16 to 23 classes) and does
  not say; the code its authors released for H-Tuning calls scikit-learn's ``coverage_error``, which
  subtracts nothing, and so do we.
- **MAP**: mean over classes of the average precision.
- **macro-AUROC**: mean over classes of the area under the ROC curve, ties counted half.
- **macro-F1, macro-F2**: mean over classes of F = (1 + b^2) TP / (called + b^2 positives), for
  b = 1 and 2, of what scores at least its threshold (van Rijsbergen 1979; S2's F(beta = 2)).

Ties: a positive and a negative class of equal score are in the wrong order, and a class that ties
with the lowest positive is counted by the coverage, as in scikit-learn's ``label_ranking_loss`` and
``coverage_error``. Records of which no class or every class is positive have a ranking loss of 0,
those without a positive a coverage of 0, and both are in the mean, again as there.
A class without positives or without negatives (in a resample: there) is left out of every mean over
classes, where scikit-learn would count it as 0 or warn.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from scaling.records.patients import Resamples, divide, mean_known

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# Metric -> whether more of it is better. ``macro_f1_s2`` is S2's: F1 at the thresholds of F2.
METRICS = {
    "ranking_loss": False,
    "coverage": False,
    "map": True,
    "macro_auroc": True,
    "macro_f1": True,
    "macro_f2": True,
    "macro_f1_s2": True,
}
CLASS_AUROC = "auroc:"  # and the name of the class as it is
EVEN_ODDS = 0.0  # the log-odds of a probability of one half


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FThresholds:
    """Log-odds from which each class is predicted: (C,), or (N, C) where records have their own."""

    f1: FloatArray  # best for F1
    f2: FloatArray  # best for F2; S2's for F1 as well

    @classmethod
    def choose(cls, scores_NC: FloatArray, labels_NC: BoolArray) -> Self:
        """The best on these records, which should be those of validation."""
        return cls(
            f1=f_beta_thresholds(scores_NC, labels_NC, 1.0),
            f2=f_beta_thresholds(scores_NC, labels_NC, 2.0),
        )


def f_beta_thresholds(scores_NC: FloatArray, labels_NC: BoolArray, beta: float) -> FloatArray:
    """The threshold of each class with the highest F of ``beta``, (C,): ``scores >= threshold``.

    Candidates are the scores themselves; records of equal score are predicted alike. Of equally
    good thresholds the highest is taken. A class without positives has no best threshold: it
    gets even odds, a log-odds of 0. (The code of H-Tuning takes the lowest of equally good ones,
    and predicts what is above it.)
    """
    found = np.full(scores_NC.shape[1], EVEN_ODDS)
    for c, (scores, labels) in enumerate(zip(scores_NC.T, labels_NC.T, strict=True)):
        if not labels.any():
            continue
        order = np.argsort(-scores, kind="stable")
        ranked, hits = scores[order], np.cumsum(labels[order]).astype(np.float64)
        f = f_beta(hits, np.arange(1.0, len(ranked) + 1), hits[-1], beta)
        last_of_a_tie = np.append(ranked[1:] != ranked[:-1], True)
        found[c] = ranked[np.argmax(np.where(last_of_a_tie, f, -1.0))]
    return found


def f_beta(
    hits: FloatArray, called: FloatArray, positives: FloatArray | np.float64, beta: float
) -> FloatArray:
    """F = (1 + beta^2) TP / (called + beta^2 positives), in [0, 1]; NaN of neither."""
    square = beta**2
    return divide((1 + square) * hits, called + square * positives)


def macro_f(
    predicted_NC: BoolArray, labels_NC: BoolArray, resamples: Resamples, beta: float
) -> FloatArray:
    """Mean F of ``beta`` over the classes that have positives and negatives, (R,)."""
    hits, called = resamples.sums(predicted_NC & labels_NC), resamples.sums(predicted_NC)
    positives = resamples.sums(labels_NC)
    return mean_known(f_beta(hits, called, positives, beta), known_classes(positives, resamples))


def known_classes(positives_RC: FloatArray, resamples: Resamples) -> BoolArray:
    """Whether each class has positives and negatives, (R, C), from its number of positives."""
    records_R = resamples.weights_NR.sum(axis=0, dtype=np.float64)
    known: BoolArray = (positives_RC > 0) & (positives_RC < records_R[:, None])
    return known


def ranking_losses(scores_NC: FloatArray, labels_NC: BoolArray) -> FloatArray:
    """Share of the pairs of a positive and a negative class in the wrong order, (N,) in [0, 1]."""
    # By falling score, negatives first among equals: all before a positive are pairs it loses.
    by_label = np.argsort(labels_NC, axis=1, kind="stable")
    falling = np.take_along_axis(-scores_NC, by_label, axis=1)
    by_score = np.argsort(falling, axis=1, kind="stable")
    order = np.take_along_axis(by_label, by_score, axis=1)
    ranked_NC = np.take_along_axis(labels_NC, order, axis=1)
    lost_N = (np.cumsum(~ranked_NC, axis=1) * ranked_NC).sum(axis=1).astype(np.float64)
    positives_N = labels_NC.sum(axis=1).astype(np.float64)
    return np.nan_to_num(divide(lost_N, positives_N * (labels_NC.shape[1] - positives_N)))


def coverages(scores_NC: FloatArray, labels_NC: BoolArray) -> FloatArray:
    """Classes that score as much as the lowest positive or more, (N,) in labels; 0 without one."""
    lowest_N = np.where(labels_NC, scores_NC, np.inf).min(axis=1, initial=np.inf)
    found: FloatArray = (scores_NC >= lowest_N[:, None]).sum(axis=1).astype(np.float64)
    return found


def multilabel_metrics(
    scores_NC: FloatArray,
    labels_NC: BoolArray,
    thresholds: FThresholds,
    resamples: Resamples,
    metrics: Collection[str] = tuple(METRICS),
    classes: Sequence[str] = (),
) -> dict[str, FloatArray]:
    """Metrics of one set of records, on the same resamples; see the module's text.

    Args:
        scores_NC: finite log-odds, comparable between classes and between records.
        labels_NC: what is true.
        thresholds: of F1 and F2, chosen elsewhere.
        resamples: of the N records.
        metrics: which of ``METRICS``.
        classes: names of the C classes, whose AUROC is wanted one by one; a class without
            positives or without negatives among the records has none.

    Returns:
        Name -> (R,), NaN where no class has a value: ``metrics`` in their order, and then
        ``auroc:<class>``.

    Raises:
        KeyError: no such metric.
    """
    if unknown := [name for name in metrics if name not in METRICS]:
        raise KeyError(f"no metric {unknown[0]!r}; there are {', '.join(METRICS)}")
    found: dict[str, FloatArray] = {}
    if "ranking_loss" in metrics:
        found["ranking_loss"] = resamples.mean(ranking_losses(scores_NC, labels_NC))
    if "coverage" in metrics:
        found["coverage"] = resamples.mean(coverages(scores_NC, labels_NC))
    for name, cut, beta in (
        ("macro_f1", thresholds.f1, 1.0),
        ("macro_f2", thresholds.f2, 2.0),
        ("macro_f1_s2", thresholds.f2, 1.0),
    ):
        if name in metrics:
            found[name] = macro_f(scores_NC >= cut, labels_NC, resamples, beta)
    if classes or {"map", "macro_auroc"} & set(metrics):
        auroc_RC, precision_RC = _areas(scores_NC, labels_NC, resamples)
        known_RC = ~np.isnan(auroc_RC)
        found["macro_auroc"] = mean_known(auroc_RC, known_RC)
        found["map"] = mean_known(precision_RC, known_RC)
        one_by_one = {
            f"{CLASS_AUROC}{name}": auroc_RC[:, c]
            for c, name in enumerate(classes)
            if labels_NC[:, c].any() and not labels_NC[:, c].all()
        }
    else:
        one_by_one = {}
    return {name: found[name] for name in metrics} | one_by_one


def _areas(
    scores_NC: FloatArray, labels_NC: BoolArray, resamples: Resamples
) -> tuple[FloatArray, FloatArray]:
    """AUROC and average precision of each class, both (R, C)."""
    pairs = []
    for scores, labels in zip(scores_NC.T, labels_NC.T, strict=True):
        ranked = resamples.ranked(scores, labels)
        pairs.append((ranked.auroc(), ranked.average_precision()))
    auroc, precision = (np.stack(columns, axis=1) for columns in zip(*pairs, strict=True))
    return auroc, precision
