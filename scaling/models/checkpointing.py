"""Activation checkpointing: what is inside a block is computed again in the backward pass.

It keeps only what goes into each block, which costs about a third more time (one more forward
pass). The numbers are those of a run without it: dropout draws the same values again, and the
running statistics of batch normalisation move once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint


def recompute_blocks(model: nn.Module, on: bool = True) -> None:
    """Whether the ``blocks`` of a model, which it runs by ``run_block``, keep no activations."""
    for module in model.modules():
        for block in getattr(module, "blocks", ()):
            block.recomputed = on


def run_block(block: nn.Module, *inputs: Any) -> Any:
    """Run one of the ``blocks`` of a model on ``inputs``."""
    if not (getattr(block, "recomputed", False) and block.training):
        return block(*inputs)
    return checkpoint(
        block,
        *inputs,
        use_reentrant=False,
        context_fn=lambda: (contextlib.nullcontext(), _statistics_kept(block)),
    )


@contextlib.contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """The second pass over a block must not move its running statistics again."""
    norms = [m for m in block.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, batches
