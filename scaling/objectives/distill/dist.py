"""DIST: probabilities correlate with the teacher's, over classes and over records.

Huang et al. 2022 (arXiv 2205.10536: their inter-class and intra-class relation), with rho Pearson's
correlation, p the student's and q the teacher's probabilities:

    L = tau^2 [ inter * mean over records of 1 - rho(p_n., q_n.)
              + intra * mean over classes of 1 - rho(p_.c, q_.c) ]

A student need not say the same as a stronger teacher, only order and space it likewise. **Ours**:
the probabilities are sigmoid(z / tau) of independent classes instead of a softmax. Over two
classes or two records a correlation is 1 or -1, so each needs three.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scaling.objectives.distill.base import Distillation, Pair
from scaling.objectives.distill.sets import different, require, units

LEAST = 3
LEAST_CLASSES = 3


def correlation(a: Tensor, b: Tensor, dim: int) -> Tensor:
    """Pearson's correlation along ``dim``, in [-1, 1]; 0 where ``a`` or ``b`` is constant."""
    own, other = (units(x - x.mean(dim=dim, keepdim=True), dim) for x in (a, b))
    return (own * other).sum(dim=dim)


def dist_loss(
    student_BC: Tensor,
    teacher_BC: Tensor,
    temperature: float = 1.0,
    inter: float = 1.0,
    intra: float = 1.0,
) -> Tensor:
    """Their two relations on sigmoids, a scalar in [0, 2 tau^2 (inter + intra)], without unit.

    Args:
        student_BC: (B, C) logits of different records.
        teacher_BC: (B, C) logits of the same; they get no gradient.
        temperature: tau, above 0.
        inter: their beta, weight of correlations over the classes of a record.
        intra: their gamma, weight of correlations over the records of a class.

    Raises:
        ValueError: fewer than 3 records or 3 classes.
    """
    require("DIST", LEAST, len(student_BC))
    if student_BC.shape[1] < LEAST_CLASSES:
        raise ValueError(
            f"the DIST loss correlates over classes: it needs at least {LEAST_CLASSES}, and the "
            f"task has {student_BC.shape[1]}; take another loss"
        )
    p_BC = torch.sigmoid(student_BC / temperature)
    with torch.no_grad():
        q_BC = torch.sigmoid(teacher_BC / temperature)
    loss = inter * (1.0 - correlation(p_BC, q_BC, 1)).mean()
    return temperature**2 * (loss + intra * (1.0 - correlation(p_BC, q_BC, 0)).mean())


class CorrelatedDistillation(Distillation):
    """DIST of independent classes; options ``temperature``, ``inter`` and ``intra``."""

    def imitation(
        self, auxiliary: nn.Module | None, pair: Pair, generator: torch.Generator
    ) -> Tensor:
        """``dist_loss`` over the set's different records; no random choice."""
        student_BC, teacher_BC = (
            different(each.logits_BC, pair.records_B) for each in (pair.student, pair.teacher)
        )
        options = (float(self.settings[name]) for name in ("temperature", "inter", "intra"))
        return dist_loss(student_BC, teacher_BC, *options)
