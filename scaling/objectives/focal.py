"""Focal loss of independent labels, for long tails (Lin et al. 2017, arXiv 1708.02002, Eq. 4).

    FL(p_t) = -(1 - p_t)^gamma log(p_t)

with p_t the probability given to what is true of a label. Labels that are easily told are
weighted down; with gamma 0 it is the binary cross-entropy. Their class weight alpha is left out:
S1 names none, and one weight does not fit labels of different prevalence.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from scaling.data.batches import Batch
from scaling.models.classifier import Classifier
from scaling.objectives.base import Context
from scaling.objectives.labels import LabelObjective
from scaling.objectives.registry import OBJECTIVES


class Logits(NamedTuple):
    """Logits (B, C) and the exponent."""

    logits_BC: Tensor
    gamma: float


class FocalClassifier(Classifier):
    """A classifier that knows the exponent it is trained with."""

    gamma = 0.0


def loss_per_record(logits_BC: Tensor, labels_BC: Tensor, gamma: float) -> Tensor:
    """Mean over labels of the focal loss of each record, (B,) in nats.

    Args:
        logits_BC: (B, C) in float32.
        labels_BC: (B, C) of 0 and 1.
        gamma: exponent, 0 or more.
    """
    towards_BC = logits_BC * (2.0 * labels_BC - 1.0)
    # (1 - p_t)^gamma by way of its logarithm: the power itself has no finite gradient at p_t = 1.
    weight_BC = (gamma * logsigmoid(-towards_BC)).exp()
    return -(weight_BC * logsigmoid(towards_BC)).mean(dim=1)


class Focal(LabelObjective):
    """Focal loss; see ``scaling.objectives.base.Objective``."""

    def classifier(self, context: Context) -> Classifier:
        """Backbone and linear head, with the training's gamma."""
        training = context.training
        leads, dropout = len(training.leads), training.recipe.dropout
        model = FocalClassifier(training.family, training.size, leads, context.outputs, dropout)
        model.gamma = float(OBJECTIVES["focal"].settings(training.options)["gamma"])
        return model

    def per_record(self, model: nn.Module, logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
        """Mean over its labels, (B,)."""
        assert isinstance(model, FocalClassifier)
        return loss_per_record(logits_BC, labels_BC, model.gamma)

    def outputs(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Logits:
        """Logits; no random choice."""
        assert isinstance(model, FocalClassifier)
        return Logits(model(batch.x_BLT, batch.r_peaks_BP), model.gamma)

    def loss(self, outputs: Logits, batch: Batch) -> Tensor:
        """Mean focal loss of the batch."""
        return loss_per_record(outputs.logits_BC.float(), batch.labels_BC, outputs.gamma).mean()


OBJECTIVE = Focal()
