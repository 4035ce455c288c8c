"""UNet: an ECG of all leads from some of them, after S2 (LiteHeart).

Levels of two convolutions each; from one to the next, time is divided by four (max-pooling) and
channels double. On the way back a transposed convolution stretches time by four, what the encoder
had at that level is put beside it, and two convolutions join them; one of a single sample gives the
leads (Ronneberger et al. 2015, arXiv 1505.04597, Figure 1). S2 prints the numbers of parameters
alone; this is the form that has them (``docs/models.md``).

Records of any length are read: zeros are added at their end to a multiple of 64 samples, and what
comes of them is cut off. Convolutions are run as two-dimensional ones (``channels_last``).
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from scaling.models.channels_last import Conv, UpConv, as_images
from scaling.models.checkpointing import run_block
from scaling.models.sizes import UNET, UNET_POOL

KERNEL = 5  # samples of the convolutions


class Convolutions(nn.Module):
    """Two convolutions, each with batch normalisation and a leaky ReLU."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.conv1 = Conv(width_in, width, KERNEL, bias=True)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = Conv(width, width, KERNEL, bias=True)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x_BC1T: Tensor) -> Tensor:
        """(B, C_in, 1, T) to (B, C, 1, T)."""
        h = leaky_relu(self.bn1(self.conv1(x_BC1T)))
        return leaky_relu(self.bn2(self.conv2(h)))


class Down(nn.Module):
    """A level of the encoder: pooling, but in the first, then convolutions."""

    def __init__(self, width_in: int, width: int, pool: int) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d((1, pool)) if pool > 1 else nn.Identity()
        self.convolutions = Convolutions(width_in, width)

    def forward(self, x_BC1T: Tensor) -> Tensor:
        """(B, C_in, 1, T) to (B, C, 1, T / pool)."""
        out: Tensor = self.convolutions(self.pool(x_BC1T))
        return out


class Up(nn.Module):
    """A level of the decoder: what comes from below, stretched, beside what the encoder had."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.stretch = UpConv(width_in, width_in, UNET_POOL)
        self.convolutions = Convolutions(width_in + width, width)

    def forward(self, x_BC1T: Tensor, beside_BC1T: Tensor) -> Tensor:
        """(B, C_in, 1, T / 4) and (B, C, 1, T) to (B, C, 1, T)."""
        out: Tensor = self.convolutions(torch.cat([self.stretch(x_BC1T), beside_BC1T], dim=1))
        return out


class Levels(nn.Module):
    """The levels of one half, in the order in which they are run."""

    def __init__(self, levels: list[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(levels)


class UNet(nn.Module):
    """Records to records of the same leads and length.

    Args:
        size: point on the ladder ``UNET``, such as ``c16``.
        leads: leads of the records.
    """

    def __init__(self, size: str, leads: int = 12) -> None:
        super().__init__()
        channels = UNET[size].channels
        pools = (1, *(UNET_POOL for _ in channels[1:]))
        steps = zip(itertools.pairwise((leads, *channels)), pools, strict=True)
        self.encoder = Levels([Down(before, after, pool) for (before, after), pool in steps])
        self.decoder = Levels([Up(*pair) for pair in itertools.pairwise(channels[::-1])])
        self.out = Conv(channels[0], leads, 1, bias=True)
        self.multiple = UNET_POOL ** (len(channels) - 1)

    def forward(self, x_BLT: Tensor, r_peaks_BP: Tensor | None = None) -> Tensor:
        """Records (B, L, T), in millivolts or z-scored, to (B, L, T); R peaks are not used."""
        h = as_images(x_BLT, self.multiple)
        kept: list[Tensor] = []
        for level in self.encoder.blocks:
            h = run_block(level, h)
            kept.append(h)
        for level, beside in zip(self.decoder.blocks, kept[-2::-1], strict=True):
            h = run_block(level, h, beside)
        restored: Tensor = self.out(h).squeeze(2)[..., : x_BLT.shape[-1]]
        return restored
