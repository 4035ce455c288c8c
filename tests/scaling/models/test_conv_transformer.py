"""Convolutional Transformers: the published sizes, heads, windows, MACs, and what is computed."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import pad, scaled_dot_product_attention

from scaling.cost import count
from scaling.models.conv_transformer import ConvTransformer, attend, positions
from scaling.models.families import build, problem
from scaling.models.sizes import CONVTX, ConvtxShape, shortest
from scaling.models.testing import FamilyContract
from scaling.objectives.labels import Classifier
from tests.scaling.models.fvcore_macs import count_macs_fvcore
from tests.scaling.models.plain_conv_transformer import PlainConvTransformer
from tests.scaling.models.weights import far, move_statistics, without_weights

# Parameters with a head of six classes, and GMACs of four records of 6,144 samples.
S2 = {
    "d64n1": (256_070, 0.447),
    "d128n1": (1_003_654, 1.683),
    "d128n4": (1_598_470, 1.938),
    "d512n12": (50_487_302, 39.386),
}
OF_23 = {"d64n1": 257_175, "d128n1": 1_005_847, "d128n4": 1_600_663, "d512n12": 50_496_023}
SIZES = ["d16n1h2s2", "d48n2h4", "d64n1"]  # laptop, laptop, S2


class TestConvTransformer(FamilyContract):
    family, size = "convtx", "d16n1h2s2"


def closed_form(shape: ConvtxShape, leads: int, samples: int, num_labels: int) -> int:
    """MACs of the model and its head, written out independently of it."""
    d, before, macs = shape.width, leads, 0
    t = -(-samples // math.prod(shape.strides)) * math.prod(shape.strides)
    for stride in shape.strides:
        t //= stride
        macs += t * d * (9 * before + 9 * d + before)
        before = d
    macs += shape.layers * (t * 12 * d * d + 2 * t * t * d)
    return macs + (d * (d + num_labels) if num_labels else 0)


@pytest.mark.parametrize(("size", "total", "gmacs"), [(k, *v) for k, v in S2.items()])
def test_the_models_of_s2(size: str, total: int, gmacs: float) -> None:
    """S2 prints 50.5, 1.60, 1.01 and 0.26 M parameters; MACs are those of a batch of four."""
    counts = count("convtx", size, 12, 6144, 6)
    assert counts.total == total
    assert count("convtx", size, 12, 6144, 23).total == OF_23[size]
    width = CONVTX[size].width
    assert counts.N == total - width * (width + 1) - 6 * (width + 1)
    assert 4e-9 * counts.macs == pytest.approx(gmacs, abs=5e-4)
    assert not CONVTX[size].laptop


@pytest.mark.parametrize("size", CONVTX)
def test_sizes_are_named_by_what_they_are(size: str) -> None:
    shape = CONVTX[size]
    heads = "" if shape.heads == 16 else f"h{shape.heads}"
    strides = "s2" if shape.strides == (2, 2, 2) else ""
    assert strides or shape.strides == (4, 4, 4)
    assert size == f"d{shape.width}n{shape.layers}{heads}{strides}"
    assert shape.width % shape.heads == 0


@pytest.mark.parametrize("samples", [500, 1000, 5000, 6144])
@pytest.mark.parametrize("size", CONVTX)
def test_macs_on_the_meta_device_equal_the_closed_form(size: str, samples: int) -> None:
    assert count("convtx", size, 12, samples, 6).macs == closed_form(CONVTX[size], 12, samples, 6)


@pytest.mark.parametrize("size", [name for name, shape in CONVTX.items() if shape.width < 512])
def test_fvcore_agrees(size: str) -> None:
    ours = count("convtx", size, 12, 500, 6).macs
    found = count_macs_fvcore(without_weights("convtx", size), (1, 12, 500))
    assert found == pytest.approx(ours, rel=5e-3)


def pair(size: str, leads: int = 12) -> tuple[nn.Module, PlainConvTransformer]:
    """Ours and plain with the same weights, statistics that are not those of the start."""
    torch.manual_seed(0)
    ours, plain = build("convtx", size, leads), PlainConvTransformer(size, leads)
    move_statistics(ours)
    plain.load_state_dict(ours.state_dict())
    return ours, plain


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("leads", [1, 12])
@pytest.mark.parametrize("size", SIZES)
def test_features_and_gradients_are_those_of_plain_layers(
    size: str, leads: int, training: bool
) -> None:
    """In double precision: in single, a sum near zero may fall on the other side of a ReLU."""
    ours, plain = (model.double().train(training) for model in pair(size, leads))
    x_BLT = torch.randn(4, leads, 333, dtype=torch.float64)
    for each in (ours, plain):
        each(x_BLT).square().sum().backward()
    assert far(ours(x_BLT), plain(x_BLT)) < 1e-10
    theirs = dict(plain.named_parameters())
    for name, value in ours.named_parameters():
        expected = theirs[name].grad
        assert value.grad is not None and expected is not None
        # In training, a bias before batch normalisation has no effect: its gradient is rounding.
        if not (training and name.endswith(("conv1.bias", "conv2.bias"))):
            assert far(value.grad, expected) < 1e-9, name
    statistics = dict(plain.named_buffers())
    for name, found in ours.named_buffers():
        assert torch.allclose(found, statistics[name], rtol=1e-10), name


@pytest.mark.parametrize("samples", [500, 1000, 5000, 6144, 333])
@pytest.mark.parametrize("size", ["d8n1h1s2", "d8n1h1"])
def test_any_window_is_read_as_with_zeros_at_its_end(size: str, samples: int) -> None:
    """As many zeros as are needed for whole tokens, and no more."""
    torch.manual_seed(0)
    backbone = build("convtx", size).eval()
    x_BLT = torch.randn(2, 12, samples)
    features = backbone(x_BLT)
    assert torch.isfinite(features).all()
    padded = pad(x_BLT, (0, -samples % shortest(size)))
    assert padded.shape[-1] - samples < shortest(size)
    assert torch.allclose(features, backbone(padded), atol=1e-6)
    assert isinstance(backbone, ConvTransformer)
    assert backbone.tokenizer(x_BLT).shape[1] == padded.shape[-1] // shortest(size)


def test_a_size_refuses_windows_shorter_than_a_token() -> None:
    assert problem("convtx", "d8n1h1", 100, 64, 12) is None
    message = problem("convtx", "d8n1h1", 100, 63, 12)
    assert message == (
        "size d8n1h1 divides time by 64, which leaves no sample of records of 63 samples: its "
        "shortest legal window is 64 samples"
    )
    backbone = build("convtx", "d8n1h1").eval()
    assert torch.isfinite(backbone(torch.randn(1, 12, 64))).all()
    with pytest.raises(ValueError, match=message):
        backbone(torch.randn(1, 12, 63))


def test_tokens_see_what_is_before_them_alone() -> None:
    torch.manual_seed(0)
    backbone = build("convtx", "d48n2h4s2").eval()
    assert isinstance(backbone, ConvTransformer)
    h_BSD = torch.randn(2, 60, 48)
    before = backbone.encoder(h_BSD)
    h_BSD[:, 40:] += torch.randn(2, 20, 48)
    after = backbone.encoder(h_BSD)
    assert torch.allclose(before[:, :40], after[:, :40], atol=1e-6)
    assert (before - after).abs().amax(dim=(0, 2))[40:].min() > 1e-2


@pytest.mark.parametrize("causal", [True, False])
def test_attention_in_bf16_is_that_of_the_fused_kernel(causal: bool) -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 17, 8).bfloat16()
    rough = attend(q, k, v, causal, 0.0)
    exact = scaled_dot_product_attention(q.float(), k.float(), v.float(), is_causal=causal)
    assert rough.dtype == torch.bfloat16
    assert (rough - exact).abs().mean() < 0.01 * exact.abs().mean()
    assert torch.equal(attend(q.float(), k.float(), v.float(), causal, 0.0), exact)


def test_positions_are_sinusoids_of_any_number_of_tokens() -> None:
    found = positions(700, 6, torch.device("cpu"))
    assert found.shape == (700, 6)
    for place in (0, 1, 250, 699):
        for column in range(6):
            angle = place / 10_000 ** (column // 2 * 2 / 6)
            expected = math.cos(angle) if column % 2 else math.sin(angle)
            assert found[place, column] == pytest.approx(expected, abs=1e-4)


def test_the_head_is_two_linear_layers_with_nothing_between() -> None:
    torch.manual_seed(0)
    model = Classifier(build("convtx", "d8n1h1s2"), 3)
    assert [type(layer) for layer in model.head.children()] == [nn.Linear, nn.Linear]
    first, last = model.head.children()
    assert last is model.output_layer
    assert (model.output_layer.in_features, model.output_layer.out_features) == (8, 3)
    features = torch.randn(5, 8)
    assert torch.allclose(model.head(features), last(first(features)))


def test_other_families_have_one_linear_layer() -> None:
    model = Classifier(build("resnet", "d2w6"), 3)
    assert model.head is model.output_layer
