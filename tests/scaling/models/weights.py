"""Weights of models under test: none, for counting, where drawing takes seconds; and compared."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scaling.models.families import build
from scaling.objectives.labels import Classifier


def without_weights(family: str, size: str, num_labels: int = 6) -> nn.Module:
    """A classifier on real memory, all zeros."""
    with torch.device("meta"):
        model = Classifier(build(family, size), num_labels)
    return zeros(model)


def zeros(model: nn.Module) -> nn.Module:
    """A model of the meta device on real memory, all zeros."""
    model.to_empty(device="cpu")
    with torch.no_grad():
        for value in (*model.parameters(), *model.buffers()):
            value.zero_()
    return model


def move_statistics(model: nn.Module) -> None:
    """Give batch normalisations scales, shifts and statistics that are not those of the start."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value, low in ((module.weight, 0.5), (module.bias, -1.0),
                               (module.running_mean, -1.0), (module.running_var, 0.5)):  # fmt: skip
                assert value is not None
                nn.init.uniform_(value, low, 2.0)


def far(a: Tensor, b: Tensor) -> float:
    """Largest difference as a share of the largest value."""
    return float((a - b).detach().abs().max() / b.detach().abs().max())
