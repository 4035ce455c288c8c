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

from analysis.fit.intervals import t_quantile
from analysis.studies.predictions import Predictions
from analysis.text.numbers import NORMAL
from scaling.records.patients import Resamples, macro_auroc

FloatArray = npt.NDArray[np.float64]
_BLOCK = 4_000_000  # numbers in one block of records x resamples


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
    weights = Resamples.draw(found.patient, seed, resamples)
    folds = [found.fold == f for f in np.unique(found.fold)]
    pooled, by_fold = [], []
    for part in weights.parts(_BLOCK):
        pooled.append(macro_auroc(found.logits, found.labels, part))
        within = [macro_auroc(found.logits[f], found.labels[f], part.of(f)) for f in folds]
        by_fold.append(np.mean(within, axis=0))
    return Scores(pooled=np.concatenate(pooled), by_fold=np.concatenate(by_fold))
