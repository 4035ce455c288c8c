"""CC: the paper's kernel, and what it does not change with."""

from __future__ import annotations

import math

import pytest
import torch

from scaling.objectives.distill.cc import CorrelationCongruence, cc_loss, correlations
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

OBJECTIVE = CorrelationCongruence({"gamma": 0.4})


def kernel(one: list[float], two: list[float], gamma: float, order: int) -> float:
    norms = [math.sqrt(sum(x * x for x in f)) for f in (one, two)]
    cosine = sum(x * y for x, y in zip(one, two, strict=True)) / (norms[0] * norms[1])
    terms = [(2 * gamma) ** p / math.factorial(p) * cosine**p for p in range(order + 1)]
    return math.exp(-2 * gamma) * sum(terms)


def written_out(
    student: list[list[float]], teacher: list[list[float]], gamma: float, order: int
) -> float:
    count, total = len(student), 0.0
    for i in range(count):
        for j in range(count):
            s = kernel(student[i], student[j], gamma, order)
            total += (s - kernel(teacher[i], teacher[j], gamma, order)) ** 2
    return total / count**2


@pytest.mark.parametrize(("gamma", "order"), [(0.4, 2), (1.5, 4)])
def test_it_is_the_formula(gamma: float, order: int) -> None:
    pair = some_pair()
    student, teacher = (each.features_BF.double() for each in (pair.student, pair.teacher))
    expected = written_out(student.tolist(), teacher.tolist(), gamma, order)
    assert cc_loss(student, teacher, gamma, order).item() == pytest.approx(expected, rel=1e-6)
    if order == 2:
        found = imitation(OBJECTIVE, pair)
        assert found.dtype == torch.float32
        assert found.item() == pytest.approx(expected, rel=1e-5)


def test_a_long_series_is_the_gaussian_kernel() -> None:
    f = drawn(6, 4, seed=1, dtype=torch.float64)
    unit = f / f.norm(dim=1, keepdim=True)
    expected = (-0.4 * torch.cdist(unit, unit).square()).exp()
    torch.testing.assert_close(correlations(f, 0.4, 12), expected)


def test_it_is_0_for_turned_and_scaled_features() -> None:
    teacher = drawn(7, TEACHER, seed=1, dtype=torch.float64)
    turn, _ = torch.linalg.qr(drawn(TEACHER, TEACHER, seed=2, dtype=torch.float64))
    student = 3.0 * teacher @ turn
    assert cc_loss(student, teacher).item() < 1e-20
    assert float(gradient(lambda s: cc_loss(s, teacher), student).abs().max()) < 1e-10
    assert cc_loss(teacher + 1.0, teacher) > 1e-4


def test_its_size_does_not_depend_on_the_batch() -> None:
    sizes = [cc_loss(drawn(n, 4, seed=1), drawn(n, 8, seed=2)).item() for n in (32, 256)]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.2)


def test_only_the_student_learns() -> None:
    check_only_the_student_learns(cc_loss, logits=False)


def test_copies_do_not_count() -> None:
    check_copies_do_not_count(OBJECTIVE)


def test_too_few_records_are_refused() -> None:
    check_too_few_records_are_refused(OBJECTIVE, "CC", 2)


def test_like_records_give_numbers() -> None:
    teacher = drawn(5, 6, seed=1)
    check_like_records_give_numbers(lambda s: cc_loss(s, teacher), torch.ones(5, 3))
