"""Boxes: their sizes, what they take from whom, and labels that follow what was taken."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scaling.objectives.boxes import Boxes, draw_boxes

LEADS, SAMPLES = 12, 500


def boxes(
    records: int | list[int] = 8,
    *,
    shape: float = 0.75,
    per: str = "record",
    border: str = "clip",
    seed: int = 0,
    leads: int = LEADS,
) -> Boxes:
    numbers = torch.arange(records) if isinstance(records, int) else torch.tensor(records)
    generator = torch.Generator().manual_seed(seed)
    return draw_boxes(numbers, leads, SAMPLES, shape, per, border, generator)


def numbered(records: int) -> torch.Tensor:
    """Signals in which each cell says whose it is and where."""
    return torch.arange(float(records * LEADS * SAMPLES)).view(records, LEADS, SAMPLES)


@pytest.mark.parametrize("border", ["clip", "inside"])
@pytest.mark.parametrize("per", ["record", "batch"])
def test_cells_of_a_box_are_the_partners_and_all_others_ones_own(per: str, border: str) -> None:
    drawn, x = boxes(per=per, border=border, seed=3), numbered(8)
    assert bool(drawn.inside_BLT.any())
    mixed = drawn.mix(x)
    for record in range(8):
        partner, inside = int(drawn.partner_B[record]), drawn.inside_BLT[record]
        assert partner != record
        assert torch.equal(mixed[record][inside], x[partner][inside])
        assert torch.equal(mixed[record][~inside], x[record][~inside])
        leads, samples = torch.nonzero(inside.any(dim=1)), torch.nonzero(inside.any(dim=0))
        sides = [int(s.max() - s.min()) + 1 if len(s) else 0 for s in (leads, samples)]
        assert int(inside.sum()) == sides[0] * sides[1], "not a box"


def test_the_same_box_mixes_both_signals() -> None:
    drawn, real = boxes(seed=1), numbered(8)
    restored = -real - 1.0
    assert torch.equal(drawn.mix(restored), -drawn.mix(real) - 1.0)


@pytest.mark.parametrize("border", ["clip", "inside"])
def test_labels_are_weighted_by_the_cells_that_were_taken(border: str) -> None:
    drawn = boxes(border=border, seed=2)
    share = drawn.inside_BLT.double().mean(dim=(1, 2))
    torch.testing.assert_close(drawn.share_B, share.float())
    y = torch.eye(8)
    mixed = drawn.mix_labels(y)
    for record in range(8):
        expected = torch.zeros(8)
        expected[record] += 1.0 - share[record].float()
        expected[drawn.partner_B[record]] += share[record].float()
        torch.testing.assert_close(mixed[record], expected)


def test_a_label_that_both_have_stays_exactly() -> None:
    drawn = boxes(64, seed=4)
    assert torch.equal(drawn.mix_labels(torch.ones(64, 3)), torch.ones(64, 3))
    assert torch.equal(drawn.mix_labels(torch.zeros(64, 3)), torch.zeros(64, 3))


def test_labels_that_are_not_known_stay_unknown() -> None:
    assert bool(boxes().mix_labels(torch.full((8, 3), torch.nan)).isnan().all())


@pytest.mark.parametrize(("shape", "leads"), [(0.75, 12), (0.75, 200), (3.0, 200), (0.2, 200)])
def test_shares_are_those_of_the_beta_distribution(shape: float, leads: int) -> None:
    """Of boxes that fit, the share is 1 - lambda, but for rounding to whole cells."""
    share = boxes(4000, shape=shape, border="inside", leads=leads).share_B.double().numpy()
    deviation = (4 * (2 * shape + 1)) ** -0.5
    assert share.mean() == pytest.approx(0.5, abs=4 * deviation / 4000**0.5)
    assert share.std() == pytest.approx(deviation, rel=0.05)
    generator = np.random.default_rng(0)
    expected = np.quantile(generator.beta(shape, shape, 100_000), [0.1, 0.25, 0.75, 0.9])
    assert np.quantile(share, [0.1, 0.25, 0.75, 0.9]) == pytest.approx(expected, abs=0.06)


def test_edges_are_shares_of_both_axes_by_the_root() -> None:
    drawn = boxes(2000, border="inside")
    height = drawn.leads_BL.double().mean(dim=1)
    width = drawn.samples_BT.double().mean(dim=1)
    assert float((height - width).abs().max()) <= 0.5 / LEADS + 0.5 / SAMPLES + 1e-9
    assert np.unique(height.numpy()).tolist() == pytest.approx(
        [k / LEADS for k in range(LEADS + 1)]
    )


def test_clipped_boxes_lose_a_quarter_of_their_edge_squared() -> None:
    """Of an axis, r - r^2 / 4 is covered on average, r being the edge's share of it."""
    share = boxes(20_000, border="clip").share_B
    edge = (1.0 - np.random.default_rng(0).beta(0.75, 0.75, 100_000)) ** 0.5
    expected = ((edge - edge**2 / 4) ** 2).mean()
    assert float(share.mean()) == pytest.approx(expected, abs=0.01)
    assert expected == pytest.approx(0.317, abs=0.003)


@pytest.mark.parametrize("border", ["clip", "inside"])
def test_both_ends_of_an_axis_are_reached_alike(border: str) -> None:
    covered_L = boxes(20_000, border=border).leads_BL.double().mean(dim=0)
    torch.testing.assert_close(covered_L, covered_L.flip(0), atol=0.02, rtol=0.0)
    assert float(covered_L.min()) > 0.3
    assert int(covered_L.argmin()) in (0, LEADS - 1)


def test_a_batch_has_one_box_and_records_have_their_own() -> None:
    one, own = boxes(per="batch", seed=5), boxes(per="record", seed=5)
    assert len(np.unique(one.samples_BT.numpy(), axis=0)) == 1
    assert len(np.unique(one.leads_BL.numpy(), axis=0)) == 1
    assert len(np.unique(own.samples_BT.numpy(), axis=0)) == 8


def test_copies_of_a_record_are_not_mixed_with_it() -> None:
    found = set()
    for seed in range(20):
        records = [7, 8, 7, 9]
        drawn, x = boxes(records, border="inside", shape=5.0, seed=seed), numbered(4)
        for place, record in enumerate(records):
            same = records[int(drawn.partner_B[place])] == record
            found.add(same)
            assert bool(drawn.inside_BLT[place].any()) != same
            assert (float(drawn.share_B[place]) == 0.0) == same
            if same:
                assert torch.equal(drawn.mix(x)[place], x[place])
    assert found == {True, False}


def test_a_record_alone_stays_whole() -> None:
    drawn, x = boxes(1), numbered(1)
    assert torch.equal(drawn.mix(x), x)
    assert drawn.share_B.tolist() == [0.0]


def test_all_that_is_random_comes_from_the_generator() -> None:
    before = torch.get_rng_state()
    one, two, other = boxes(seed=1), boxes(seed=1), boxes(seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.inside_BLT, two.inside_BLT)
    assert torch.equal(one.partner_B, two.partner_B)
    assert not torch.equal(one.inside_BLT, other.inside_BLT)


def test_they_go_to_where_the_signals_are() -> None:
    mixed = boxes().mix(torch.empty(8, LEADS, SAMPLES, device="meta"))
    assert mixed.device.type == "meta"
    assert mixed.shape == (8, LEADS, SAMPLES)
    assert boxes().mix_labels(torch.empty(8, 3, device="meta")).device.type == "meta"


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="per record or batch, not 'lead'"):
        boxes(per="lead")
    with pytest.raises(ValueError, match="clip or inside, not 'wrap'"):
        boxes(border="wrap")
