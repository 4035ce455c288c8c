"""Masked heartbeats: predict the codes of those that are hidden (S1 Eq. 6; HeartLang, Jin et al.).

    L = mean over masked tokens i of  -log softmax(head(h_i))[code_i]

in nats, where code_i is what a frozen codebook calls the heartbeat before it is hidden, and h_i
the Transformer's state in its place. Codes do not depend on what is trained, so they are found
once, before the first step: the codebook's passes are not part of C.

Choices where the paper and HeartLang's released code leave several, or differ:

- half of the real heartbeats of a record are hidden, at least one; padding never is, though the
  released code hides it as well: its code says nothing;
- tokens are hidden behind the convolution over neighbours, as in the released code, so that
  neighbours carry a trace of them;
- the codebook is told leads and seconds, as when it was trained (the released code forgets to);
- the loss of a record is the mean over its hidden tokens, and of a batch the mean over records,
  so that training and held-out losses are the same quantity. In the released code every record
  has equally many hidden tokens, for which the mean over all of them is the same;
- the head starts at the frequencies of the codes in training, with small weights.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from scaling.data.batches import Batch, Split, StreamedSplit, evaluated
from scaling.identity import Training
from scaling.models.families import FAMILIES
from scaling.models.heartbeats import Part, put_back, tokenize
from scaling.models.transformer import EcgTransformer
from scaling.models.vq_hbr import VqHbr
from scaling.objectives.base import HELD_OUT_BATCH, Context, Objective
from scaling.objectives.registry import Settings

CODES = "codes"  # name in ``Split.extra``
HELD_OUT_SEED = 0
PADDING = -1  # in place of a code
KEPT = 8  # splits whose codes are kept: 2 MB each for 8,192 records of 128 heartbeats


class Guesses(NamedTuple):
    """Of the M hidden tokens of a batch, those of a record side by side and in order."""

    logits_MK: Tensor  # over codes
    codes_M: Tensor  # what they are, int64
    record_M: Tensor  # place of their record in the batch, int64


class MaskedModel(nn.Module):
    """Transformer and a linear head on codes, which is dropped after training."""

    def __init__(self, context: Context, settings: Settings) -> None:
        super().__init__()
        self.mask_ratio = float(settings["mask_ratio"])
        self.codes = int(settings["codes"])
        backbone = context.backbone()
        assert isinstance(backbone, EcgTransformer)
        self.backbone = backbone
        self.head = nn.Linear(backbone.features, self.codes)
        with torch.no_grad():
            self.head.weight.mul_(0.1)

    def forward(self, x_BLT: Tensor, r_peaks_BP: Tensor) -> Tensor:
        """Logits (B, M, codes) in the first M places, M the share ``mask_ratio`` of all slots.

        It is what a step costs where every slot is filled; which places are hidden, and how
        many real heartbeats there are, is left out.
        """
        states = self.backbone.encode(self.backbone.tokenize(x_BLT, r_peaks_BP))
        hidden = round(self.backbone.tokens * self.mask_ratio)
        logits: Tensor = self.head(states[:, 1 : 1 + hidden])
        return logits

    def guess(self, batch: Batch, score_BS: Tensor) -> Guesses:
        """Hide the tokens of the lowest scores and predict their codes, at these places only.

        Padding is neither hidden nor attended to, so slots of it are left out.
        """
        score_BS = score_BS.to(batch.x_BLT.device)
        parts = self.backbone.parts(batch.x_BLT, batch.r_peaks_BP)
        found = [self._guess(batch, score_BS, part) for part in parts]
        return Guesses(*(torch.cat(of_parts) for of_parts in zip(*found, strict=True)))

    def _guess(self, batch: Batch, score_BS: Tensor, part: Part) -> Guesses:
        """The same of some of the records, in the first slots alone."""
        some = batch.part(part.rows)
        beats = self.backbone.tokenize(some.x_BLT, some.r_peaks_BP, part.slots)
        score_BS = score_BS[part.rows, : part.slots]
        masked_BS = choose_masked(beats.real_BS, score_BS, self.mask_ratio)
        states_BSD = self.backbone.encode(beats, masked_BS)[:, 1:]
        record_M, place_M = torch.nonzero(masked_BS, as_tuple=True)
        places_B = torch.arange(len(batch.x_BLT), device=record_M.device)[part.rows]
        return Guesses(
            logits_MK=self.head(states_BSD[record_M, place_M]),
            codes_M=some.extra[CODES][record_M, place_M].long(),
            record_M=places_B[record_M],
        )


def choose_masked(real_BS: Tensor, score_BS: Tensor, ratio: float) -> Tensor:
    """Which tokens are hidden, (B, S) bool: the share ``ratio`` of real ones with lowest scores.

    Their number is rounded half up, and at least one. Scores are in [0, 1).
    """
    rank_BS = torch.where(real_BS, score_BS, 1.0).argsort(dim=1, stable=True).argsort(dim=1)
    hidden_B = (ratio * real_BS.sum(dim=1) + 0.5).floor().clamp_min(1)
    return (rank_BS < hidden_B[:, None]) & real_BS


def masked_losses(guesses: Guesses, records: int) -> Tensor:
    """Mean over its hidden tokens of the cross-entropy of each record, (B,) in nats."""
    each_M = cross_entropy(guesses.logits_MK.float(), guesses.codes_M, reduction="none")
    record_M = guesses.record_M  # counted by adding up: bincount makes a GPU wait
    hidden_B = record_M.new_zeros(records).index_add(0, record_M, torch.ones_like(record_M))
    summed_B = each_M.new_zeros(records).index_add(0, record_M, each_M)
    return summed_B / hidden_B.clamp_min(1)


_kept: dict[bytes, Tensor] = {}  # the last used at the end


def codes_of(codebook: VqHbr, split: Split) -> Tensor:
    """What a frozen codebook calls every heartbeat of a split, (n, S), or ``PADDING``.

    16-bit integers where codes fit, on the split's device. A training and its evaluation, and
    trials that follow each other in one process, want the codes of the same records: those of the
    last few splits are kept.
    """
    kind = torch.int16 if codebook.shape.codes <= torch.iinfo(torch.int16).max + 1 else torch.int32
    key = _fingerprint(codebook, split)
    found = _kept.pop(key, None) if key else None
    if found is None:
        found = evaluated(codebook, lambda some: _codes(codebook, some).to(kind), split)
    if key:
        _kept[key] = found.clone()
        if len(_kept) > KEPT:
            del _kept[next(iter(_kept))]
    return found


def _codes(codebook: VqHbr, batch: Batch) -> Tensor:
    """(B, S): of the first slots of each part of the batch, and padding behind."""
    parts = codebook.parts(batch.x_BLT, batch.r_peaks_BP)
    found = []
    for part in parts:
        beats = tokenize(batch.x_BLT[part.rows], batch.r_peaks_BP[part.rows], part.slots)
        codes_BS = torch.where(beats.real_BS, codebook.codes(beats), PADDING)
        found.append(pad(codes_BS, (0, codebook.tokens - part.slots), value=PADDING))
    return put_back(found, parts)


def _fingerprint(codebook: VqHbr, split: Split) -> bytes | None:
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


def check_codebook(codebook: VqHbr, training: Training, codes: int) -> None:
    """Refuse a codebook whose codes are not those the training predicts.

    Raises:
        ValueError: names each difference.
    """
    tokens = FAMILIES[training.family].slots[training.size]
    differences = []
    if codebook.shape.codes != codes:
        differences.append(f"it has {codebook.shape.codes} codes, the option 'codes' says {codes}")
    if codebook.tokens != tokens:
        differences.append(
            f"it reads {codebook.tokens} heartbeats, a Transformer {training.size} {tokens}"
        )
    if differences:
        parents = ", ".join(training.parent_ids) or "without an id"
        raise ValueError(f"the codebook does not fit ({parents}): {'; '.join(differences)}")


class Masked(Objective):
    """Masked heartbeats."""

    def build(self, context: Context) -> nn.Module:
        """Transformer and head; the head's weights start small."""
        return MaskedModel(context, self.settings)

    def start(self, model: nn.Module, train: Split) -> None:
        """The head starts at the frequencies of codes, smoothed by half a heartbeat each."""
        assert isinstance(model, MaskedModel)
        codes = train.extra[CODES].flatten().long().cpu()
        counts = torch.bincount(codes[codes != PADDING], minlength=model.codes) + 0.5
        with torch.no_grad():
            model.head.bias.copy_((counts / counts.sum()).log())

    def annotate(self, splits: dict[str, Split], context: Context) -> None:
        """The code of every heartbeat, ``extra["codes"]``, by the parent ``codebook``.

        Raises:
            ValueError: no codebook, or one with other codes or tokens.
        """
        if "codebook" not in context.parents:
            raise ValueError(
                "the masked objective predicts the codes of a codebook and has none: "
                "give the training a parent of the stage codebook"
            )
        codebook = context.parents["codebook"]
        assert isinstance(codebook, VqHbr)
        check_codebook(codebook, context.training, int(self.settings["codes"]))
        for split in splits.values():
            split.extra[CODES] = codes_of(codebook, split)

    def outputs(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Guesses:
        """Guesses at places drawn from the generator."""
        assert isinstance(model, MaskedModel)
        return model.guess(batch, _scores(model, len(batch.x_BLT), generator))

    def loss(self, outputs: Guesses, batch: Batch) -> Tensor:
        """Mean over records of the mean over their hidden tokens."""
        return masked_losses(outputs, len(batch.x_BLT)).mean()

    def held_out(self, model: nn.Module, split: Split) -> Tensor:
        """Loss of each record, (n,) in nats; what is hidden is fixed by its place in the split."""
        assert isinstance(model, MaskedModel)
        generator = torch.Generator().manual_seed(HELD_OUT_SEED)
        drawn = torch.split(torch.arange(len(split)), HELD_OUT_BATCH)
        score_NS = torch.cat([_scores(model, len(rows), generator) for rows in drawn])
        score_NS = score_NS.to(split.device)

        def losses(batch: Batch) -> Tensor:
            guesses = model.guess(batch, score_NS[batch.rows_B])
            return masked_losses(guesses, len(batch.x_BLT)).cpu()

        return evaluated(model, losses, split, HELD_OUT_BATCH)


def _scores(model: MaskedModel, records: int, generator: torch.Generator) -> Tensor:
    return torch.rand(records, model.backbone.tokens, generator=generator)
