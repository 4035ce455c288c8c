"""WKD: what it costs to carry the student's probabilities to the teacher's, between like classes.

Wasserstein distillation of logits (Lv et al. 2024, arXiv 2412.08139, WKD-L): optimal transport
between two distributions over classes, by entropy-regularised Sinkhorn iterations,

    W(p, q) = sum over c, d of cost_cd flow_cd,  flow with margins p and q,
    cost_cd = 1 - exp(-kappa (1 - cos(w_c, w_d)))

so that probability given to a class that the teacher takes for much the same costs little. They
compare classes by CKA of the teacher's features or, as here, by the cosine of the weights w of its
last layer. A record's target is taken out before, and has a term of its own:

    L = target term + transport * mean over records of W

**The multi-label form is ours.** The distributions are the sigmoid probabilities at tau of all
classes, divided by their sum, and nothing is taken out, since a record has no one target. That
says which classes, but not how much of them: so the target term is the cross-entropy with the
teacher (``kd_loss``, Eq. 1 of LiteHeart at tau = 1) of the classes that the record has
(``sets.positives``), summed over them and divided by N C.

With their entropy of 0.05 and ten iterations, W is not 0 between equal distributions, since entropy
spreads the flow, and not least there: iterations end with the student's margin met and the
teacher's nearly, which a student can use. Minimised alone, over five classes, it left shares 0.25
from the teacher's (sum of absolute differences), and 0.02 with a hundred iterations; so their
number is an option.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from scaling.objectives.distill.base import Distillation, Pair
from scaling.objectives.distill.sets import positives, units

LEAST_CLASSES = 2
SHARPNESS = 1.0  # kappa
ENTROPY = 0.05  # of the flow, their regularisation


def class_costs(weights_CK: Tensor, sharpness: float = SHARPNESS) -> Tensor:
    """Cost of carrying probability from a class to another, (C, C) in [0, 1), 0 on the diagonal.

    Args:
        weights_CK: (C, K) weights of the teacher's last layer, a row a class.
        sharpness: kappa; the larger, the less only nearly equal classes are like.
    """
    unit_CK = units(weights_CK)
    apart_CC = (1.0 - unit_CK @ unit_CK.T).clamp_min(0.0)
    cost_CC = 1.0 - (-sharpness * apart_CC).exp()
    return cost_CC * (1.0 - torch.eye(len(cost_CC), dtype=cost_CC.dtype, device=cost_CC.device))


def transport_costs(
    log_p_BC: Tensor,
    log_q_BC: Tensor,
    cost_CC: Tensor,
    entropy: float = ENTROPY,
    iterations: int = 10,
) -> Tensor:
    """Cost W of the regularised flow from p to q for each record, (B,), by Sinkhorn iterations.

    They are in logarithms: a kernel of exp(-cost / entropy) is as small as 2e-9 at cost 1.

    Args:
        log_p_BC: (B, C) logarithms of distributions over classes.
        log_q_BC: (B, C) the same of those to carry them to.
        cost_CC: (C, C), from and to.
        entropy: of the flow, above 0; near 0 it is the Wasserstein distance after many iterations.
        iterations: the last one meets the margin p exactly.
    """
    log_kernel_CC = -cost_CC / entropy
    log_u_BC = torch.zeros_like(log_p_BC)
    log_v_BC = log_u_BC
    for _ in range(iterations):
        log_v_BC = log_q_BC - (log_kernel_CC[None] + log_u_BC[:, :, None]).logsumexp(dim=1)
        log_u_BC = log_p_BC - (log_kernel_CC[None] + log_v_BC[:, None, :]).logsumexp(dim=2)
    flow_BCC = (log_u_BC[:, :, None] + log_kernel_CC[None] + log_v_BC[:, None, :]).exp()
    return (flow_BCC * cost_CC).sum(dim=(1, 2))


def wkd_loss(
    student_BC: Tensor,
    teacher_BC: Tensor,
    positive_BC: Tensor,
    weights_CK: Tensor,
    temperature: float = 2.0,
    transport: float = 10.0,
    iterations: int = 10,
) -> Tensor:
    """Our multi-label WKD-L, a scalar: the target term in nats, and costs without unit.

    Args:
        student_BC: (B, C) logits.
        teacher_BC: (B, C) logits; they get no gradient.
        positive_BC: (B, C) bool, classes that a record has.
        weights_CK: (C, K) weights of the teacher's last layer, a row a class.
        temperature: tau of the distributions, above 0.
        transport: weight of W.
        iterations: of Sinkhorn's, at least 1.

    Raises:
        ValueError: one class, from which nothing can be carried.
    """
    if student_BC.shape[1] < LEAST_CLASSES:
        raise ValueError(
            f"the WKD loss carries probability between classes: it needs at least {LEAST_CLASSES}, "
            f"and the task has {student_BC.shape[1]}; take another loss"
        )
    # The logarithm of sigmoids over their sum is the log-softmax of their logarithms.
    with torch.no_grad():
        cost_CC = class_costs(weights_CK)
        target_BC = torch.sigmoid(teacher_BC)
        log_q_BC = logsigmoid(teacher_BC / temperature).log_softmax(dim=1)
    log_p_BC = logsigmoid(student_BC / temperature).log_softmax(dim=1)
    target_BC = binary_cross_entropy_with_logits(student_BC, target_BC, reduction="none")
    target = target_BC.masked_fill(~positive_BC, 0.0).mean()
    costs_B = transport_costs(log_p_BC, log_q_BC, cost_CC, iterations=iterations)
    return target + transport * costs_B.mean()


class WassersteinDistillation(Distillation):
    """WKD-L of independent classes; options ``temperature``, ``transport`` and ``iterations``."""

    def imitation(
        self, auxiliary: nn.Module | None, pair: Pair, generator: torch.Generator
    ) -> Tensor:
        """``wkd_loss`` over the set; no random choice."""
        teacher_BC = pair.teacher.logits_BC
        return wkd_loss(
            pair.student.logits_BC,
            teacher_BC,
            positives(pair.labels_BC, teacher_BC),
            pair.teacher_weights_CK,
            temperature=float(self.settings["temperature"]),
            transport=float(self.settings["transport"]),
            iterations=int(self.settings["iterations"]),
        )
