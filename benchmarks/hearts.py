"""R peaks of hearts that differ as patients do: what a Transformer computes depends on them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

INTERVAL, SPREAD, LEAST, MOST = 82.0, 0.3, 32.0, 160.0  # samples between beats, at 100 Hz


def hearts(records: int, samples: int, seed: int = 0) -> Tensor:
    """(B, P) int16 R peaks at 100 Hz, -1 behind the last, on the CPU.

    Intervals are log-normal, with shares as in ``virtual/basic``: of records of five seconds the
    median has 6 beats, the mean is 6.4, and 4 % have more than 10, which fill 128 slots.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn_B = torch.randn(records, generator=generator) * SPREAD + math.log(INTERVAL)
    interval_B = drawn_B.exp().clamp(LEAST, MOST)
    first_B = torch.rand(records, generator=generator) * interval_B
    beat_P = torch.arange(math.ceil(samples / LEAST))
    peaks_BP = first_B[:, None] + interval_B[:, None] * beat_P
    return torch.where(peaks_BP < samples, peaks_BP, -1.0).to(torch.int16)
