"""CC: records are as like each other to the student as to the teacher.

Correlation congruence (Peng et al. 2019, arXiv 1904.01802), in the paper's form: the B x B matrix
of a Gaussian kernel between the records' features of unit length, by its Taylor series,

    L = 1 / B^2 sum over i, j of (C_s,ij - C_t,ij)^2
    C_ij = exp(-2 gamma) sum over p = 0 .. P of (2 gamma)^p / p! (f_i . f_j)^p

with P = 2 and gamma = 0.4. What RepDistiller calls CC is another loss, on differences of
neighbours in the batch. Features may differ in width: no projection is needed. The paper's own
objective has KD beside it; here it stands alone, as all rivals do.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from scaling.objectives.distill.base import Distillation, Pair
from scaling.objectives.distill.sets import different, require, units

LEAST = 2


def correlations(features_BF: Tensor, gamma: float, order: int) -> Tensor:
    """The kernel between all records, (B, B), of the directions of their features (B, F)."""
    unit_BF = units(features_BF)
    cosine_BB = unit_BF @ unit_BF.T
    kernel_BB = torch.zeros_like(cosine_BB)
    for power in range(order, -1, -1):  # Horner's scheme
        kernel_BB = kernel_BB * cosine_BB + (2 * gamma) ** power / math.factorial(power)
    return math.exp(-2 * gamma) * kernel_BB


def cc_loss(student_BF: Tensor, teacher_BF: Tensor, gamma: float = 0.4, order: int = 2) -> Tensor:
    """Mean squared difference of both matrices, a scalar without unit; 0 at equal angles.

    It depends on the directions of features alone, and on those but for a rotation.

    Args:
        student_BF: (B, F) features of different records.
        teacher_BF: (B, K) features of the same; they get no gradient.
        gamma: of the Gaussian kernel; the larger, the more near records count.
        order: P, of the Taylor series.

    Raises:
        ValueError: fewer than 2 records.
    """
    require("CC", LEAST, len(student_BF))
    with torch.no_grad():
        target_BB = correlations(teacher_BF, gamma, order)
    return (correlations(student_BF, gamma, order) - target_BB).square().mean()


class CorrelationCongruence(Distillation):
    """CC on pooled features; option ``gamma``."""

    def imitation(
        self, auxiliary: nn.Module | None, pair: Pair, generator: torch.Generator
    ) -> Tensor:
        """``cc_loss`` over the set's different records; no random choice."""
        student_BF, teacher_BF = (
            different(each.features_BF, pair.records_B) for each in (pair.student, pair.teacher)
        )
        return cc_loss(student_BF, teacher_BF, float(self.settings["gamma"]))
