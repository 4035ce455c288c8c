"""Numbers that an objective must go on giving: its first loss, held out and in training."""

from __future__ import annotations

import torch

from scaling.objectives.base import objective_of
from tests.scaling.objectives.data import tiny_case


def first_losses(name: str) -> list[float]:
    """Held-out loss of the model as started (mean, one record) and the loss of one batch."""
    case = tiny_case(name)
    objective = objective_of(case.training)
    objective.annotate(case.splits, case.context)
    torch.manual_seed(0)
    model = objective.build(case.context)
    objective.start(model, case.splits["train"])
    held_out = objective.held_out(model, case.splits["validation"])
    batch = case.splits["train"].batch(torch.arange(16))
    outputs = objective.outputs(model.train(), batch, torch.Generator().manual_seed(1))
    loss = objective.loss(outputs, batch).item()
    return [held_out.mean().item(), held_out[70].item(), loss]


def untrained_features() -> list[float]:
    """Features of the first record by an untrained model."""
    case = tiny_case("untrained")
    torch.manual_seed(0)
    model = objective_of(case.training).build(case.context).eval()
    batch = case.splits["train"].batch(torch.arange(1))
    with torch.no_grad():
        features: list[float] = model(batch.x_BLT, batch.r_peaks_BP)[0, :3].tolist()
    return features
