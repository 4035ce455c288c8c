"""Differences of macro-AUROC between models tested on the same records.

The unit of resampling is the patient. A resample gives every patient a count, the same for all
models, so that what makes a patient easy or hard for all of them cancels in a difference. Where a
configuration was trained with several seeds, each resample draws from them too, so that its
interval says what other seeds would give, and not only what other patients would.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from analysis.predictions import Predictions
from analysis.uncertainty import LEVEL, NORMAL, holding, t_quantile

FloatArray = npt.NDArray[np.float64]
_CHUNK = 4_000_000  # numbers in one block of weights x records


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value with its 95 % percentile interval over resamples.

    Attributes:
        value: on the records as they are.
        low: 2.5 % quantile of the resamples.
        high: 97.5 % quantile.
    """

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: FloatArray) -> Estimate:
        """From the value on the records as they are and on resamples, (1 + R,)."""
        low, high = np.nanquantile(values[1:], [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
        low, high = holding(values[0], low, high)
        return cls(value=float(values[0]), low=float(low), high=float(high))


def auroc(score: FloatArray, positive: npt.NDArray[np.bool_], weights: FloatArray) -> FloatArray:
    """Area under the ROC curve for each row of weights; ties count half.

    Args:
        score: (n,), higher for more likely.
        positive: true labels (n,).
        weights: how often each record counts (R, n), not negative.

    Returns:
        (R,), in [0, 1]; NaN where positives or negatives have no weight.
    """
    order = np.argsort(score, kind="stable")
    _, group = np.unique(score[order], return_inverse=True)
    first = np.searchsorted(group, group, side="left")
    after = np.searchsorted(group, group, side="right")
    weights, positive = weights[:, order], positive[order]
    negatives = np.cumsum(np.where(positive, 0.0, weights), axis=1)
    negatives = np.concatenate([np.zeros((len(weights), 1)), negatives], axis=1)
    below = 0.5 * (negatives[:, first[positive]] + negatives[:, after[positive]])
    own = weights[:, positive]
    total = own.sum(axis=1) * negatives[:, -1]
    area: FloatArray = np.divide(
        (own * below).sum(axis=1), total, out=np.full(len(weights), np.nan), where=total > 0
    )
    return area


def macro_auroc(
    found: Predictions, weights: FloatArray, rows: npt.NDArray[np.bool_] | None = None
) -> FloatArray:
    """Mean AUROC over the classes that have positives and negatives, for each row of weights.

    Args:
        found: predictions of n records.
        weights: how often each record counts (R, n).
        rows: records that count at all (n,); None for all.
    """
    keep = np.ones(len(found.record), dtype=bool) if rows is None else rows
    columns = [
        auroc(found.logits[keep, c], found.labels[keep, c], weights[:, keep])
        for c in range(len(found.classes))
    ]
    areas = np.stack(columns)
    used = np.isfinite(areas)
    total = np.where(used, areas, 0.0).sum(axis=0)
    mean: FloatArray = np.divide(
        total, used.sum(axis=0), out=np.full(len(weights), np.nan), where=used.any(axis=0)
    )
    return mean


def patient_weights(patient: npt.NDArray[np.int64], resamples: int, seed: int) -> FloatArray:
    """Counts of the records (1 + R, n): ones, then patients drawn with replacement."""
    _, index = np.unique(patient, return_inverse=True)
    patients = int(index.max()) + 1
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(patients, np.full(patients, 1.0 / patients), size=resamples)
    drawn: FloatArray = np.concatenate([np.ones((1, patients)), counts])[:, index]
    return drawn


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Macro-AUROC of a model on the records as they are and on resamples.

    Attributes:
        pooled: over the records of all folds together (1 + R,).
        by_fold: mean over folds of the macro-AUROC within each (1 + R,).
    """

    pooled: FloatArray
    by_fold: FloatArray

    @classmethod
    def mean(cls, scores: Sequence[Scores]) -> Scores:
        """Mean over models, resample by resample."""
        return cls(
            pooled=np.mean([s.pooled for s in scores], axis=0),
            by_fold=np.mean([s.by_fold for s in scores], axis=0),
        )

    @classmethod
    def over_seeds(cls, scores: Sequence[Scores], rng: np.random.Generator) -> Scores:
        """Mean over the trainings of a configuration; its resamples draw among them as well.

        A mean of n values drawn with replacement scatters by sqrt((n - 1) / n) too little, and
        so few values call for Student's t: deviations are stretched by both (the expanded
        percentile interval of Hesterberg 2015, The American Statistician 69:371).

        Args:
            scores: of each training, on the same resamples of the same patients. One alone
                comes back as it is: it says nothing of other seeds.
            rng: draws the trainings.
        """
        runs, resamples = len(scores), len(scores[0].pooled)
        mean = cls.mean(scores)
        if runs == 1:
            return mean
        counts = rng.multinomial(runs, np.full(runs, 1.0 / runs), size=resamples) / runs
        counts[0] = 1.0 / runs  # the records as they are: the mean itself
        few = t_quantile(runs - 1) / NORMAL
        stretch = math.sqrt(runs / (runs - 1)) * few

        def drawn(values: Sequence[FloatArray], middle: FloatArray) -> FloatArray:
            found: FloatArray = middle + stretch * ((counts.T * values).sum(axis=0) - middle)
            return found

        return cls(
            pooled=drawn([s.pooled for s in scores], mean.pooled),
            by_fold=drawn([s.by_fold for s in scores], mean.by_fold),
        )

    def less(self, other: Scores) -> Scores:
        """Difference, resample by resample."""
        return Scores(pooled=self.pooled - other.pooled, by_fold=self.by_fold - other.by_fold)


def scores(found: Predictions, resamples: int, seed: int) -> Scores:
    """Macro-AUROC on the records as they are and on ``resamples`` resamples of the patients.

    Two calls with the same patients, ``resamples`` and ``seed`` use the same resamples.
    """
    weights = patient_weights(found.patient, resamples, seed)
    size = max(1, _CHUNK // len(found.record))
    folds = [found.fold == f for f in np.unique(found.fold)]
    pooled, by_fold = [], []
    for begin in range(0, len(weights), size):
        part = weights[begin : begin + size]
        pooled.append(macro_auroc(found, part))
        by_fold.append(np.mean([macro_auroc(found, part, rows) for rows in folds], axis=0))
    return Scores(pooled=np.concatenate(pooled), by_fold=np.concatenate(by_fold))
