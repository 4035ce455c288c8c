"""Systems by name: S2's pairs have the parameters and MACs that it prints."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn

from scaling.cost import count_macs
from scaling.deploy.systems import PAIRS, S2, TEACHER, build_system, check_system
from scaling.identity import LEADS
from scaling.models.restorer import Restorer
from scaling.models.system import System

LAPTOP = "unet/c4+convtx/d8n1h1s2"


def on_meta(name: str) -> nn.Module:
    with torch.device("meta"):
        return build_system(name, LEADS, ("I",), 6)


def params(model: nn.Module) -> int:
    return sum(value.numel() for value in model.parameters())


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        (TEACHER, (50.5,)),
        (PAIRS["tiny"], (0.36, 0.26)),
        (PAIRS["small"], (1.43, 1.00)),
        (PAIRS["base"], (5.71, 1.60)),
    ],
)
def test_parameters_are_those_of_s2(name: str, millions: tuple[float, ...]) -> None:
    model = on_meta(name)
    parts = [model.restorer, model.student] if isinstance(model, System) else [model]
    found = [params(part) / 1e6 for part in parts if part is not None]
    assert found == pytest.approx(millions, abs=0.05 if name == TEACHER else 0.006)


def test_macs_of_the_tiny_pair_are_those_of_s2_and_of_the_base_pair_are_not() -> None:
    """S2's 39.45, 1.1 and 4.7 G; the base pair's cannot be had from its number of parameters."""
    shape = (4, 12, 6144)
    gmacs = [count_macs(on_meta(n), shape) / 1e9 for n in (TEACHER, PAIRS["tiny"], PAIRS["base"])]
    assert gmacs == pytest.approx([39.4, 1.10, 12.1], rel=0.01)
    assert gmacs[0] / gmacs[1] == pytest.approx(S2[PAIRS["tiny"]].macs, rel=0.01)


@pytest.mark.parametrize("millivolts", [False, True])
def test_a_pair_sees_its_input_leads_alone(millivolts: bool) -> None:
    torch.manual_seed(0)
    model = build_system(LAPTOP, LEADS, ("II", "V1"), 3, millivolts=millivolts).eval()
    assert isinstance(model, System) and isinstance(model.restorer, Restorer)
    assert model.restorer.millivolts == millivolts
    x_BLT = torch.randn(2, 12, 100)
    other_BLT = x_BLT.clone()
    other_BLT[:, [i for i, name in enumerate(LEADS) if name not in ("II", "V1")]] = 5.0
    with torch.no_grad():
        logits_BC: Tensor = model(x_BLT, None)
        assert logits_BC.shape == (2, 3) and torch.equal(logits_BC, model(other_BLT, None))
        other_BLT[:, LEADS.index("II")] = 5.0
        assert not torch.equal(logits_BC, model(other_BLT, None))


def test_a_model_alone_sees_all_leads() -> None:
    model = build_system("convtx/d8n1h1s2", LEADS, ("I",), 3).eval()
    x_BLT = torch.randn(1, 12, 100)
    with torch.no_grad():
        before_BC = model(x_BLT, None)
        x_BLT[:, -1] += 1.0
        assert not torch.equal(before_BC, model(x_BLT, None))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unet/c4", "unet is no backbone of a classifier"),
        ("unet/c4+unet/c4", "unet is no backbone of a classifier"),
        ("unet/c4+unet/c4+convtx/d8n1h1", "only one restoration net"),
        ("convtx/d8n1h1+convtx/d8n1h1", "only one restoration net"),
        ("unet/c5+convtx/d8n1h1", "unet/c5: family unet has no size 'c5'; it has c4"),
        ("simulated/n100", "simulated is no backbone of a classifier"),
        ("convtx", "convtx: family convtx has no size ''"),
        ("", "no family ''"),
    ],
)
def test_what_is_no_system_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        check_system(name, 1000, 12)
    with pytest.raises(ValueError, match=re.escape(message)):
        build_system(name, LEADS, ("I",), 3)


def test_leads_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="no lead X"):
        build_system(LAPTOP, LEADS, ("X",), 3)


def test_systems_that_can_be_built_pass() -> None:
    for name in (TEACHER, *PAIRS.values(), LAPTOP, "resnet/d2w6", "transformer/l1d24h1"):
        check_system(name, 1000, 12)
    with pytest.raises(ValueError, match=r"unet/c4\+convtx/d8n1h1: .*64"):
        check_system("unet/c4+convtx/d8n1h1", 63, 12)
