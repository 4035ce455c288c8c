"""Waves as moving dipoles, bell-shaped in time, and beats of them painted on the leads of a batch.

After McSharry et al. 2003 (IEEE Trans. Biomed. Eng. 50:289) in three dimensions. Axes: x to
the left, y to the feet, z to the back. Times count from QRS onset (P waves from P onset, T
waves as fractions of QT). Directions were set by hand near the mean vectors of normal adults
and of each conduction disorder, and vary between patients around them.

Each beat is rendered only where its waves are, all beats of a batch at once; sums run in a
fixed order, so that the bits of a record do not depend on what else is in the batch.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from scaling.corpora.virtual.reproducible import sigmoid


@dataclasses.dataclass(frozen=True, slots=True)
class Waves:
    """Some waves of each record.

    Attributes:
        centre: (B, W) of the peak, ms or a fraction of QT.
        left: (B, W) sigma before the peak, same unit.
        right: (B, W) sigma after it.
        vector: (B, W, 3) dipole at the peak in millivolts.
        near: (B, W, 8) what leads I, II, V1 to V6 show beyond the dipole's field, in millivolts:
            the chest electrodes lie so near the heart that they see its parts; None for nothing.
    """

    centre: Tensor
    left: Tensor
    right: Tensor
    vector: Tensor
    near: Tensor | None = None


def join(parts: Sequence[Waves]) -> Waves:
    """Several parts of a QRS complex, symmetric waves all, side by side."""
    sigma = torch.cat([w.left for w in parts], 1)
    near = [w.vector.new_zeros(*w.vector.shape[:2], 8) if w.near is None else w.near for w in parts]
    return Waves(
        torch.cat([w.centre for w in parts], 1),
        sigma,
        sigma,
        torch.cat([w.vector for w in parts], 1),
        torch.cat(near, 1),
    )


# Amplitude of near potentials in V1 to V6, and how far they reach in places of electrodes.
NEARNESS = (0.7, 1.0, 1.05, 0.9, 0.65, 0.5)
REACH = 0.9


def near_field(normals: Tensor) -> Tensor:
    """Potentials near the heart, alike in neighbouring electrodes, (B, ..., 8).

    Made of independent standard normals (B, ..., 6).
    """
    total = torch.zeros_like(normals)
    for source in range(6):
        seen = [
            size * math.exp(-0.5 * ((place - source) / REACH) ** 2)
            for place, size in enumerate(NEARNESS)
        ]
        total = total + normals[..., source : source + 1] * normals.new_tensor(seen)
    return in_chest(total)


def in_chest(values: Tensor) -> Tensor:
    """Potentials of V1 to V6 (B, ..., 6) as those of I, II, V1 to V6, none in the limb leads."""
    return torch.nn.functional.pad(values, (2, 0))


def waves_of(items: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Waves:
    """From (centre, sigma, vector) of each wave."""
    sigma = torch.stack([s for _, s, _ in items], 1)
    return Waves(
        torch.stack([c for c, _, _ in items], 1),
        sigma,
        sigma,
        torch.stack([v for _, _, v in items], 1),
    )


def vector(like: Tensor, *xyz: Tensor | float) -> Tensor:
    """(B, 3) from three numbers or (B,) tensors."""
    return torch.stack([torch.zeros_like(like) + v for v in xyz], -1)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Sum over x, y, z of the last axis, in that order."""
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]


def turned(v: Tensor, degrees: Tensor, first: int, second: int) -> Tensor:
    """Turn (B, ..., 3) from axis ``first`` towards ``second`` by (B,) degrees."""
    angle = torch.deg2rad(degrees).reshape(-1, *[1] * (v.ndim - 2))
    c, s = torch.cos(angle), torch.sin(angle)
    parts = list(v.unbind(-1))
    a, b = parts[first], parts[second]
    parts[first], parts[second] = c * a - s * b, s * a + c * b
    return torch.stack(parts, -1)


def kinds(both: tuple[Waves, Waves], unit: float) -> Waves:
    """Two kinds side by side, (B, 2, W), shorter ones filled up with empty waves."""
    width = max(w.centre.shape[1] for w in both)

    def fill(values: Tensor, with_: float) -> Tensor:
        shape = (values.shape[0], width - values.shape[1], *values.shape[2:])
        return torch.cat([values, values.new_full(shape, with_)], 1)

    left = torch.stack([fill(w.left, 1.0) for w in both], 1) * unit
    right = torch.stack([fill(w.right, 1.0) for w in both], 1) * unit
    near = [w.vector.new_zeros(len(w.vector), 1, 8) if w.near is None else w.near for w in both]
    some = any(w.near is not None for w in both)
    return Waves(
        torch.stack([fill(w.centre, 0.0) for w in both], 1) * unit,
        left,
        left if all(w.left is w.right for w in both) else right,
        torch.stack([fill(w.vector, 0.0) for w in both], 1),
        torch.stack([fill(n, 0.0) for n in near], 1) if some else None,
    )


