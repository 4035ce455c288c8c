"""PKT: each record's neighbours are as probable as the teacher's (Passalis and Tefas 2018).

Probabilistic knowledge transfer (arXiv 1803.10837): the probability that record i takes j for its
neighbour, by the cosine of their features,

    p(j | i) = K_ij / sum over k != i of K_ik,  K_ij = (1 + cos(f_i, f_j)) / 2
    L = mean over i of  sum over j != i of  p_t(j | i) log( p_t(j | i) / p_s(j | i) )

It is a divergence in nats for each record, of distributions over the B - 1 others, and averaged
over records, so its size does not depend on the batch. Released code has the mean over all B^2
entries (and i among its own neighbours), which falls as 1 / B: its weight of 30,000 at a batch of
64 is about 470 here. Features may differ in width: no projection is needed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scaling.objectives.distill.base import Distillation, Pair
from scaling.objectives.distill.sets import different, require, units

LEAST = 3  # of two records, each has the other for certain
SMALLEST = 1e-7  # of a kernel: opposite records have none, and no logarithm


def log_neighbours(features_BF: Tensor) -> Tensor:
    """Logarithm of p(j | i), (B, B) [i, j], of the records' features (B, F); -inf for j = i."""
    unit_BF = units(features_BF)
    kernel_BB = (0.5 * (1.0 + unit_BF @ unit_BF.T)).clamp_min(0.0) + SMALLEST
    itself_BB = torch.eye(len(features_BF), dtype=torch.bool, device=features_BF.device)
    log_kernel_BB = kernel_BB.log().masked_fill(itself_BB, -torch.inf)
    return log_kernel_BB.log_softmax(dim=1)


def pkt_loss(student_BF: Tensor, teacher_BF: Tensor) -> Tensor:
    """The divergence of neighbours, a scalar in nats; 0 where all angles are the same.

    Args:
        student_BF: (B, F) features of different records.
        teacher_BF: (B, K) features of the same; they get no gradient.

    Raises:
        ValueError: fewer than 3 records.
    """
    require("PKT", LEAST, len(student_BF))
    with torch.no_grad():
        log_q_BB = log_neighbours(teacher_BF)
    itself_BB = log_q_BB.isinf()
    ratio_BB = (log_q_BB - log_neighbours(student_BF)).masked_fill(itself_BB, 0.0)
    return (log_q_BB.exp() * ratio_BB).sum(dim=1).mean()


class ProbabilisticTransfer(Distillation):
    """PKT on pooled features."""

    def imitation(
        self, auxiliary: nn.Module | None, pair: Pair, generator: torch.Generator
    ) -> Tensor:
        """``pkt_loss`` over the set's different records, in nats; no random choice."""
        student_BF, teacher_BF = (
            different(each.features_BF, pair.records_B) for each in (pair.student, pair.teacher)
        )
        return pkt_loss(student_BF, teacher_BF)
