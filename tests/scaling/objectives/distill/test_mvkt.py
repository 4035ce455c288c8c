"""MVKT: its contrast from both sides, its bank, and MKD without the bug."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from scaling.objectives.base import Context
from scaling.objectives.distill.kd import kd_loss
from scaling.objectives.distill.mvkt import (
    PROJECTION,
    Bank,
    MultiViewTransfer,
    estimation_loss,
    mvkt_loss,
)
from tests.scaling.objectives.data import tiny_training
from tests.scaling.objectives.distill.answers import (
    CLASSES,
    RECORDS,
    STUDENT,
    TEACHER,
    check_too_few_records_are_refused,
    drawn,
    imitation,
    some_pair,
    taken,
)

DATA = 30
SETTINGS: dict[str, float | int | str] = {"temperature": 1.0, "contrast": 0.8, "negatives": 12}
OBJECTIVE = MultiViewTransfer(SETTINGS)


def bank(seed: int = 0) -> Bank:
    torch.manual_seed(seed)
    context = Context(training=tiny_training("supervised", data=DATA), outputs=CLASSES)
    made = OBJECTIVE.auxiliary(context, STUDENT, TEACHER)
    assert isinstance(made, Bank)
    return made


def seen_bank() -> Bank:
    """One in which half of the records were seen, and Z is set."""
    made = bank()
    made.positive_bank[::2] = drawn(DATA // 2, CLASSES, seed=60) > 0.8
    made.scale.copy_(torch.tensor([40.0, 55.0]))
    return made


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def one_side(
    anchors: list[list[float]], rights: list[list[float]], wrongs: list[list[list[float]]], z: float
) -> float:
    """CRD's estimation, term by term; ``wrongs`` are each anchor's own negatives."""
    total = 0.0
    for anchor, right, wrong in zip(anchors, rights, wrongs, strict=True):
        if not wrong:
            continue
        noise = len(wrong) / DATA

        def h(other: list[float], anchor: list[float] = anchor, noise: float = noise) -> float:
            p = math.exp(dot(anchor, other) / 0.07) / z
            return p / (p + noise)

        total -= math.log(h(right)) + sum(math.log(1 - h(other)) for other in wrong)
    return total / len(anchors)


def written_out(made: Bank, pair_of: tuple[Tensor, Tensor], has: Tensor, where: list[int],
                drawn_places: list[int]) -> float:  # fmt: skip
    with torch.no_grad():
        s, t = (each.double().tolist() for each in made(*pair_of))
    banks = [made.student_bank.double().tolist(), made.teacher_bank.double().tolist()]
    negatives = [
        [k for k in drawn_places if k != place and not bool((made.positive_bank[k] & mine).any())]
        for place, mine in zip(where, has, strict=True)
    ]
    z_s, z_t = made.scale.tolist()
    return one_side(s, t, [[banks[1][k] for k in ks] for ks in negatives], z_s) + one_side(
        t, s, [[banks[0][k] for k in ks] for ks in negatives], z_t
    )


def test_the_contrast_is_the_formula() -> None:
    pair, made = some_pair(), seen_bank()
    features = (pair.student.features_BF, pair.teacher.features_BF)
    has, where = pair.labels_BC > 0.5, [2, 5, 8, 11, 14, 17, 20]
    drawn_places = [0, 2, 4, 4, 9, 14, 20, 22, 26, 29]
    expected = written_out(made, features, has, where, drawn_places)
    shared = [bool((made.positive_bank[k] & mine).any()) for mine in has for k in drawn_places]
    assert 0 < sum(shared) < len(shared), "the case has none of the same disease, or only such"
    found = mvkt_loss(made, *features, has, torch.tensor(where), torch.tensor(drawn_places))
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_the_whole_is_mkd_and_the_contrast_of_what_the_generator_draws() -> None:
    pair = some_pair()
    teacher_BC = pair.teacher.logits_BC
    drawn_M = torch.randint(DATA, (12,), generator=torch.Generator().manual_seed(5))
    clt = mvkt_loss(
        seen_bank(),
        pair.student.features_BF,
        pair.teacher.features_BF,
        pair.labels_BC > 0.5,
        pair.records_B,
        drawn_M,
    )
    mkd = kd_loss(pair.student.logits_BC, teacher_BC) - kd_loss(teacher_BC, teacher_BC)
    found = imitation(OBJECTIVE, pair, seen_bank(), seed=5)
    torch.testing.assert_close(found, mkd + 0.8 * clt)


def test_unlabelled_records_have_the_diseases_the_teacher_says() -> None:
    pair, made = some_pair(labelled=False), bank()
    imitation(OBJECTIVE, pair, made)
    kept = made.positive_bank[pair.records_B]
    assert torch.equal(kept, pair.teacher.logits_BC >= 0.0)
    assert int(made.positive_bank.sum()) == int(kept.sum())


def test_without_knowledge_it_is_the_logarithm_of_the_negatives() -> None:
    m = 9
    equal = estimation_loss(
        torch.zeros(4),
        torch.zeros(4, m),
        torch.ones(4, m, dtype=torch.bool),
        50,
        torch.tensor(50.0),
    )
    assert equal.item() == pytest.approx(math.log(1 + m) + m * math.log(1 + 1 / m))


def test_an_anchor_without_negatives_counts_0() -> None:
    valid = torch.tensor([[True, True], [False, False]])
    values = torch.tensor([0.5, 0.5], requires_grad=True)
    loss = estimation_loss(values, torch.zeros(2, 2), valid, 50, torch.tensor(50.0))
    loss.backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None
    assert values.grad[0] != 0.0
    assert values.grad[1] == 0.0


def test_sure_similarities_give_numbers() -> None:
    ends = torch.tensor([-1.0, 1.0])
    valid = torch.ones(2, 2, dtype=torch.bool)
    found = estimation_loss(ends, ends.repeat(2, 1), valid, 10**6, torch.tensor(1e3))
    assert bool(torch.isfinite(found))


def test_the_first_set_sets_z_for_good() -> None:
    pair, made = some_pair(), bank()
    assert made.scale.tolist() == [0.0, 0.0]
    with torch.no_grad():
        s, t = made(pair.student.features_BF, pair.teacher.features_BF)
        similar = (s @ made.teacher_bank.T, t @ made.student_bank.T)
        expected = torch.stack([DATA * (each / 0.07).exp().mean() for each in similar])
    everyone = MultiViewTransfer(SETTINGS | {"negatives": DATA})
    imitation(everyone, pair, made)
    torch.testing.assert_close(made.scale, expected)
    imitation(everyone, pair, made)
    torch.testing.assert_close(made.scale, expected)


def test_the_bank_follows_with_momentum() -> None:
    pair, made = some_pair(), bank()
    before = made.student_bank.clone()
    with torch.no_grad():
        s, _ = made(pair.student.features_BF, pair.teacher.features_BF)
    imitation(OBJECTIVE, pair, made)
    moved = 0.5 * before[pair.records_B] + 0.5 * s
    moved = moved / moved.norm(dim=1, keepdim=True)
    torch.testing.assert_close(made.student_bank[pair.records_B], moved)
    others = [k for k in range(DATA) if k not in pair.records_B.tolist()]
    assert torch.equal(made.student_bank[others], before[others])
    torch.testing.assert_close(made.teacher_bank.norm(dim=1), torch.ones(DATA))


def test_a_copy_is_no_anchor_and_no_negative() -> None:
    """The contrast of a set is that of its different records; MKD is a mean over all."""
    pair = some_pair()
    alone = MultiViewTransfer(SETTINGS | {"contrast": 0.0})
    once, twice = taken(pair, list(range(RECORDS))), taken(pair, [*range(RECORDS), 2, 0, 2])
    contrasts, banks = [], []
    for each in (once, twice):
        made = seen_bank()
        contrasts.append(imitation(OBJECTIVE, each, made) - imitation(alone, each, seen_bank()))
        banks.append(made.student_bank)
    torch.testing.assert_close(contrasts[1], contrasts[0])
    torch.testing.assert_close(banks[1], banks[0])


def test_too_few_records_are_refused() -> None:
    made = bank()

    class Given(MultiViewTransfer):
        def imitation(self, auxiliary, pair, generator):  # type: ignore[no-untyped-def]
            return super().imitation(made, pair, generator)

    check_too_few_records_are_refused(Given(SETTINGS), "MVKT", 2)


def test_student_and_both_projections_learn_and_the_teacher_does_not() -> None:
    pair, made = some_pair(), seen_bank()
    wanting = dataclasses.replace(
        pair.teacher, features_BF=pair.teacher.features_BF.clone().requires_grad_()
    )
    loss = imitation(OBJECTIVE, dataclasses.replace(pair, teacher=wanting), made)
    loss.backward()  # type: ignore[no-untyped-call]
    assert wanting.features_BF.grad is None
    for value in (pair.student.features_BF, pair.student.logits_BC, *made.parameters()):
        assert value.grad is not None
        assert bool(torch.isfinite(value.grad).all())
        assert bool(value.grad.any())


def test_it_learns_to_tell_records_apart() -> None:
    """Features that hold what the teacher's do end nearer to their own than to others'."""
    generator = torch.Generator().manual_seed(0)
    made = Bank(64, STUDENT, TEACHER, CLASSES)
    teacher = torch.randn(64, TEACHER, generator=generator)
    student = teacher[:, :STUDENT] * 2.0
    nothing = torch.zeros(64, CLASSES, dtype=torch.bool)
    optimiser = torch.optim.Adam(made.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        loss = mvkt_loss(made, student, teacher, nothing, torch.arange(64), torch.arange(64))
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert losses[-1] < 0.9 * losses[0]
    with torch.no_grad():
        s, t = made(student, teacher)
    own = (s @ t.T).argmax(dim=1) == torch.arange(64)
    assert float(own.float().mean()) > 0.3


def test_the_temperature_softens_both_sides() -> None:
    """Released code divides probabilities by it, which only weighs the term by 1 / T."""
    pair = some_pair()
    s, t = pair.student.logits_BC.detach(), pair.teacher.logits_BC
    found = [
        imitation(MultiViewTransfer(SETTINGS | {"temperature": T, "contrast": 0.0}), pair, bank())
        for T in (1.0, 3.0)
    ]
    for value, tau in zip(found, (1.0, 3.0), strict=True):
        torch.testing.assert_close(value, kd_loss(s, t, tau) - kd_loss(t, t, tau))
    p, q = (torch.stack([torch.sigmoid(z), torch.sigmoid(-z)]) for z in (s, t))
    theirs = [
        ((q / tau) * ((q / tau).log() - (p / tau).log())).sum(dim=0).mean() for tau in (1.0, 3.0)
    ]
    torch.testing.assert_close(theirs[1], theirs[0] / 3.0)
    torch.testing.assert_close(theirs[0], found[0])


def test_it_is_of_the_size_the_training_needs() -> None:
    made = bank()
    assert made.student_bank.shape == made.teacher_bank.shape == (DATA, PROJECTION)
    trained = sum(p.numel() for p in made.parameters())
    assert trained == (STUDENT + TEACHER + 2) * PROJECTION
    assert all(torch.equal(a, b) for a, b in zip(made.buffers(), bank().buffers(), strict=True))
