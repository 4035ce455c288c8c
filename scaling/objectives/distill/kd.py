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
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

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


def binary_divergences(student_BC: Tensor, teacher_BC: Tensor, temperature: float = 1.0) -> Tensor:
    """Divergence of each class's two probabilities, tau^2 KL(teacher || student), (B, C) in nats.

    Its mean is ``kd_loss`` less the teacher's entropy: 0 where both say the same, and of the same
    gradient. Arguments are those of ``kd_loss``.
    """
    s_BC = student_BC / temperature
    with torch.no_grad():
        t_BC = teacher_BC / temperature
        yes_BC, no_BC = torch.sigmoid(t_BC), torch.sigmoid(-t_BC)
    divergence_BC = yes_BC * (logsigmoid(t_BC.detach()) - logsigmoid(s_BC))
    divergence_BC = divergence_BC + no_BC * (logsigmoid(-t_BC.detach()) - logsigmoid(-s_BC))
    return temperature**2 * divergence_BC


class KnowledgeDistillation(Distillation):
    """The student's probabilities follow the teacher's; option ``temperature``."""

    def imitation(
        self, auxiliary: nn.Module | None, pair: Pair, generator: torch.Generator
    ) -> Tensor:
        """LiteHeart's Eq. 1 over the set, in nats; no random choice."""
        temperature = float(self.settings["temperature"])
        return kd_loss(pair.student.logits_BC, pair.teacher.logits_BC, temperature)
