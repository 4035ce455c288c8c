"""ResNet-1D: the published sizes, legal shapes, and MACs counted three ways."""

from __future__ import annotations

import pytest
import torch

from scaling.cost import count, training_flops
from scaling.models.families import FAMILIES, build
from scaling.models.sizes import RESNET, ResnetShape
from tests.scaling.models.fvcore_macs import count_macs_fvcore
from tests.scaling.models.weights import without_weights

# S1 Table S.4 read as Ribeiro's ramp: backbone, norms and a six-class head.
PUBLISHED = {
    "d3w24": 23_653, "d3w48": 89_843, "d4w64": 218_459, "d4w90": 428_298, "d4w128": 866_462,
    "d5w226": 3_451_251, "d5w320": 6_921_510, "d6w452": 16_803_636, "d6w640": 33_677_842,
    "d7w1024": 101_576_384,
}  # fmt: skip
SMALL = [size for size in RESNET if RESNET[size].channels[-1] <= 90]


RIBEIRO = (64, 128, 196, 256, 320)


def ramp(depth: int, width: int) -> tuple[int, ...]:
    """Ribeiro's widths resampled linearly to ``depth`` blocks and scaled to end at ``width``."""
    channels = []
    for block in range(depth):
        place = block * (len(RIBEIRO) - 1) / (depth - 1)
        low = min(int(place), len(RIBEIRO) - 2)
        value = RIBEIRO[low] + (place - low) * (RIBEIRO[low + 1] - RIBEIRO[low])
        channels.append(max(1, round(value * width / RIBEIRO[-1])))
    return tuple(channels)


def closed_form(shape: ResnetShape, leads: int, samples: int, num_labels: int) -> int:
    """MACs of the convolutions and the head, written out independently of the model."""
    k, stem = shape.kernel, shape.channels[0]
    macs, before, t = leads * stem * k * samples, stem, samples
    for width, stride in zip(shape.channels, shape.strides, strict=True):
        out = -(-t // stride)
        macs += before * width * k * t + width * width * k * out
        macs += before * width * out if before != width else 0
        before, t = width, out
    return macs + before * num_labels


@pytest.mark.parametrize(("size", "total"), PUBLISHED.items())
def test_the_ten_sizes_of_s1(size: str, total: int) -> None:
    counts = count("resnet", size, 12, 1000, 6)
    assert counts.total == total
    assert counts.N == total - 6 * (RESNET[size].channels[-1] + 1)
    assert not RESNET[size].laptop


@pytest.mark.parametrize("size", RESNET)
def test_channels_follow_the_ramp(size: str) -> None:
    depth, width = map(int, size[1:].split("w"))
    laptop = (width // 2, width)
    assert RESNET[size].channels == (laptop if RESNET[size].laptop else ramp(depth, width))
    assert len(RESNET[size].strides) == depth


@pytest.mark.parametrize("samples", [500, 1000])
@pytest.mark.parametrize("size", RESNET)
def test_macs_on_the_meta_device_equal_the_closed_form(size: str, samples: int) -> None:
    assert count("resnet", size, 12, samples, 6).macs == closed_form(RESNET[size], 12, samples, 6)


@pytest.mark.parametrize("samples", [500, 1000])
@pytest.mark.parametrize("size", RESNET)
def test_fvcore_agrees(size: str, samples: int) -> None:
    model = without_weights("resnet", size)
    ours = count("resnet", size, 12, samples, 6).macs
    assert count_macs_fvcore(model, (1, 12, samples)) == pytest.approx(ours, rel=5e-3)


def test_macs_grow_more_slowly_than_parameters() -> None:
    small, large = (count("resnet", size, 12, 1000, 6) for size in ("d3w24", "d7w1024"))
    assert large.macs / small.macs < large.N / small.N


@pytest.mark.parametrize("size", SMALL)
def test_any_length_gives_finite_features(size: str) -> None:
    backbone = build("resnet", size)
    for samples in (250, 333, 1000):
        assert torch.isfinite(backbone(torch.randn(2, 12, samples))).all()


def test_a_size_that_does_not_exist_lists_those_that_do() -> None:
    with pytest.raises(ValueError, match="no size 'd9w9'; it has d2w6"):
        build("resnet", "d9w9")
    assert FAMILIES["simulated"].has("n1000")
    assert not FAMILIES["simulated"].has("n0")


def test_training_flops_follow_s1() -> None:
    assert training_flops(macs=1_000, batch=64, steps=10) == 6 * 1_000 * 64 * 10
