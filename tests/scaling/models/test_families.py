"""Every family that has a backbone passes the battery; what a family cannot read is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from scaling.models.families import FAMILIES, build, problem
from scaling.models.sizes import RESNET, shortest
from scaling.models.testing import FamilyContract


class TestResnet(FamilyContract):
    family, size = "resnet", "d2w12"


class TestTransformer(FamilyContract):
    family, size = "transformer", "l2d96h2t128"
    unused = frozenset({"encoder.mask_token"})


def test_every_family_with_a_backbone_has_a_battery() -> None:
    here = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    tested = set(re.findall(r"^    family, size = \"([^\"]+)\"", here, re.M))
    assert tested == {name for name, info in FAMILIES.items() if info.builder}


@pytest.mark.parametrize("size", RESNET)
def test_a_resnet_refuses_windows_its_strides_use_up(size: str) -> None:
    enough = shortest(size)
    assert problem("resnet", size, 400, enough, 1) is None
    message = problem("resnet", size, 400, enough - 1, 1)
    assert message == (
        f"size {size} divides time by {enough}, which leaves no sample of records of "
        f"{enough - 1} samples: its shortest legal window is {enough} samples"
    )
    with torch.device("meta"):
        backbone = build("resnet", size, 1)
        assert backbone(torch.empty(2, 1, enough)).shape == (2, backbone.features)
        with pytest.raises(ValueError, match=message):
            backbone(torch.empty(2, 1, enough - 1))


@pytest.mark.parametrize(
    ("samples", "leads", "named"),
    [
        (95, 12, r"96 to 1500 samples at 100 Hz \(0.96 to 15 s\), not of 95"),
        (1501, 12, "not of 1501"),
        (500, 16, "1 to 15 leads, not 16"),
    ],
)
def test_a_transformer_refuses_what_its_tables_do_not_hold(
    samples: int, leads: int, named: str
) -> None:
    for family, size in (("transformer", "l1d24h1"), ("vq-hbr", "l4d768k8192")):
        message = problem(family, size, 100, samples, leads)
        assert message is not None
        with pytest.raises(ValueError, match=named):
            raise ValueError(message)
    with torch.device("meta"), pytest.raises(ValueError, match=named):
        build("transformer", "l1d24h1", leads)(torch.empty(1, leads, samples))


def test_heartbeats_are_cut_at_100_hz_only() -> None:
    message = "family transformer reads records at 100 Hz, not at 250 Hz"
    assert problem("transformer", "l1d24h1", 250, 1000, 12) == message
    assert problem("resnet", "d3w24", 250, 1000, 12) is None
    assert problem("simulated", "n1000", 250, 1, 1) is None


def test_an_unknown_size_lists_those_that_exist() -> None:
    with pytest.raises(ValueError, match="family transformer has no size 'd3w24'; it has l1d8h1"):
        build("transformer", "d3w24")
    with pytest.raises(ValueError, match="family vq-hbr has no backbone"):
        build("vq-hbr", "l4d768k8192")
