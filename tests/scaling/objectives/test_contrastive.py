"""The contrastive loss against its formula written out, and what it must not do."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from scaling.cost import count_training
from scaling.data.batches import Batch, Order, Split
from scaling.identity import Recipe
from scaling.models.resnet import ResNet1d
from scaling.objectives.base import Context, objective_of
from scaling.objectives.contrastive import (
    HELD_OUT_RECORDS,
    PROJECTION,
    Contrastive,
    ContrastiveModel,
    loss_per_anchor,
)
from tests.scaling.objectives.data import tiny_case, tiny_split, tiny_training

NAME, OBJECTIVE = "contrastive", Contrastive({"temperature": 0.1})


def contrastive_loss(z_VD: Tensor, patients_V: Tensor, temperature: float) -> Tensor:
    """S1 Eq. S.2: mean over the anchors that have a positive, a scalar in nats.

    Raises:
        ValueError: no two vectors are of one patient.
    """
    if len(z_VD) < 2:
        raise ValueError("a contrastive loss needs at least two vectors")
    each_V, has_positive_V = loss_per_anchor(z_VD, patients_V, temperature)
    if not bool(has_positive_V.any()):
        raise ValueError(
            f"no positive pair in a batch of {len(z_VD)} segments: each is of another patient; "
            "a contrastive loss needs two segments of one patient"
        )
    return each_V.sum() / has_positive_V.sum()


def written_out(z: Tensor, patients: list[int], temperature: float) -> list[float | None]:
    """S1 Eq. S.1 and S.2, term by term."""
    unit = z.double() / z.double().norm(dim=1, keepdim=True)
    cosine = (unit @ unit.T).tolist()
    values: list[float | None] = []
    for i, row in enumerate(cosine):
        others = [j for j in range(len(row)) if j != i]
        e = {j: math.exp(row[j] / temperature) for j in others}
        terms = [-math.log(e[j] / sum(e.values())) for j in others if patients[j] == patients[i]]
        values.append(sum(terms) / len(terms) if terms else None)
    return values


def some(n: int) -> Tensor:
    return torch.randn(n, PROJECTION, generator=torch.Generator().manual_seed(0))


def model() -> ContrastiveModel:
    torch.manual_seed(0)
    return ContrastiveModel(Context(training=tiny_training(NAME), outputs=1))


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_each_anchor_is_the_formula(temperature: float) -> None:
    patients = [0, 0, 1, 1, 1, 1, 2, 3, 3]
    expected = written_out(some(9), patients, temperature)
    each, has_positive = loss_per_anchor(some(9), torch.tensor(patients), temperature)
    assert has_positive.tolist() == [value is not None for value in expected]
    assert each.tolist() == pytest.approx([value or 0.0 for value in expected], rel=1e-5)


def test_an_anchor_without_a_positive_is_left_out_of_the_mean() -> None:
    patients = [0, 0, 1, 2, 2]
    known = [value for value in written_out(some(5), patients, 0.1) if value is not None]
    assert len(known) == 4
    found = contrastive_loss(some(5), torch.tensor(patients), 0.1)
    assert found.item() == pytest.approx(sum(known) / 4, rel=1e-5)


@pytest.mark.parametrize("vectors", [1, 2, 5])
def test_a_batch_without_a_positive_pair_is_refused(vectors: int) -> None:
    with pytest.raises(ValueError, match=r"positive pair|at least two"):
        contrastive_loss(some(vectors), torch.arange(vectors), 0.1)


def test_gradients_are_finite_where_an_anchor_has_no_positive_or_no_direction() -> None:
    z = some(5)
    z[2] = 0.0
    z[4] = z[0]
    z.requires_grad_()
    contrastive_loss(z, torch.tensor([0, 0, 1, 2, 2]), 0.1).backward()  # type: ignore[no-untyped-call]
    assert z.grad is not None
    assert bool(torch.isfinite(z.grad).all())


def test_without_knowledge_it_is_the_logarithm_of_the_other_vectors() -> None:
    z = torch.ones(2 * HELD_OUT_RECORDS, PROJECTION)
    patients = torch.arange(HELD_OUT_RECORDS).repeat_interleave(2)
    assert contrastive_loss(z, patients, 0.1).item() == pytest.approx(
        math.log(2 * HELD_OUT_RECORDS - 1)
    )


def test_only_directions_matter() -> None:
    patients = torch.tensor([0, 0, 1, 1])
    assert contrastive_loss(some(4), patients, 0.1).item() == pytest.approx(
        contrastive_loss(5 * some(4), patients, 0.1).item(), rel=1e-5
    )


def test_segments_are_adjacent_halves_and_an_odd_sample_is_dropped() -> None:
    built = model().eval()
    x = torch.randn(3, 12, 301)
    with torch.no_grad():
        both = built(x)
        halves = [built.head(built.backbone(x[:, :, a : a + 150])) for a in (0, 150)]
    assert both.shape == (3, 2, PROJECTION)
    for place, half in enumerate(halves):
        torch.testing.assert_close(both[:, place], half)


def test_both_halves_share_one_batch_of_statistics() -> None:
    built = model().train()
    x = torch.randn(4, 12, 300)
    built(x)
    inside = torch.cat([x[:, :, :150], x[:, :, 150:]])
    assert isinstance(built.backbone, ResNet1d)
    mean = built.backbone.conv1(inside.unsqueeze(2)).mean(dim=(0, 2, 3)).detach()
    torch.testing.assert_close(built.backbone.bn1.running_mean, 0.1 * mean)


def held_out_by_hand(built: ContrastiveModel, split: Split, rows: list[int]) -> list[float]:
    """Loss of each of one batch's records."""
    with torch.no_grad():
        z = built.eval()(split.batch(torch.tensor(rows)).x_BLT).flatten(0, 1)
    patients = [int(split.patients[row]) for row in rows for _ in range(2)]
    each = [value or 0.0 for value in written_out(z, patients, 0.1)]
    return [(a + b) / 2 for a, b in zip(each[::2], each[1::2], strict=True)]


