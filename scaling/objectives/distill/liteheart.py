"""LiteHeart: region-aware distillation and mutual information across layers (S2, Eq. 8 and 12-21).

    L = L_Y(labelled) + alpha [L_K(labelled) + L_K(unlabelled)]
                      + beta  [L_D(labelled) + L_D(unlabelled)]                            (21)

L_K is KD (``kd.py``) on mixed signals (``boxes.py``): the teacher sees mixed real signals, the
student mixed restored ones. L_D bounds the mutual information of what the student reasons with,
its pooled features z, and what the teacher says, its logits o. A discriminator D tells pairs of
one record from pairs of two:

    L_D = -mean over n of  log sigmoid(D(z_n, o_n)) + log(1 - sigmoid(D(z_n, o_m)))       (18)

It is the Jensen-Shannon bound of f-GAN and Deep InfoMax (Nowozin et al. 2016, Hjelm et al. 2019,
arXiv 1808.06670): of the best discriminator, -L_D is 2 JS - 2 log 2, so that L_D is between 0 and
2 log 2, the value of one that knows nothing. Student and discriminator both make it smaller; there
is no adversary.

Choices where the paper is silent:

- o_m is the answer to another record of the set, by one random shift (``sets.partners``), instead
  of Eq. 18's o of N - n, which pairs a record with itself; copies of a record are left out;
- the discriminator is a perceptron of one hidden layer, as wide as the student's features;
- z and o are those of the same pair that L_K sees, so with boxes those of mixed signals.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from scaling.objectives.base import Context
from scaling.objectives.distill.base import Distillation, Pair
from scaling.objectives.distill.kd import kd_loss
from scaling.objectives.distill.sets import partners


class Discriminator(nn.Module):
    """D of Eq. 17: whether features and logits are of one record, as a logit.

    Args:
        features: F, width of the student's pooled features.
        outputs: C, classes.
        hidden: width of its hidden layer; None for F.
    """

    def __init__(self, features: int, outputs: int, hidden: int | None = None) -> None:
        super().__init__()
        hidden = hidden or features
        self.inner = nn.Linear(features + outputs, hidden)
        self.outer = nn.Linear(hidden, 1)
        self.activation = nn.LeakyReLU()

    def forward(self, z_BF: Tensor, o_BC: Tensor) -> Tensor:
        """Features (B, F) and logits (B, C) to the log-odds (B,) that a record has both."""
        logits_B1: Tensor = self.outer(self.activation(self.inner(torch.cat([z_BF, o_BC], dim=1))))
        return logits_B1[:, 0]


def mutual_information_loss(
    discriminator: nn.Module, z_BF: Tensor, o_BC: Tensor, partner_B: Tensor, valid_B: Tensor
) -> Tensor:
    """Eq. 18, L_D, a scalar in nats; 2 log 2 where the discriminator knows nothing.

    The second term's mean is over the records whose partner is another one. Where a set has none
    (one record, or by chance of the shift), it is 0 and the loss is the first term's.

    Args:
        discriminator: features (B, F) and logits (B, C) to log-odds (B,).
        z_BF: (B, F) features of the student.
        o_BC: (B, C) logits of the teacher.
        partner_B: (B,) int64, place of the record whose logits are the wrong ones.
        valid_B: (B,) bool, whether that is another record.
    """
    other_BC = o_BC[partner_B.to(o_BC.device)]
    right_B, wrong_B = discriminator(z_BF, o_BC), discriminator(z_BF, other_BC)
    counts_B = valid_B.to(wrong_B.device)
    # softplus(-d) = -log sigmoid(d), softplus(d) = -log(1 - sigmoid(d)): finite for any d
    wrong = (softplus(wrong_B) * counts_B).sum() / counts_B.sum().clamp_min(1)
    return softplus(-right_B).mean() + wrong


class LiteHeart(Distillation):
    """KD and mutual information; options ``alpha``, ``beta`` and ``temperature``."""

    def auxiliary(
        self, context: Context, student_features: int, teacher_features: int
    ) -> nn.Module | None:
        """The discriminator, which is dropped after training; none without its term."""
        if not self.settings["beta"]:
            return None
        return Discriminator(student_features, context.outputs)

    def imitation(
        self, auxiliary: nn.Module | None, pair: Pair, generator: torch.Generator
    ) -> Tensor:
        """L_K over the set, in nats; no random choice."""
        temperature = float(self.settings["temperature"])
        return kd_loss(pair.student.logits_BC, pair.teacher.logits_BC, temperature)

    def taught(self, auxiliary: nn.Module | None, pair: Pair, generator: torch.Generator) -> Tensor:
        """Eq. 20, alpha L_K + beta L_D of a set; ``generator`` draws the shift of wrong pairs."""
        total = super().taught(auxiliary, pair, generator)
        if auxiliary is None:
            return total
        partner_B, valid_B = partners(pair.records_B, generator)
        z_BF, o_BC = pair.student.features_BF, pair.teacher.logits_BC
        information = mutual_information_loss(auxiliary, z_BF, o_BC, partner_B, valid_B)
        return total + float(self.settings["beta"]) * information
