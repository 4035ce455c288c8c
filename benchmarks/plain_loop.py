"""A step of training written out as in PyTorch's tutorials: what our loops are held against."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from scaling.data.batches import Split
from scaling.identity import Recipe


def by_hand(
    recipe: Recipe, split: Split, model: nn.Module, *, fused: bool = False
) -> Callable[[], None]:
    """A supervised step on random records of ``split``.

    Args:
        recipe: batch, learning rate, weight decay, clipping and precision.
        split: records to train on.
        model: from records and R peaks to logits.
        fused: PyTorch's fused AdamW, as ours; else its default.
    """
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=fused
    )
    compute_loss = nn.BCEWithLogitsLoss()
    kind, bf16 = split.device.type, recipe.precision == "bf16"
    model.train()

    def step() -> None:
        rows = torch.randint(len(split), (recipe.batch,))
        there = rows.to(split.device)
        x_BLT = split.signals[there].float() * split.mv
        with torch.autocast(kind, torch.bfloat16, enabled=bf16):
            logits_BC = model(x_BLT, split.r_peaks[rows])
        loss = compute_loss(logits_BC.float(), split.labels[there])
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.grad_clip)
        optimiser.step()

    return step
