"""Smooth functions whose bits do not depend on where in a tensor a number is.

torch computes ``sigmoid``, ``softplus``, ``pow`` and ``atan2`` in vectors and the rest of a
tensor number by number, with another last bit, so the result changes with the size of the
batch. ``exp``, ``log``, ``log1p`` and ``atan`` are the same everywhere; these are made of them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)); from 1e-35 on, so that nothing overflows."""
    return 1.0 / (1.0 + torch.exp(-x.clamp(min=-80.0)))


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x))."""
    return x.clamp(min=0.0) + torch.log1p(torch.exp(-x.abs()))


def power(x: Tensor, exponent: float) -> Tensor:
    """X to a positive or negative power, for x > 0 (or x = 0 and a positive power)."""
    return torch.exp(exponent * torch.log(x))


def angle_deg(y: Tensor, x: Tensor) -> Tensor:
    """Angle of (x, y) from the x axis in degrees, -180 to 180."""
    ahead = torch.atan(y / x) * (180.0 / math.pi)
    back = torch.where(y < 0.0, ahead - 180.0, ahead + 180.0)
    return torch.where(x < 0.0, back, ahead)
