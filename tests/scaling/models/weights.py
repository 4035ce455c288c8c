"""Models whose weights do not matter, for counting: drawing 100 million numbers takes seconds."""

from __future__ import annotations

import torch
from torch import nn

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
