"""Waves as moving dipoles: bell-shaped in time, along a direction of the body each.

After McSharry et al. 2003 (IEEE Trans. Biomed. Eng. 50:289) in three dimensions. Axes: x to
the left, y to the feet, z to the back. Times count from QRS onset (P waves from P onset, T
waves as fractions of QT). Directions were set by hand near the mean vectors of normal adults
and of each conduction disorder, and vary between patients around them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True)
class Waves:
    """Some waves of each record.

    Attributes:
        centre: (B, W) of the peak, ms or a fraction of QT.
        left: (B, W) sigma before the peak, same unit.
        right: (B, W) sigma after it.
        vector: (B, W, 3) dipole at the peak in millivolts.
        near: (B, W, 8) what leads I, II, V1 to V6 show beyond the dipole's field, in millivolts:
            the chest electrodes lie so near the heart that they see its parts; None for nothing.
    """

    centre: Tensor
    left: Tensor
    right: Tensor
    vector: Tensor
    near: Tensor | None = None


def join(parts: Sequence[Waves]) -> Waves:
    """Several parts of a QRS complex, symmetric waves all, side by side."""
    sigma = torch.cat([w.left for w in parts], 1)
    near = [w.vector.new_zeros(*w.vector.shape[:2], 8) if w.near is None else w.near for w in parts]
    return Waves(
        torch.cat([w.centre for w in parts], 1), sigma, sigma,
        torch.cat([w.vector for w in parts], 1), torch.cat(near, 1),
    )  # fmt: skip


# Amplitude of near potentials in V1 to V6, and how far they reach in places of electrodes.
NEARNESS = (0.7, 1.0, 1.05, 0.9, 0.65, 0.5)
REACH = 0.9


def near_field(normals: Tensor) -> Tensor:
    """Potentials near the heart, alike in neighbouring electrodes: (B, ..., 6) to (B, ..., 8).

    Args:
        normals: independent standard normals.
    """
    total = torch.zeros_like(normals)
    for source in range(6):
        seen = [
            size * math.exp(-0.5 * ((place - source) / REACH) ** 2)
            for place, size in enumerate(NEARNESS)
        ]
        total = total + normals[..., source : source + 1] * normals.new_tensor(seen)
    return in_chest(total)


def in_chest(values: Tensor) -> Tensor:
    """Potentials of V1 to V6 (B, ..., 6) as those of I, II, V1 to V6, none in the limb leads."""
    return torch.nn.functional.pad(values, (2, 0))


def waves_of(items: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Waves:
    """From (centre, sigma, vector) of each wave."""
    sigma = torch.stack([s for _, s, _ in items], 1)
    return Waves(
        torch.stack([c for c, _, _ in items], 1), sigma, sigma,
        torch.stack([v for _, _, v in items], 1),
    )  # fmt: skip


def vector(like: Tensor, *xyz: Tensor | float) -> Tensor:
    """(B, 3) from three numbers or (B,) tensors."""
    return torch.stack([torch.zeros_like(like) + v for v in xyz], -1)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Sum over x, y, z of the last axis, in that order."""
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]


def turned(v: Tensor, degrees: Tensor, first: int, second: int) -> Tensor:
    """Turn (B, ..., 3) from axis ``first`` towards ``second`` by (B,) degrees."""
    angle = torch.deg2rad(degrees).reshape(-1, *[1] * (v.ndim - 2))
    c, s = torch.cos(angle), torch.sin(angle)
    parts = list(v.unbind(-1))
    a, b = parts[first], parts[second]
    parts[first], parts[second] = c * a - s * b, s * a + c * b
    return torch.stack(parts, -1)
