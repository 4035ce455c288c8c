"""Supervised multi-label training: binary cross-entropy on independent labels, in nats."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from scaling.data.batches import Batch
from scaling.objectives.labels import LabelObjective


def loss(logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
    """Mean over records and labels of the binary cross-entropy, a scalar in nats."""
    return binary_cross_entropy_with_logits(logits_BC, labels_BC)


def loss_per_record(logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
    """The same for each record, (B,): mean over its labels."""
    return binary_cross_entropy_with_logits(logits_BC, labels_BC, reduction="none").mean(dim=1)


class Supervised(LabelObjective):
    """Binary cross-entropy; see ``scaling.objectives.base.Objective``."""

    def per_record(self, model: nn.Module, logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
        """Mean over its labels, (B,)."""
        return loss_per_record(logits_BC, labels_BC)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean binary cross-entropy of the batch."""
        return loss(outputs.float(), batch.labels_BC)


OBJECTIVE = Supervised()
