"""Made-up answers of a student and a teacher, of different widths, and what any loss keeps to."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from scaling.objectives.distill.base import Answers, Distillation, Pair

RECORDS, CLASSES, STUDENT, TEACHER = 7, 5, 3, 6


def drawn(*shape: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def answers(features: int, seed: int, records: int = RECORDS) -> Answers:
    return Answers(
        logits_BC=2.0 * drawn(records, CLASSES, seed=seed),
        features_BF=drawn(records, features, seed=seed + 1) + 0.5,
    )


def some_pair(records: int = RECORDS, *, labelled: bool = True) -> Pair:
    """A set of different records; the student's answers are leaves that want a gradient."""
    student = answers(STUDENT, 10, records)
    student.logits_BC.requires_grad_()
    student.features_BF.requires_grad_()
    labels_BC = (drawn(records, CLASSES, seed=30) > 0.5).float()
    return Pair(
        student=student,
        teacher=answers(TEACHER, 20, records),
        labels_BC=labels_BC if labelled else torch.full_like(labels_BC, torch.nan),
        records_B=3 * torch.arange(records) + 2,
        teacher_weights_CK=drawn(CLASSES, TEACHER, seed=40),
    )


def taken(pair: Pair, places: list[int]) -> Pair:
    """The set of the records at ``places``, which may say one twice; new leaves."""
    student = Answers(
        logits_BC=pair.student.logits_BC.detach()[places].requires_grad_(),
        features_BF=pair.student.features_BF.detach()[places].requires_grad_(),
    )
    teacher = Answers(
        logits_BC=pair.teacher.logits_BC[places], features_BF=pair.teacher.features_BF[places]
    )
    return Pair(
        student=student,
        teacher=teacher,
        labels_BC=pair.labels_BC[places],
        records_B=pair.records_B[places],
        teacher_weights_CK=pair.teacher_weights_CK,
    )


def imitation(
    objective: Distillation, pair: Pair, auxiliary: nn.Module | None = None, seed: int = 0
) -> Tensor:
    return objective.imitation(auxiliary, pair, torch.Generator().manual_seed(seed))


def check_copies_do_not_count(objective: Distillation) -> None:
    """Copies change neither value nor gradient of a loss on relations."""
    pair = some_pair()
    once, twice = taken(pair, list(range(RECORDS))), taken(pair, [*range(RECORDS), 2, 0, 2])
    values = [imitation(objective, each) for each in (once, twice)]
    torch.testing.assert_close(values[1], values[0])
    for value in values:
        value.backward()  # type: ignore[no-untyped-call]
    for name in ("logits_BC", "features_BF"):
        one, two = (getattr(each.student, name).grad for each in (once, twice))
        if one is None:
            assert two is None
        else:
            torch.testing.assert_close(two[:RECORDS], one)
            assert not two[RECORDS:].any()


def check_too_few_records_are_refused(objective: Distillation, name: str, least: int) -> None:
    """Copies are no records; as many as are needed give a number."""
    pair = some_pair()
    with pytest.raises(ValueError, match=rf"the {name} loss .* at least {least} different records"):
        imitation(objective, taken(pair, [*range(least - 1), 0, 0, 0]))
    assert bool(torch.isfinite(imitation(objective, taken(pair, [*range(least), 0]))))


def check_only_the_student_learns(loss: Callable[[Tensor, Tensor], Tensor], logits: bool) -> None:
    """The teacher gets no gradient, though it could have one; the student's is finite."""
    pair = some_pair()
    name = "logits_BC" if logits else "features_BF"
    student, teacher = getattr(pair.student, name), getattr(pair.teacher, name).requires_grad_()
    loss(student, teacher).backward()  # type: ignore[no-untyped-call]
    assert teacher.grad is None
    assert student.grad is not None
    assert bool(torch.isfinite(student.grad).all())
    assert bool(student.grad.any())


def gradient(loss: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Of a loss at ``x``."""
    leaf = x.detach().clone().requires_grad_()
    loss(leaf).backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    return leaf.grad


def check_like_records_give_numbers(loss: Callable[[Tensor], Tensor], like: Tensor) -> None:
    """Where all records have one answer, or nearly, or none, value and gradient are finite."""
    spread = drawn(*like.shape, seed=50)
    for size in (0.0, 1e-30, 1e-12, 1e-6):
        for x in (like + size * spread, size * spread):
            assert bool(torch.isfinite(loss(x)))
            assert bool(torch.isfinite(gradient(loss, x)).all())
