"""Numbers that an objective must go on giving: its first loss, held out and in training."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from scaling.identity import TEACHER
from scaling.objectives.base import Context, objective_of
from tests.scaling.objectives.data import CLASSES, tiny_case, tiny_training


def first_losses(name: str) -> list[float]:
    """Held-out loss of the model as started (mean, one record) and the loss of one batch."""
    case = tiny_case(name)
    objective, context = objective_of(case.training), case.context
    if TEACHER in context.parents:
        context = dataclasses.replace(context, parents={TEACHER: untrained_teacher()})
    objective.annotate(case.splits, context)
    torch.manual_seed(0)
    model = objective.build(context)
    objective.start(model, case.splits["train"])
    held_out = objective.held_out(model, case.splits["validation"])
    batch = case.splits["train"].batch(torch.arange(16))
    outputs = objective.outputs(model.train(), batch, torch.Generator().manual_seed(1))
    loss = objective.loss(outputs, batch).item()
    return [held_out.mean().item(), held_out[70].item(), loss]


def untrained_teacher() -> nn.Module:
    """A teacher as initialised: steps of training would not be the same on another processor."""
    training = tiny_training("supervised", "resnet", size="d2w12")
    torch.manual_seed(7)
    model = objective_of(training).build(Context(training=training, outputs=len(CLASSES)))
    for weight in model.parameters():  # heads begin at zero
        if not weight.any():
            nn.init.normal_(weight, std=0.5)
    return model.eval().requires_grad_(False)


def untrained_features() -> list[float]:
    """Features of the first record by an untrained model."""
    case = tiny_case("untrained")
    torch.manual_seed(0)
    model = objective_of(case.training).build(case.context).eval()
    batch = case.splits["train"].batch(torch.arange(1))
    with torch.no_grad():
        features: list[float] = model(batch.x_BLT, batch.r_peaks_BP)[0, :3].tolist()
    return features
