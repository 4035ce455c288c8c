"""ResNet-1D after Ribeiro et al. 2020 (Nature Communications 11:1760), in the PyTorch port's form.

A stem convolution, then residual blocks; in each the second convolution is strided and the
skip path is a max-pool and, when widths differ, a 1 x 1 convolution. The un-normalised sum is
carried on the skip path (two outputs a block). Global average pooling replaces the original's
flatten, so the number of parameters does not depend on the length of the record.

Sizes are named ``d<blocks>w<channels of the last block>``. Channels follow Ribeiro's ramp
64, 128, 196, 256, 320 resampled to the number of blocks and scaled to the last width
(the reading of S1's Table S.4 in which all ten sizes fall into their decade).

Convolutions are run as two-dimensional ones (``channels_last``), which is much faster.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scaling.models.channels_last import Conv, as_images
from scaling.models.checkpointing import run_block
from scaling.models.sizes import RESNET, strides_cannot_read


class ResidualBlock(nn.Module):
    """One residual block; takes and returns (skip path, main path)."""

    def __init__(self, width_in: int, width: int, stride: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.conv1 = Conv(width_in, width, kernel)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = Conv(width, width, kernel, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(dropout)
        self.pool = nn.MaxPool2d((1, stride), ceil_mode=True) if stride > 1 else nn.Identity()
        self.skip = nn.Identity() if width_in == width else Conv(width_in, width, 1)

    def forward(self, y_BC1T: Tensor, x_BC1T: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C_in, 1, T) twice to (B, C, 1, ceil(T / stride)) twice."""
        h = self.dropout(torch.relu(self.bn1(self.conv1(x_BC1T))))
        y = self.conv2(h) + self.skip(self.pool(y_BC1T))
        return y, self.dropout(torch.relu(self.bn2(y)))


class ResNet1d(nn.Module):
    """The backbone: records to pooled features, no head.

    Args:
        size: point on the ladder ``RESNET``, such as ``d3w24``.
        leads: input leads.
        dropout: rate inside the blocks.
    """

    def __init__(self, size: str, leads: int = 12, dropout: float = 0.0) -> None:
        super().__init__()
        shape = RESNET[size]
        kernel, stem = shape.kernel, shape.channels[0]
        self.conv1 = Conv(leads, stem, kernel)
        self.bn1 = nn.BatchNorm2d(stem)
        widths = (stem, *shape.channels)
        self.blocks = nn.ModuleList(
            ResidualBlock(before, after, stride, kernel, dropout)
            for before, after, stride in zip(widths, widths[1:], shape.strides, strict=False)
        )
        self.features = shape.channels[-1]
        self.size = size
        for module in self.modules():
            if isinstance(module, Conv):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x_BLT: Tensor, r_peaks_BP: Tensor | None = None) -> Tensor:
        """Records (B, L, T) in millivolts to features (B, F); R peaks are not looked at.

        Raises:
            ValueError: records of which the strides leave less than a sample.
        """
        if problem := strides_cannot_read(self.size, x_BLT.shape[-1]):
            raise ValueError(problem)
        x = self.bn1(self.conv1(as_images(x_BLT)))
        y = x
        for block in self.blocks:
            y, x = run_block(block, y, x)
        features: Tensor = x.mean(dim=(2, 3))
        return features
