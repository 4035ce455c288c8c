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

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from scaling.data.batches import Batch, Split, measured
from scaling.models.families import build
from scaling.models.heartbeats import Part
from scaling.models.transformer import EcgTransformer
from scaling.objectives.base import Context
from scaling.objectives.heartbeat_codes import PADDING, Codebook, check_codebook, codes_of
from scaling.objectives.registry import OBJECTIVES

CODES = "codes"  # name in ``Split.extra``
# Records at once when held out: 128 hidden tokens of each against 8,192 codes are 268 MB.
HELD_OUT_BATCH = 64
HELD_OUT_SEED = 0


class Guesses(NamedTuple):
    """Of the M hidden tokens of a batch, those of a record side by side and in order.

    Attributes:
        logits_MK: over codes.
        codes_M: what they are, int64.
        record_M: place of their record in the batch, int64.
    """

    logits_MK: Tensor
    codes_M: Tensor
    record_M: Tensor


class MaskedModel(nn.Module):
    """Transformer and a linear head on codes, which is dropped after training.

    Args:
        context: family, size, leads, mask ratio and number of codes are its training's.
    """

    def __init__(self, context: Context) -> None:
        super().__init__()
        training = context.training
        settings = OBJECTIVES[training.objective].settings(training.options)
        self.mask_ratio = float(settings["mask_ratio"])
        self.codes = int(settings["codes"])
        leads, dropout = len(training.leads), training.recipe.dropout
        backbone = build(training.family, training.size, leads, dropout)
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

    Args:
        real_BS: (B, S) bool, False where a token is padding.
        score_BS: (B, S) in [0, 1).
        ratio: share of real tokens, in (0, 1); rounded half up, at least one.
    """
    rank_BS = torch.where(real_BS, score_BS, 1.0).argsort(dim=1, stable=True).argsort(dim=1)
    hidden_B = (ratio * real_BS.sum(dim=1) + 0.5).floor().clamp_min(1)
    return (rank_BS < hidden_B[:, None]) & real_BS


def loss_per_record(guesses: Guesses, records: int) -> Tensor:
    """Mean over its hidden tokens of the cross-entropy of each record, (B,) in nats."""
    each_M = cross_entropy(guesses.logits_MK.float(), guesses.codes_M, reduction="none")
    record_M = guesses.record_M  # counted by adding up: bincount makes a GPU wait
    hidden_B = record_M.new_zeros(records).index_add(0, record_M, torch.ones_like(record_M))
    summed_B = each_M.new_zeros(records).index_add(0, record_M, each_M)
    return summed_B / hidden_B.clamp_min(1)


class Masked:
    """Masked heartbeats; see ``scaling.objectives.base.Objective``."""

    def build(self, context: Context) -> nn.Module:
        """Transformer and head; the head's weights start small."""
        return MaskedModel(context)

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
        codebook = cast(Codebook, context.parents["codebook"])
        check_codebook(codebook, context)
        for split in splits.values():
            split.extra[CODES] = codes_of(codebook, split)

    def outputs(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Guesses:
        """Guesses at places drawn from the generator."""
        assert isinstance(model, MaskedModel)
        return model.guess(batch, _scores(model, len(batch.x_BLT), generator))

    def loss(self, outputs: Guesses, batch: Batch) -> Tensor:
        """Mean over records of the mean over their hidden tokens."""
        return loss_per_record(outputs, len(batch.x_BLT)).mean()

    def held_out(self, model: nn.Module, split: Split) -> Tensor:
        """Loss of each record, (n,) in nats; what is hidden is fixed by its place in the split."""
        assert isinstance(model, MaskedModel)
        generator = torch.Generator().manual_seed(HELD_OUT_SEED)
        drawn = torch.split(torch.arange(len(split)), HELD_OUT_BATCH)
        score_NS = torch.cat([_scores(model, len(rows), generator) for rows in drawn])
        score_NS = score_NS.to(split.device)

        def losses(batch: Batch) -> Tensor:
            guesses = model.guess(batch, score_NS[batch.rows_B])
            return loss_per_record(guesses, len(batch.x_BLT)).cpu()

        was_training = model.training
        model.eval()
        with torch.no_grad():
            found = measured(losses, split, HELD_OUT_BATCH)
        model.train(was_training)
        return found


def _scores(model: MaskedModel, records: int, generator: torch.Generator) -> Tensor:
    return torch.rand(records, model.backbone.tokens, generator=generator)


OBJECTIVE = Masked()
