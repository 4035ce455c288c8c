"""The ladders: what sizes each architecture has, and which records each reads. No torch needed.

S1 Table S.4 gives the (depth, width) of ten ResNets and the (layers, width, heads, feed-forward
width) of ten Transformers. The rest is our reading, written out here rather than derived at build
time, so that a size is a plain fact; a test shows where S1's ResNet channels come from (Ribeiro's
ramp). The convolutional Transformers without a stride in their names are those of S2 (LiteHeart)
and of FastECG, on which it builds; so are the three larger UNets. Laptop sizes are ours.
"""

from __future__ import annotations

import dataclasses
import math

HEAD_WIDTH = 64  # of attention, whatever the model's width: HeartLang's code, on which S1 builds
TOKENS = 256  # slots for heartbeats; half are enough for five seconds, so for laptop sizes
TOKEN_WIDTH = 96  # samples of a token: 0.96 s
FS_HZ = 100  # the rate tokens are cut at, and a step of the table of seconds
PLACES = 16  # rows of the tables of leads and of seconds; row 0 is padding
LONGEST = FS_HZ * (PLACES - 1)  # samples of the longest record whose seconds are all in the table


@dataclasses.dataclass(frozen=True, slots=True)
class ResnetShape:
    """A ResNet, named ``d<blocks>w<channels of the last block>``."""

    channels: tuple[int, ...]  # width of each block; the stem has the first
    strides: tuple[int, ...]  # time stride of each block
    kernel: int = 17  # length of the convolutions, odd
    laptop: bool = False  # whether it is one of ours rather than one of S1's


@dataclasses.dataclass(frozen=True, slots=True)
class TransformerShape:
    """A Transformer, named ``l<layers>d<width>h<heads>``; a laptop size also ``t<tokens>``."""

    layers: int  # Transformer blocks
    width: int  # of the hidden state
    heads: int  # of attention, each ``HEAD_WIDTH`` wide
    hidden: int  # width inside the feed-forward part
    tokens: int = TOKENS  # slots for heartbeats; what does not fit is cut off
    laptop: bool = False  # whether it is one of ours rather than one of S1's


@dataclasses.dataclass(frozen=True, slots=True)
class VqShape:
    """A VQ-HBR, named ``l<encoder layers>d<width>k<codes>``; a laptop size also ``t<tokens>``.

    Encoder and decoder have the same width, heads and feed-forward part.
    """

    encoder: int  # blocks of the encoder
    decoder: int  # blocks of the decoder
    width: int  # of the hidden state
    heads: int  # of attention, each 64 wide
    hidden: int  # width inside the feed-forward part
    codes: int  # size of the codebook
    code_width: int  # values in a code
    tokens: int = TOKENS  # slots for heartbeats
    laptop: bool = False  # whether it is one of ours rather than HeartLang's


@dataclasses.dataclass(frozen=True, slots=True)
class ConvtxShape:
    """A convolutional Transformer, named ``d<width>n<layers>``.

    The name has also ``h<heads>`` where there are not 16, and ``s2`` where strides are 2.
    """

    width: int  # of the convolutions and of the hidden state
    layers: int  # Transformer layers
    heads: int = 16  # of attention, which share the width
    strides: tuple[int, ...] = (4, 4, 4)  # time stride of each convolutional block
    # whether a token attends to itself and earlier ones alone, as in the released code
    causal: bool = True
    laptop: bool = False  # whether it is one of ours rather than one of S2's or FastECG's


@dataclasses.dataclass(frozen=True, slots=True)
class UnetShape:
    """A UNet, named ``c<channels of the first level>``."""

    channels: tuple[int, ...]  # of each level; each but the first divides time by ``UNET_POOL``
    laptop: bool = False  # whether it is one of ours rather than one of S2's


