"""UNets: the published sizes, windows, MACs, and what is computed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.functional import leaky_relu, max_pool1d, pad

from scaling.cost import count_macs
from scaling.models.checkpointing import recompute_blocks
from scaling.models.families import FAMILIES, build, problem
from scaling.models.sizes import UNET
from scaling.models.unet import UNet
from tests.scaling.models.fvcore_macs import count_macs_fvcore
from tests.scaling.models.weights import far

# Parameters, and GMACs of four records of 6,144 samples; S2 prints 0.36, 1.43 and 5.71 M.
S2 = {"c16": (359_596, 0.654), "c32": (1_431_372, 2.561), "c64": (5_711_500, 10.129)}
OURS = {"c4": 23_140, "c8": 90_780}


def closed_form(channels: tuple[int, ...], leads: int, samples: int) -> int:
    """MACs, written out independently of the model."""
    t, before, macs, lengths = -(-samples // 64) * 64, leads, 0, []
    for width in channels:
        macs += 5 * t * width * (before + width)
        lengths.append(t)
        before, t = width, t // 4
    for below, here, t in zip(channels[:0:-1], channels[-2::-1], lengths[-2::-1], strict=True):
        macs += t * below * below + 5 * t * here * (below + here + here)
    return macs + lengths[0] * channels[0] * leads


def plain(net: UNet, x_BLT: Tensor) -> Tensor:
    """The same in PyTorch's one-dimensional layers and with the weights of ``net``."""

    def both(convolutions: nn.Module, h_BCT: Tensor) -> Tensor:
        for k in (1, 2):
            conv, norm = (convolutions.get_submodule(f"{name}{k}") for name in ("conv", "bn"))
            assert isinstance(conv, nn.Conv1d) and isinstance(norm, nn.BatchNorm2d)
            h_BCT = nn.functional.conv1d(h_BCT, conv.weight, conv.bias, padding=2)
            h_BCT = nn.functional.batch_norm(
                h_BCT, None, None, norm.weight, norm.bias, training=True
            )
            h_BCT = leaky_relu(h_BCT)
        return h_BCT

    h, kept = pad(x_BLT, (0, -x_BLT.shape[-1] % 64)), []
    for k, down in enumerate(net.encoder.blocks):
        h = both(down.get_submodule("convolutions"), max_pool1d(h, 4) if k else h)
        kept.append(h)
    for up, beside in zip(net.decoder.blocks, kept[-2::-1], strict=True):
        stretch = up.get_submodule("stretch")
        assert isinstance(stretch, nn.ConvTranspose1d)
        h = nn.functional.conv_transpose1d(h, stretch.weight, stretch.bias, stride=4)
        h = both(up.get_submodule("convolutions"), torch.cat([h, beside], dim=1))
    return nn.functional.conv1d(h, net.out.weight, net.out.bias)[..., : x_BLT.shape[-1]]


@pytest.mark.parametrize("size", UNET)
def test_parameters_and_macs_are_those_of_s2(size: str) -> None:
    with torch.device("meta"):
        net = UNet(size)
    total = sum(value.numel() for value in net.parameters())
    shape = UNET[size]
    assert shape.channels == tuple(int(size[1:]) * 2**k for k in range(4))
    assert total == (OURS[size] if shape.laptop else S2[size][0])
    for samples in (500, 1000, 6144):
        found = count_macs(net, (1, 12, samples))
        assert found == closed_form(shape.channels, 12, samples)
    if not shape.laptop:
        assert 4e-9 * found == pytest.approx(S2[size][1], abs=5e-4)


@pytest.mark.parametrize("size", ["c4", "c16"])
def test_fvcore_agrees(size: str) -> None:
    found = count_macs_fvcore(UNet(size), (1, 12, 500))
    assert found == pytest.approx(closed_form(UNET[size].channels, 12, 500), rel=5e-3)


@pytest.mark.parametrize("leads", [1, 12])
def test_it_computes_what_plain_layers_would(leads: int) -> None:
    """Values and gradients in double precision; in single a sum may fall beside a kink."""
    torch.manual_seed(0)
    net = UNet("c4", leads).double()
    x_BLT = torch.randn(3, leads, 333, dtype=torch.float64, requires_grad=True)
    found, expected = net(x_BLT), plain(net, x_BLT)
    assert found.shape == x_BLT.shape
    assert far(found, expected) < 1e-10
    to = [x_BLT, *(value for name, value in net.named_parameters() if ".bias" not in name)]
    gradients = [torch.autograd.grad(made.square().sum(), to) for made in (found, expected)]
    assert all(far(a, b) < 1e-9 for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("samples", [500, 1000, 5000, 6144, 333, 1])
def test_any_window_is_read_as_with_zeros_at_its_end(samples: int) -> None:
    torch.manual_seed(0)
    net, x_BLT = UNet("c4").eval(), torch.randn(2, 12, samples)
    restored = net(x_BLT)
    assert restored.shape == x_BLT.shape
    assert torch.isfinite(restored).all()
    padded = net(pad(x_BLT, (0, -samples % 64)))
    assert torch.allclose(restored, padded[..., :samples], atol=1e-6)
    assert problem("unet", "c4", 500, samples, 12) is None


def test_records_do_not_see_each_other_in_evaluation_mode() -> None:
    torch.manual_seed(0)
    net, x_BLT = UNet("c8").eval(), torch.randn(4, 12, 500)
    together = net(x_BLT)
    alone = torch.cat([net(x_BLT[i : i + 1]) for i in range(4)])
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.allclose(together.flip(0), net(x_BLT.flip(0)), atol=1e-5)


def test_gradients_reach_every_parameter() -> None:
    torch.manual_seed(0)
    net, x_BLT = UNet("c4"), torch.randn(4, 12, 500)
    (net(x_BLT) - x_BLT).square().sum().backward()
    assert all(value.grad is not None and value.grad.any() for value in net.parameters())


def test_bf16_is_near_float32() -> None:
    torch.manual_seed(0)
    net, x_BLT = UNet("c8").eval(), torch.randn(4, 12, 500)
    exact = net(x_BLT)
    with torch.autocast("cpu", torch.bfloat16):
        rough = net(x_BLT).float()
    assert (rough - exact).abs().mean() < 0.05 * exact.abs().mean()
    rough.square().sum().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in net.parameters())


def test_checkpointed_blocks_give_the_same_numbers() -> None:
    """Values, gradients and running statistics bit for bit, keeping less."""
    kept, results = [0, 0], []
    for again in (False, True):
        torch.manual_seed(0)
        net, x_BLT = UNet("c4"), torch.randn(4, 12, 500)
        recompute_blocks(net, again)

        def keep(value: Tensor, place: int = int(again)) -> Tensor:
            kept[place] += value.numel()
            return value

        with saved_tensors_hooks(keep, lambda value: value):
            restored = net(x_BLT)
        restored.square().sum().backward()
        results.append([restored, *(value.grad for value in net.parameters()), *net.buffers()])
    assert kept[1] < 0.7 * kept[0]
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_a_network_that_restores_is_no_backbone() -> None:
    assert FAMILIES["unet"].stage == "restore"
    with pytest.raises(ValueError, match="family unet has no backbone"):
        build("unet", "c4")
