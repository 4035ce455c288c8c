"""KD is a cross-entropy: what it is, and that it is least where the student says the same."""

from __future__ import annotations

import math

import pytest
import torch

from scaling.objectives.distill.kd import KnowledgeDistillation, kd_loss
from tests.scaling.objectives.distill.answers import (
    check_only_the_student_learns,
    gradient,
    imitation,
    some_pair,
)


def sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


def written_out(student: list[list[float]], teacher: list[list[float]], tau: float) -> float:
    """LiteHeart's Eq. 1, term by term."""
    total = 0.0
    for own, target in zip(student, teacher, strict=True):
        for s, t in zip(own, target, strict=True):
            p, q = sigmoid(s / tau), sigmoid(t / tau)
            total += (1 - q) * math.log(1 - p) + q * math.log(p)
    return -(tau**2) * total / (len(student) * len(student[0]))


@pytest.mark.parametrize("tau", [1.0, 2.5])
def test_it_is_the_formula(tau: float) -> None:
    pair = some_pair()
    expected = written_out(pair.student.logits_BC.tolist(), pair.teacher.logits_BC.tolist(), tau)
    found = imitation(KnowledgeDistillation({"temperature": tau}), pair)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_at_equality_it_is_the_teachers_entropy_and_its_gradient_0(tau: float) -> None:
    teacher = some_pair().teacher.logits_BC.double()
    q = torch.sigmoid(teacher / tau)
    entropy = tau**2 * -(q * q.log() + (1 - q) * (1 - q).log()).mean()
    torch.testing.assert_close(kd_loss(teacher, teacher, tau), entropy)
    assert entropy > 0.1
    assert float(gradient(lambda s: kd_loss(s, teacher, tau), teacher).abs().max()) < 1e-12
    for shift in (-0.1, 0.1):
        assert kd_loss(teacher + shift, teacher, tau) > entropy


def test_only_the_student_learns() -> None:
    check_only_the_student_learns(kd_loss, logits=True)


def test_sure_teachers_and_wrong_students_give_numbers() -> None:
    teacher = torch.tensor([[200.0, -200.0]])
    assert kd_loss(-teacher, teacher).item() == pytest.approx(200.0)
    assert bool(torch.isfinite(gradient(lambda s: kd_loss(s, teacher), -teacher)).all())