# Every block halves time in S1's sizes: legal for all ten at 1000 samples and at 500 (the
# original's factor of 4 runs out of samples at seven blocks). Laptop sizes have two blocks that
# each divide time by 4, which sees as far at half the cost, and start at half their width:
# Ribeiro's ramp would leave them two or three channels, too few to keep the P wave. Channels in
# multiples of 16 (8 at the smallest) fill vector registers, and do more MACs a second.
RESNET: dict[str, ResnetShape] = {
    "d2w6": ResnetShape((3, 6), (4, 4), laptop=True),
    "d2w12": ResnetShape((6, 12), (4, 4), laptop=True),
    "d2w16": ResnetShape((8, 16), (4, 4), laptop=True),
    "d2w24": ResnetShape((12, 24), (4, 4), laptop=True),
    "d2w32": ResnetShape((16, 32), (4, 4), laptop=True),
    "d2w36": ResnetShape((18, 36), (4, 4), laptop=True),
    "d2w48": ResnetShape((24, 48), (4, 4), laptop=True),
    "d2w64": ResnetShape((32, 64), (4, 4), laptop=True),
    "d2w96": ResnetShape((48, 96), (4, 4), laptop=True),
    "d3w24": ResnetShape((5, 15, 24), (2, 2, 2)),
    "d3w48": ResnetShape((10, 29, 48), (2, 2, 2)),
    "d4w64": ResnetShape((13, 30, 47, 64), (2, 2, 2, 2)),
    "d4w90": ResnetShape((18, 42, 66, 90), (2, 2, 2, 2)),
    "d4w128": ResnetShape((26, 60, 94, 128), (2, 2, 2, 2)),
    "d5w226": ResnetShape((45, 90, 138, 181, 226), (2, 2, 2, 2, 2)),
    "d5w320": ResnetShape((64, 128, 196, 256, 320), (2, 2, 2, 2, 2)),
    "d6w452": ResnetShape((90, 163, 238, 311, 380, 452), (2, 2, 2, 2, 2, 2)),
    "d6w640": ResnetShape((128, 230, 338, 440, 538, 640), (2, 2, 2, 2, 2, 2)),
    "d7w1024": ResnetShape((205, 341, 482, 627, 755, 887, 1024), (2, 2, 2, 2, 2, 2, 2)),
}
TRANSFORMER: dict[str, TransformerShape] = {
    "l1d8h1t128": TransformerShape(1, 8, 1, 32, 128, laptop=True),
    "l1d16h1t128": TransformerShape(1, 16, 1, 64, 128, laptop=True),
    "l1d32h1t128": TransformerShape(1, 32, 1, 128, 128, laptop=True),
    "l1d64h1t128": TransformerShape(1, 64, 1, 256, 128, laptop=True),
    "l2d64h1t128": TransformerShape(2, 64, 1, 256, 128, laptop=True),
    "l2d96h2t128": TransformerShape(2, 96, 2, 384, 128, laptop=True),
    "l1d24h1": TransformerShape(1, 24, 1, 96),
    "l1d48h2": TransformerShape(1, 48, 2, 192),
    "l1d96h2": TransformerShape(1, 96, 2, 384),
    "l2d128h4": TransformerShape(2, 128, 4, 512),
    "l3d192h4": TransformerShape(3, 192, 4, 768),
    "l3d256h4": TransformerShape(3, 256, 4, 1024),
    "l4d348h4": TransformerShape(4, 348, 4, 1392),
    "l5d420h8": TransformerShape(5, 420, 8, 1680),
    "l6d512h8": TransformerShape(6, 512, 8, 2048),
    "l8d768h8": TransformerShape(8, 768, 8, 3072),
}
VQ_HBR: dict[str, VqShape] = {
    "l1d48k256t128": VqShape(1, 1, 48, 1, 192, 256, 16, 128, laptop=True),
    "l1d64k512t128": VqShape(1, 1, 64, 1, 256, 512, 32, 128, laptop=True),
    "l1d64k8192t128": VqShape(1, 1, 64, 1, 256, 8192, 128, 128, laptop=True),
    "l1d48k256": VqShape(1, 1, 48, 1, 192, 256, 16, laptop=True),
    "l1d64k512": VqShape(1, 1, 64, 1, 256, 512, 32, laptop=True),
    "l4d768k8192": VqShape(4, 2, 768, 2, 2048, 8192, 128),
}
# Three strides of 2 leave 125 tokens of 80 ms of ten seconds at 100 Hz, three of 4 leave 16 of
# 640 ms, longer than a PR interval; S2 has them for 400 to 500 Hz. Heads of laptop sizes are 8 to
# 16 wide: attention to 125 tokens costs as many softmaxes as there are heads.
CONVTX: dict[str, ConvtxShape] = {
    "d8n1h1s2": ConvtxShape(8, 1, 1, (2, 2, 2), laptop=True),
    "d16n1h2s2": ConvtxShape(16, 1, 2, (2, 2, 2), laptop=True),
    "d24n1h3s2": ConvtxShape(24, 1, 3, (2, 2, 2), laptop=True),
    "d32n1h4s2": ConvtxShape(32, 1, 4, (2, 2, 2), laptop=True),
    "d48n2h4s2": ConvtxShape(48, 2, 4, (2, 2, 2), laptop=True),
    "d64n1h4s2": ConvtxShape(64, 1, 4, (2, 2, 2), laptop=True),
    "d64n1s2": ConvtxShape(64, 1, 16, (2, 2, 2), laptop=True),
    "d96n3h8s2": ConvtxShape(96, 3, 8, (2, 2, 2), laptop=True),
    "d8n1h1": ConvtxShape(8, 1, 1, laptop=True),
    "d16n1h2": ConvtxShape(16, 1, 2, laptop=True),
    "d24n1h3": ConvtxShape(24, 1, 3, laptop=True),
    "d32n1h4": ConvtxShape(32, 1, 4, laptop=True),
    "d48n2h4": ConvtxShape(48, 2, 4, laptop=True),
    "d96n3h8": ConvtxShape(96, 3, 8, laptop=True),
    "d64n1": ConvtxShape(64, 1),
    "d128n1": ConvtxShape(128, 1),
    "d128n4": ConvtxShape(128, 4),
    "d256n8": ConvtxShape(256, 8),
    "d512n12": ConvtxShape(512, 12),
    "d768n12": ConvtxShape(768, 12),
}
UNET_POOL = 4  # samples that become one from a level of a UNet to the next
UNET: dict[str, UnetShape] = {
    "c4": UnetShape((4, 8, 16, 32), laptop=True),
    "c8": UnetShape((8, 16, 32, 64), laptop=True),
    "c16": UnetShape((16, 32, 64, 128)),
    "c32": UnetShape((32, 64, 128, 256)),
    "c64": UnetShape((64, 128, 256, 512)),
}


