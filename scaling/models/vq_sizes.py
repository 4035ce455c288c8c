"""Sizes of the heartbeat codebook model: HeartLang's and small ones. No torch needed.

Named ``l<layers of the encoder>d<width>k<codes>``; small ones end in ``t<tokens>`` as laptop
Transformers do.
"""

from __future__ import annotations

import dataclasses

from scaling.models.transformer_sizes import TOKENS


@dataclasses.dataclass(frozen=True, slots=True)
class VqShape:
    """One size; encoder and decoder have the same width, heads and feed-forward part.

    Attributes:
        encoder: blocks of the encoder.
        decoder: blocks of the decoder.
        width: of the hidden state.
        heads: of attention, each 64 wide.
        hidden: width inside the feed-forward part.
        codes: size of the codebook.
        code_width: values in a code.
        tokens: slots for heartbeats.
        laptop: whether it is one of ours rather than HeartLang's.
    """

    encoder: int
    decoder: int
    width: int
    heads: int
    hidden: int
    codes: int
    code_width: int
    tokens: int = TOKENS
    laptop: bool = False


LADDER: dict[str, VqShape] = {
    "l1d48k256t128": VqShape(1, 1, 48, 1, 192, 256, 16, 128, laptop=True),
    "l1d64k512t128": VqShape(1, 1, 64, 1, 256, 512, 32, 128, laptop=True),
    "l1d64k8192t128": VqShape(1, 1, 64, 1, 256, 8192, 128, 128, laptop=True),
    "l1d48k256": VqShape(1, 1, 48, 1, 192, 256, 16, laptop=True),
    "l1d64k512": VqShape(1, 1, 64, 1, 256, 512, 32, laptop=True),
    "l4d768k8192": VqShape(4, 2, 768, 2, 2048, 8192, 128),
}
