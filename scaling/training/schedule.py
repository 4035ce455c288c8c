"""Learning rate over steps: linear warm-up, then cosine decay to zero."""

from __future__ import annotations

import math


def learning_rate(step: int, peak: float, warmup_steps: int, max_steps: int) -> float:
    """Learning rate of optimiser step ``step`` (counted from 0), in [0, ``peak``]."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(1, max_steps - warmup_steps)
    return peak * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
