"""DKD: what a teacher says of a record's classes and of all others, weighted apart.

Decoupled knowledge distillation (Zhao et al. 2022, arXiv 2203.08679, Eq. 7) splits the divergence
of softmax outputs into that of the target against the rest, and that among the others:

    DKD = alpha TCKD + beta NCKD,  alpha = 1,  beta = 8

It is written for one target a record. **The multi-label form is ours**: independent classes have
a divergence each (``kd.binary_divergences``), those of the classes a record has make up the first
part and those of all others the second,

    L = tau^2 / (N C) sum over n of  target * sum over c in P(n) of KL_nc
                                   + others * sum over c not in P(n) of KL_nc

With both weights 1 it is KD less the teacher's entropy, as TCKD + (1 - p_t) NCKD is of theirs.
P(n) are the labels where they are known, else what the teacher takes the record to have
(``sets.positives``). Their code starts the term slowly, over 20 epochs; here it is there from the
first step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scaling.objectives.distill.base import Distillation, Pair
from scaling.objectives.distill.kd import binary_divergences
from scaling.objectives.distill.sets import positives


def dkd_loss(
    student_BC: Tensor,
    teacher_BC: Tensor,
    positive_BC: Tensor,
    temperature: float = 1.0,
    target: float = 1.0,
    others: float = 8.0,
) -> Tensor:
    """Our multi-label form of their Eq. 7, a scalar in nats; 0 where both say the same.

    Args:
        student_BC: (B, C) logits.
        teacher_BC: (B, C) logits; they get no gradient.
        positive_BC: (B, C) bool, classes that a record has.
        temperature: tau, above 0.
        target: their alpha, weight of the classes a record has.
        others: their beta, weight of all others.
    """
    weight_BC = torch.where(positive_BC, target, others)
    return (weight_BC * binary_divergences(student_BC, teacher_BC, temperature)).mean()


class DecoupledDistillation(Distillation):
    """DKD of independent classes; options ``temperature``, ``target`` and ``others``."""

    def imitation(
        self, auxiliary: nn.Module | None, pair: Pair, generator: torch.Generator
    ) -> Tensor:
        """``dkd_loss`` over the set, in nats; no random choice."""
        teacher_BC = pair.teacher.logits_BC
        return dkd_loss(
            pair.student.logits_BC,
            teacher_BC,
            positives(pair.labels_BC, teacher_BC),
            *(float(self.settings[name]) for name in ("temperature", "target", "others")),
        )
