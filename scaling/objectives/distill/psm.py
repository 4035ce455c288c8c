"""PSM: for each class a record has, the softmax of it and of all it has not is the teacher's.

Partial softmax, the rival of that name in L2D (Yang et al. 2023, arXiv 2308.06453), whose code has
these sums:

    L = 1 / N sum over n, sum over c in P(n) of  tau^2 KL( q_nc || p_nc ),
    p_nc = softmax over {c} and the classes not in P(n) of s_n / tau,  q_nc of t_n / tau

so that classes of one record do not compete. A record without positives, or with no negatives,
counts 0. Those of unlabelled records are what the teacher takes them to have (``sets.positives``),
which is ours, and so is tau, which is 1 in L2D.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from scaling.objectives.distill.base import Distillation, Pair
from scaling.objectives.distill.sets import positives

LEAST_CLASSES = 2  # of one class, a softmax says nothing
NEVER = -1e9  # the logit of a class that is left out: finite, or its gradient would be NaN


def psm_loss(
    student_BC: Tensor, teacher_BC: Tensor, positive_BC: Tensor, temperature: float = 1.0
) -> Tensor:
    """The partial-softmax loss, a scalar in nats; 0 where logits differ by one number a record.

    With m the log-sum-exp of a record's negatives, p_nc gives c the probability
    sigmoid(s_nc - m) and shares the rest among the negatives by a softmax that is the same for
    every c. So each divergence is that of c against the rest, and the rest's times its weight.

    Args:
        student_BC: (B, C) logits.
        teacher_BC: (B, C) logits; they get no gradient.
        positive_BC: (B, C) bool, classes that a record has.
        temperature: tau, above 0.
    """
    s_BC, log_p_BC, m_B1 = _negatives(student_BC / temperature, positive_BC)
    with torch.no_grad():
        t_BC, log_q_BC, n_B1 = _negatives(teacher_BC / temperature, positive_BC)
        yes_BC, no_BC = torch.sigmoid(t_BC - n_B1), torch.sigmoid(n_B1 - t_BC)
    among_B1 = (log_q_BC.exp() * (log_q_BC - log_p_BC)).masked_fill(positive_BC, 0.0)
    among_B1 = among_B1.sum(dim=1, keepdim=True)
    against_BC = yes_BC * (logsigmoid(t_BC - n_B1) - logsigmoid(s_BC - m_B1))
    against_BC = against_BC + no_BC * (logsigmoid(n_B1 - t_BC) - logsigmoid(m_B1 - s_BC) + among_B1)
    alone_B1 = positive_BC.all(dim=1, keepdim=True)  # {c} alone: certain for both
    counts_BC = positive_BC & ~alone_B1
    return temperature**2 * against_BC.masked_fill(~counts_BC, 0.0).sum(dim=1).mean()


def _negatives(z_BC: Tensor, positive_BC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, log-softmax over a record's negatives, and their log-sum-exp (B, 1).

    A record that has all classes gets zeros for both.
    """
    all_B1 = positive_BC.all(dim=1, keepdim=True)
    left_BC = z_BC.masked_fill(positive_BC & ~all_B1, NEVER)
    m_B1 = left_BC.logsumexp(dim=1, keepdim=True)
    return z_BC, left_BC - m_B1, m_B1


class PartialSoftmax(Distillation):
    """PSM; option ``temperature``."""

    def imitation(
        self, auxiliary: nn.Module | None, pair: Pair, generator: torch.Generator
    ) -> Tensor:
        """``psm_loss`` over the set, in nats; no random choice."""
        teacher_BC = pair.teacher.logits_BC
        positive_BC = positives(pair.labels_BC, teacher_BC)
        temperature = float(self.settings["temperature"])
        return psm_loss(pair.student.logits_BC, teacher_BC, positive_BC, temperature)
