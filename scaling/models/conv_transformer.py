"""Convolutional Transformer: FastECG's architecture, of which S2 (LiteHeart) has its models.

Three residual blocks of convolutions divide time by the product of their strides, each in one
width D; what is left are tokens, to which sinusoidal positions are added (Vaswani et al. 2017,
section 3.5). Pre-norm Transformer layers follow, and the largest value over time of each channel
is a feature. There is no normalisation after the last layer. Read from the released code of
FastECG; the numbers of parameters are those that S2 prints (``docs/models.md``).

Two things are as released and are not usual. A token attends to itself and to earlier ones alone
(``ConvtxShape.causal``), so the first tokens know nothing of the rest of a record; pooling over
time makes up for it. And the head is two linear layers with nothing between, which is one as far
as functions go, though not in training.

Records of any length are read: zeros are added at their end to a multiple of the strides' product,
so that every token has at least a sample of the record, and none is left out or hidden. The
released code pads to 6,144 samples.

Convolutions are run as two-dimensional ones (``channels_last``).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, dropout, leaky_relu, scaled_dot_product_attention

from scaling.models.channels_last import Conv, as_images
from scaling.models.checkpointing import run_block
from scaling.models.sizes import CONVTX, strides_cannot_read

KERNEL = 9  # samples of the convolutions
LONGEST_WAVE = 10_000.0  # over 2 pi, in tokens: the slowest of the sinusoidal positions


def positions(tokens: int, width: int, device: torch.device) -> Tensor:
    """Sinusoidal positions (S, D), float32, for any number of tokens.

    Of Vaswani et al. 2017, section 3.5: even columns hold sines, odd ones cosines.
    """
    place_S1 = torch.arange(tokens, dtype=torch.float32, device=device)[:, None]
    pair_D = torch.arange(0, width, 2, dtype=torch.float32, device=device)
    angle_SD = place_S1 * torch.exp(pair_D * (-math.log(LONGEST_WAVE) / width))
    return torch.stack([angle_SD.sin(), angle_SD.cos()], dim=-1).flatten(1)


def attend(q_BHSE: Tensor, k_BHSE: Tensor, v_BHSE: Tensor, causal: bool, rate: float) -> Tensor:
    """Scaled dot-product attention (Vaswani et al. 2017, Eq. 1), (B, H, S, E).

    PyTorch's fused kernel, except in bf16 on a CPU, where plain matrix products are much faster
    (``docs/models.md``). ``rate`` is of dropout on the attention weights.
    """
    if q_BHSE.device.type != "cpu" or q_BHSE.dtype != torch.bfloat16:
        return scaled_dot_product_attention(
            q_BHSE, k_BHSE, v_BHSE, dropout_p=rate, is_causal=causal
        )
    scores_BHSS = (q_BHSE * q_BHSE.shape[-1] ** -0.5) @ k_BHSE.transpose(-1, -2)
    if causal:  # added, which needs no work in the backward pass
        later_SS = torch.full(scores_BHSS.shape[-2:], -torch.inf, dtype=scores_BHSS.dtype)
        scores_BHSS = scores_BHSS + later_SS.triu(1)
    weights_BHSS = scores_BHSS.softmax(dim=-1)
    return dropout(weights_BHSS, rate, training=rate > 0).to(v_BHSE.dtype) @ v_BHSE


class ConvBlock(nn.Module):
    """Two convolutions beside a skip path of average pooling; nothing after their sum."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = Conv(width_in, width, KERNEL, stride, bias=True)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = Conv(width, width, KERNEL, bias=True)
        self.bn2 = nn.BatchNorm2d(width)
        self.skip = Conv(width_in, width, 1, bias=True)
        self.stride = stride

    def forward(self, x_BC1T: Tensor) -> Tensor:
        """(B, C_in, 1, T) to (B, C, 1, T / stride); T is a multiple of the stride."""
        h = leaky_relu(self.bn1(self.conv1(x_BC1T)))
        h = leaky_relu(self.bn2(self.conv2(h)))
        skipped: Tensor = self.skip(avg_pool2d(x_BC1T, (1, self.stride)))
        return h + skipped


