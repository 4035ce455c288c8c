"""VQ-HBR: heartbeats to codes and back, the model behind the heartbeat codebook.

After HeartLang (Jin et al. 2025). An encoder of the kind of the Transformer's turns each beat
into a short vector on the unit sphere, the nearest code of the codebook replaces it, and a
decoder rebuilds the beats from the codes of the whole record. Codes are moved by averages
(``scaling.models.codebook``); none of them is a parameter.

Choices where paper and released code leave several (``docs/codebook.md``): both halves are given
lead and second of each beat, always; padding is not attended to; its state is zero before the
head that makes vectors, and its code is not decoded. HeartLang attends to padding, and codes
made by released weights depend on that: ``attends_padding``, a buffer that a converted checkpoint
sets, keeps it so for them.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from scaling.models.codebook import Codebook
from scaling.models.heartbeats import WIDTH, Heartbeats, Part, parts_of, tokenize
from scaling.models.transformer import HeartbeatEncoder
from scaling.models.vq_sizes import LADDER, VqShape


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reconstruction:
    """What one pass gives; values at padding tokens mean nothing.

    Attributes:
        beats: the tokens that went in.
        output_BSW: (B, S, ``WIDTH``) rebuilt beats, in the unit of the records.
        z_BSW: (B, S, W) float32 unit vectors before quantisation.
        codes_BSW: (B, S, W) the codes in their place.
        index_BS: (B, S) int64 which codes.
    """

    beats: Heartbeats
    output_BSW: Tensor
    z_BSW: Tensor
    codes_BSW: Tensor
    index_BS: Tensor


class VqBackbone(nn.Module):
    """Everything with parameters: encoder, decoder, and their heads."""

    def __init__(self, shape: VqShape) -> None:
        super().__init__()
        rest = (shape.heads, shape.hidden, shape.tokens)
        self.encoder = HeartbeatEncoder(WIDTH, shape.width, shape.encoder, *rest)
        self.decoder = HeartbeatEncoder(shape.code_width, shape.width, shape.decoder, *rest)
        self.encode_head = _head(shape.width, shape.code_width)
        self.decode_head = _head(shape.width, WIDTH)

    @property
    def checkpoint_blocks(self) -> bool:
        """Whether activations inside blocks are computed again in the backward pass."""
        return self.encoder.checkpoint_blocks

    @checkpoint_blocks.setter
    def checkpoint_blocks(self, value: bool) -> None:
        self.encoder.checkpoint_blocks = self.decoder.checkpoint_blocks = value


class VqHbr(nn.Module):
    """Heartbeats to codes and back.

    Args:
        size: point on the ladder of ``vq_sizes``.

    Raises:
        KeyError: a size that is not on the ladder.
    """

    attends_padding: Tensor

    def __init__(self, size: str) -> None:
        super().__init__()
        self.shape = LADDER[size]
        self.backbone = VqBackbone(self.shape)
        self.codebook = Codebook(self.shape.codes, self.shape.code_width)
        self.register_buffer("attends_padding", torch.zeros((), dtype=torch.bool))

    @property
    def tokens(self) -> int:
        """Slots for heartbeats."""
        return self.shape.tokens

    def parts(self, x_BLT: Tensor, r_peaks_BP: Tensor) -> list[Part]:
        """Which records of a batch are best computed together, and with how many slots."""
        if self.attends_padding:
            return [Part(slice(None), self.tokens)]
        return parts_of(x_BLT, r_peaks_BP, self.tokens)

    def embed(self, beats: Heartbeats) -> Tensor:
        """Unit vectors (B, S, W) in float32 of tokens (B, S), before quantisation."""
        states = self.backbone.encoder(beats.beats_BSW, self._attended(beats))[:, 1:]
        states = states * beats.real_BS[..., None]
        return normalize(self.backbone.encode_head(states).float(), dim=-1)

    @torch.no_grad()
    def codes(self, beats: Heartbeats) -> Tensor:
        """The code of each token, (B, S) int64; what padding gets means nothing."""
        return self._nearest(self.embed(beats))

    def reconstruct(self, beats: Heartbeats, quantised: bool = True) -> Reconstruction:
        """One pass; gradients go straight through the quantisation.

        Args:
            beats: tokens of a batch.
            quantised: False decodes the vectors themselves (a plain autoencoder); ``codes_BSW``
                are then the vectors, and ``index_BS`` is zero.
        """
        z_BSW = self.embed(beats)
        if quantised:
            index_BS = self._nearest(z_BSW.detach())
            codes_BSW = self.codebook.codes[index_BS]
        else:
            index_BS, codes_BSW = torch.zeros_like(beats.leads_BS), z_BSW.detach()
        attended = self._attended(beats)
        passed_BSW = (z_BSW + (codes_BSW - z_BSW).detach()) * attended.real_BS[..., None]
        states = self.backbone.decoder(passed_BSW, attended)[:, 1:]
        return Reconstruction(
            beats=beats,
            output_BSW=self.backbone.decode_head(states),
            z_BSW=z_BSW,
            codes_BSW=codes_BSW,
            index_BS=index_BS,
        )

    def forward(self, x_BLT: Tensor, r_peaks_BP: Tensor) -> Tensor:
        """Records (B, L, T) at 100 Hz and R peaks (B, P) to rebuilt beats (B, S, ``WIDTH``)."""
        return self.reconstruct(tokenize(x_BLT, r_peaks_BP, self.tokens)).output_BSW

    def _attended(self, beats: Heartbeats) -> Heartbeats:
        return dataclasses.replace(beats, real_BS=beats.real_BS | self.attends_padding)

    def _nearest(self, z_BSW: Tensor) -> Tensor:
        return self.codebook.nearest(z_BSW.flatten(0, 1)).view(z_BSW.shape[:2])


def _head(width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, outputs))
