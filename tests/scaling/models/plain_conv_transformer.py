"""The network of ``scaling.models.conv_transformer`` in PyTorch's own layers, as anyone writes it.

One-dimensional convolutions and attention written out. Names and shapes of the weights are the
same, so a state of one loads into the other.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from scaling.models.conv_transformer import positions
from scaling.models.sizes import CONVTX


class PlainBlock(nn.Module):
    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv1d(width_in, width, 9, stride, 4), nn.BatchNorm1d(width)
        self.conv2, self.bn2 = nn.Conv1d(width, width, 9, 1, 4), nn.BatchNorm1d(width)
        self.skip, self.pool = nn.Conv1d(width_in, width, 1), nn.AvgPool1d(stride)

    def forward(self, x_BCT: Tensor) -> Tensor:
        h = leaky_relu(self.bn1(self.conv1(x_BCT)))
        h = leaky_relu(self.bn2(self.conv2(h)))
        out: Tensor = h + self.skip(self.pool(x_BCT))
        return out


class PlainLayer(nn.Module):
    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.LeakyReLU(),
            nn.Identity(),
            nn.Linear(4 * width, width),
        )

    def attention(self, h_BSD: Tensor) -> Tensor:
        mixed = []
        for q, k, v in zip(*(part.chunk(self.heads, -1) for part in self.qkv(h_BSD).chunk(3, -1)),
                           strict=True):  # fmt: skip
            scores_BSS = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
            if self.causal:
                later = torch.ones_like(scores_BSS[0], dtype=torch.bool).triu(1)
                scores_BSS = scores_BSS.masked_fill(later, -math.inf)
            mixed.append(scores_BSS.softmax(-1) @ v)
        out: Tensor = self.out(torch.cat(mixed, -1))
        return out

    def forward(self, h_BSD: Tensor) -> Tensor:
        h_BSD = h_BSD + self.attention(self.norm1(h_BSD))
        out: Tensor = h_BSD + self.feed_forward(self.norm2(h_BSD))
        return out


class PlainConvTransformer(nn.Module):
    def __init__(self, size: str, leads: int = 12) -> None:
        super().__init__()
        shape = CONVTX[size]
        self.tokenizer, self.encoder = nn.Module(), nn.Module()
        widths = (leads, *(shape.width for _ in shape.strides))
        self.tokenizer.blocks = nn.ModuleList(
            PlainBlock(*each) for each in zip(widths, widths[1:], shape.strides, strict=False)
        )
        self.encoder.blocks = nn.ModuleList(
            PlainLayer(shape.width, shape.heads, shape.causal) for _ in range(shape.layers)
        )
        self.multiple, self.features = math.prod(shape.strides), shape.width

    def forward(self, x_BLT: Tensor, r_peaks_BP: Tensor | None = None) -> Tensor:
        h = nn.functional.pad(x_BLT, (0, -x_BLT.shape[-1] % self.multiple))
        for block in self.tokenizer.blocks:  # type: ignore[union-attr]
            h = block(h)
        h = h.transpose(1, 2)
        h = h + positions(h.shape[1], h.shape[2], h.device)
        for block in self.encoder.blocks:  # type: ignore[union-attr]
            h = block(h)
        features: Tensor = h.amax(dim=1)
        return features
