"""Supervised multi-label training: binary cross-entropy on independent labels, in nats."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from scaling.models.classifier import Classifier
from scaling.objectives.base import Context
from scaling.training.data import Batch, Split, predict


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


class Supervised:
    """Binary cross-entropy; see ``scaling.objectives.base.Objective``."""

    def build(self, context: Context) -> nn.Module:
        """Backbone and linear head; the head's weights start small."""
        training = context.training
        model = Classifier(
            training.family,
            training.size,
            len(training.leads),
            context.outputs,
            training.recipe.dropout,
        )
        with torch.no_grad():
            model.head.weight.mul_(0.1)
        return model

    def start(self, model: nn.Module, train: Split) -> None:
        """The head starts at the class frequencies."""
        assert isinstance(model, Classifier)
        with torch.no_grad():
            model.head.bias.copy_(prior_logits(train.labels.cpu()))

    def annotate(self, splits: dict[str, Split], context: Context) -> None:
        """Labels are all it needs."""

    def outputs(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Logits (B, C)."""
        logits: Tensor = model(batch.x_BLT, batch.r_peaks_BP)
        return logits

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean binary cross-entropy of the batch."""
        return loss(outputs.float(), batch.labels_BC)

    def held_out(self, model: nn.Module, split: Split) -> Tensor:
        """Mean over labels for each record."""
        return loss_per_record(predict(model, split), split.labels.cpu())


OBJECTIVE = Supervised()
