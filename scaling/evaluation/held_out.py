"""Held-out loss and AUROC of a trained head, with standard errors over patients."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from scaling.objectives.supervised import loss_per_record
from scaling.training.data import Split

EVAL_BATCH = 256


@torch.no_grad()
def predict(model: nn.Module, split: Split) -> Tensor:
    """Outputs of ``model`` in evaluation mode on every record, (n, ...) float32 on the CPU."""
    was_training = model.training
    model.eval()
    device = split.signals.device
    rows = torch.arange(len(split), device=device)
    parts = [model(split.batch(chunk)[0]).float().cpu() for chunk in torch.split(rows, EVAL_BATCH)]
    model.train(was_training)
    return torch.cat(parts)


def mean_loss(logits_NC: Tensor, split: Split) -> tuple[float, float]:
    """Mean held-out loss in nats and its standard error over patients."""
    per_record = loss_per_record(logits_NC, split.labels.cpu()).double().numpy()
    return float(per_record.mean()), clustered_se(per_record, split.patients)


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
