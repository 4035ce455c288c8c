"""KD: the student's probabilities follow the teacher's (Hinton et al. 2015, arXiv 1503.02531).

The multi-label form is LiteHeart's Eq. 1 (Eq. 8 on mixed signals), for N records and C classes:

    L_K = -tau^2 / (N C) sum over n, c of  (1 - q) log(1 - p) + q log p,
    p = sigmoid(s / tau),  q = sigmoid(t / tau)

It is a cross-entropy, not a divergence: its least value is not 0 but tau^2 times the teacher's
mean entropy, where the student says the same; there its gradient is 0.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from scaling.objectives.distill.base import Distillation, Pair


def kd_loss(student_BC: Tensor, teacher_BC: Tensor, temperature: float = 1.0) -> Tensor:
    """LiteHeart's Eq. 1, a scalar in nats (of probabilities at ``temperature``, times its square).

    Args:
        student_BC: (B, C) logits.
        teacher_BC: (B, C) logits; they get no gradient.
        temperature: tau, above 0; the larger, the softer both sides.
    """
    with torch.no_grad():
        target_BC = torch.sigmoid(teacher_BC / temperature)
    loss = binary_cross_entropy_with_logits(student_BC / temperature, target_BC)
    return temperature**2 * loss


class KnowledgeDistillation(Distillation):
    """The student's probabilities follow the teacher's; option ``temperature``."""

    def imitation(
        self, auxiliary: nn.Module | None, pair: Pair, generator: torch.Generator
    ) -> Tensor:
        """LiteHeart's Eq. 1 over the set, in nats; no random choice."""
        temperature = float(self.settings["temperature"])
        return kd_loss(pair.student.logits_BC, pair.teacher.logits_BC, temperature)