def shortest(size: str) -> int:
    """Samples of the shortest record that a ResNet or ConvTransformer reads: strides leave one.

    Below that, the last block would see little or nothing but padding. No name is one of both.
    """
    shape = RESNET[size] if size in RESNET else CONVTX[size]
    return math.prod(shape.strides)


def strides_cannot_read(size: str, samples: int) -> str | None:
    """Why such a model cannot read records of ``samples`` samples; None when it can."""
    if samples >= shortest(size):
        return None
    return (
        f"size {size} divides time by {shortest(size)}, which leaves no sample of records of "
        f"{samples} samples: its shortest legal window is {shortest(size)} samples"
    )


def heartbeats_cannot_read(samples: int, leads: int) -> str | None:
    """Why heartbeats cannot be cut from records of so many samples and leads; None if they can."""
    if not TOKEN_WIDTH <= samples <= LONGEST:
        return (
            f"heartbeats are cut from records of {TOKEN_WIDTH} to {LONGEST} samples at {FS_HZ} Hz "
            f"({TOKEN_WIDTH / FS_HZ} to {LONGEST // FS_HZ} s), not of {samples}"
        )
    if not 0 < leads < PLACES:
        return f"the table of leads holds 1 to {PLACES - 1} leads, not {leads}"
    return None
