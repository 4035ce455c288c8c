"""Families: (family, size) -> a backbone. The registry itself needs no torch."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from scaling.models.resnet_sizes import LADDER

if TYPE_CHECKING:
    from torch import nn


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """An architecture and its ladder.

    Attributes:
        name: as written in grids.
        sizes: names of its sizes, smallest first; empty when ``pattern`` decides.
        paradigms: what it can be trained under.
        numerics: module whose version enters training ids.
        pattern: regular expression of legal size names where they are not a fixed list.
        about: one line for listings.
    """

    name: str
    sizes: tuple[str, ...]
    paradigms: tuple[str, ...]
    numerics: str
    pattern: str = ""
    about: str = ""

    def has(self, size: str) -> bool:
        """Whether ``size`` exists."""
        if self.pattern:
            return re.fullmatch(self.pattern, size) is not None
        return size in self.sizes


FAMILIES: dict[str, Family] = {
    "resnet": Family(
        name="resnet",
        sizes=tuple(LADDER),
        paradigms=("sl",),
        numerics="models.resnet",
        about="ResNet-1D after Ribeiro et al. 2020",
    ),
    "simulated": Family(
        name="simulated",
        sizes=(),
        paradigms=("sl", "ssl"),
        numerics="simulated",
        pattern=r"n[1-9][0-9]*",
        about="no network: a law with known truth, for testing studies",
    ),
}


def _resnet(size: str, leads: int, dropout: float) -> nn.Module:
    from scaling.models.resnet import ResNet1d

    return ResNet1d(size, leads, dropout)


BUILDERS: dict[str, Callable[[str, int, float], nn.Module]] = {"resnet": _resnet}


def build(family: str, size: str, leads: int = 12, dropout: float = 0.0) -> nn.Module:
    """Build a backbone that maps (B, L, T) in millivolts to features (B, F).

    Its ``features`` attribute is F.

    Raises:
        KeyError: no such family, or no network behind it.
        ValueError: no such size; the message lists those that exist.
    """
    if not FAMILIES[family].has(size):
        sizes = ", ".join(FAMILIES[family].sizes)
        raise ValueError(f"family {family} has no size {size!r}; it has {sizes}")
    return BUILDERS[family](size, leads, dropout)
