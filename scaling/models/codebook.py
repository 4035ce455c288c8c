"""The codebook of VQ-HBR: unit vectors that follow what is assigned to them.

Vector quantisation by exponential moving averages (van den Oord et al. 2017, appendix A.1) on the
unit sphere, as in HeartLang (Jin et al. 2025) and the code it builds on (BEiT v2): vectors and
codes have unit length, the nearest code is the one of the largest cosine, the start is spherical
k-means. HeartLang has no rule for codes that nothing is assigned to; here they are revived.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

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

    Args:
        codes: K.
        width: W.
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

        Args:
            z_NW: (N, W) float32.
            decay: of the running means, as in ``update``.
            generator: on the CPU, for the first centres.

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
        """Move the codes towards the vectors of a batch.

        Args:
            z_NW: (N, W) float32 unit vectors of real heartbeats.
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
