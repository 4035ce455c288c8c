"""No training: a backbone as it was initialised, the baseline that probes of others must beat."""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import Tensor, nn

from scaling.data.batches import Batch, Split
from scaling.objectives.base import Context, Objective

NO_LOSS = "an untrained model has no loss: measure it by a linear probe"


class Untrained(nn.Module):
    """A backbone without a head."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.backbone = context.backbone()

    def forward(self, x_BLT: Tensor, r_peaks_BP: Tensor | None = None) -> Tensor:
        """Records (B, L, T) in millivolts and their R peaks to features (B, F)."""
        features: Tensor = self.backbone(x_BLT, r_peaks_BP)
        return features


class UntrainedObjective(Objective):
    """Nothing is minimised, and no loss is defined: to ask for one is an error."""

    def build(self, context: Context) -> nn.Module:
        """The backbone alone, with the weights that other objectives start from."""
        return Untrained(context)

    def outputs(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> NoReturn:
        """Not trained: always an error."""
        raise ValueError(NO_LOSS)

    def loss(self, outputs: object, batch: Batch) -> NoReturn:
        """Not trained: always an error."""
        raise ValueError(NO_LOSS)

    def held_out(self, model: nn.Module, split: Split) -> NoReturn:
        """Not trained: always an error."""
        raise ValueError(NO_LOSS)
