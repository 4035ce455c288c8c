"""Random numbers: the reference hash, independence of the batch, and distributions.

Smooth functions: right, and the same bits wherever a number stands in a tensor.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from scaling.corpora.virtual.reproducible import (
    Draws,
    Stream,
    angle_deg,
    mix,
    power,
    sigmoid,
    softplus,
    stream,
)
from scaling.corpora.virtual.waves import dot, turned


def some(count: int = 64, seed: int = 0) -> Stream:
    return stream("a", seed, "train", "record", torch.arange(count))


def test_mix_is_splitmix64() -> None:
    # The first outputs of the reference generator from state 0: mix of 1, 2, 3 golden gammas.
    golden = 0x9E3779B97F4A7C15
    states = [(k * golden) % 2**64 for k in (1, 2, 3)]
    signed = torch.tensor([s - 2**64 if s >= 2**63 else s for s in states])
    found = [int(v) % 2**64 for v in mix(signed)]
    assert found == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


@given(
    first=st.integers(0, 40),
    size=st.integers(1, 9),
    start=st.integers(0, 30),
    count=st.integers(1, 30),
)
def test_a_number_depends_only_on_what_it_is_for(
    first: int, size: int, start: int, count: int
) -> None:
    whole = some().bits("x", 60)
    part = stream("a", 0, "train", "record", torch.arange(first, first + size))
    assert torch.equal(
        part.bits("x", count, start), whole[first : first + size, start : start + count]
    )


@pytest.mark.parametrize("kind", ["fast_normal", "uniform", "normal"])
def test_more_numbers_begin_with_fewer(kind: str) -> None:
    draw = getattr(some(8), kind)
    assert torch.equal(draw("x", 50)[:, :13], draw("x", 13))


def test_electrodes_have_streams_of_their_own() -> None:
    numbers = some(8).fast_normals("x", 9, 400)
    assert torch.equal(numbers[..., :100], some(8).fast_normals("x", 9, 100))
    flat = numbers.reshape(72, 400)
    correlation = torch.corrcoef(flat) - torch.eye(72)
    assert correlation.abs().max() < 6 / 400**0.5


def test_names_seeds_splits_and_kinds_are_apart() -> None:
    index = torch.arange(200)
    sources = [
        stream("a", 0, "train", "record", index), stream("a", 1, "train", "record", index),
        stream("b", 0, "train", "record", index), stream("a", 0, "test", "record", index),
        stream("a", 0, "train", "patient", index),
    ]  # fmt: skip
    numbers = torch.stack([s.normal(name, 8).flatten() for s in sources for name in ("x", "y")])
    correlation = torch.corrcoef(numbers) - torch.eye(len(numbers))
    assert correlation.abs().max() < 5 / 1600**0.5


def test_distributions() -> None:
    uniform = some(400).uniform("u", 500).flatten()
    assert 0.0 < uniform.min() < uniform.max() < 1.0
    # Kolmogorov-Smirnov distance of 200,000 numbers; 1.95 / sqrt(n) is the 0.1 % point.
    rank = (torch.arange(len(uniform)) + 0.5) / len(uniform)
    assert (uniform.sort().values - rank).abs().max() < 1.95 / len(uniform) ** 0.5
    for normal in (some(400).normal("n", 500), some(400).fast_normal("f", 500).double()):
        share = torch.special.ndtr(normal.flatten()).sort().values
        assert (share - rank).abs().max() < 1.95 / len(rank) ** 0.5
        assert normal.std() == pytest.approx(1.0, abs=0.01)


def test_choice_takes_its_shares() -> None:
    found = torch.bincount(some(20_000).choice("c", (1.0, 2.0, 1.0)), minlength=3) / 20_000
    assert found.tolist() == pytest.approx([0.25, 0.5, 0.25], abs=0.015)


def test_shifts_move_only_the_normal_they_name() -> None:
    plain = Draws(some(4), some(4, seed=1))
    shifted = dataclasses.replace(
        plain, shifts={"a": torch.full((4, 1), 0.5), "visit.b": torch.full((4, 2), 2.0)}
    )
    assert torch.equal(shifted.one("a"), plain.one("a") + 0.5)
    assert torch.equal(shifted.at_visit("b", 2), plain.at_visit("b", 2) + 2.0)
    assert torch.equal(shifted.one("b"), plain.one("b"))
    assert torch.equal(shifted.share("c"), plain.share("c"))
    assert torch.equal(shifted.uniform("a"), plain.uniform("a"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_draws_the_same_bits() -> None:
    here, there = some(), Stream(some().keys.cuda())
    assert torch.equal(here.bits("x", 100), there.bits("x", 100).cpu())
    assert torch.equal(here.uniform("x", 100), there.uniform("x", 100).cpu())
    assert torch.equal(here.fast_normal("x", 100), there.fast_normal("x", 100).cpu())


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
