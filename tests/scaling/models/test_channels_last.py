"""What the ResNet computes is what its one-dimensional layers would; all of it in channels-last."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from scaling.models.families import build
from scaling.models.resnet import ResNet1d
from scaling.models.sizes import shortest
from tests.scaling.models.plain_resnet import PlainResnet
from tests.scaling.models.weights import far, move_statistics

SIZES = ["d2w6", "d2w64", "d3w24", "d4w64"]  # laptop, laptop, S1, S1


def pair(size: str, leads: int = 12) -> tuple[nn.Module, PlainResnet]:
    """Ours and plain with the same weights, statistics that are not those of the start."""
    torch.manual_seed(0)
    ours, plain = build("resnet", size, leads), PlainResnet(size, leads)
    move_statistics(ours)
    plain.load_state_dict(ours.state_dict())
    return ours, plain


@pytest.mark.parametrize("size", SIZES)
def test_weights_go_from_one_to_the_other(size: str) -> None:
    ours, plain = pair(size)
    shapes, theirs = ({name: value.shape for name, value in model.state_dict().items()}
                      for model in (ours, plain))  # fmt: skip
    assert shapes == theirs
    assert list(shapes) == list(theirs)
    ours.load_state_dict(plain.state_dict())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_features_and_statistics_are_those_of_conv1d(size: str, training: bool) -> None:
    """At 5 s, at lengths that strides do not divide, and at the shortest one."""
    ours, plain = (model.train(training) for model in pair(size))
    for samples in (500, 333, 501, shortest(size) + 1, shortest(size)):
        x_BLT = torch.randn(8, 12, samples)
        assert far(ours(x_BLT), plain(x_BLT)) < 1e-5, samples
    statistics = dict(plain.named_buffers())
    for name, value in ours.named_buffers():
        if name.endswith("num_batches_tracked"):
            assert value == statistics[name] == 5 * training
        else:
            assert torch.allclose(value, statistics[name], rtol=1e-5, atol=1e-6), name


@pytest.mark.parametrize("leads", [1, 2, 12])
@pytest.mark.parametrize("records", [1, 3])
def test_few_leads_and_records(leads: int, records: int) -> None:
    for training in (True, False):
        ours, plain = (model.train(training) for model in pair("d2w24", leads))
        x_BLT = torch.randn(records, leads, 250)
        assert far(ours(x_BLT), plain(x_BLT)) < 1e-5


def test_one_sample_of_one_record_has_no_statistics() -> None:
    """As with conv1d: training would divide by zero, evaluation works."""
    ours, plain = pair("d2w6")
    x_BLT = torch.randn(1, 12, 16)
    for model in (ours, plain):
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            model(x_BLT)
    assert far(ours.eval()(x_BLT), plain.eval()(x_BLT)) < 1e-5


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_gradients_are_those_of_conv1d(size: str, training: bool) -> None:
    """In double precision: in single, a sum near zero may fall on the other side of a ReLU."""
    ours, plain = (model.double().train(training) for model in pair(size))
    x_BLT = torch.randn(4, 12, 333, dtype=torch.float64)
    inputs = []
    for model in (ours, plain):
        inputs.append(x_BLT.clone().requires_grad_())
        model(inputs[-1]).square().sum().backward()
    theirs = dict(plain.named_parameters())
    for name, value in ours.named_parameters():
        expected = theirs[name].grad
        assert value.grad is not None and expected is not None
        assert far(value.grad, expected) < 1e-10, name
        assert value.grad.stride() == value.stride(), "moments are stored in this order"
    assert inputs[0].grad is not None and inputs[1].grad is not None
    assert far(inputs[0].grad, inputs[1].grad) < 1e-10


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("leads", [1, 12])
def test_every_layer_works_in_channels_last(leads: int, precision: torch.dtype) -> None:
    """A layer that fell back to another order would be slow, with the same numbers."""
    backbone = build("resnet", "d2w24", leads, dropout=0.1)
    assert isinstance(backbone, ResNet1d)
    seen = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append(module)
        _, channels, height, samples = output.shape
        steps = (channels * height * samples, 1, channels * samples, channels)
        # A convolution of one lead cannot see the order in its input.
        assert output.stride() == steps or (leads == 1 and module is backbone.conv1), module

    layers = (nn.Conv1d, nn.BatchNorm2d, nn.MaxPool2d, nn.Dropout)
    for module in backbone.modules():
        if isinstance(module, layers):
            module.register_forward_hook(look)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        backbone(torch.randn(4, leads, 500)).sum().backward()
    assert len(set(seen)) == len([m for m in backbone.modules() if isinstance(m, layers)]) == 15
