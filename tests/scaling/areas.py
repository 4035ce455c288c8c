"""Areas under the ROC curve of one sample, and their bootstrap error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scaling.evaluation.metrics import macro_auroc_of
from scaling.records.patients import Resamples


def itself(records: int) -> Resamples:
    return Resamples(np.ones((records, 1), np.float32))


def auroc(scores_N: NDArray[np.float64], labels_N: NDArray[np.bool_]) -> float:
    """NaN without both classes."""
    return float(itself(len(labels_N)).auroc(scores_N, labels_N)[0])


def macro_auroc(scores_NC: NDArray[np.float64], labels_NC: NDArray[np.bool_]) -> float:
    """NaN where no label has both classes."""
    return macro_auroc_of(scores_NC, labels_NC, itself(len(labels_NC))).value


def macro_auroc_se(
    scores_NC: NDArray[np.float64], labels_NC: NDArray[np.bool_], patients_N: NDArray[np.int64]
) -> float:
    return macro_auroc_of(scores_NC, labels_NC, Resamples.draw(patients_N)).se
