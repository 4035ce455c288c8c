"""Macro-AUROC and its bootstrap over patients."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

BOOTSTRAPS = 200


def auroc(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """Area under the ROC curve by ranks, ties counted half; NaN without both classes."""
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return math.nan
    ranks = rankdata(scores)
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def macro_auroc(scores_NC: NDArray[np.float64], labels_NC: NDArray[np.bool_]) -> float:
    """Mean AUROC over the labels that have both classes; NaN when none has."""
    values = [auroc(scores_NC[:, c], labels_NC[:, c]) for c in range(labels_NC.shape[1])]
    known = [v for v in values if not math.isnan(v)]
    return float(np.mean(known)) if known else math.nan


def macro_auroc_se(
    scores_NC: NDArray[np.float64],
    labels_NC: NDArray[np.bool_],
    patients: NDArray[np.int64],
    seed: int = 0,
) -> float:
    """Bootstrap standard error of the macro-AUROC, resampling patients.

    NaN when fewer than two patients, or no resample has both classes of any label.
    """
    _, group = np.unique(patients, return_inverse=True)
    if not len(group) or group.max() < 1:
        return math.nan
    members = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(BOOTSTRAPS):
        picked = rng.integers(len(members), size=len(members))
        rows = np.concatenate([members[p] for p in picked])
        values.append(macro_auroc(scores_NC[rows], labels_NC[rows]))
    kept = np.array([v for v in values if not math.isnan(v)])
    return float(kept.std(ddof=1)) if len(kept) > 1 else math.nan
