"""No training: a backbone as it was initialised, the baseline that probes of others must beat."""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import Tensor, nn

from scaling.data.batches import Batch, Split
from scaling.models.families import build
from scaling.objectives.base import Context


class Untrained(nn.Module):
    """A backbone without a head.

    Args:
        context: family, size and leads are its training's.
    """

    def __init__(self, context: Context) -> None:
        super().__init__()
        training = context.training
        leads, dropout = len(training.leads), training.recipe.dropout
        self.backbone = build(training.family, training.size, leads, dropout)

    def forward(self, x_BLT: Tensor, r_peaks_BP: Tensor | None = None) -> Tensor:
        """Records (B, L, T) in millivolts and their R peaks to features (B, F)."""
        features: Tensor = self.backbone(x_BLT, r_peaks_BP)
        return features


class UntrainedObjective:
    """Nothing is minimised; see ``scaling.objectives.base.Objective``.

    The backbone is built first, as every objective does, so its weights are those that another
    objective with the same family, size, leads and seed starts from.
    """

    def build(self, context: Context) -> nn.Module:
        """The backbone alone."""
        return Untrained(context)

    def start(self, model: nn.Module, train: Split) -> None:
        """It knows nothing of the records."""

    def annotate(self, splits: dict[str, Split], context: Context) -> None:
        """It needs nothing."""

    def outputs(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> NoReturn:
        """Not trained: always an error."""
        raise _no_loss()

    def loss(self, outputs: object, batch: Batch) -> NoReturn:
        """Not trained: always an error."""
        raise _no_loss()

    def held_out(self, model: nn.Module, split: Split) -> NoReturn:
        """Not trained, and no loss is defined: always an error."""
        raise _no_loss()


def _no_loss() -> ValueError:
    return ValueError("an untrained model has no loss: measure it by a linear probe")


OBJECTIVE = UntrainedObjective()
