"""Restored leads obey what is known of them; what is hidden is not looked at."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from scaling.cost import count_params
from scaling.identity import LEADS
from scaling.models.families import build
from scaling.models.restorer import Restorer, lead_maps, mask_of
from scaling.models.system import System
from scaling.models.unet import UNet
from scaling.objectives.labels import Classifier

INPUTS = [("I",), ("II",), ("aVR",), ("I", "II"), ("V1",), ("II", "V1", "V5"), LEADS,
          ("aVF", "III"), ("V3", "aVL", "I")]  # fmt: skip


def ecg(leads: tuple[str, ...] = LEADS, dtype: torch.dtype = torch.float32) -> Tensor:
    """Records (3, L, 200) in millivolts whose limb leads obey the identities."""
    generator = torch.Generator().manual_seed(0)
    one, two = torch.randn(2, 3, 200, generator=generator, dtype=dtype)
    known = {
        "I": one, "II": two, "III": two - one,
        "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2,
    }  # fmt: skip
    known |= {f"V{k}": torch.randn(3, 200, generator=generator, dtype=dtype) for k in range(1, 7)}
    return torch.stack([known[name] for name in leads], dim=1)


def restorer(
    input_leads: tuple[str, ...], leads: tuple[str, ...] = LEADS, *, millivolts: bool = True
) -> Restorer:
    torch.manual_seed(0)
    return Restorer(UNet("c4", len(leads)), leads, input_leads, millivolts=millivolts).eval()


def by_name(x_BLT: Tensor, leads: tuple[str, ...] = LEADS) -> dict[str, Tensor]:
    return {name: x_BLT[:, place] for place, name in enumerate(leads)}


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("input_leads", INPUTS, ids="-".join)
def test_restored_limb_leads_obey_the_identities(input_leads: tuple[str, ...]) -> None:
    x = by_name(restorer(input_leads)(ecg()))
    assert close(x["III"], x["II"] - x["I"])
    assert close(x["aVR"], -(x["I"] + x["II"]) / 2)
    assert close(x["aVL"], x["I"] - x["II"] / 2)
    assert close(x["aVF"], x["II"] - x["I"] / 2)


@pytest.mark.parametrize("millivolts", [True, False])
@pytest.mark.parametrize("input_leads", INPUTS, ids="-".join)
def test_observed_leads_are_untouched_and_hidden_ones_are_not_used(
    input_leads: tuple[str, ...], millivolts: bool
) -> None:
    model, x_BLT = restorer(input_leads, millivolts=millivolts), ecg()
    restored = model(x_BLT)
    hidden = [place for place, name in enumerate(LEADS) if name not in input_leads]
    seen = [place for place, name in enumerate(LEADS) if name in input_leads]
    assert torch.equal(restored[:, seen], x_BLT[:, seen])
    other = x_BLT.clone()
    other[:, hidden] = torch.nan
    assert torch.equal(model(other), restored)
    other[:, seen] += torch.randn(3, len(seen), 200)
    assert all(not close(model(other)[:, k], restored[:, k]) for k in range(len(LEADS)))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model(x_BLT)[:, seen], x_BLT[:, seen])


@pytest.mark.parametrize("input_leads", INPUTS, ids="-".join)
def test_what_is_not_determined_is_the_networks(input_leads: tuple[str, ...]) -> None:
    """With one limb lead, (I, II) moves from the network's to the nearest pair that agrees."""
    model, x_BLT = restorer(input_leads), ecg()
    restored, x = by_name(model(x_BLT)), by_name(x_BLT)
    hidden = x_BLT.masked_fill(mask_of(LEADS, input_leads)[:, None] == 0, 0.0)
    made = by_name(model.backbone(hidden))
    limbs = [name for name in input_leads if not name.startswith("V")]
    for name in LEADS[6:]:
        assert torch.equal(restored[name], (x if name in input_leads else made)[name])
    if len(limbs) > 1:
        for name in LEADS[:6]:
            assert close(restored[name], x[name])
    elif not limbs:
        assert close(restored["I"], made["I"]) and close(restored["II"], made["II"])
    elif limbs == ["I"]:
        assert close(restored["II"], made["II"])
    elif limbs == ["II"]:
        assert close(restored["I"], made["I"])
    else:
        assert limbs == ["aVR"]
        share = -x["aVR"] - (made["I"] + made["II"]) / 2
        assert close(restored["I"], made["I"] + share)
        assert close(restored["II"], made["II"] + share)


@pytest.mark.parametrize("pair", list(itertools.combinations(LEADS[:6], 2)), ids="-".join)
def test_any_two_limb_leads_give_the_others(pair: tuple[str, str]) -> None:
    of_network, of_observed = lead_maps(LEADS, pair)
    assert not of_network[:6].any()
    x_BLT = ecg(dtype=torch.float64)
    observed = x_BLT * mask_of(LEADS, pair)[:, None]
    whole = observed + torch.tensor(of_observed) @ observed
    assert torch.allclose(whole[:, :6], x_BLT[:, :6], atol=1e-9)


