"""One-dimensional convolutions, run as two-dimensional ones in channels-last memory.

What is computed are convolutions of images one sample high, (B, C, 1, T), whose channels lie side
by side in memory: the same sums, which libraries have much faster kernels for. Weights have the
names and shapes of one-dimensional layers. ``docs/models.md`` has the figures.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear, pad


def channels_last(x_BC1T: Tensor) -> Tensor:
    """The same numbers, those of all channels at one sample side by side in memory."""
    return x_BC1T.contiguous(memory_format=torch.channels_last)


def as_images(x_BLT: Tensor, multiple: int = 1) -> Tensor:
    """Records (B, L, T) as (B, L, 1, T'), zeros added at the end to a multiple of samples T'."""
    if lacking := -x_BLT.shape[-1] % multiple:
        x_BLT = pad(x_BLT, (0, lacking))
    return channels_last(x_BLT.unsqueeze(2))


class Conv(nn.Conv1d):
    """A one-dimensional convolution along the last axis of (B, C, 1, T).

    ``kernel`` is odd; it is padded so that stride 1 keeps the number of samples.
    """

    def __init__(
        self, width_in: int, width: int, kernel: int, stride: int = 1, bias: bool = False
    ) -> None:
        super().__init__(width_in, width, kernel, stride, padding=kernel // 2, bias=bias)

    def forward(self, x_BC1T: Tensor) -> Tensor:
        """(B, C_in, 1, T) to (B, C, 1, ceil(T / stride)), in channels-last memory."""
        weight = self.weight.unsqueeze(2)  # here, so that weights keep their names and shapes
        padding = (0, self.kernel_size[0] // 2)
        # A copy after one lead only, which has no order of axes that the convolution could keep.
        return channels_last(conv2d(x_BC1T, weight, self.bias, (1, *self.stride), padding))


class UpConv(nn.ConvTranspose1d):
    """A transposed convolution of (B, C, 1, T) that makes ``factor`` samples of each.

    Its kernel is as long as its stride, so samples do not meet and it is one matrix product.
    """

    def __init__(self, width_in: int, width: int, factor: int) -> None:
        super().__init__(width_in, width, factor, factor)

    def forward(self, x_BC1T: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, C_in, 1, T) to (B, C, 1, T * factor); no other ``output_size`` is possible."""
        records, _, _, samples = x_BC1T.shape
        bias = None if self.bias is None else self.bias.repeat(self.kernel_size[0])
        weight = self.weight.permute(2, 1, 0).flatten(0, 1)
        made_BTK = linear(x_BC1T.squeeze(2).transpose(1, 2), weight, bias)
        apart = made_BTK.view(records, samples * self.kernel_size[0], self.out_channels)
        return apart.transpose(1, 2).unsqueeze(2)
