"""RKD: distances and angles, and what they do not change with."""

from __future__ import annotations

import math

import pytest
import torch

from scaling.objectives.distill.rkd import RelationalDistillation, rkd_loss
from tests.scaling.objectives.distill.answers import (
    TEACHER,
    check_copies_do_not_count,
    check_like_records_give_numbers,
    check_only_the_student_learns,
    check_too_few_records_are_refused,
    drawn,
    gradient,
    imitation,
    some_pair,
)

Features = list[list[float]]
OBJECTIVE = RelationalDistillation({"distance": 1.0, "angle": 2.0})


def huber(x: float) -> float:
    return 0.5 * x * x if abs(x) <= 1 else abs(x) - 0.5


def distance(f: Features, i: int, j: int) -> float:
    return math.dist(f[i], f[j])


def cosine(f: Features, i: int, j: int, k: int) -> float:
    """Of the angle at j."""
    dot = sum((a - b) * (c - b) for a, b, c in zip(f[i], f[j], f[k], strict=True))
    return dot / (distance(f, i, j) * distance(f, k, j))


def written_out(student: Features, teacher: Features, weights: tuple[float, float]) -> float:
    count = len(student)
    pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
    means = [sum(distance(f, *p) for p in pairs) / len(pairs) for f in (student, teacher)]
    distances = [
        huber(distance(student, *p) / means[0] - distance(teacher, *p) / means[1]) for p in pairs
    ]
    angles = [
        huber(cosine(student, i, j, k) - cosine(teacher, i, j, k))
        for i, j in pairs
        for k in range(count)
        if k not in (i, j)
    ]
    return weights[0] * sum(distances) / len(distances) + weights[1] * sum(angles) / len(angles)


@pytest.mark.parametrize("weights", [(1.0, 2.0), (1.0, 0.0), (0.0, 1.0)])
def test_it_is_the_formula(weights: tuple[float, float]) -> None:
    pair = some_pair()
    student, teacher = (each.features_BF.double() for each in (pair.student, pair.teacher))
    expected = written_out(student.tolist(), teacher.tolist(), weights)
    assert rkd_loss(student, teacher, *weights).item() == pytest.approx(expected, rel=1e-6)
    if weights == (1.0, 2.0):
        found = imitation(OBJECTIVE, pair)
        assert found.dtype == torch.float32
        assert found.item() == pytest.approx(expected, rel=1e-5)


def test_it_is_0_for_moved_turned_and_scaled_features() -> None:
    teacher = drawn(7, TEACHER, seed=1, dtype=torch.float64)
    turn, _ = torch.linalg.qr(drawn(TEACHER, TEACHER, seed=2, dtype=torch.float64))
    student = 30.0 * teacher @ turn + drawn(TEACHER, seed=3, dtype=torch.float64)
    assert rkd_loss(student, teacher).item() < 1e-16
    assert float(gradient(lambda s: rkd_loss(s, teacher), student).abs().max()) < 1e-8
    bent = teacher.clone()
    bent[0] *= 2
    assert rkd_loss(bent, teacher) > 1e-4


def test_scales_of_either_net_do_not_matter() -> None:
    student, teacher = drawn(7, 3, seed=1), drawn(7, 6, seed=2)
    once = rkd_loss(student, teacher)
    torch.testing.assert_close(rkd_loss(100 * student, teacher), once)
    torch.testing.assert_close(rkd_loss(student, 0.01 * teacher), once)


def test_its_size_does_not_depend_on_the_batch() -> None:
    sizes = [rkd_loss(drawn(n, 4, seed=1), drawn(n, 8, seed=2)).item() for n in (24, 96)]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.2)


def test_only_the_student_learns() -> None:
    check_only_the_student_learns(rkd_loss, logits=False)


def test_copies_do_not_count() -> None:
    check_copies_do_not_count(OBJECTIVE)


def test_too_few_records_are_refused() -> None:
    check_too_few_records_are_refused(OBJECTIVE, "RKD", 3)


def test_like_records_give_numbers() -> None:
    teacher = drawn(5, 6, seed=1)
    check_like_records_give_numbers(lambda s: rkd_loss(s, teacher), torch.ones(5, 3))
    check_like_records_give_numbers(lambda s: rkd_loss(s, torch.ones(5, 6)), torch.ones(5, 3))
