"""The order in which training sees its records."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor


class Order:
    """Rows of one batch after another, without end: shuffled epochs joined end to end.

    Every batch has exactly ``batch`` rows, so that C is a plain product.

    Args:
        n: records.
        batch: rows of a batch.
        seed: of the shuffles.
    """

    def __init__(self, n: int, batch: int, seed: int) -> None:
        self.n, self.size = n, batch
        self.generator = torch.Generator().manual_seed(seed)
        self.queue = torch.empty(0, dtype=torch.int64)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Tensor:
        while len(self.queue) < self.size:
            self.queue = torch.cat([self.queue, torch.randperm(self.n, generator=self.generator)])
        rows, self.queue = self.queue[: self.size], self.queue[self.size :]
        return rows
