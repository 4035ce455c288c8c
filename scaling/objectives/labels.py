"""What objectives on labels share: a classifier whose head starts at the class frequencies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from scaling.data.batches import Batch, Split, predict
from scaling.models.classifier import Classifier
from scaling.objectives.base import Context


def prior_logits(labels_NC: Tensor) -> Tensor:
    """Logits of the class frequencies, (C,): where an untrained head should start.

    Frequencies are smoothed by half a record, so a class without positives stays finite.
    """
    frequency = (labels_NC.sum(dim=0) + 0.5) / (len(labels_NC) + 1.0)
    return torch.logit(frequency)


def empty_classes(split: Split, classes: Sequence[str]) -> list[str]:
    """Names of the classes without a positive record in ``split``, in class order.

    Nothing can be learned of them and metrics of them are undefined, but losses stay finite.

    Args:
        split: records whose labels are looked at.
        classes: a name for each column of its labels.
    """
    positives = split.labels.sum(dim=0).tolist()
    return [name for name, count in zip(classes, positives, strict=True) if not count]


class LabelObjective:
    """A backbone with a linear head, trained on labels; a subclass says what is minimised.

    See ``scaling.objectives.base.Objective``.
    """

    def per_record(self, model: nn.Module, logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
        """Loss of each record, (B,) in nats, from float32 logits and labels."""
        raise NotImplementedError

    def loss(self, outputs: Any, batch: Batch) -> Tensor:
        """Mean over the batch, in nats, in float32."""
        raise NotImplementedError

    def prior(self, labels_NC: Tensor) -> Tensor:
        """Logits (C,) an untrained head starts with."""
        return prior_logits(labels_NC)

    def classifier(self, context: Context) -> Classifier:
        """Backbone and linear head as their classes make them."""
        training = context.training
        leads, dropout = len(training.leads), training.recipe.dropout
        return Classifier(training.family, training.size, leads, context.outputs, dropout)

    def build(self, context: Context) -> nn.Module:
        """Backbone and linear head; the head's weights start small."""
        model = self.classifier(context)
        with torch.no_grad():
            model.head.weight.mul_(0.1)
        return model

    def start(self, model: nn.Module, train: Split) -> None:
        """The head starts at the class frequencies."""
        assert isinstance(model, Classifier)
        with torch.no_grad():
            model.head.bias.copy_(self.prior(train.labels.cpu()))

    def annotate(self, splits: dict[str, Split], context: Context) -> None:
        """Labels are all it needs."""

    def outputs(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Any:
        """Logits (B, C); no random choice."""
        return model(batch.x_BLT, batch.r_peaks_BP)

    def held_out(self, model: nn.Module, split: Split) -> Tensor:
        """Loss of each record, (n,) in nats."""
        return self.per_record(model, predict(model, split), split.labels.cpu())
