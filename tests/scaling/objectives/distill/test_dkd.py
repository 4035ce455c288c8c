"""DKD: its two parts, and what it shares with KD."""

from __future__ import annotations

import math

import pytest
import torch

from scaling.objectives.distill.dkd import DecoupledDistillation, dkd_loss
from scaling.objectives.distill.kd import binary_divergences, kd_loss
from tests.scaling.objectives.distill.answers import (
    CLASSES,
    RECORDS,
    check_only_the_student_learns,
    gradient,
    imitation,
    some_pair,
)

SETTINGS: dict[str, float | int | str] = {"temperature": 2.0, "target": 1.0, "others": 8.0}
WHICH = torch.arange(RECORDS * CLASSES).view(RECORDS, CLASSES) % 3 == 0


def written_out(
    student: list[list[float]], teacher: list[list[float]], has: list[list[bool]], tau: float
) -> float:
    """Divergences of classes a record has, weighted 1, and of others, weighted 8."""
    total = 0.0
    for own, target, mine in zip(student, teacher, has, strict=True):
        for s, t, positive in zip(own, target, mine, strict=True):
            p, q = (1.0 / (1.0 + math.exp(-z / tau)) for z in (s, t))
            divergence = q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p))
            total += (1.0 if positive else 8.0) * divergence
    return tau**2 * total / (len(student) * len(student[0]))


@pytest.mark.parametrize("labelled", [True, False])
def test_it_is_the_formula(labelled: bool) -> None:
    pair = some_pair(labelled=labelled)
    student, teacher = pair.student.logits_BC.double(), pair.teacher.logits_BC.double()
    has = pair.labels_BC > 0.5 if labelled else teacher >= 0.0
    assert 0 < int(has.sum()) < has.numel()
    expected = written_out(student.tolist(), teacher.tolist(), has.tolist(), 2.0)
    exact = dkd_loss(student, teacher, has, 2.0)
    assert exact.item() == pytest.approx(expected, rel=1e-9)
    found = imitation(DecoupledDistillation(SETTINGS), pair)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_with_both_weights_1_it_is_kd_less_the_teachers_entropy() -> None:
    pair = some_pair()
    s, t = pair.student.logits_BC.detach().double(), pair.teacher.logits_BC.double()
    entropy = kd_loss(t, t, 2.0)
    torch.testing.assert_close(dkd_loss(s, t, WHICH, 2.0, 1.0, 1.0), kd_loss(s, t, 2.0) - entropy)
    torch.testing.assert_close(
        gradient(lambda x: dkd_loss(x, t, WHICH, 2.0, 1.0, 1.0), s),
        gradient(lambda x: kd_loss(x, t, 2.0), s),
    )


def test_each_weight_is_of_its_own_classes() -> None:
    pair = some_pair()
    s, t = pair.student.logits_BC, pair.teacher.logits_BC
    target = gradient(lambda x: dkd_loss(x, t, WHICH, target=1.0, others=0.0), s)
    others = gradient(lambda x: dkd_loss(x, t, WHICH, target=0.0, others=1.0), s)
    assert torch.equal(target != 0, WHICH)
    assert torch.equal(others != 0, ~WHICH)


def test_at_equality_it_is_0_and_so_is_its_gradient() -> None:
    t = some_pair().teacher.logits_BC
    assert dkd_loss(t, t, WHICH, 2.0).item() == 0.0
    assert float(gradient(lambda s: dkd_loss(s, t, WHICH, 2.0), t).abs().max()) < 1e-7


def test_divergences_of_sure_nets_are_numbers() -> None:
    t = torch.tensor([[200.0, -200.0]])
    torch.testing.assert_close(binary_divergences(-t, t), torch.tensor([[200.0, 200.0]]))
    assert bool(torch.isfinite(gradient(lambda s: binary_divergences(s, t).sum(), -t)).all())


def test_only_the_student_learns() -> None:
    check_only_the_student_learns(lambda s, t: dkd_loss(s, t, WHICH), logits=True)
