"""PKT: probabilities of neighbours, and what they do not change with."""

from __future__ import annotations

import math

import pytest
import torch

from scaling.objectives.distill.pkt import ProbabilisticTransfer, log_neighbours, pkt_loss
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
OBJECTIVE = ProbabilisticTransfer({})


def neighbours(f: Features, i: int) -> dict[int, float]:
    """p(j | i) for all j but i."""

    def kernel(j: int) -> float:
        norms = [math.sqrt(sum(x * x for x in f[k])) for k in (i, j)]
        cosine = sum(x * y for x, y in zip(f[i], f[j], strict=True)) / (norms[0] * norms[1])
        return (1 + cosine) / 2 + 1e-7  # so that opposite records have a logarithm

    others = [j for j in range(len(f)) if j != i]
    total = sum(kernel(j) for j in others)
    return {j: kernel(j) / total for j in others}


def written_out(student: Features, teacher: Features) -> float:
    total = 0.0
    for i in range(len(student)):
        p, q = neighbours(student, i), neighbours(teacher, i)
        total += sum(q[j] * math.log(q[j] / p[j]) for j in q)
    return total / len(student)


def test_it_is_the_formula() -> None:
    pair = some_pair()
    student, teacher = (each.features_BF.double() for each in (pair.student, pair.teacher))
    expected = written_out(student.tolist(), teacher.tolist())
    assert pkt_loss(student, teacher).item() == pytest.approx(expected, rel=1e-6)
    found = imitation(OBJECTIVE, pair)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_neighbours_are_a_distribution_over_others() -> None:
    p_BB = log_neighbours(drawn(6, 4, seed=1)).exp()
    torch.testing.assert_close(p_BB.sum(dim=1), torch.ones(6))
    assert p_BB.diagonal().tolist() == [0.0] * 6


def test_it_is_0_for_turned_and_scaled_features() -> None:
    teacher = drawn(7, TEACHER, seed=1, dtype=torch.float64)
    turn, _ = torch.linalg.qr(drawn(TEACHER, TEACHER, seed=2, dtype=torch.float64))
    student = 3.0 * teacher @ turn
    assert abs(pkt_loss(student, teacher).item()) < 1e-12
    assert float(gradient(lambda s: pkt_loss(s, teacher), student).abs().max()) < 1e-8
    assert pkt_loss(teacher + 1.0, teacher) > 1e-3


def test_its_size_does_not_depend_on_the_batch() -> None:
    sizes = [pkt_loss(drawn(n, 4, seed=1), drawn(n, 8, seed=2)).item() for n in (32, 256)]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.2)


def test_opposite_records_give_numbers() -> None:
    f = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    assert bool(torch.isfinite(pkt_loss(f, drawn(3, 4, seed=1))))
    assert bool(torch.isfinite(gradient(lambda s: pkt_loss(s, drawn(3, 4, seed=1)), f)).all())
    assert bool(torch.isfinite(pkt_loss(drawn(3, 4, seed=1), f)))


def test_only_the_student_learns() -> None:
    check_only_the_student_learns(pkt_loss, logits=False)


def test_copies_do_not_count() -> None:
    check_copies_do_not_count(OBJECTIVE)


def test_too_few_records_are_refused() -> None:
    check_too_few_records_are_refused(OBJECTIVE, "PKT", 3)


def test_like_records_give_numbers() -> None:
    teacher = drawn(5, 6, seed=1)
    check_like_records_give_numbers(lambda s: pkt_loss(s, teacher), torch.ones(5, 3))
