"""The Transformer ladder: S1's ten sizes and smaller ones for a laptop. No torch needed.

S1 Table S.4 gives (layers, width, heads, width of the feed-forward part). Heads are 64 wide
whatever the width is, as in HeartLang's code, on which S1 builds. Sizes are named
``l<layers>d<width>h<heads>``; laptop sizes end in ``t<tokens>``, since half of HeartLang's 256
tokens are enough for five seconds.
"""

from __future__ import annotations

import dataclasses

HEAD_WIDTH = 64
TOKENS = 256
TOKEN_WIDTH = 96  # samples of a token: 0.96 s
FS_HZ = 100  # the rate tokens are cut at, and a step of the table of seconds
PLACES = 16  # rows of the tables of leads and of seconds; row 0 is padding
LONGEST = FS_HZ * (PLACES - 1)  # samples of the longest record whose seconds are all in the table


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """One size.

    Attributes:
        layers: Transformer blocks.
        width: of the hidden state.
        heads: of attention, each ``HEAD_WIDTH`` wide.
        hidden: width inside the feed-forward part.
        tokens: slots for heartbeats; what does not fit is cut off.
        laptop: whether it is one of ours rather than one of S1's.
    """

    layers: int
    width: int
    heads: int
    hidden: int
    tokens: int = TOKENS
    laptop: bool = False


def cannot_read(samples: int, leads: int) -> str | None:
    """Why heartbeats cannot be cut from such records; None when they can.

    Args:
        samples: samples per lead, at ``FS_HZ``.
        leads: number of leads.
    """
    if not TOKEN_WIDTH <= samples <= LONGEST:
        return (
            f"heartbeats are cut from records of {TOKEN_WIDTH} to {LONGEST} samples at {FS_HZ} Hz "
            f"({TOKEN_WIDTH / FS_HZ} to {LONGEST // FS_HZ} s), not of {samples}"
        )
    if not 0 < leads < PLACES:
        return f"the table of leads holds 1 to {PLACES - 1} leads, not {leads}"
    return None


LADDER: dict[str, Shape] = {
    "l1d8h1t128": Shape(1, 8, 1, 32, 128, laptop=True),
    "l1d16h1t128": Shape(1, 16, 1, 64, 128, laptop=True),
    "l1d32h1t128": Shape(1, 32, 1, 128, 128, laptop=True),
    "l1d64h1t128": Shape(1, 64, 1, 256, 128, laptop=True),
    "l2d64h1t128": Shape(2, 64, 1, 256, 128, laptop=True),
    "l2d96h2t128": Shape(2, 96, 2, 384, 128, laptop=True),
    "l1d24h1": Shape(1, 24, 1, 96),
    "l1d48h2": Shape(1, 48, 2, 192),
    "l1d96h2": Shape(1, 96, 2, 384),
    "l2d128h4": Shape(2, 128, 4, 512),
    "l3d192h4": Shape(3, 192, 4, 768),
    "l3d256h4": Shape(3, 256, 4, 1024),
    "l4d348h4": Shape(4, 348, 4, 1392),
    "l5d420h8": Shape(5, 420, 8, 1680),
    "l6d512h8": Shape(6, 512, 8, 2048),
    "l8d768h8": Shape(8, 768, 8, 3072),
}
