"""The ladders in docs/models.md are those of the code."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from scaling.cost import count, count_macs
from scaling.models import sizes
from scaling.models.unet import UNet

PAGE = Path(__file__).parents[3] / "docs/models.md"
CELLS = [
    [cell.strip(" `") for cell in line.strip("|").split("|")]
    for line in PAGE.read_text().splitlines()
    if line.startswith("| `")
]
ROWS = {cells[0]: cells[1:] for cells in CELLS}


def millions(macs: int) -> str:
    return f"{macs / 1e6:,.1f}" if macs < 1e9 else f"{macs / 1e6:,.0f}"


def test_every_size_has_one_row() -> None:
    ladders = (sizes.RESNET, sizes.TRANSFORMER, sizes.CONVTX, sizes.UNET)
    assert [cells[0] for cells in CELLS] == [size for ladder in ladders for size in ladder]


@pytest.mark.parametrize("size", sizes.RESNET)
def test_resnets(size: str) -> None:
    long, short = (count("resnet", size, 12, samples, 6) for samples in (1000, 500))
    assert ROWS[size] == [
        ", ".join(map(str, sizes.RESNET[size].channels)),
        str(sizes.shortest(size)),
        f"{long.N:,}",
        f"{long.total:,}",
        millions(long.macs),
        millions(short.macs),
    ]


@pytest.mark.parametrize("size", sizes.TRANSFORMER)
def test_transformers(size: str) -> None:
    shape = sizes.TRANSFORMER[size]
    classes, codes = (count("transformer", size, 12, 1000, n) for n in (6, 8192))
    assert ROWS[size] == [
        str(shape.tokens),
        str(shape.hidden),
        f"{classes.N:,}",
        f"{classes.total:,}",
        f"{codes.total:,}",
        millions(classes.macs),
        millions(classes.macs_full),
    ]


@pytest.mark.parametrize("size", sizes.CONVTX)
def test_convolutional_transformers(size: str) -> None:
    shape, shortest = sizes.CONVTX[size], sizes.shortest(size)
    long, short = (count("convtx", size, 12, samples, 6) for samples in (1000, 500))
    assert ROWS[size] == [
        str(math.ceil(1000 / shortest)),
        str(shape.width // shape.heads),
        str(shortest),
        f"{long.N:,}",
        f"{long.total:,}",
        millions(long.macs),
        millions(short.macs),
    ]


@pytest.mark.parametrize("size", sizes.UNET)
def test_unets(size: str) -> None:
    with torch.device("meta"):
        net = UNet(size)
    assert ROWS[size] == [
        ", ".join(map(str, sizes.UNET[size].channels)),
        f"{sum(value.numel() for value in net.parameters()):,}",
        *(millions(count_macs(net, (1, 12, samples))) for samples in (1000, 500)),
    ]
