"""PSM: one softmax for each class a record has."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from scaling.objectives.distill.psm import PartialSoftmax, psm_loss
from tests.scaling.objectives.distill.answers import (
    CLASSES,
    RECORDS,
    check_only_the_student_learns,
    gradient,
    imitation,
    some_pair,
)

Rows = list[list[float]]
OBJECTIVE = PartialSoftmax({"temperature": 2.0})


def softmax(z: list[float]) -> list[float]:
    total = sum(math.exp(x) for x in z)
    return [math.exp(x) / total for x in z]


def written_out(student: Rows, teacher: Rows, has: list[list[bool]], tau: float) -> float:
    total = 0.0
    for own, target, mine in zip(student, teacher, has, strict=True):
        negatives = [c for c, positive in enumerate(mine) if not positive]
        for c in (c for c, positive in enumerate(mine) if positive):
            p, q = (softmax([z[k] / tau for k in (c, *negatives)]) for z in (own, target))
            total += tau**2 * sum(b * math.log(b / a) for a, b in zip(p, q, strict=True))
    return total / len(student)


def which() -> torch.Tensor:
    """Several, one, no and all classes."""
    has = torch.arange(RECORDS * CLASSES).view(RECORDS, CLASSES) % 3 == 0
    has[2], has[4] = False, True
    has[5] = torch.tensor([False, True, True, True, True])
    return has


@pytest.mark.parametrize("tau", [1.0, 2.0])
def test_it_is_the_formula(tau: float) -> None:
    pair, has = some_pair(), which()
    student, teacher = (each.logits_BC.double() for each in (pair.student, pair.teacher))
    expected = written_out(student.tolist(), teacher.tolist(), has.tolist(), tau)
    assert psm_loss(student, teacher, has, tau).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("labelled", [True, False])
def test_positives_are_labels_or_what_the_teacher_says(labelled: bool) -> None:
    pair = some_pair(labelled=labelled)
    student, teacher = pair.student.logits_BC, pair.teacher.logits_BC
    has = pair.labels_BC > 0.5 if labelled else teacher >= 0.0
    expected = written_out(student.tolist(), teacher.tolist(), has.tolist(), 2.0)
    found = imitation(OBJECTIVE, pair)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_records_without_positives_or_negatives_count_0() -> None:
    pair, has = some_pair(), which()
    s, t = pair.student.logits_BC, pair.teacher.logits_BC
    slope = gradient(lambda x: psm_loss(x, t, has), s)
    assert bool(torch.isfinite(slope).all())
    assert [bool(row.any()) for row in slope] == [True, True, False, True, False, True, True]
    for nothing in (torch.zeros_like(has), torch.ones_like(has)):
        assert psm_loss(s, t, nothing).item() == 0.0
        assert not gradient(partial(psm_loss, teacher_BC=t, positive_BC=nothing), s).any()


def test_it_is_0_where_logits_differ_by_one_number_a_record() -> None:
    t, has = some_pair().teacher.logits_BC.double(), which()
    shifted = t + torch.arange(RECORDS, dtype=torch.float64)[:, None]
    assert abs(psm_loss(shifted, t, has).item()) < 1e-12
    assert float(gradient(lambda s: psm_loss(s, t, has), shifted).abs().max()) < 1e-12


def test_classes_of_one_record_do_not_compete() -> None:
    """Moving one positive leaves the gradient of another as it was."""
    pair = some_pair()
    has = torch.zeros(RECORDS, CLASSES, dtype=torch.bool)
    has[:, :2] = True
    s, t = pair.student.logits_BC.detach(), pair.teacher.logits_BC
    moved = s.clone()
    moved[:, 0] += 2.0
    one, two = (gradient(lambda x: psm_loss(x, t, has), z) for z in (s, moved))
    torch.testing.assert_close(one[:, 1], two[:, 1])
    assert not torch.allclose(one[:, 0], two[:, 0])


def test_sure_nets_give_numbers() -> None:
    t, has = torch.tensor([[200.0, -200.0, 0.0]]), torch.tensor([[True, False, False]])
    assert bool(torch.isfinite(psm_loss(-t, t, has)))
    assert bool(torch.isfinite(gradient(lambda s: psm_loss(s, t, has), -t)).all())


def test_only_the_student_learns() -> None:
    check_only_the_student_learns(lambda s, t: psm_loss(s, t, which()), logits=True)