def drawn(n: int) -> list[int]:
    """The order in which held-out records are put into batches."""
    order: list[int] = torch.randperm(n, generator=torch.Generator().manual_seed(0)).tolist()
    return order


def test_held_out_batches_are_shuffled_and_the_last_is_filled_up() -> None:
    built, split = model(), tiny_split(HELD_OUT_RECORDS + 10, 3)
    n = len(split)
    found = OBJECTIVE.held_out(built, split)
    assert found.shape == (n,)
    order = drawn(n)
    first, last = order[:HELD_OUT_RECORDS], order[HELD_OUT_RECORDS:]
    expected = held_out_by_hand(built, split, first)
    filled_up = held_out_by_hand(built, split, last + first[: HELD_OUT_RECORDS - len(last)])
    assert found[first].tolist() == pytest.approx(expected, rel=1e-3)
    assert found[last].tolist() == pytest.approx(filled_up[: len(last)], rel=1e-3)


def test_neighbours_of_one_patient_do_not_raise_the_held_out_floor() -> None:
    """Four records a patient, side by side: in that order each anchor has 7 positives."""
    split = tiny_split(16 * HELD_OUT_RECORDS, 3)
    split = dataclasses.replace(split, patients=np.arange(len(split)) // 4)
    order = drawn(len(split))
    batches = split.patients[order].reshape(-1, HELD_OUT_RECORDS)
    positives = (batches[:, :, None] == batches[:, None, :]).sum(axis=2) * 2 - 1
    assert float(np.log(positives).mean()) < 0.25 * math.log(7)
    one_batch = order[:HELD_OUT_RECORDS]
    built = model()
    expected = held_out_by_hand(built, split, one_batch)
    assert OBJECTIVE.held_out(built, split)[one_batch].tolist() == pytest.approx(expected, rel=1e-3)


def test_a_small_split_is_one_batch_without_repeats() -> None:
    built, split = model(), tiny_split(10, 3)
    expected = held_out_by_hand(built, split, list(range(10)))
    assert OBJECTIVE.held_out(built, split).tolist() == pytest.approx(expected, rel=1e-3)


def test_the_temperature_is_the_trainings() -> None:
    training = tiny_training(NAME, options=(("temperature", 0.5),))
    objective = objective_of(training)
    built = objective.build(Context(training=training, outputs=1))
    batch = tiny_split(8, 0).batch(torch.arange(8))
    z_BSD = objective.outputs(built, batch, torch.Generator())
    expected = contrastive_loss(z_BSD.flatten(0, 1), batch.patients_B.repeat_interleave(2), 0.5)
    assert torch.equal(objective.loss(z_BSD, batch), expected)


def views_of(rows: list[int]) -> tuple[Tensor, Tensor]:
    """The training loss of a batch of these records, and its gradient on the projections."""
    batch = tiny_split(16, 0).batch(torch.tensor(rows))
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(16, 2, PROJECTION, generator=generator)[rows].requires_grad_()
    value = OBJECTIVE.loss(z, batch)
    value.backward()  # type: ignore[no-untyped-call]
    assert z.grad is not None
    return value.detach(), z.grad


def test_a_record_that_a_batch_has_twice_counts_once() -> None:
    rows = [3, 8, 9, 4, 8, 3, 8]
    once, gradient = views_of([3, 8, 9, 4])
    found, with_copies = views_of(rows)
    torch.testing.assert_close(found, once)
    torch.testing.assert_close(with_copies[:4], gradient)
    assert not with_copies[4:].any()


def test_data_smaller_than_a_batch_has_no_perfect_pairs() -> None:
    split = tiny_split(4, 0)
    rows = next(Order(len(split), 16, seed=0))
    once = views_of(sorted(set(rows.tolist())))[0]
    assert views_of(rows.tolist())[0].item() == pytest.approx(once.item(), rel=1e-5)


def test_a_batch_without_copies_is_the_formula_bit_for_bit() -> None:
    split = tiny_split(16, 0)
    rows = next(Order(len(split), 16, seed=0))
    z = torch.randn(32, PROJECTION, generator=torch.Generator().manual_seed(0))
    batch = split.batch(rows)
    whole = contrastive_loss(z, batch.patients_B.repeat_interleave(2), 0.1)
    assert torch.equal(OBJECTIVE.loss(z.view(16, 2, PROJECTION), batch), whole)


def test_a_step_never_asks_what_a_number_is() -> None:
    """On the meta device there are no numbers; asking for one is what makes a GPU wait."""
    rows = torch.arange(8, device="meta")
    batch = Batch(
        x_BLT=torch.empty(8, 12, 300, device="meta"),
        r_peaks_BP=torch.empty(8, 1, device="meta"),
        labels_BC=torch.empty(8, 0, device="meta"),
        patients_B=rows,
        rows_B=rows,
    )
    built = model().to("meta").train()
    views = OBJECTIVE.outputs(built, batch, torch.Generator())
    assert OBJECTIVE.loss(views, batch).shape == ()


def test_macs_are_those_of_both_halves() -> None:
    case = tiny_case(NAME)
    supervised = dataclasses.replace(case.training, objective="supervised", paradigm="sl")
    ours, whole = count_training(case.training, 6), count_training(supervised, 6)
    assert ours.N == whole.N
    # Halves of 150 samples round up at each stride, and the projection head is applied twice.
    assert ours.macs - 2 * (6 * 6 + 6 * PROJECTION) == pytest.approx(whole.macs - 36, rel=0.02)
    assert ours.params["head"] == 6 * 6 + 6 + 6 * PROJECTION + PROJECTION


def test_a_batch_of_one_record_is_refused() -> None:
    training = tiny_training(NAME, recipe=Recipe(batch=1))
    with pytest.raises(ValueError, match="at least 2 records"):
        OBJECTIVE.build(Context(training=training, outputs=1))


def test_records_of_one_patient_are_refused() -> None:
    with pytest.raises(ValueError, match="at least two patients"):
        OBJECTIVE.start(model(), tiny_split(2, 0))
