"""Grad-CAM: the closed form of a linear net, and where each family holds its map."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from scaling.explain.grad_cam import (
    at_heartbeats,
    at_samples,
    features_and_gradients,
    grad_cam,
    submodule,
    weighted_map,
)
from scaling.models.families import build
from scaling.models.heartbeats import MIDDLE
from scaling.models.restorer import Restorer
from scaling.models.system import System
from scaling.models.transformer import EcgTransformer
from scaling.objectives.labels import Classifier

LEADS, SAMPLES, CLASSES = 3, 300, 4
NAMES = ("I", "II", "V1")
SIZES = {"resnet": "d2w6", "convtx": "d8n1h1s2", "transformer": "l1d8h1t128"}


class Linear(nn.Module):
    """A convolution, its mean over time, and a linear layer: all that it computes is linear."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(LEADS, 5, 7, padding=3)
        self.head = nn.Linear(5, CLASSES)

    def forward(self, x_BLT: Tensor) -> Tensor:
        logits: Tensor = self.head(self.convolution(x_BLT).mean(dim=-1))
        return logits


def record(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    peaks = torch.tensor([[60, 140, 230, -1]], dtype=torch.int16)
    return torch.randn(1, LEADS, SAMPLES, generator=generator), peaks


def classifier(family: str) -> Classifier:
    torch.manual_seed(0)
    model = Classifier(build(family, SIZES[family], LEADS), CLASSES)
    return model.eval().requires_grad_(False)


def made(model: Classifier, family: str, place: int, x_1LT: Tensor, peaks_1P: Tensor) -> Tensor:
    return grad_cam(model, model.backbone, family, SIZES[family], place, x_1LT, peaks_1P)


@pytest.mark.parametrize("place", range(CLASSES))
def test_of_a_linear_net_it_is_the_closed_form(place: int) -> None:
    """dy_c/dA^k_s is w_ck / S everywhere, so the map is ReLU(sum_k w_ck A^k_s) / S."""
    torch.manual_seed(1)
    net = Linear().double().requires_grad_(False)
    x_1LT = torch.randn(1, LEADS, 40, dtype=torch.float64)
    features, gradient = features_and_gradients(
        net, net.convolution, lambda output: output, place, x_1LT
    )
    found_S = weighted_map(features[0].T, gradient[0].T)
    a_KS, w_K = net.convolution(x_1LT)[0], net.head.weight[place]
    expected_S = (w_K @ a_KS).clamp_min(0) / 40
    assert found_S.max() > 0 and found_S.min() == 0
    torch.testing.assert_close(found_S, expected_S, rtol=1e-9, atol=1e-12)


def test_of_a_resnet_it_is_the_class_activation_map() -> None:
    model, (x_1LT, peaks) = classifier("resnet"), record()
    kept: list[Tensor] = []
    last = submodule(model.backbone, "blocks.-1")
    last.register_forward_hook(lambda *a: kept.append(a[2][1]))
    model(x_1LT)
    a_KS = kept[0][0, :, 0]
    head = model.output_layer.weight
    for place in range(CLASSES):
        cam_S = (head[place] @ a_KS).clamp_min(0) / a_KS.shape[1]
        expected_T = at_samples(cam_S, 16, SAMPLES)
        torch.testing.assert_close(made(model, "resnet", place, x_1LT, peaks), expected_T)


@pytest.mark.parametrize("family", SIZES)
def test_a_map_is_of_the_samples_and_of_the_class(family: str) -> None:
    model, (x_1LT, peaks) = classifier(family), record()
    maps = torch.stack([made(model, family, c, x_1LT, peaks) for c in range(CLASSES)])
    assert maps.shape == (CLASSES, SAMPLES)
    assert torch.isfinite(maps).all() and maps.min() >= 0 and maps.max() > 0
    assert torch.pdist(maps).max() > 0, "classes have maps of their own"
    assert not any(p.requires_grad for p in model.parameters())
    assert not any(m._forward_hooks for m in model.modules()), "no hook is left"


def test_what_happens_late_in_a_record_leaves_the_map_before_it() -> None:
    model, (x_1LT, peaks) = classifier("resnet"), record()
    place = int(torch.stack([made(model, "resnet", c, x_1LT, peaks) for c in range(CLASSES)])
                .sum(dim=1).argmax())  # fmt: skip
    other = x_1LT.clone()
    other[..., 220:] += 3.0
    before, after = (made(model, "resnet", place, x, peaks) for x in (x_1LT, other))
    torch.testing.assert_close(before[:96], after[:96])
    assert not torch.allclose(before[220:], after[220:])


def test_a_system_is_asked_in_what_its_student_is_given() -> None:
    model, (x_1LT, peaks) = classifier("resnet"), record()
    system = System(model, NAMES, ("I",)).eval()
    hidden = x_1LT.clone()
    hidden[:, 1:] = 0.0
    found = grad_cam(system, model.backbone, "resnet", SIZES["resnet"], 1, x_1LT, peaks)
    torch.testing.assert_close(found, made(model, "resnet", 1, hidden, peaks))
    net = Restorer(nn.Identity(), NAMES, ("I",), millivolts=False)
    net.backbone.forward = lambda x, peaks: x + 1.0
    restored = System(model, NAMES, ("I",), net).eval()
    found = grad_cam(restored, model.backbone, "resnet", SIZES["resnet"], 1, x_1LT, peaks)
    given = torch.cat([x_1LT[:, :1], torch.ones_like(x_1LT[:, 1:])], dim=1)
    torch.testing.assert_close(found, made(model, "resnet", 1, given, peaks))


def test_a_map_of_places_is_linear_between_their_middles() -> None:
    found = at_samples(torch.tensor([0.0, 4.0, 0.0]), 4, 10)
    expected = [0.0, 0.0, 0.5, 1.5, 2.5, 3.5, 3.5, 2.5, 1.5, 0.5]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_heartbeats_are_put_back_where_they_were_cut() -> None:
    backbone = build("transformer", SIZES["transformer"], LEADS)
    assert isinstance(backbone, EcgTransformer)
    x_1LT, peaks = record()
    map_S = torch.zeros(10)
    map_S[0], map_S[4] = 1.0, 2.0  # the first beat of lead I, the second of lead II
    found = at_heartbeats(map_S, backbone, x_1LT, peaks)
    first, second = slice(60 - MIDDLE, 100), slice(100, 185)  # to midpoints of R peaks
    expected = torch.zeros(SAMPLES)
    expected[first] += 1.0
    expected[second] += 2.0
    torch.testing.assert_close(found, expected)


def test_a_family_that_is_not_known_is_refused() -> None:
    model, (x_1LT, peaks) = classifier("resnet"), record()
    with pytest.raises(ValueError, match="Grad-CAM of family 'mixer' is not known"):
        grad_cam(model, model.backbone, "mixer", "w16d1", 0, x_1LT, peaks)