def test_limb_leads_that_contradict_each_other_pass_as_they_are() -> None:
    """Rounding to microvolts, or a wrong cable: hidden ones are those of least squares."""
    x_BLT = ecg()
    x_BLT[:, 2] += 0.3  # I, II, III observed
    restored = restorer(("I", "II", "III"))(x_BLT)
    assert torch.equal(restored[:, :3], x_BLT[:, :3])
    one, two = x_BLT[:, 0] - 0.1, x_BLT[:, 1] + 0.1
    assert close(restored[:, 3], -(one + two) / 2)


def test_z_scored_signals_obey_nothing() -> None:
    model, x_BLT = restorer(("I",), millivolts=False), ecg()
    made = model.backbone(x_BLT * mask_of(LEADS, ("I",))[:, None])
    assert torch.equal(model(x_BLT)[:, 1:], made[:, 1:])


@pytest.mark.parametrize(
    ("leads", "input_leads"),
    [
        (("V2", "II", "aVL", "I"), ("aVL",)),  # another order
        (("aVR", "V1", "aVF", "III"), ("aVF",)),  # neither I nor II
        (("V1", "III", "V2"), ("V1",)),  # one limb lead: nothing to derive
        (("V1", "V2"), ("V2",)),
    ],
)
def test_fewer_leads_in_any_order(leads: tuple[str, ...], input_leads: tuple[str, ...]) -> None:
    model, x_BLT = restorer(input_leads, leads), ecg(leads)
    restored = model(x_BLT)
    assert restored.shape == x_BLT.shape
    x, made = by_name(restored, leads), model.backbone(x_BLT * mask_of(leads, input_leads)[:, None])
    if "aVL" in leads:
        assert close(x["aVL"], x["I"] - x["II"] / 2)
    elif "aVF" in leads:
        one = 2 * (x["aVF"] - x["III"])
        assert close(x["aVR"], -(one + x["III"] + one) / 2)
    else:
        hidden = [k for k, name in enumerate(leads) if name not in input_leads]
        assert close(restored[:, hidden], made[:, hidden])


def test_gradients_reach_the_network_and_its_weights_are_all_its_state() -> None:
    model = restorer(("I",)).train()
    (model(ecg()) - ecg()).square().mean().backward()
    assert all(value.grad is not None and value.grad.any() for value in model.parameters())
    assert {name.split(".")[0] for name in model.state_dict()} == {"backbone"}
    assert count_params(model)["backbone"] == 23_140
    with torch.device("meta"):
        assert restorer(("I",))(torch.empty(2, 12, 500)).shape == (2, 12, 500)


@pytest.mark.parametrize(
    ("leads", "input_leads", "message"),
    [
        (LEADS, ("I", "X"), "no lead X; the leads are I, II"),
        (("I", "DII"), ("I",), "no lead DII"),
        (("I", "II"), ("V1",), "lead V1 cannot be observed: the model has I, II"),
        (LEADS, (), "name at least one input lead"),
        (LEADS, ("I", "I"), "lead I is named twice"),
        (("I", "II", "I"), ("I",), "lead I is named twice"),
    ],
)
def test_leads_that_do_not_go_together(
    leads: tuple[str, ...], input_leads: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        mask_of(leads, input_leads)
    with pytest.raises(ValueError, match=message):
        Restorer(nn.Identity(), leads, input_leads, millivolts=True)
    with pytest.raises(ValueError, match=message):
        System(nn.Identity(), leads, input_leads)


def test_a_mask_has_the_order_of_the_leads() -> None:
    assert mask_of(("V1", "I", "II"), ("II", "V1")).tolist() == [1.0, 0.0, 1.0]


def test_a_system_masks_restores_and_predicts() -> None:
    torch.manual_seed(0)
    student = Classifier(build("convtx", "d8n1h1s2"), 3).eval()
    x_BLT, peaks_BP = ecg(), torch.full((3, 1), -1, dtype=torch.int16)
    masked = System(student, LEADS, ("I", "V1"))
    assert masked.student is student
    seen = x_BLT * mask_of(LEADS, ("V1", "I"))[:, None]
    assert torch.equal(masked(x_BLT, peaks_BP), student(seen, peaks_BP))
    assert torch.equal(System(student, LEADS, LEADS)(x_BLT), student(x_BLT))
    by = restorer(("V1", "I"))
    whole = System(student, LEADS, ("I", "V1"), by)
    assert torch.equal(whole(x_BLT), student(by(x_BLT)))
    x_BLT[:, 1] = torch.nan
    assert torch.isfinite(whole(x_BLT)).all() and torch.isfinite(masked(x_BLT)).all()


def test_a_system_refuses_the_restorer_of_other_leads() -> None:
    student = Classifier(build("convtx", "d8n1h1s2"), 3)
    with pytest.raises(ValueError, match="the restorer observes I, not II"):
        System(student, LEADS, ("II",), restorer(("I",)))
    with pytest.raises(ValueError, match="the restorer has leads I, II, not II, I"):
        System(student, ("II", "I"), ("I",), restorer(("I",), ("I", "II")))
