"""The ResNet ladder: S1's ten sizes and smaller ones for a laptop. No torch needed.

S1 Table S.4 gives (depth, width); how widths ramp up to the last block and how time is
strided is our reading. Both are written out here rather than derived at build time, so a
size is a plain fact; ``ramp`` shows where S1's channels come from, and a test compares.
"""

from __future__ import annotations

import dataclasses
import math

RIBEIRO = (64, 128, 196, 256, 320)


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """One size.

    Attributes:
        channels: width of each block; the stem has the first.
        strides: time stride of each block.
        kernel: length of the convolutions, odd.
        laptop: whether it is one of ours rather than one of S1's.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    kernel: int = 17
    laptop: bool = False


def ramp(depth: int, width: int) -> tuple[int, ...]:
    """Ribeiro's widths resampled linearly to ``depth`` blocks and scaled to end at ``width``."""
    channels = []
    for block in range(depth):
        place = block * (len(RIBEIRO) - 1) / (depth - 1)
        low = min(int(place), len(RIBEIRO) - 2)
        value = RIBEIRO[low] + (place - low) * (RIBEIRO[low + 1] - RIBEIRO[low])
        channels.append(max(1, round(value * width / RIBEIRO[-1])))
    return tuple(channels)


# Every block halves time in S1's sizes: legal for all ten at 1000 samples and at 500 (the
# original's factor of 4 runs out of samples at seven blocks). Laptop sizes have two blocks that
# each divide time by 4, which sees as far at half the cost, and start at half their width:
# Ribeiro's ramp would leave them two or three channels, too few to keep the P wave. Channels in
# multiples of 16 (8 at the smallest) fill vector registers, and do more MACs a second.
LADDER: dict[str, Shape] = {
    "d2w6": Shape((3, 6), (4, 4), laptop=True),
    "d2w12": Shape((6, 12), (4, 4), laptop=True),
    "d2w16": Shape((8, 16), (4, 4), laptop=True),
    "d2w24": Shape((12, 24), (4, 4), laptop=True),
    "d2w32": Shape((16, 32), (4, 4), laptop=True),
    "d2w36": Shape((18, 36), (4, 4), laptop=True),
    "d2w48": Shape((24, 48), (4, 4), laptop=True),
    "d2w64": Shape((32, 64), (4, 4), laptop=True),
    "d2w96": Shape((48, 96), (4, 4), laptop=True),
    "d3w24": Shape((5, 15, 24), (2, 2, 2)),
    "d3w48": Shape((10, 29, 48), (2, 2, 2)),
    "d4w64": Shape((13, 30, 47, 64), (2, 2, 2, 2)),
    "d4w90": Shape((18, 42, 66, 90), (2, 2, 2, 2)),
    "d4w128": Shape((26, 60, 94, 128), (2, 2, 2, 2)),
    "d5w226": Shape((45, 90, 138, 181, 226), (2, 2, 2, 2, 2)),
    "d5w320": Shape((64, 128, 196, 256, 320), (2, 2, 2, 2, 2)),
    "d6w452": Shape((90, 163, 238, 311, 380, 452), (2, 2, 2, 2, 2, 2)),
    "d6w640": Shape((128, 230, 338, 440, 538, 640), (2, 2, 2, 2, 2, 2)),
    "d7w1024": Shape((205, 341, 482, 627, 755, 887, 1024), (2, 2, 2, 2, 2, 2, 2)),
}


def shortest(size: str) -> int:
    """Samples of the shortest record that ``size`` reads: its strides leave one of it.

    Below that, the last block would see nothing but padding.
    """
    return math.prod(LADDER[size].strides)


def too_short(size: str, samples: int) -> str:
    """What is wrong with records of ``samples`` samples for ``size``."""
    return (
        f"size {size} divides time by {shortest(size)}, which leaves no sample of records of "
        f"{samples} samples: its shortest legal window is {shortest(size)} samples"
    )
