"""Codes of heartbeats: what a frozen codebook calls each heartbeat of a split.

A training and its evaluation, and trials that follow each other in one process, want the codes of
the same records: those of the last few splits are kept.
"""

from __future__ import annotations

import collections
import hashlib
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from scaling.data.batches import Batch, Split, StreamedSplit, measured
from scaling.models.heartbeats import Heartbeats, Part, put_back, tokenize
from scaling.models.transformer_sizes import LADDER
from scaling.objectives.base import Context
from scaling.objectives.registry import OBJECTIVES

PADDING = -1  # in place of a code
KEPT = 8  # splits whose codes are kept: 2 MB each for 8,192 records of 128 heartbeats


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

    def parts(self, x_BLT: Tensor, r_peaks_BP: Tensor) -> list[Part]:
        """Which records of a batch are computed together, and with how many slots."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that decides the codes."""
        ...


_kept: collections.OrderedDict[bytes, Tensor] = collections.OrderedDict()


def codes_of(codebook: Codebook, split: Split) -> Tensor:
    """Code of every heartbeat of a split, (n, S), ``PADDING`` where there is none.

    16-bit integers where codes fit, on the split's device.
    """
    kind = torch.int16 if codebook.shape.codes <= torch.iinfo(torch.int16).max + 1 else torch.int32
    key = _fingerprint(codebook, split)
    if key is None or key not in _kept:
        with torch.no_grad():
            found = measured(lambda some: _codes(codebook, some).to(kind), split)
        if key is None:
            return found
        _kept[key] = found
    _kept.move_to_end(key)
    while len(_kept) > KEPT:
        _kept.popitem(last=False)
    return _kept[key].clone()


def _codes(codebook: Codebook, batch: Batch) -> Tensor:
    """(B, S): of the first slots of each part of the batch, and padding behind."""
    parts = codebook.parts(batch.x_BLT, batch.r_peaks_BP)
    found = []
    for part in parts:
        beats = tokenize(batch.x_BLT[part.rows], batch.r_peaks_BP[part.rows], part.slots)
        codes_BS = torch.where(beats.real_BS, codebook.codes(beats), PADDING)
        found.append(pad(codes_BS, (0, codebook.tokens - part.slots), value=PADDING))
    return put_back(found, parts)


def _fingerprint(codebook: Codebook, split: Split) -> bytes | None:
    """Of the codebook's weights and the records; None on a GPU, where both would come back."""
    if split.device.type != "cpu":
        return None
    kind = f"{type(codebook).__qualname__} {codebook.shape} {codebook.tokens}"
    found = hashlib.blake2b(kind.encode(), digest_size=16)
    for name, value in codebook.state_dict().items():
        found.update(name.encode() + value.cpu().numpy().tobytes())
    if isinstance(split, StreamedSplit):
        leads = split.corpus.leads if split.leads is None else split.leads.tolist()
        found.update(f"{split.corpus.spec.key} {leads}".encode() + split.corpus_rows.tobytes())
    else:
        found.update(np.ascontiguousarray(split.signals.numpy()).data)
        found.update(f"{split.mv} {tuple(split.signals.shape)}".encode())
    found.update(f"{tuple(split.r_peaks.shape)}".encode() + split.r_peaks.numpy().tobytes())
    return found.digest()


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
        parents = ", ".join(training.parent_ids) or "without an id"
        raise ValueError(f"the codebook does not fit ({parents}): {'; '.join(differences)}")
