"""Smooth functions: right, and the same bits wherever a number stands in a tensor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from scaling.corpora.virtual.heart.waves import dot, turned
from scaling.corpora.virtual.smooth import angle_deg, power, sigmoid, softplus

CASES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[np.ndarray], np.ndarray]]] = {
    "sigmoid": (sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    "softplus": (softplus, lambda x: np.logaddexp(0, x)),
    "power": (lambda x: power(x.abs(), 0.7), lambda x: np.abs(x) ** 0.7),
    "angle": (lambda x: angle_deg(x, x.flip(0)), lambda x: np.rad2deg(np.arctan2(x, x[::-1]))),
}


@pytest.mark.parametrize("name", CASES)
def test_values(name: str) -> None:
    x = torch.randn(2000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 4
    mine, truth = CASES[name]
    assert np.allclose(mine(x).numpy(), truth(x.numpy()), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("function", [sigmoid, softplus, lambda x: power(x.abs(), 1.0 / 3.0)])
def test_bits_do_not_depend_on_the_place(
    function: Callable[[Tensor], Tensor], dtype: torch.dtype
) -> None:
    x = torch.randn(500, generator=torch.Generator().manual_seed(1)).to(dtype) * 3
    whole = function(x)
    for size in (1, 3, 7, 31):
        parts = torch.cat([function(part) for part in torch.split(x, size)])
        assert torch.equal(parts, whole)
    assert torch.equal(function(torch.stack([x, x], 1)[:, 0]), whole)


def test_nothing_overflows() -> None:
    x = torch.tensor([-1e4, -80.0, 80.0, 1e4])
    assert bool(sigmoid(x).isfinite().all())
    assert bool(softplus(x).isfinite().all())
    assert power(torch.zeros(1), 0.8).item() == 0.0


def test_turning_keeps_lengths_and_turns_by_the_angle() -> None:
    v = torch.randn(5, 4, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    angle = torch.tensor([0.0, 30.0, 90.0, -45.0, 180.0], dtype=torch.float64)
    moved = turned(v, angle, 0, 1)
    assert torch.allclose(dot(moved, moved), dot(v, v))
    assert torch.equal(moved[..., 2], v[..., 2])
    change = angle_deg(moved[..., 1], moved[..., 0]) - angle_deg(v[..., 1], v[..., 0])
    difference = torch.remainder(change - angle[:, None] + 180.0, 360.0) - 180.0
    assert float(difference.abs().max()) < 1e-9
