"""RKD: distances and angles between records are the teacher's (Park et al. 2019, arXiv 1904.05068).

    L = distance * mean over pairs i != j of h(d_s,ij / mean d_s - d_t,ij / mean d_t)
      + angle * mean over triples of h(cos_s,ijk - cos_t,ijk)

their distance-wise and angle-wise losses: h is the Huber loss (delta 1), d_ij the Euclidean
distance of the features of two records, whose mean is over pairs, and cos_ijk the cosine of the
angle at j between i and k, all different. Both are the same for features moved, turned and scaled,
and of any width: no projection is needed.

Their sums are means here, so that the size does not depend on the batch; their weights are 1 and
2 for metric learning, 25 and 50 for classification with RepDistiller, the same ratio. Angles of
B records take about 4 (B^3 + B^2 F) bytes, a few times over: 8 MB at a batch of 128, 540 MB at 512.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from scaling.objectives.distill.base import Distillation, Pair
from scaling.objectives.distill.sets import different, lengths, require

LEAST = 3  # two have one distance, which is their mean distance, and no angle


def relations(features_BF: Tensor) -> tuple[Tensor, Tensor]:
    """Distances over their mean, (B, B), and cosines at j of i and k, (B, B, B) [j, i, k].

    Entries of which two records are the same are without meaning.
    """
    count = len(features_BF)
    apart_BBF = features_BF[None] - features_BF[:, None]  # [j, i]: from j to i
    length_BB1 = lengths(apart_BBF)
    towards_BBF = apart_BBF / length_BB1
    length_BB = length_BB1[..., 0]
    mean = length_BB.masked_fill(_eye(features_BF), 0.0).sum() / (count * (count - 1))
    return length_BB / mean, towards_BBF @ towards_BBF.transpose(1, 2)


def rkd_loss(
    student_BF: Tensor, teacher_BF: Tensor, distance: float = 1.0, angle: float = 2.0
) -> Tensor:
    """Their two losses, a scalar without unit; 0 where features are alike up to similarity.

    Args:
        student_BF: (B, F) features of different records.
        teacher_BF: (B, K) features of the same; they get no gradient.
        distance: weight of distances.
        angle: weight of angles.

    Raises:
        ValueError: fewer than 3 records.
    """
    count = len(student_BF)
    require("RKD", LEAST, count)
    with torch.no_grad():
        target_BB, target_BBB = relations(teacher_BF)
    distance_BB, cosine_BBB = relations(student_BF)
    same_BB = _eye(student_BF)
    same_BBB = same_BB[None] | same_BB[:, None] | same_BB[..., None]  # i = k, j = k, j = i
    pairs = smooth_l1_loss(distance_BB, target_BB, reduction="none").masked_fill(same_BB, 0.0)
    triples = smooth_l1_loss(cosine_BBB, target_BBB, reduction="none").masked_fill(same_BBB, 0.0)
    mean_pairs = pairs.sum() / (count * (count - 1))
    mean_triples = triples.sum() / (count * (count - 1) * (count - 2))
    return distance * mean_pairs + angle * mean_triples


def _eye(features_BF: Tensor) -> Tensor:
    return torch.eye(len(features_BF), dtype=torch.bool, device=features_BF.device)


class RelationalDistillation(Distillation):
    """RKD on pooled features; options ``distance`` and ``angle``."""

    def imitation(
        self, auxiliary: nn.Module | None, pair: Pair, generator: torch.Generator
    ) -> Tensor:
        """``rkd_loss`` over the set's different records; no random choice."""
        student_BF, teacher_BF = (
            different(each.features_BF, pair.records_B) for each in (pair.student, pair.teacher)
        )
        weights = (float(self.settings[name]) for name in ("distance", "angle"))
        return rkd_loss(student_BF, teacher_BF, *weights)
