"""DIST: correlations over classes and over records, and what they do not change with."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from scaling.objectives.distill.base import Answers
from scaling.objectives.distill.dist import CorrelatedDistillation, correlation, dist_loss
from tests.scaling.objectives.distill.answers import (
    check_copies_do_not_count,
    check_like_records_give_numbers,
    check_only_the_student_learns,
    check_too_few_records_are_refused,
    drawn,
    gradient,
    imitation,
    some_pair,
)

Rows = list[list[float]]
SETTINGS: dict[str, float | int | str] = {"temperature": 2.0, "inter": 1.0, "intra": 3.0}
OBJECTIVE = CorrelatedDistillation(SETTINGS)


def pearson(one: list[float], two: list[float]) -> float:
    means = [sum(x) / len(x) for x in (one, two)]
    a, b = ([v - mean for v in x] for x, mean in zip((one, two), means, strict=True))
    norms = [math.sqrt(sum(v * v for v in x)) for x in (a, b)]
    return sum(x * y for x, y in zip(a, b, strict=True)) / (norms[0] * norms[1])


def written_out(student: Rows, teacher: Rows, tau: float, inter: float, intra: float) -> float:
    p, q = (
        [[1 / (1 + math.exp(-z / tau)) for z in row] for row in rows] for rows in (student, teacher)
    )
    rows = [1 - pearson(a, b) for a, b in zip(p, q, strict=True)]
    columns = [
        1 - pearson(list(a), list(b))
        for a, b in zip(zip(*p, strict=True), zip(*q, strict=True), strict=True)
    ]
    return tau**2 * (inter * sum(rows) / len(rows) + intra * sum(columns) / len(columns))


@pytest.mark.parametrize("settings", [(2.0, 1.0, 3.0), (1.0, 1.0, 0.0), (1.0, 0.0, 1.0)])
def test_it_is_the_formula(settings: tuple[float, float, float]) -> None:
    pair = some_pair()
    student, teacher = (each.logits_BC.double() for each in (pair.student, pair.teacher))
    expected = written_out(student.tolist(), teacher.tolist(), *settings)
    assert dist_loss(student, teacher, *settings).item() == pytest.approx(expected, rel=1e-6)
    if settings[0] == 2.0:
        found = imitation(OBJECTIVE, pair)
        assert found.dtype == torch.float32
        assert found.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dim", [0, 1])
def test_the_correlation_is_numpys_and_does_not_change_with_level_or_scale(dim: int) -> None:
    a, b = (drawn(6, 4, seed=seed, dtype=torch.float64) for seed in (1, 2))
    lines = zip(*((x.T if dim == 0 else x).numpy() for x in (a, b)), strict=True)
    expected = torch.tensor([np.corrcoef(x, y)[0, 1] for x, y in lines], dtype=torch.float64)
    torch.testing.assert_close(correlation(a, b, dim), expected)
    shape = [1, 4] if dim == 0 else [6, 1]
    scale, level = (drawn(*shape, seed=seed, dtype=torch.float64) for seed in (3, 4))
    torch.testing.assert_close(correlation(a * scale.exp() + level, b, dim), expected)


def test_at_equality_it_is_0_and_so_is_its_gradient() -> None:
    t = some_pair().teacher.logits_BC.double()
    assert abs(dist_loss(t, t).item()) < 1e-9
    assert float(gradient(lambda s: dist_loss(s, t), t).abs().max()) < 1e-8


def test_opposite_records_cost_2() -> None:
    t = drawn(6, 4, seed=1)
    assert dist_loss(-t, t).item() == pytest.approx(4.0, rel=1e-5)


def test_two_classes_are_refused() -> None:
    pair = some_pair()
    two = [
        Answers(logits_BC=each.logits_BC[:, :2], features_BF=each.features_BF)
        for each in (pair.student, pair.teacher)
    ]
    few = dataclasses.replace(pair, student=two[0], teacher=two[1])
    with pytest.raises(ValueError, match="at least 3, and the task has 2"):
        imitation(OBJECTIVE, few)


def test_only_the_student_learns() -> None:
    check_only_the_student_learns(dist_loss, logits=True)


def test_copies_do_not_count() -> None:
    check_copies_do_not_count(OBJECTIVE)


def test_too_few_records_are_refused() -> None:
    check_too_few_records_are_refused(OBJECTIVE, "DIST", 3)


def test_like_records_give_numbers() -> None:
    teacher = drawn(5, 4, seed=1)
    check_like_records_give_numbers(lambda s: dist_loss(s, teacher), torch.ones(5, 4))
    check_like_records_give_numbers(lambda s: dist_loss(s, torch.ones(5, 4)), torch.ones(5, 4))