class Layer(nn.Module):
    """Pre-norm attention and feed-forward part, each added to what came in."""

    def __init__(self, width: int, heads: int, causal: bool, dropout: float) -> None:
        super().__init__()
        self.heads, self.causal, self.dropout = heads, causal, dropout
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.LeakyReLU(),
            nn.Dropout(dropout),
            nn.Linear(4 * width, width),
            nn.Dropout(dropout),
        )

    def forward(self, h_BSD: Tensor) -> Tensor:
        """(B, S, D) to the same shape."""
        h_BSD = h_BSD + self._attention(self.norm1(h_BSD))
        out: Tensor = h_BSD + self.feed_forward(self.norm2(h_BSD))
        return out

    def _attention(self, h_BSD: Tensor) -> Tensor:
        """Multi-head self-attention, (B, S, D)."""
        records, tokens, width = h_BSD.shape
        apart = self.qkv(h_BSD).view(records, tokens, 3, self.heads, width // self.heads)
        q, k, v = torch.unbind(apart.permute(2, 0, 3, 1, 4))
        mixed = attend(q, k, v, self.causal, self.dropout if self.training else 0.0)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out


class Tokenizer(nn.Module):
    """Records to tokens: the convolutional blocks."""

    def __init__(self, leads: int, width: int, strides: tuple[int, ...]) -> None:
        super().__init__()
        widths = (leads, *(width for _ in strides))
        self.blocks = nn.ModuleList(
            ConvBlock(before, after, stride)
            for before, after, stride in zip(widths, widths[1:], strides, strict=False)
        )
        self.multiple = math.prod(strides)

    def forward(self, x_BLT: Tensor) -> Tensor:
        """(B, L, T) to (B, S, D), S being T over the product of the strides, rounded up."""
        h_BD1S = as_images(x_BLT, self.multiple)
        for block in self.blocks:
            h_BD1S = run_block(block, h_BD1S)
        return h_BD1S.squeeze(2).transpose(1, 2)


class Encoder(nn.Module):
    """The Transformer layers."""

    def __init__(self, width: int, layers: int, heads: int, causal: bool, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Layer(width, heads, causal, dropout) for _ in range(layers))

    def forward(self, h_BSD: Tensor) -> Tensor:
        """Tokens (B, S, D) to hidden states (B, S, D)."""
        h_BSD = h_BSD + positions(h_BSD.shape[1], h_BSD.shape[2], h_BSD.device)
        for block in self.blocks:
            h_BSD = run_block(block, h_BSD)
        return h_BSD


class ConvTransformer(nn.Module):
    """The backbone: records to pooled features, no head.

    Args:
        size: point on the ladder ``CONVTX``, such as ``d16n1h2s2``.
        leads: input leads.
        dropout: rate inside the layers, on attention weights and in the feed-forward part.
    """

    def __init__(self, size: str, leads: int = 12, dropout: float = 0.0) -> None:
        super().__init__()
        shape = CONVTX[size]
        self.tokenizer = Tokenizer(leads, shape.width, shape.strides)
        self.encoder = Encoder(shape.width, shape.layers, shape.heads, shape.causal, dropout)
        self.features, self.size = shape.width, size

    def head(self, outputs: int) -> nn.Sequential:
        """The family's head, features (B, D) to logits (B, ``outputs``): nothing between layers."""
        return nn.Sequential(
            nn.Linear(self.features, self.features), nn.Linear(self.features, outputs)
        )

    def forward(self, x_BLT: Tensor, r_peaks_BP: Tensor | None = None) -> Tensor:
        """Records (B, L, T), in millivolts or z-scored, to features (B, D); R peaks are not used.

        Raises:
            ValueError: records shorter than one token.
        """
        if problem := strides_cannot_read(self.size, x_BLT.shape[-1]):
            raise ValueError(problem)
        features: Tensor = self.encoder(self.tokenizer(x_BLT)).amax(dim=1)
        return features
