"""The records of a set beside each other: which differ, who is whose partner, how far apart.

Batches are cut from epochs joined end to end (``scaling.data.batches.Order``), so a set can hold
a record twice, and does always where the records are fewer than the batch. A record is as like
its copy as can be, whatever a student has learned: copies are no partners, and losses on the
relations of records look at the first of each.

``records_B`` may be on another device than the features. On the CPU, where orders are drawn, no
step waits for a GPU to say which records differ.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Squared lengths are at least its square. A length below it counts as none, and no gradient of a
# direction is above its inverse: features nearly alike, as at the start of a training, must give
# neither NaN nor steps that undo everything.
SHORTEST = 1e-6


def first_of_each(records_B: Tensor) -> Tensor:
    """(B,) bool, where a record is seen for the first time in the set; equal numbers are one."""
    same_BB = records_B[:, None] == records_B[None, :]
    return ~same_BB.tril(-1).any(dim=1)


def different(features_BF: Tensor, records_B: Tensor) -> Tensor:
    """The rows of the first of each record, (K, F), K the number of different records."""
    (places_K,) = torch.nonzero(first_of_each(records_B), as_tuple=True)
    if len(places_K) == len(features_BF):
        return features_BF
    return features_BF[places_K.to(features_BF.device)]


def require(loss: str, least: int, found: int) -> None:
    """Refuse sets that are too small for a loss on relations.

    Raises:
        ValueError: fewer than ``least`` different records.
    """
    if found < least:
        raise ValueError(
            f"the {loss} loss compares records with each other: it needs sets of at least {least} "
            f"different records, and this one has {found}; raise recipe.batch, or data and "
            "labels_fraction where there are too few records"
        )


def partners(records_B: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A partner for each record of a set: the one so many places on, by one random shift.

    Reversed order, as of LiteHeart's Eq. 18 (o of N - n), pairs the middle record of an odd
    number with itself, and n with N - n that of an even one; a shift pairs none with itself.

    Args:
        records_B: (B,) int64; equal numbers are one record.
        generator: on the CPU.

    Returns:
        Place of each record's partner, (B,) int64, and whether it is another record, (B,) bool;
        both on the device of ``records_B``. A record alone has itself, which is no other.
    """
    count = len(records_B)
    shift = int(torch.randint(1, count, (), generator=generator)) if count > 1 else 0
    partner_B = torch.arange(count, device=records_B.device).roll(-shift)
    return partner_B, records_B != records_B[partner_B]


def lengths(x: Tensor, dim: int = -1) -> Tensor:
    """Euclidean length along ``dim``, which is kept; at least 1e-6, with finite gradients."""
    return (x.square().sum(dim=dim, keepdim=True) + SHORTEST**2).sqrt()


def units(x: Tensor, dim: int = -1) -> Tensor:
    """Vectors along ``dim`` brought to length 1, or near 0 where they were far below 1e-6."""
    return x / lengths(x, dim)


def positives(labels_BC: Tensor, teacher_BC: Tensor) -> Tensor:
    """Which classes a record is taken to have, (B, C) bool.

    Where labels are known, those: a mixed label counts from one half. Where they are not (NaN),
    those to which the teacher gives a probability of one half or more. This is ours: losses that
    are written for labelled records need positives of unlabelled ones as well.

    Args:
        labels_BC: (B, C) in [0, 1] or NaN.
        teacher_BC: (B, C) logits of the teacher.
    """
    return torch.where(labels_BC.isnan(), teacher_BC >= 0.0, labels_BC >= 0.5)