class Canvas:
    """The signal of a batch while beats are painted on it."""

    def __init__(
        self, field: Tensor, fs_hz: float, samples: int, smooth_s: float, dtype: torch.dtype
    ) -> None:
        self.field, self.fs_hz, self.samples = field, fs_hz, samples
        self.smooth_s, self.dtype = smooth_s, dtype
        self.margin = math.ceil(1.1 * fs_hz)
        self.width = samples + 2 * self.margin
        self.paint = torch.zeros(len(field) * 8 * self.width, dtype=dtype, device=field.device)

    def signal(self) -> Tensor:
        """What has been painted: (B, 8, samples)."""
        whole = self.paint.view(-1, 8, self.width)
        return whole[:, :, self.margin : self.margin + self.samples]

    def add(
        self,
        onset_s: Tensor,
        other: Tensor,
        waves: Waves,
        window: tuple[float, float],
        passes: int,
        factor: Tensor | None = None,
        *,
        chest: tuple[float, ...] = (),
        stretch: Tensor | None = None,
        step: Tensor | None = None,
        j_s: Tensor | None = None,
    ) -> None:
        """Paint one kind of wave in every beat.

        Args:
            onset_s: (B, K) what times count from; NaN for none.
            other: (B, K) bool, which of the two kinds a beat is.
            waves: (B, 2, W), in seconds, or in units of ``stretch``.
            window: seconds from the onset that are painted.
            passes: beats painted together are that many slots apart, so that no sample is
                written twice at once and sums are in a fixed order.
            factor: (B, K) amplitude of the beat.
            chest: amplitude in each lead; empty for one.
            stretch: (B, K) seconds per unit of time.
            step: (B, 2, 3) dipole of the ST segment.
            j_s: (B, 2) its beginning.
        """
        last = (self.samples / self.fs_hz) - window[0]
        inside = (onset_s > -window[1]) & (onset_s < last)  # false for NaN
        field = self.field[:, None, :, None]
        amplitude = dot(field, waves.vector[:, :, None])  # (B, 2, 8, W)
        if chest:
            share = field.new_tensor(chest)
            amplitude = amplitude * share[:, None]
        if waves.near is not None:
            amplitude = amplitude + waves.near.transpose(2, 3)
        level = None if step is None else dot(self.field[:, None], step[..., None, :])
        length = math.ceil((window[1] - window[0]) * self.fs_hz)
        for first in range(passes):
            row, slot = torch.nonzero(inside[:, first::passes], as_tuple=True)
            slot = slot * passes + first
            kind = other[row, slot].long()
            onset = onset_s[row, slot]
            begin = torch.ceil((onset + window[0]) * self.fs_hz)
            ticks = torch.arange(length, device=onset.device)
            t = ((begin[:, None] + ticks) / self.fs_hz - onset[:, None]).to(self.dtype)
            scale = None if stretch is None else stretch[row, slot][:, None]
            bells, height = self._bells(t, waves, row, kind, scale)
            height = height[:, None] * amplitude[row, kind]
            if factor is not None:
                height = height * factor[row, slot][:, None, None]
            if level is not None and j_s is not None and scale is not None:
                shape = _segment(t, j_s[row, kind][:, None], scale)
                bells = torch.cat([bells, shape[:, None]], 1)
                height = torch.cat([height, level[row, kind][..., None]], 2)
            self._write(weighted(height.to(self.dtype), bells), row, begin.long())

    def _bells(
        self, t: Tensor, waves: Waves, row: Tensor, kind: Tensor, scale: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Bells (N, W, L) and the height that smoothing leaves them (N, W)."""
        centre, left, right = (v[row, kind] for v in (waves.centre, waves.left, waves.right))
        if scale is not None:
            centre, left, right = centre * scale, left * scale, right * scale
        wide = [torch.sqrt(s * s + self.smooth_s**2) for s in (left, right)]
        height = (left + right) / (wide[0] + wide[1])
        u = t[:, None] - centre.to(self.dtype)[..., None]
        rates = [(1.0 / w).to(self.dtype)[..., None] for w in wide]
        if waves.left is waves.right:
            u *= rates[0]
        else:
            u *= torch.where(u < 0, rates[0], rates[1])
        # The limit keeps what follows clear of denormal numbers, which are ten times as slow.
        return torch.exp_(u.square_().mul_(-0.5).clamp_(min=-50.0)), height

    def _write(self, value: Tensor, row: Tensor, begin: Tensor) -> None:
        lead = torch.arange(8, device=row.device)[:, None]
        ticks = torch.arange(value.shape[2], device=row.device)
        start = row * (8 * self.width) + begin + self.margin
        index = start[:, None, None] + (lead * self.width + ticks)
        self.paint.scatter_add_(0, index.flatten(), value.flatten())


def weighted(height: Tensor, bells: Tensor) -> Tensor:
    """Sum over waves: (N, 8, W) and (N, W, L) to (N, 8, L).

    On CPU by ``bmm``, ten times as fast as adding wave by wave: a product of such small
    matrices adds in the order of the waves, whatever the number of matrices. On CUDA the
    library may choose another kernel with the batch, so there it is done wave by wave.
    """
    if height.device.type == "cpu":
        return torch.bmm(height, bells)
    return wave_by_wave(height, bells)


def wave_by_wave(height: Tensor, bells: Tensor) -> Tensor:
    """``weighted`` in elementwise operations, whose bits cannot depend on the batch."""
    total = height[:, :, :1] * bells[:, None, 0]
    for wave in range(1, bells.shape[1]):
        total.addcmul_(height[:, :, wave : wave + 1], bells[:, None, wave])
    return total


def _segment(t: Tensor, j_s: Tensor, qt: Tensor) -> Tensor:
    """The ST segment: up at J within some 20 ms, gone by the end of T; (N, L)."""
    up = sigmoid((t - (j_s + 0.008).to(t.dtype)) * (1.0 / 0.007))
    down = sigmoid(((0.80 * qt).to(t.dtype) - t) * (1.0 / (0.05 * qt)).to(t.dtype))
    return up * down
