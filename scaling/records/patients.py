"""Patient bootstrap and clustered errors: metrics on the same resamples of the patients.

A resample is kept as the number of times each record is in it, so that a metric on all
resamples is a weighted sum: records are sorted once a class and not once a resample.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Row = dict[str, Any]  # of the table *evaluations*

BOOTSTRAPS = 200
LEVELS = (2.5, 97.5)  # percentiles of the 95 % interval


@dataclasses.dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its standard error and 95 % percentile interval over patients.

    The last three are NaN with fewer than two patients, or two resamples that have a value.
    """

    value: float
    se: float
    low: float
    high: float

    @classmethod
    def of(cls, values_R: NDArray[np.float64]) -> Self:
        """From the value on the sample itself, first, and on each resample."""
        value, rest = float(values_R[0]), values_R[1:]
        known = rest[~np.isnan(rest)]
        if len(known) < 2:
            return cls(value, math.nan, math.nan, math.nan)
        low, high = (float(v) for v in np.percentile(known, LEVELS))
        # The value itself lies within, however few and skewed the resamples are.
        return cls(value, float(known.std(ddof=1)), min(low, value), max(high, value))


@dataclasses.dataclass(frozen=True, slots=True)
class Resamples:
    """How often each record is in the sample itself (once) and in each resample.

    Attributes:
        weights_NR: (N, 1 + resamples) float32 whole numbers; the first column is ones. There
            are no resamples of fewer than two patients.
    """

    weights_NR: NDArray[np.float32]

    @classmethod
    def draw(cls, patients: NDArray[np.int64], seed: int = 0, count: int = BOOTSTRAPS) -> Self:
        """Draw patients with replacement, as many as there are, with all of their records (N,)."""
        ids, group = np.unique(patients, return_inverse=True)
        people = len(ids)
        rng = np.random.default_rng(seed)
        columns = [np.ones(people, np.int64)]
        for _ in range(count if people > 1 else 0):
            columns.append(np.bincount(rng.integers(people, size=people), minlength=people))
        return cls(np.stack(columns, axis=1).astype(np.float32)[group])

    def of(self, rows: NDArray[np.bool_]) -> Resamples:
        """The same resamples of these records alone, (N,) of true or false."""
        return Resamples(self.weights_NR[rows])

    def parts(self, numbers: int) -> Iterator[Resamples]:
        """All columns in order, in blocks of about so many numbers: less memory at a time."""
        size = max(1, numbers // max(1, len(self.weights_NR)))
        for begin in range(0, self.weights_NR.shape[1], size):
            yield Resamples(self.weights_NR[:, begin : begin + size])

    def sums(self, values_NC: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Count records of each column that are true, (R, C)."""
        # Whole numbers below 2^24 are exact in float32.
        counts: NDArray[np.float64] = (self.weights_NR.T @ values_NC.astype(np.float32)).astype(
            np.float64
        )
        return counts

    def mean(self, values_N: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean of one value a record, (R,); NaN of no records."""
        weights = self.weights_NR.astype(np.float64)
        return divide(values_N @ weights, weights.sum(axis=0))

    def auroc(
        self, scores_N: NDArray[np.float64], labels_N: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Area under the ROC curve, ties counted half, (R,); NaN where a class is missing."""
        return self.ranked(scores_N, labels_N).auroc()

    def ranked(self, scores_N: NDArray[np.float64], labels_N: NDArray[np.bool_]) -> Ranked:
        """The positives of a class among its negatives, by score."""
        positives, negatives = np.flatnonzero(labels_N), np.flatnonzero(~labels_N)
        negatives = negatives[np.argsort(scores_N[negatives], kind="stable")]
        below_MR = np.zeros((len(negatives) + 1, self.weights_NR.shape[1]), np.float32)
        np.cumsum(self.weights_NR[negatives], axis=0, out=below_MR[1:])
        ranks, wanted = scores_N[negatives], scores_N[positives]
        left, right = (np.searchsorted(ranks, wanted, side=side) for side in ("left", "right"))
        return Ranked(
            scores_P=wanted,
            weights_PR=self.weights_NR[positives],
            below_PR=below_MR[left],
            not_above_PR=below_MR[right],
            negatives_R=below_MR[-1],
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """The P positives of a class among its negatives, in R resamples; counts are exact."""

    scores_P: NDArray[np.float64]  # of the positives
    weights_PR: NDArray[np.float32]  # how often each positive is there
    below_PR: NDArray[np.float32]  # negatives of a smaller score than each positive
    not_above_PR: NDArray[np.float32]  # the same, and those of an equal one
    negatives_R: NDArray[np.float32]  # all negatives

    def auroc(self) -> NDArray[np.float64]:
        """Area under the ROC curve, ties counted half, (R,); NaN where a class is missing."""
        twice_PR = (self.below_PR + self.not_above_PR).astype(np.float64)
        pairs = self.weights_PR.sum(axis=0, dtype=np.float64) * self.negatives_R
        return divide(np.einsum("pr,pr->r", self.weights_PR, twice_PR) / 2, pairs)

    def average_precision(self) -> NDArray[np.float64]:
        """Mean over the positives of the precision at their score, (R,); NaN without positives.

        AP = sum over distinct scores, from the highest, of (rise of the recall) x (precision of
        what scores as much or more): no interpolation, and ties are called together, as in
        scikit-learn's ``average_precision_score``.
        """
        order = np.argsort(-self.scores_P, kind="stable")
        falling, weights_PR = -self.scores_P[order], self.weights_PR[order]
        ends = np.searchsorted(falling, falling, side="right") - 1  # last of each tie
        hits_PR = np.cumsum(weights_PR, axis=0, dtype=np.float32)[ends].astype(np.float64)
        called_PR = hits_PR + (self.negatives_R - self.below_PR[order])
        # Where nothing is called the positive itself is not there either.
        precision_PR = hits_PR / np.maximum(called_PR, 1.0)
        found = weights_PR.sum(axis=0, dtype=np.float64)
        return divide(np.einsum("pr,pr->r", weights_PR, precision_PR), found)


def mean_and_se(
    values_N: NDArray[np.float64], patients_N: NDArray[np.int64]
) -> tuple[float, float]:
    """Mean of one value a record and its standard error over patients, records of one together.

    The usual sandwich for a mean of g clusters: sqrt(g / (g - 1) * sum of squared residual sums of
    clusters) / N. NaN with fewer than two patients.
    """
    mean = float(values_N.mean())
    _, group = np.unique(patients_N, return_inverse=True)
    people = int(group.max()) + 1 if len(group) else 0
    if people < 2:
        return mean, math.nan
    sums = np.bincount(group, weights=values_N - values_N.mean(), minlength=people)
    return mean, math.sqrt(people / (people - 1) * float((sums**2).sum())) / len(values_N)


def divide(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quotients, NaN where the denominator is 0."""
    found = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    np.divide(numerator, denominator, out=found, where=denominator > 0)
    return found


def mean_known(values_RC: NDArray[np.float64], known_RC: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean over the columns that are known, (R,); NaN where none is."""
    kept = np.where(known_RC, values_RC, 0.0)
    return divide(kept.sum(axis=1), known_RC.sum(axis=1).astype(np.float64))


def macro_auroc(
    scores_NC: NDArray[np.float64], labels_NC: NDArray[np.bool_], resamples: Resamples
) -> NDArray[np.float64]:
    """Mean AUROC over the classes that have positives and negatives, (R,); NaN where none has.

    Scores are higher for positives, and comparable between records.
    """
    columns = [
        resamples.auroc(scores, labels)
        for scores, labels in zip(scores_NC.T, labels_NC.T, strict=True)
    ]
    areas_RC = np.stack(columns, axis=1)
    return mean_known(areas_RC, ~np.isnan(areas_RC))


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
