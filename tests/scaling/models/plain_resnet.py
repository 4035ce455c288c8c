"""The ResNet of ``scaling.models.resnet`` in PyTorch's one-dimensional layers, as anyone writes it.

Names and shapes of the weights are the same, so a state of one loads into the other. Tests compare
numbers with it, ``benchmarks/bench_training.py`` speed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scaling.models.sizes import RESNET


def conv(width_in: int, width: int, kernel: int, stride: int = 1) -> nn.Conv1d:
    return nn.Conv1d(width_in, width, kernel, stride, padding=kernel // 2, bias=False)


class PlainBlock(nn.Module):
    def __init__(self, width_in: int, width: int, stride: int, kernel: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(width_in, width, kernel), nn.BatchNorm1d(width)
        self.conv2, self.bn2 = conv(width, width, kernel, stride), nn.BatchNorm1d(width)
        self.pool = nn.MaxPool1d(stride, ceil_mode=True)
        self.skip = nn.Identity() if width_in == width else conv(width_in, width, 1)

    def forward(self, y_BCT: Tensor, x_BCT: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.relu(self.bn1(self.conv1(x_BCT)))
        y = self.conv2(h) + self.skip(self.pool(y_BCT))
        return y, torch.relu(self.bn2(y))


class PlainResnet(nn.Module):
    def __init__(self, size: str, leads: int = 12) -> None:
        super().__init__()
        shape = RESNET[size]
        self.features = shape.channels[-1]
        self.conv1 = conv(leads, shape.channels[0], shape.kernel)
        self.bn1 = nn.BatchNorm1d(shape.channels[0])
        self.blocks, before = nn.ModuleList(), shape.channels[0]
        for width, stride in zip(shape.channels, shape.strides, strict=True):
            self.blocks.append(PlainBlock(before, width, stride, shape.kernel))
            before = width

    def forward(self, x_BLT: Tensor, r_peaks_BP: Tensor | None = None) -> Tensor:
        y = x = self.bn1(self.conv1(x_BLT))
        for block in self.blocks:
            y, x = block(y, x)
        features: Tensor = x.mean(dim=-1)
        return features
