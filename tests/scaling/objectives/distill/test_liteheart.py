"""LiteHeart's term of mutual information, and that the whole is Eq. 19."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from scaling.objectives.base import Context
from scaling.objectives.distill.base import Pair
from scaling.objectives.distill.kd import kd_loss
from scaling.objectives.distill.liteheart import (
    Discriminator,
    LiteHeart,
    mutual_information_loss,
)
from scaling.objectives.distill.sets import partners
from tests.scaling.objectives.data import tiny_training
from tests.scaling.objectives.distill.answers import (
    CLASSES,
    RECORDS,
    STUDENT,
    TEACHER,
    drawn,
    imitation,
    some_pair,
    taken,
)

SETTINGS: dict[str, float | int | str] = {"alpha": 0.5, "beta": 0.2, "temperature": 2.0}


def discriminator() -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(STUDENT, CLASSES)


class Known(nn.Module):
    """A discriminator that says what it is told: ``right`` on the diagonal, else ``wrong``."""

    def __init__(self, right: float, wrong: float) -> None:
        super().__init__()
        self.right, self.wrong = right, wrong

    def forward(self, z_BF: Tensor, o_BC: Tensor) -> Tensor:
        return torch.where(z_BF[:, 0] == o_BC[:, 0], self.right, self.wrong)


def written_out(
    net: Discriminator, z: Tensor, o: Tensor, partner: list[int], valid: list[bool]
) -> float:
    """Eq. 18 with its perceptron, term by term; the second mean is over true partners."""
    weight, bias = net.inner.weight.detach().double(), net.inner.bias.detach().double()
    out, last = net.outer.weight.detach().double()[0], net.outer.bias.item()

    def log_odds(n: int, m: int) -> float:
        total = last
        for unit in range(len(bias)):
            joined = [*z[n].tolist(), *o[m].tolist()]
            h = sum(w * x for w, x in zip(weight[unit].tolist(), joined, strict=True))
            h += float(bias[unit])
            total += float(out[unit]) * (h if h > 0 else 0.01 * h)
        return total

    right = [math.log(1 + math.exp(-log_odds(n, n))) for n in range(len(z))]
    wrong = [
        math.log(1 + math.exp(log_odds(n, m)))
        for n, m in enumerate(partner)
        if valid[n]
    ]  # fmt: skip
    return sum(right) / len(right) + (sum(wrong) / len(wrong) if wrong else 0.0)


@pytest.mark.parametrize("records", [[1, 2, 3, 4, 5, 6, 7], [1, 2, 1, 4, 5, 2, 1]])
def test_it_is_the_formula(records: list[int]) -> None:
    net = discriminator()
    z, o = drawn(RECORDS, STUDENT, seed=1), drawn(RECORDS, CLASSES, seed=2)
    partner, valid = partners(torch.tensor(records), torch.Generator().manual_seed(3))
    expected = written_out(net, z, o, partner.tolist(), valid.tolist())
    found = mutual_information_loss(net, z, o, partner, valid)
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_one_that_knows_nothing_has_2_log_2_and_one_that_knows_all_0() -> None:
    z = torch.arange(4.0)[:, None]
    partner, valid = partners(torch.arange(4), torch.Generator())
    nothing = mutual_information_loss(Known(0.0, 0.0), z, z, partner, valid)
    assert nothing.item() == pytest.approx(2 * math.log(2.0))
    everything = mutual_information_loss(Known(100.0, -100.0), z, z, partner, valid)
    assert everything.item() == pytest.approx(0.0, abs=1e-9)
    wrong = mutual_information_loss(Known(-1000.0, 1000.0), z, z, partner, valid)
    assert wrong.item() == pytest.approx(2000.0)


def test_copies_are_no_wrong_pairs() -> None:
    """Were they, the best discriminator of all could not reach 0."""
    z = torch.tensor([0.0, 1.0, 0.0, 3.0])[:, None]
    records = torch.tensor([5, 6, 5, 8])
    for seed in range(6):
        partner, valid = partners(records, torch.Generator().manual_seed(seed))
        found = mutual_information_loss(Known(100.0, -100.0), z, z, partner, valid)
        assert found.item() == pytest.approx(0.0, abs=1e-9)


def test_without_a_true_partner_the_first_term_is_left() -> None:
    z, nobody = torch.zeros(2, 1), torch.tensor([False, False])
    found = mutual_information_loss(Known(0.0, 9.0), z, z, torch.tensor([1, 0]), nobody)
    assert found.item() == pytest.approx(math.log(2.0))


def test_student_and_discriminator_both_make_it_smaller() -> None:
    """They descend together; there is no gradient reversal."""
    net = discriminator()
    z, o = drawn(RECORDS, STUDENT, seed=1).requires_grad_(), drawn(RECORDS, CLASSES, seed=2)
    partner, valid = partners(torch.arange(RECORDS), torch.Generator().manual_seed(0))

    def loss() -> Tensor:
        return mutual_information_loss(net, z, o, partner, valid)

    for trained in (list(net.parameters()), [z]):
        before = loss()
        gradients = torch.autograd.grad(before, trained)
        with torch.no_grad():
            for value, slope in zip(trained, gradients, strict=True):
                value.sub_(0.05 * slope)
        assert loss() < before


def test_it_learns_what_features_say_of_logits() -> None:
    """Pairs that go together end far below 2 log 2; pairs that do not cannot stay there."""
    ends = []
    for related in (True, False):
        net = discriminator()
        optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
        generator = torch.Generator().manual_seed(0)
        for _ in range(300):
            z = torch.randn(64, STUDENT, generator=generator)
            o = torch.randn(64, CLASSES, generator=generator)
            if related:
                o[:, :STUDENT] = 3 * z
            partner, valid = partners(torch.arange(64), generator)
            loss = mutual_information_loss(net, z, o, partner, valid)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        ends.append(loss.item())
    assert ends[0] < 1.0
    assert ends[1] > 1.3


def taught(settings: dict[str, float | int | str], pair: Pair, net: nn.Module | None) -> Tensor:
    return LiteHeart(settings).taught(net, pair, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("alpha", [0.5, 0.0])
def test_the_whole_is_equation_19(alpha: float) -> None:
    pair, net = some_pair(), discriminator()
    o = pair.teacher.logits_BC
    partner, valid = partners(pair.records_B, torch.Generator().manual_seed(0))
    information = mutual_information_loss(net, pair.student.features_BF, o, partner, valid)
    expected = alpha * kd_loss(pair.student.logits_BC, o, 2.0) + 0.2 * information
    found = taught(SETTINGS | {"alpha": alpha}, pair, net)
    torch.testing.assert_close(found, expected)
    found.backward()  # type: ignore[no-untyped-call]
    assert pair.student.features_BF.grad is not None
    assert (pair.student.logits_BC.grad is not None) == (alpha > 0)
    assert all(p.grad is not None and bool(p.grad.any()) for p in net.parameters())


def test_without_beta_there_is_no_discriminator_and_it_is_kd() -> None:
    objective = LiteHeart(SETTINGS | {"beta": 0.0})
    context = Context(training=tiny_training("supervised"), outputs=CLASSES)
    assert objective.auxiliary(context, STUDENT, TEACHER) is None
    pair = some_pair()
    expected = kd_loss(pair.student.logits_BC, pair.teacher.logits_BC, 2.0)
    assert torch.equal(imitation(objective, pair), expected)
    assert torch.equal(taught(SETTINGS | {"beta": 0.0}, pair, None), 0.5 * expected)


def test_the_discriminator_is_as_wide_as_the_students_features() -> None:
    context = Context(training=tiny_training("supervised"), outputs=CLASSES)
    net = LiteHeart(SETTINGS).auxiliary(context, STUDENT, TEACHER)
    assert isinstance(net, Discriminator)
    counted = sum(p.numel() for p in net.parameters())
    assert counted == (STUDENT + CLASSES) * STUDENT + STUDENT + STUDENT + 1


def test_a_record_alone_gives_a_number() -> None:
    found = taught(SETTINGS, taken(some_pair(), [0]), discriminator())
    assert bool(torch.isfinite(found))
