"""MVKT: a student of one lead tells its own teacher's view of a record from those of others.

Multi-view knowledge transferring (Qin et al. 2023, arXiv 2301.12178): contrastive transfer between
leads (CLT), which is CRD (Tian et al. 2020, arXiv 1910.10699) with negatives of other diseases, and
KD of each class's two outcomes (MKD),

    L = MKD + contrast * CLT,  contrast = 0.8 as published

CLT is noise-contrastive estimation from both sides. z are features brought to 128 dimensions and
unit length by a linear layer for each net, learned beside the student and dropped after training.
A bank holds such vectors of all D training records. With the student's z_n for an anchor, m of
the teacher's from the bank for negatives, and tau = 0.07,

    h(z, z') = P / (P + m / D),  P = exp(z . z' / tau) / Z
    CLT_s = -mean over n of [ log h(z_n, z'_n) + sum over its m negatives of log(1 - h(z_n, z'_k)) ]

and CLT = CLT_s + CLT_t, the same with the teacher's z for anchors. Z is D times the mean of
exp(z . z' / tau) in the first set, and stays; vectors in the bank follow with momentum 0.5.

Choices:

- **negatives** are drawn for the set, all anchors having the same; those with which an anchor
  shares a class it has (``sets.positives``) are left out as of the same disease, and itself. A
  record that was not seen yet counts as of another;
- the positive is what the other net says of the record now, as in CRD's formula; released code
  takes what the bank kept of it an epoch ago, at first a random vector;
- copies of a record in a set are left out as anchors, or they would be seen as two.

**Released code has a bug**: MKD's temperature T divides the *probabilities*, KL(q / T || p / T),
in which it cancels but for a factor: T softens nothing and weighs MKD by 1 / T. Here T divides
logits, and T^2 keeps the size, as in KD; with T = 1, the default, both are the same but for this:
released code sums over classes the mean over records and outcomes, MKD is a mean over records and
classes here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from scaling.objectives.base import Context
from scaling.objectives.distill.base import Distillation, Pair
from scaling.objectives.distill.kd import binary_divergences
from scaling.objectives.distill.sets import first_of_each, positives, require, units

LEAST = 2
PROJECTION = 128
CONTRAST_TEMPERATURE = 0.07
MOMENTUM = 0.5


class Bank(nn.Module):
    """Projections of both nets, and what they said of every training record when last seen.

    Args:
        records: D, training records.
        student_features: width of the student's features.
        teacher_features: width of the teacher's.
        outputs: C, classes.
    """

    student_bank: Tensor  # (D, 128) unit vectors
    teacher_bank: Tensor
    positive_bank: Tensor  # (D, C) bool, classes a record has; none before it is seen
    scale: Tensor  # (2,) Z of student and teacher anchors; 0 before the first set

    def __init__(
        self, records: int, student_features: int, teacher_features: int, outputs: int
    ) -> None:
        super().__init__()
        self.student = nn.Linear(student_features, PROJECTION)
        self.teacher = nn.Linear(teacher_features, PROJECTION)
        self.register_buffer("student_bank", units(torch.randn(records, PROJECTION)))
        self.register_buffer("teacher_bank", units(torch.randn(records, PROJECTION)))
        self.register_buffer("positive_bank", torch.zeros(records, outputs, dtype=torch.bool))
        self.register_buffer("scale", torch.zeros(2))

    def forward(self, student_BF: Tensor, teacher_BK: Tensor) -> tuple[Tensor, Tensor]:
        """Features of both nets to unit vectors, (B, 128) each."""
        return units(self.student(student_BF)), units(self.teacher(teacher_BK))

    @torch.no_grad()
    def remember(
        self, places_B: Tensor, student_BV: Tensor, teacher_BV: Tensor, positive_BC: Tensor
    ) -> None:
        """Take in what was said of the records at ``places_B``, all different."""
        for bank, now_BV in ((self.student_bank, student_BV), (self.teacher_bank, teacher_BV)):
            bank[places_B] = units(MOMENTUM * bank[places_B] + (1.0 - MOMENTUM) * now_BV)
        self.positive_bank[places_B] = positive_BC

    @torch.no_grad()
    def scales(self, student_BM: Tensor, teacher_BM: Tensor) -> tuple[Tensor, Tensor]:
        """Z by student and by teacher anchors; the first similarities seen set it for good."""
        similar = (student_BM, teacher_BM)
        means = torch.stack([(each / CONTRAST_TEMPERATURE).exp().mean() for each in similar])
        self.scale.copy_(torch.where(self.scale > 0, self.scale, means * len(self.student_bank)))
        student, teacher = self.scale.clone()
        return student, teacher


def estimation_loss(
    right_B: Tensor, wrong_BM: Tensor, valid_BM: Tensor, records: int, scale: Tensor
) -> Tensor:
    """CRD's noise-contrastive estimation from one side, a scalar in nats.

    With equal P everywhere it is log(1 + m) + m log(1 + 1 / m). An anchor without negatives has
    nothing to be told from, and counts 0.

    Args:
        right_B: (B,) cosines of anchors and positives.
        wrong_BM: (B, M) cosines of anchors and negatives.
        valid_BM: (B, M) bool, which negatives are an anchor's; m of them.
        records: D.
        scale: Z, above 0.
    """
    count_B = valid_BM.sum(dim=1)
    noise_B = (count_B.clamp_min(1) / records).log()
    right_B = right_B / CONTRAST_TEMPERATURE - scale.log() - noise_B  # log of P over m / D
    wrong_BM = wrong_BM / CONTRAST_TEMPERATURE - scale.log() - noise_B[:, None]
    # -log h = softplus(-x) and -log(1 - h) = softplus(x), with x = log(P / (m / D))
    each_B = softplus(-right_B) + (softplus(wrong_BM) * valid_BM).sum(dim=1)
    return (each_B * (count_B > 0)).mean()


def mvkt_loss(
    bank: Bank,
    student_BF: Tensor,
    teacher_BK: Tensor,
    positive_BC: Tensor,
    places_B: Tensor,
    drawn_M: Tensor,
) -> Tensor:
    """CLT, the contrastive transfer from both sides, a scalar in nats; the bank follows.

    Args:
        bank: of the training.
        student_BF: (B, F) features of different records.
        teacher_BK: (B, K) features of the same; what they gave to the bank does not learn.
        positive_BC: (B, C) bool, classes that a record has.
        places_B: (B,) int64, places of the records in the bank.
        drawn_M: (M,) int64, places of what may be negatives.
    """
    student_BV, teacher_BV = bank(student_BF, teacher_BK.detach())
    shared_BM = positive_BC.float() @ bank.positive_bank[drawn_M].float().T > 0
    valid_BM = ~shared_BM & (places_B[:, None] != drawn_M[None, :])
    of_student_BM = student_BV @ bank.teacher_bank[drawn_M].T
    of_teacher_BM = teacher_BV @ bank.student_bank[drawn_M].T
    scales = bank.scales(of_student_BM, of_teacher_BM)
    bank.remember(places_B, student_BV, teacher_BV, positive_BC)
    right_B, records = (student_BV * teacher_BV).sum(dim=1), len(bank.student_bank)
    sides = zip((of_student_BM, of_teacher_BM), scales, strict=True)
    losses = [estimation_loss(right_B, wrong, valid_BM, records, scale) for wrong, scale in sides]
    return losses[0] + losses[1]


class MultiViewTransfer(Distillation):
    """MVKT; options ``temperature`` of MKD, ``contrast`` and ``negatives``."""

    def auxiliary(
        self, context: Context, student_features: int, teacher_features: int
    ) -> nn.Module | None:
        """Projections and bank, which are dropped after training; draws from torch's stream."""
        records = context.training.data
        return Bank(records, student_features, teacher_features, context.outputs)

    def imitation(
        self, auxiliary: nn.Module | None, pair: Pair, generator: torch.Generator
    ) -> Tensor:
        """MKD + contrast CLT over the set, in nats; ``generator`` draws the negatives.

        Raises:
            ValueError: fewer than 2 different records.
        """
        assert isinstance(auxiliary, Bank)
        student, teacher = pair.student, pair.teacher
        first_B = first_of_each(pair.records_B)
        (rows_B,) = torch.nonzero(first_B, as_tuple=True)
        require("MVKT", LEAST, len(rows_B))
        device, records = student.features_BF.device, len(auxiliary.student_bank)
        rows_B = rows_B.to(device)
        drawn_M = torch.arange(records)
        if records > (most := int(self.settings["negatives"])):
            drawn_M = torch.randint(records, (most,), generator=generator)
        clt = mvkt_loss(
            auxiliary,
            student.features_BF[rows_B],
            teacher.features_BF[rows_B],
            positives(pair.labels_BC, teacher.logits_BC)[rows_B],
            pair.records_B.to(device)[rows_B],
            drawn_M.to(device),
        )
        temperature = float(self.settings["temperature"])
        mkd = binary_divergences(student.logits_BC, teacher.logits_BC, temperature).mean()
        return mkd + float(self.settings["contrast"]) * clt
