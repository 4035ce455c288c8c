"""VQ-HBR: heartbeats to codes and back, the model behind the heartbeat codebook.

After HeartLang (Jin et al. 2025). An encoder of the kind of the Transformer's turns each beat
into a short vector on the unit sphere, the nearest code of the codebook replaces it, and a
decoder rebuilds the beats from the codes of the whole record.

Codes are moved by exponential moving averages of what is assigned to them (van den Oord et al.
2017, appendix A.1) and none of them is a parameter. As in HeartLang and the code it builds on
(BEiT v2), vectors and codes have unit length, the nearest code is the one of the largest cosine,
the start is spherical k-means. HeartLang has no rule for codes that nothing is assigned to; here
they are revived.

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

from scaling.models.heartbeats import WIDTH, Heartbeats, Part, parts_of, tokenize
from scaling.models.sizes import VQ_HBR, VqShape
from scaling.models.transformer import HeartbeatEncoder

KMEANS_ROUNDS = 10
KMEANS_PER_CODE = 8  # heartbeats looked at for each code in the k-means start
DEAD_SHARE = 0.1  # a code used less than this share of the mean use is revived
CHUNK = 1 << 24  # similarities held at once: 64 MB


class Codebook(nn.Module):
    """K codes of W values.

    Buffers, and so part of the state: ``codes`` (K, W) unit vectors, ``uses`` (K,) the running
    mean of assignments a batch, ``sums`` (K, W) the running mean of the sums of the vectors
    assigned, ``steps`` () batches of training seen. A code is its sum brought back to unit
    length, so a vector counts the same whether its batch holds many others of the code or none.
    """

    codes: Tensor
    uses: Tensor
    sums: Tensor
    steps: Tensor

    def __init__(self, codes: int, width: int) -> None:
        super().__init__()
        self.register_buffer("codes", normalize(torch.randn(codes, width), dim=-1))
        self.register_buffer("uses", torch.ones(codes))
        self.register_buffer("sums", self.codes.clone())
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def nearest(self, z_NW: Tensor) -> Tensor:
        """Index of the nearest code to each unit vector, (N,) int64.

        In float32 even under autocast: with bf16 cosines, codes that lie close would be mixed up.
        """
        rows = max(1, CHUNK // len(self.codes))
        with torch.autocast("cuda" if z_NW.is_cuda else "cpu", enabled=False):
            parts = [(z @ self.codes.T).argmax(dim=1) for z in torch.split(z_NW.float(), rows)]
        return torch.cat(parts)

    @torch.no_grad()
    def start(self, z_NW: Tensor, decay: float, generator: torch.Generator) -> None:
        """Spherical k-means on unit vectors; a cluster left empty keeps its centre.

        The running means hold what they would after one batch of these vectors, from zero: the
        codes follow the encoder quickly while it changes most. The first centres are vectors
        at random, with repetitions where there are fewer of them than codes.

        Raises:
            ValueError: not one vector.
        """
        if not len(z_NW):
            raise ValueError("a codebook cannot start: the training records hold no heartbeat")
        codes = len(self.codes)
        if len(z_NW) >= codes:
            first = torch.randperm(len(z_NW), generator=generator)[:codes]
        else:
            first = torch.randint(len(z_NW), (codes,), generator=generator)
        self.codes.copy_(z_NW[first.to(z_NW.device)])
        for _ in range(KMEANS_ROUNDS):
            uses_K, sums_KW = self._gathered(z_NW, self.nearest(z_NW))
            filled = uses_K > 0
            self.codes[filled] = normalize(sums_KW[filled], dim=-1)
        self.uses.copy_(uses_K.clamp_min(1.0) * (1 - decay))
        self.sums.copy_(self.codes * self.uses[:, None])

    @torch.no_grad()
    def update(
        self, z_NW: Tensor, index_N: Tensor, decay: float, generator: torch.Generator
    ) -> None:
        """Move the codes towards the unit vectors of a batch, of real heartbeats.

        Args:
            z_NW: (N, W) float32.
            index_N: (N,) int64, the nearest code to each.
            decay: of the running means, in [0, 1).
            generator: on the CPU, for revived codes.
        """
        uses_K, sums_KW = self._gathered(z_NW, index_N)
        self.uses.lerp_(uses_K, 1 - decay)
        self.sums.lerp_(sums_KW, 1 - decay)
        self._revive(z_NW, generator)
        self.codes.copy_(normalize(self.sums, dim=-1))

    def _gathered(self, z_NW: Tensor, index_N: Tensor) -> tuple[Tensor, Tensor]:
        """How many vectors each code has, (K,), and their sums, (K, W)."""
        uses_K = torch.zeros_like(self.uses).index_add_(0, index_N, torch.ones_like(z_NW[:, 0]))
        return uses_K, torch.zeros_like(self.sums).index_add_(0, index_N, z_NW)

    def _revive(self, z_NW: Tensor, generator: torch.Generator) -> None:
        """A code used less than a tenth of the mean takes a random vector and the mean use.

        The mean use keeps it alive long enough to win vectors of its own.
        """
        mean = self.uses.mean()
        dead = torch.nonzero(self.uses < DEAD_SHARE * mean)[:, 0]
        if len(dead) and len(z_NW):
            picked = torch.randint(len(z_NW), (len(dead),), generator=generator)
            self.uses[dead] = mean
            self.sums[dead] = z_NW[picked.to(z_NW.device)] * mean


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reconstruction:
    """What one pass gives; values at padding tokens mean nothing."""

    beats: Heartbeats  # the tokens that went in
    output_BSW: Tensor  # (B, S, ``WIDTH``) rebuilt beats, in the unit of the records
    z_BSW: Tensor  # (B, S, W) float32 unit vectors before quantisation
    codes_BSW: Tensor  # (B, S, W) the codes in their place
    index_BS: Tensor  # (B, S) int64 which codes


class VqBackbone(nn.Module):
    """Everything with parameters: encoder, decoder, and their heads."""

    def __init__(self, shape: VqShape) -> None:
        super().__init__()
        rest = (shape.heads, shape.hidden, shape.tokens)
        self.encoder = HeartbeatEncoder(WIDTH, shape.width, shape.encoder, *rest)
        self.decoder = HeartbeatEncoder(shape.code_width, shape.width, shape.decoder, *rest)
        self.encode_head = _head(shape.width, shape.code_width)
        self.decode_head = _head(shape.width, WIDTH)


class VqHbr(nn.Module):
    """Heartbeats to codes and back, of a size on the ladder ``VQ_HBR``."""

    attends_padding: Tensor

    def __init__(self, size: str) -> None:
        super().__init__()
        self.shape = VQ_HBR[size]
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

        Not ``quantised``, the vectors themselves are decoded (a plain autoencoder): ``codes_BSW``
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
