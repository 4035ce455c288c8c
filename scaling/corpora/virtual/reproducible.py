"""Random numbers by name and smooth functions: the same bits whatever else is in the batch.

Number ``position`` of a named stream of a record depends on (cohort, seed, split, patient or
record index, name, position) and on nothing else: not on batch size, order, threads or
device. Integers are hashed with the finaliser of SplitMix64 (Steele, Lea and Flood 2014,
OOPSLA, "Fast splittable pseudorandom number generators"), in elementwise int64 arithmetic
that wraps, which CPU and CUDA do alike.

Everything continuous in a patient starts from standard normals with names. A caller may shift
these, so the posterior of a patient given a signal can be taken in coordinates whose prior is
the identity.

torch computes ``sigmoid``, ``softplus``, ``pow`` and ``atan2`` in vectors and the rest of a
tensor number by number, with another last bit, so the result changes with the size of the
batch. ``exp``, ``log``, ``log1p`` and ``atan`` are the same everywhere; those here are made of
them.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Mapping

import torch
from torch import Tensor

_GOLDEN = -0x61C8864680B583EB  # 2^64 / golden ratio, as a signed integer
_MIX1 = -0x40A7B892E31B1A47
_MIX2 = -0x6B2FB644ECCEEE15


def mix(x: Tensor) -> Tensor:
    """SplitMix64's finaliser: a bijection of int64 in which every bit depends on every other."""
    # A shift of int64 keeps the sign; masking makes it the unsigned shift of the reference.
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * _MIX1
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * _MIX2
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


@functools.lru_cache(maxsize=8192)
def word(text: str) -> int:
    """64 bits of a text's SHA-256, signed."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little", signed=True)


@functools.lru_cache(maxsize=8)
def _quantiles(device: torch.device) -> Tensor:
    share = (torch.arange(65536, dtype=torch.float64) + 0.5) / 65536
    table: Tensor = torch.special.ndtri(share).float().to(device)
    return table


@dataclasses.dataclass(frozen=True, slots=True)
class Stream:
    """The random numbers of a batch: one key a record (or patient), (B,) int64."""

    keys: Tensor

    def bits(self, name: str, count: int, start: int = 0) -> Tensor:
        """Hashes ``start`` to ``start + count`` of stream ``name``: (B, count) int64."""
        counter = torch.arange(start, start + count, device=self.keys.device)
        stream = mix(self.keys ^ word(name))
        return mix(stream[:, None] + (counter + 1) * _GOLDEN)

    def uniform(self, name: str, count: int, start: int = 0) -> Tensor:
        """Uniform on (0, 1), (B, count) float64; 52 bits, never 0 or 1."""
        top = (self.bits(name, count, start) >> 12) & 0xFFFFFFFFFFFFF
        return (top.double() + 0.5) * 2.0**-52

    def normal(self, name: str, count: int, start: int = 0) -> Tensor:
        """Standard normal by the inverse of its distribution function, (B, count) float64."""
        value: Tensor = torch.special.ndtri(self.uniform(name, count, start))
        return value

    def fast_normal(self, name: str, count: int) -> Tensor:
        """Standard normal for noise, (B, count) float32: four from each hash.

        Quantiles of 65,536 equal shares, so no value lies beyond 4.3 standard deviations.
        """
        bits = self.bits(name, (count + 3) // 4)
        parts = torch.stack([(bits >> shift) & 0xFFFF for shift in (0, 16, 32, 48)], dim=-1)
        table = _quantiles(self.keys.device)
        return table[parts.flatten(1)[:, :count]]

    def fast_normals(self, name: str, streams: int, count: int) -> Tensor:
        """``fast_normal`` of ``streams`` independent streams, (B, streams, count) float32."""
        words = torch.tensor([word(f"{name}/{k}") for k in range(streams)])
        keys = mix(self.keys[:, None] ^ words.to(self.keys.device))
        return Stream(keys.flatten()).fast_normal(name, count).view(-1, streams, count)

    def choice(self, name: str, shares: tuple[float, ...]) -> Tensor:
        """Index drawn with probabilities ``shares`` (they need not add up), (B,) int64."""
        edges = torch.tensor(shares, dtype=torch.float64).cumsum(0)
        edges = (edges / edges[-1]).to(self.keys.device)
        return (self.uniform(name, 1) > edges[:-1]).sum(1)


def stream(cohort: str, seed: int, split: str, kind: str, index: Tensor) -> Stream:
    """The stream of each ``patient`` or ``record`` (the kind) with these (B,) int64 numbers."""
    root = word(f"{cohort}/{seed}/{split}/{kind}")
    return Stream(mix(index.long() * _GOLDEN ^ root))


@dataclasses.dataclass(frozen=True, slots=True)
class Draws:
    """The random numbers of a batch of records.

    Attributes:
        patient: stream of each record's patient, shared by the patient's records.
        visit: stream of each record.
        shifts: added to the standard normals of that name, (B, count).
    """

    patient: Stream
    visit: Stream
    shifts: Mapping[str, Tensor] = dataclasses.field(default_factory=dict)

    def normal(self, name: str, count: int) -> Tensor:
        """Standard normals of the patient, (B, count) float64."""
        return self._shifted(name, self.patient.normal(name, count))

    def at_visit(self, name: str, count: int) -> Tensor:
        """Standard normals of the record, (B, count) float64."""
        return self._shifted("visit." + name, self.visit.normal(name, count))

    def one(self, name: str) -> Tensor:
        """One standard normal of the patient, (B,)."""
        return self.normal(name, 1)[:, 0]

    def share(self, name: str) -> Tensor:
        """Uniform on (0, 1) as the distribution function of a normal, (B,)."""
        value: Tensor = torch.special.ndtr(self.one(name))
        return value

    def uniform(self, name: str) -> Tensor:
        """Uniform of the patient for a discrete choice, (B,)."""
        return self.patient.uniform(name, 1)[:, 0]

    def _shifted(self, name: str, values: Tensor) -> Tensor:
        shift = self.shifts.get(name)
        return values if shift is None else values + shift


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)); from 1e-35 on, so that nothing overflows."""
    return 1.0 / (1.0 + torch.exp(-x.clamp(min=-80.0)))


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x))."""
    return x.clamp(min=0.0) + torch.log1p(torch.exp(-x.abs()))


def power(x: Tensor, exponent: float) -> Tensor:
    """X to a positive or negative power, for x > 0 (or x = 0 and a positive power)."""
    return torch.exp(exponent * torch.log(x))


def angle_deg(y: Tensor, x: Tensor) -> Tensor:
    """Angle of (x, y) from the x axis in degrees, -180 to 180."""
    ahead = torch.atan(y / x) * (180.0 / math.pi)
    back = torch.where(y < 0.0, ahead - 180.0, ahead + 180.0)
    return torch.where(x < 0.0, back, ahead)
