"""ST-ECGFormer: a Transformer encoder on heartbeat tokens, after HeartLang (Jin et al. 2025).

A circular convolution over neighbouring tokens embeds the beats; a learned position, the lead
and the second of each beat are added, and a class token is put in front. Blocks are pre-norm,
and each head is 64 wide whatever the width of the model (S1 Table S.4 is read so).

One choice was made where the paper and the released code leave several, or where the released
code's own serves nobody (``docs/models.md``): a token that is padding is not attended to, and is
zero after the convolution's input; a masked token is replaced after the convolution, as in the
released code, so that its neighbours still carry a trace of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

from scaling.models.heartbeats import WIDTH, Heartbeats, tokenize
from scaling.models.transformer_sizes import HEAD_WIDTH, LADDER

PLACES = 16  # rows of the tables of leads and of seconds; row 0 is padding
STD = 0.02  # of initial weights


class Attention(nn.Module):
    """Multi-head self-attention; heads are ``HEAD_WIDTH`` wide."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        inner = heads * HEAD_WIDTH
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(width, 3 * inner, bias=False)
        same = heads == 1 and width == HEAD_WIDTH
        self.out = nn.Identity() if same else nn.Linear(inner, width)

    def forward(self, h_BSD: Tensor, attend_B11S: Tensor) -> Tensor:
        """(B, S, D) to (B, S, D); only tokens with ``attend_B11S`` True are attended to."""
        batch, slots, _ = h_BSD.shape
        qkv = self.qkv(h_BSD).view(batch, slots, 3, self.heads, HEAD_WIDTH)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind()
        dropout = self.dropout if self.training else 0.0
        mixed = scaled_dot_product_attention(q, k, v, attn_mask=attend_B11S, dropout_p=dropout)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, slots, -1))
        return out


class Block(nn.Module):
    """Pre-norm attention and feed-forward part, each added to what came in."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout)
        self.norm2 = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, width),
            nn.Dropout(dropout),
        )

    def forward(self, h_BSD: Tensor, attend_B11S: Tensor) -> Tensor:
        """(B, S, D) to (B, S, D)."""
        h_BSD = h_BSD + self.attention(self.norm1(h_BSD), attend_B11S)
        out: Tensor = h_BSD + self.feed_forward(self.norm2(h_BSD))
        return out


class HeartbeatEncoder(nn.Module):
    """Tokens to hidden states; the Transformer itself, and both halves of VQ-HBR.

    Args:
        input_width: values of a token.
        width: of the hidden state, D.
        layers: blocks.
        heads: of attention.
        hidden: width inside the feed-forward part.
        tokens: slots, S.
        dropout: rate in attention, after the embedding and in the feed-forward part.
    """

    def __init__(
        self,
        input_width: int,
        width: int,
        layers: int,
        heads: int,
        hidden: int,
        tokens: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embed = nn.Conv1d(
            input_width, width, 3, padding=1, padding_mode="circular", bias=False
        )
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.zeros(1, tokens + 1, width))
        self.lead = nn.Embedding(PLACES, width)
        self.second = nn.Embedding(PLACES, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, hidden, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.tokens, self.checkpoint_blocks = tokens, False
        self._initialise()

    def _initialise(self) -> None:
        """Truncated normal weights, zero biases; the convolution keeps the scale of a beat."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.trunc_normal_(module.weight, std=STD)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        for table in (self.mask_token, self.cls_token, self.position):
            nn.init.trunc_normal_(table, std=STD)

    def forward(
        self, input_BSW: Tensor, beats: Heartbeats, masked_BS: Tensor | None = None
    ) -> Tensor:
        """Hidden states (B, 1 + S, D), the class token's first.

        Args:
            input_BSW: (B, S, W) values of the tokens; zero where they are padding.
            beats: lead, second and presence of each token.
            masked_BS: (B, S) bool, tokens whose embedding is replaced by the mask token.
        """
        h_BSD = self.embed(input_BSW.transpose(1, 2)).transpose(1, 2)
        if masked_BS is not None:
            h_BSD = torch.where(masked_BS[..., None], self.mask_token.to(h_BSD.dtype), h_BSD)
        h_BSD = h_BSD + self.lead(beats.leads_BS) + self.second(beats.times_BS)
        cls = self.cls_token.expand(len(h_BSD), -1, -1).to(h_BSD.dtype)
        h_BSD = self.dropout(torch.cat([cls, h_BSD], dim=1) + self.position)
        attend_B11S = nn.functional.pad(beats.real_BS, (1, 0), value=True)[:, None, None]
        for block in self.blocks:
            h_BSD = self._run(block, h_BSD, attend_B11S)
        states: Tensor = self.norm(h_BSD)
        return states

    def _run(self, block: Callable[..., Any], *inputs: Tensor) -> Tensor:
        if self.checkpoint_blocks and self.training:
            kept: Tensor = checkpoint(block, *inputs, use_reentrant=False)
            return kept
        out: Tensor = block(*inputs)
        return out


class EcgTransformer(nn.Module):
    """The backbone: records to the state of the class token.

    Args:
        size: point on the ladder, such as ``l1d24h1``.
        leads: input leads, at most 15.
        dropout: rate in attention, after the embedding and in the feed-forward part.

    Raises:
        KeyError: a size that is not on the ladder.
        ValueError: more leads than the table of leads has rows.
    """

    def __init__(self, size: str, leads: int = 12, dropout: float = 0.0) -> None:
        super().__init__()
        if not 0 < leads < PLACES:
            raise ValueError(f"{leads} leads: the Transformer reads 1 to {PLACES - 1}")
        shape = LADDER[size]
        self.encoder = HeartbeatEncoder(
            WIDTH, shape.width, shape.layers, shape.heads, shape.hidden, shape.tokens, dropout
        )
        self.features, self.tokens = shape.width, shape.tokens

    @property
    def checkpoint_blocks(self) -> bool:
        """Whether activations inside blocks are recomputed in the backward pass."""
        return self.encoder.checkpoint_blocks

    @checkpoint_blocks.setter
    def checkpoint_blocks(self, value: bool) -> None:
        self.encoder.checkpoint_blocks = value

    def tokenize(self, x_BLT: Tensor, r_peaks_BP: Tensor) -> Heartbeats:
        """The heartbeats of records (B, L, T) at 100 Hz with R peaks (B, P)."""
        return tokenize(x_BLT, r_peaks_BP, self.tokens)

    def encode(self, beats: Heartbeats, masked_BS: Tensor | None = None) -> Tensor:
        """Hidden states (B, 1 + S, D), the class token's first; see ``HeartbeatEncoder``."""
        states: Tensor = self.encoder(beats.beats_BSW, beats, masked_BS)
        return states

    def forward(self, x_BLT: Tensor, r_peaks_BP: Tensor | None = None) -> Tensor:
        """Records (B, L, T) in millivolts and their R peaks (B, P) to features (B, F).

        Without R peaks, records are cut on a fixed grid.
        """
        if r_peaks_BP is None:
            r_peaks_BP = torch.full((len(x_BLT), 1), -1, dtype=torch.int16, device=x_BLT.device)
        return self.encode(self.tokenize(x_BLT, r_peaks_BP))[:, 0]
