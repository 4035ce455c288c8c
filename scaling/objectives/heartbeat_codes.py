"""Codes of heartbeats: what a frozen codebook calls each heartbeat of a split."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from scaling.models.heartbeats import Heartbeats, tokenize
from scaling.models.transformer_sizes import LADDER
from scaling.objectives.base import Context
from scaling.objectives.registry import OBJECTIVES
from scaling.training.data import Batch, Split
from scaling.training.memory import in_parts

PADDING = -1  # in place of a code


class CodebookShape(Protocol):
    """Size of a codebook."""

    @property
    def codes(self) -> int:
        """How many codes there are."""
        ...


class Codebook(Protocol):
    """What is needed of a codebook model; ``scaling.models.vq_hbr.VqHbr`` is one."""

    @property
    def shape(self) -> CodebookShape:
        """Its size."""
        ...

    @property
    def tokens(self) -> int:
        """Slots for heartbeats."""
        ...

    def codes(self, beats: Heartbeats) -> Tensor:
        """The code of each token, (B, S) int64."""
        ...


def codes_of(codebook: Codebook, split: Split) -> Tensor:
    """Code of every heartbeat of a split, (n, S), ``PADDING`` where there is none.

    16-bit integers where codes fit, on the split's device.
    """
    kind = torch.int16 if codebook.shape.codes <= torch.iinfo(torch.int16).max + 1 else torch.int32
    with torch.no_grad():
        return torch.cat([_codes(codebook, batch).to(kind) for batch in split.chunks()])


def _codes(codebook: Codebook, batch: Batch) -> Tensor:
    def codes(some: Batch) -> Tensor:
        beats = tokenize(some.x_BLT, some.r_peaks_BP, codebook.tokens)
        return torch.where(beats.real_BS, codebook.codes(beats), PADDING)

    return in_parts(codes, batch)


def check_codebook(codebook: Codebook, context: Context) -> None:
    """Refuse a codebook whose codes are not those the training predicts.

    Raises:
        ValueError: names each difference.
    """
    training = context.training
    settings = OBJECTIVES[training.objective].settings(training.options)
    tokens = LADDER[training.size].tokens
    differences = []
    if codebook.shape.codes != settings["codes"]:
        differences.append(
            f"it has {codebook.shape.codes} codes, the option 'codes' says {settings['codes']}"
        )
    if codebook.tokens != tokens:
        differences.append(
            f"it reads {codebook.tokens} heartbeats, a Transformer {training.size} {tokens}"
        )
    if differences:
        parents = ", ".join(training.parents) or "without an id"
        raise ValueError(f"the codebook does not fit ({parents}): {'; '.join(differences)}")
