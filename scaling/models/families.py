"""Families: (family, size) -> a backbone. The registry itself needs no torch."""

from __future__ import annotations

import dataclasses
import pkgutil
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from scaling.models import sizes

if TYPE_CHECKING:
    from torch import nn

Limits = Callable[[str, int, int], str | None]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """An architecture and its ladder."""

    name: str  # as written in grids
    sizes: tuple[str, ...]  # names of its sizes, smallest first; empty when ``pattern`` decides
    paradigms: tuple[str, ...]  # what it can be trained under
    numerics: str  # module whose version enters training ids
    # the stage that trains it, and the only one; empty for networks that other stages train
    stage: str = ""
    # ``module:class`` of the backbone, called with (size, leads, dropout); empty for a family
    # without one
    builder: str = ""
    pattern: str = ""  # regular expression of legal size names where they are not a fixed list
    # what objectives may ask of it (``ObjectiveInfo.asks``): ``halves`` (records cut in two,
    # without R peaks), ``masking`` (heartbeats that are hidden), ``codes``, ``restoration`` (leads)
    offers: tuple[str, ...] = ()
    fs_hz: int | None = None  # the only sampling rate it reads, or None for any
    # from size, samples per lead and leads to what keeps it from reading such records; None where
    # it reads any
    cannot_read: Limits | None = None
    # by size, slots for heartbeats; empty where records are not cut into them
    slots: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def has(self, size: str) -> bool:
        """Whether ``size`` exists."""
        if self.pattern:
            return re.fullmatch(self.pattern, size) is not None
        return size in self.sizes


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            name="resnet",
            sizes=tuple(sizes.RESNET),
            paradigms=("sl", "ssl", "random"),
            numerics="models.resnet",
            builder="scaling.models.resnet:ResNet1d",
            offers=("halves",),
            cannot_read=lambda size, samples, leads: sizes.strides_cannot_read(size, samples),
        ),
        Family(
            name="transformer",
            sizes=tuple(sizes.TRANSFORMER),
            paradigms=("sl", "ssl", "random"),
            numerics="models.transformer",
            builder="scaling.models.transformer:EcgTransformer",
            offers=("masking",),
            fs_hz=sizes.FS_HZ,
            cannot_read=lambda size, samples, leads: sizes.heartbeats_cannot_read(samples, leads),
            slots={size: shape.tokens for size, shape in sizes.TRANSFORMER.items()},
        ),
        Family(
            name="convtx",
            sizes=tuple(sizes.CONVTX),
            paradigms=("sl", "ssl", "random"),
            numerics="models.conv_transformer",
            builder="scaling.models.conv_transformer:ConvTransformer",
            offers=("halves",),
            cannot_read=lambda size, samples, leads: sizes.strides_cannot_read(size, samples),
        ),
        Family(
            name="vq-hbr",
            sizes=tuple(sizes.VQ_HBR),
            paradigms=("ssl",),
            numerics="models.vq_hbr",
            stage="codebook",
            offers=("codes",),
            fs_hz=sizes.FS_HZ,
            cannot_read=lambda size, samples, leads: sizes.heartbeats_cannot_read(samples, leads),
            slots={size: shape.tokens for size, shape in sizes.VQ_HBR.items()},
        ),
        Family(
            name="unet",
            sizes=tuple(sizes.UNET),
            paradigms=("ssl",),
            numerics="models.unet",
            stage="restore",
            offers=("restoration",),
        ),
        Family(
            name="simulated",
            sizes=(),
            paradigms=("sl", "ssl"),
            numerics="simulated",
            pattern=r"n[1-9][0-9]*",
        ),
    )
}


def build(family: str, size: str, leads: int = 12, dropout: float = 0.0) -> nn.Module:
    """Build a backbone that maps records (B, L, T) and R peaks (B, P) to features (B, F).

    Its ``features`` attribute is F.

    Raises:
        ValueError: no such size (the message lists those that exist), or a family without a
            backbone of its own.
    """
    info = FAMILIES[family]
    if not info.has(size):
        raise ValueError(f"family {family} has no size {size!r}; it has {', '.join(info.sizes)}")
    if not info.builder:
        raise ValueError(f"family {family} has no backbone")
    backbone: nn.Module = pkgutil.resolve_name(info.builder)(size, leads, dropout)
    return backbone


def problem(family: str, size: str, fs_hz: int, samples: int, leads: int) -> str | None:
    """What keeps a size from reading such records, in one sentence; None when nothing does.

    ``samples`` are those per lead that one pass sees: half a record in contrastive training.
    """
    info = FAMILIES[family]
    if info.fs_hz not in (None, fs_hz):
        return f"family {family} reads records at {info.fs_hz} Hz, not at {fs_hz} Hz"
    return info.cannot_read(size, samples, leads) if info.cannot_read else None
