"""Which records of a set differ, partners, and lengths that never divide by nothing."""

from __future__ import annotations

import pytest
import torch

from scaling.objectives.distill.sets import (
    different,
    first_of_each,
    lengths,
    partners,
    positives,
    require,
    units,
)


def test_the_first_of_each_record_counts() -> None:
    records = torch.tensor([4, 9, 4, 1, 9, 9, 0])
    assert first_of_each(records).tolist() == [True, True, False, True, False, False, True]
    rows = torch.arange(7.0)[:, None]
    assert different(rows, records)[:, 0].tolist() == [0, 1, 3, 6]
    assert torch.equal(different(rows, torch.arange(7)), rows)


def test_partners_are_by_one_shift_and_never_copies() -> None:
    records = torch.tensor([4, 9, 4, 1, 9, 9])
    shifts = set()
    for seed in range(200):
        partner, valid = partners(records, torch.Generator().manual_seed(seed))
        (shift,) = {(int(p) - place) % 6 for place, p in enumerate(partner)}
        shifts.add(shift)
        assert sorted(partner.tolist()) == list(range(6))
        assert torch.equal(valid, records[partner] != records)
    assert shifts == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("count", [2, 5, 6, 128])
def test_no_record_is_its_own_partner(count: int) -> None:
    for seed in range(20):
        partner, valid = partners(torch.arange(count), torch.Generator().manual_seed(seed))
        assert bool(valid.all())
        assert not bool((partner == torch.arange(count)).any())


def test_a_record_alone_has_no_partner() -> None:
    partner, valid = partners(torch.tensor([3]), torch.Generator())
    assert partner.tolist() == [0]
    assert valid.tolist() == [False]


def test_too_few_records_are_refused_with_what_to_change() -> None:
    require("CC", 2, 2)
    with pytest.raises(ValueError, match=r"the CC loss .* at least 2 .* has 1; raise recipe.batch"):
        require("CC", 2, 1)


def test_lengths_are_guarded() -> None:
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    torch.testing.assert_close(lengths(x)[:, 0].detach(), torch.tensor([5.0, 1e-6]))
    torch.testing.assert_close(units(x).detach(), torch.tensor([[0.6, 0.8], [0.0, 0.0]]))
    units(x).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert bool(torch.isfinite(x.grad).all())


def test_positives_are_labels_or_else_what_the_teacher_says() -> None:
    nan = torch.nan
    labels = torch.tensor([[1.0, 0.0, 0.5, 0.49], [nan, nan, nan, nan]])
    teacher = torch.tensor([[-9.0, 9.0, -9.0, 9.0], [-0.1, 0.0, 0.1, -3.0]])
    assert positives(labels, teacher).tolist() == [
        [True, False, True, False],
        [False, True, True, False],
    ]
