"""Linear probe: a linear classifier on frozen features, trained on the task's own split.

Adam on the logistic loss for at most 200 epochs, stopped when the validation loss has not
improved for 5 epochs (S1, appendix A.3). Features are standardised with the training
split's moments; they are extracted once, so an epoch is a few matrix products.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor, nn

from scaling.objectives import supervised

EPOCHS = 200
PATIENCE = 5
BATCH = 128
LEARNING_RATE = 1e-2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Frozen features (n, F) and labels (n, C) of one split, on the CPU."""

    x: Tensor
    y: Tensor


def fit_probe(train: Features, validation: Features, seed: int = 0) -> nn.Linear:
    """Fit the probe and return a linear layer on raw features, at its best validation epoch.

    Args:
        train: features it is fitted on.
        validation: features early stopping looks at.
        seed: order of the batches.
    """
    mean = train.x.mean(dim=0)
    spread = train.x.std(dim=0).clamp_min(1e-6)
    x, x_validation = (train.x - mean) / spread, (validation.x - mean) / spread
    layer = nn.Linear(x.shape[1], train.y.shape[1])
    nn.init.zeros_(layer.weight)
    with torch.no_grad():
        layer.bias.copy_(supervised.prior_logits(train.y))
    _descend(layer, x, train.y, x_validation, validation.y, seed)
    with torch.no_grad():
        layer.weight.div_(spread)
        layer.bias.sub_(layer.weight @ mean)
    return layer


def _descend(
    layer: nn.Linear, x: Tensor, y: Tensor, x_validation: Tensor, y_validation: Tensor, seed: int
) -> None:
    """Adam with early stopping; leaves the best weights in ``layer``."""
    optimiser = torch.optim.Adam(layer.parameters(), lr=LEARNING_RATE)
    generator = torch.Generator().manual_seed(seed)
    best, stale = math.inf, 0
    kept = {k: v.clone() for k, v in layer.state_dict().items()}
    for _ in range(EPOCHS):
        for rows in torch.split(torch.randperm(len(x), generator=generator), BATCH):
            loss = supervised.loss(layer(x[rows]), y[rows])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        with torch.no_grad():
            value = float(supervised.loss(layer(x_validation), y_validation))
        if value < best:
            best, stale = value, 0
            kept = {k: v.clone() for k, v in layer.state_dict().items()}
        else:
            stale += 1
        if stale >= PATIENCE:
            break
    layer.load_state_dict(kept)
