"""Supervised multi-label training: binary cross-entropy on independent labels, in nats."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def loss(logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
    """Mean over records and labels of the binary cross-entropy, a scalar in nats."""
    return binary_cross_entropy_with_logits(logits_BC, labels_BC)


def loss_per_record(logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
    """The same for each record, (B,): mean over its labels."""
    return binary_cross_entropy_with_logits(logits_BC, labels_BC, reduction="none").mean(dim=1)


def prior_logits(labels_NC: Tensor) -> Tensor:
    """Logits of the class frequencies, (C,): where an untrained head should start.

    Frequencies are smoothed by half a record, so a class without positives stays finite.
    """
    frequency = (labels_NC.sum(dim=0) + 0.5) / (len(labels_NC) + 1.0)
    return torch.logit(frequency)
