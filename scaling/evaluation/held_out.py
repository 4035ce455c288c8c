"""Held-out loss with its standard error over patients."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def mean_and_se(per_record: Tensor, patients: NDArray[np.int64]) -> tuple[float, float]:
    """Mean of the losses of records, (n,), and its standard error over patients."""
    values = per_record.double().numpy()
    return float(values.mean()), clustered_se(values, patients)


def clustered_se(values: NDArray[np.float64], clusters: NDArray[np.int64]) -> float:
    """Standard error of the mean of ``values`` when records of one patient go together.

    The usual sandwich for a mean: sqrt(g / (g - 1) * sum of squared cluster residual sums) / n.
    NaN with fewer than two patients.
    """
    _, group = np.unique(clusters, return_inverse=True)
    groups = int(group.max()) + 1 if len(group) else 0
    if groups < 2:
        return math.nan
    sums = np.bincount(group, weights=values - values.mean(), minlength=groups)
    return math.sqrt(groups / (groups - 1) * float((sums**2).sum())) / len(values)
