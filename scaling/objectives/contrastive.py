"""CMSC: segments of one patient are alike, those of others are not (Kiyasseh et al. 2021, CLOCS).

The form is S1's (Eq. S.1 and S.2), a supervised-contrastive loss whose classes are patients:

    P(i) = { j != i : patient(j) = patient(i) }                                         (S.1)
    L = mean over i of  mean over p in P(i) of  -log( exp(z_i z_p / t)
                                                      / sum over j != i of exp(z_i z_j / t) )  (S.2)

over the 2 B unit vectors z of the halves of B records, in nats. The loss depends on the number
of records it is measured among: without any knowledge it is about log(2 B - 1).

Choices where S1 is silent:

- temperature 0.1, the value of both public implementations (S1's figure is lost in print);
- a record that a batch has twice (where one epoch ends and the next begins, and wherever data are
  fewer than a batch) counts once: its copy would be a positive that is recognised for nothing;
- the halves are equally long; the last sample of an odd window is dropped;
- the hidden layer of the MLP is as wide as the features, as in SimCLR (Chen et al. 2020);
- both halves go through the backbone as one batch, so batch normalisation sees 2 B segments at
  once and positives have no statistics of their own to recognise each other by. Its running
  statistics are those of halves, though probes later see whole records.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from scaling.data.batches import Batch, Split, predict
from scaling.objectives.base import Context, Objective
from scaling.objectives.registry import OBJECTIVES

SEGMENTS = 2
PROJECTION = 128
# Records a held-out record is compared among: about a batch of training. It is part of the loss's
# definition, so it does not follow the batch of training.
HELD_OUT_RECORDS = 64


class ContrastiveModel(nn.Module):
    """Backbone and the projection head, which is dropped after training."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.backbone = context.backbone()
        width = self.backbone.features
        assert isinstance(width, int)
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, PROJECTION))

    def forward(self, x_BLT: Tensor, r_peaks_BP: Tensor | None = None) -> Tensor:
        """Records (B, L, T) to projections (B, 2, 128) of their halves; R peaks are not used."""
        records, leads, samples = x_BLT.shape
        half = samples // SEGMENTS
        segments = x_BLT[:, :, : SEGMENTS * half].reshape(records, leads, SEGMENTS, half)
        z: Tensor = self.head(self.backbone(segments.transpose(1, 2).flatten(0, 1)))
        return z.view(records, SEGMENTS, PROJECTION)


def loss_per_anchor(
    z_VD: Tensor, patients_V: Tensor, temperature: float, again_V: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """S1 Eq. S.2 for each anchor.

    Args:
        z_VD: (V, D) projections, normalised here, in float32.
        patients_V: (V,) patient of each.
        temperature: of the softmax, above 0.
        again_V: (V,) bool, vectors that stand in for nothing new: no anchors, no positives and
            no negatives. Where none is, the loss is the same bit for bit as without the word.

    Returns:
        Loss of each vector as an anchor, (V,) in nats, 0 where it has no positive; and whether
        it is an anchor that has one, (V,) bool.
    """
    z = normalize(z_VD.float(), dim=1)
    similarity_VV = z @ z.T / temperature
    excluded = torch.eye(len(z), dtype=torch.bool, device=z.device)
    if again_V is not None:
        excluded = excluded | again_V[None, :]
    positive_VV = (patients_V[:, None] == patients_V[None, :]) & ~excluded
    positives_V = positive_VV.sum(dim=1)
    among_V = similarity_VV.masked_fill(excluded, -torch.inf).logsumexp(dim=1)
    # clamp: an anchor without positives has a mean over nothing, which must not become NaN
    # (CLOCS's own code does) even where it is left out, or its gradient would be NaN as well.
    mean_V = (similarity_VV * positive_VV).sum(dim=1) / positives_V.clamp_min(1)
    has_positive_V = positives_V > 0
    if again_V is not None:
        has_positive_V = has_positive_V & ~again_V
    return torch.where(has_positive_V, among_V - mean_V, 0.0), has_positive_V


class Contrastive(Objective):
    """CMSC: segments of one patient are alike."""

    def build(self, context: Context) -> nn.Module:
        """Backbone and projection head.

        Raises:
            ValueError: a batch of one record, which has nothing to be told apart from.
        """
        if context.training.recipe.batch < OBJECTIVES[context.training.objective].least_batch:
            raise ValueError(
                "the contrastive objective needs batches of at least 2 records: the other "
                "records of a batch are its negatives; raise recipe.batch"
            )
        return ContrastiveModel(context)

    def start(self, model: nn.Module, train: Split) -> None:
        """Nothing to set.

        Raises:
            ValueError: all training records are one patient's.
        """
        if len(set(train.patients.tolist())) < 2:
            raise ValueError(
                "the contrastive objective needs training records of at least two patients: "
                "records of others are its negatives; raise data"
            )

    def outputs(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Projections (B, 2, 128) of both halves; no random choice."""
        z_BSD: Tensor = model(batch.x_BLT, batch.r_peaks_BP)
        return z_BSD

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """S1 Eq. S.2 over the halves of the batch's records, each record once.

        Every record has its other half for a positive, so none is left without.
        """
        rows_B = batch.rows_B
        again_B = (rows_B[:, None] == rows_B[None, :]).tril(-1).any(dim=1)
        patients_V, again_V = (
            each_B.repeat_interleave(SEGMENTS) for each_B in (batch.patients_B, again_B)
        )
        each_V, counts_V = loss_per_anchor(
            outputs.flatten(0, 1), patients_V, float(self.settings["temperature"]), again_V
        )
        return each_V.sum() / counts_V.sum()

    def held_out(self, model: nn.Module, split: Split) -> Tensor:
        """Loss of each record: the mean of its two anchors, (n,) in nats.

        Records are compared within batches of 64, drawn once from a split's places, the same for
        every model. They are shuffled as batches of training are: records of one patient stand
        side by side in a split, and cut in that order, most anchors would have several positives
        and a loss that no model can bring below log q. The last batch is filled up with the first
        records drawn (the loss of what fills it is not counted twice), so that all have equally
        many; a split of fewer than 64 records is one smaller batch, whose loss is lower by nature.
        """
        temperature = float(self.settings["temperature"])
        z_NSD, patients_N = predict(model, split), torch.from_numpy(split.patients)
        n, losses = len(split), torch.empty(len(split))
        order_N = torch.randperm(n, generator=torch.Generator().manual_seed(0))
        for first in range(0, n, HELD_OUT_RECORDS):
            places = (first + torch.arange(min(HELD_OUT_RECORDS, n))) % n
            rows = order_N[places]
            patients_V = patients_N[rows].repeat_interleave(SEGMENTS)
            with torch.autocast("cpu", enabled=False):  # which may be on, for the model alone
                each_V, _ = loss_per_anchor(z_NSD[rows].flatten(0, 1), patients_V, temperature)
            fresh = min(n - first, HELD_OUT_RECORDS)
            losses[rows[:fresh]] = each_V.view(-1, SEGMENTS).mean(dim=1)[:fresh]
        return losses
