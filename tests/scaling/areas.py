"""Areas under the ROC curve of one sample, and their bootstrap error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scaling.records import patients
from scaling.records.patients import Estimate, Resamples


def itself(records: int) -> Resamples:
    return Resamples(np.ones((records, 1), np.float32))


def auroc(scores_N: NDArray[np.float64], labels_N: NDArray[np.bool_]) -> float:
    """NaN without both classes."""
    return float(itself(len(labels_N)).auroc(scores_N, labels_N)[0])


def macro_auroc(scores_NC: NDArray[np.float64], labels_NC: NDArray[np.bool_]) -> float:
    """NaN where no label has both classes."""
    return float(patients.macro_auroc(scores_NC, labels_NC, itself(len(labels_NC)))[0])


def macro_auroc_se(
    scores_NC: NDArray[np.float64], labels_NC: NDArray[np.bool_], patients_N: NDArray[np.int64]
) -> float:
    return Estimate.of(patients.macro_auroc(scores_NC, labels_NC, Resamples.draw(patients_N))).se
