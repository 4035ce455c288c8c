"""Masked heartbeats: what is hidden, what it is compared with, and which codebooks are refused."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from scaling.cost import count_training
from scaling.data.batches import Batch
from scaling.identity import Parent, Recipe
from scaling.models.heartbeats import tokenize
from scaling.models.vq_hbr import VqHbr
from scaling.objectives.base import HELD_OUT_BATCH, Context, objective_of
from scaling.objectives.masked import (
    KEPT,
    PADDING,
    Guesses,
    MaskedModel,
    choose_masked,
    codes_of,
    masked_losses,
)
from scaling.objectives.testing import Case
from tests.scaling.objectives.data import CODES, SizeCodebook, tiny_case, tiny_split, tiny_training

OBJECTIVE = objective_of(tiny_training("masked"))


def annotated() -> tuple[Case, MaskedModel]:
    case = tiny_case("masked")
    OBJECTIVE.annotate(case.splits, case.context)
    torch.manual_seed(0)
    model = OBJECTIVE.build(case.context)
    OBJECTIVE.start(model, case.splits["train"])
    assert isinstance(model, MaskedModel)
    return case, model


@pytest.mark.parametrize(
    ("real", "ratio", "hidden"), [(8, 0.5, 4), (7, 0.5, 4), (1, 0.1, 1), (0, 0.5, 0)]
)
def test_a_share_of_the_real_tokens_is_hidden(real: int, ratio: float, hidden: int) -> None:
    real_BS = (torch.arange(12) < real).expand(5, -1)
    score_BS = torch.rand(5, 12, generator=torch.Generator().manual_seed(0))
    masked_BS = choose_masked(real_BS, score_BS, ratio)
    assert masked_BS.sum(dim=1).tolist() == [hidden] * 5
    assert not bool((masked_BS & ~real_BS).any())
    kept = torch.where(masked_BS, 0.0, score_BS)[:, :real].masked_fill(masked_BS[:, :real], 1.0)
    worst = torch.where(masked_BS, score_BS, 0.0).max(dim=1).values
    assert bool((kept >= worst[:, None]).all())


def test_the_loss_of_a_record_is_the_mean_over_its_hidden_tokens() -> None:
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    codes, record = torch.tensor([0, 1, 2, 2, 0]), torch.tensor([0, 0, 0, 2, 2])
    each = -logits.log_softmax(dim=1)[torch.arange(5), codes]
    found = masked_losses(Guesses(logits, codes, record), 4)
    expected = [each[:3].mean().item(), 0.0, each[3:].mean().item(), 0.0]
    assert found.tolist() == pytest.approx(expected)


def test_codes_are_those_of_the_unmasked_heartbeats() -> None:
    split, codebook = tiny_split(6, 0), SizeCodebook()
    codes = codes_of(codebook, split)
    batch = split.batch(torch.arange(6))
    beats = tokenize(batch.x_BLT, batch.r_peaks_BP, codebook.tokens)
    assert codes.dtype == torch.int16
    assert torch.equal(codes.long()[beats.real_BS], codebook.codes(beats)[beats.real_BS])
    assert set(codes[~beats.real_BS].tolist()) == {PADDING}


def test_many_codes_need_wider_integers() -> None:
    assert codes_of(SizeCodebook(codes=32768), tiny_split(2, 0)).dtype == torch.int16
    assert codes_of(SizeCodebook(codes=32769), tiny_split(2, 0)).dtype == torch.int32


def test_codes_of_the_same_records_are_made_once() -> None:
    split, codebook = tiny_split(6, 3), SizeCodebook(more=0.01)
    first = codes_of(codebook, split)
    calls = codebook.calls
    assert calls > 0
    first.fill_(PADDING)  # whoever has them may do with them what he likes
    again = codes_of(SizeCodebook(more=0.01), split)  # loaded anew from the same weights
    assert again.max() > PADDING and torch.equal(codes_of(codebook, split), again)
    assert codebook.calls == calls
    for other, records in (
        (SizeCodebook(more=3.0), split),
        (SizeCodebook(more=0.01, codes=codebook.shape.codes + 2), split),
        (codebook, tiny_split(6, 4)),
        (codebook, tiny_split(5, 3)),
    ):
        before = other.calls
        found = codes_of(other, records)
        assert other.calls > before
        assert found.shape != again.shape or not torch.equal(found, again)


def test_codes_are_kept_of_a_few_splits_only() -> None:
    codebook, splits = SizeCodebook(), [tiny_split(3, 100 + i) for i in range(KEPT + 1)]
    for split in splits:
        codes_of(codebook, split)
    before = codebook.calls
    codes_of(codebook, splits[-1])
    assert codebook.calls == before
    codes_of(codebook, splits[0])
    assert codebook.calls > before


def test_training_and_measuring_need_no_codebook() -> None:
    case, model = annotated()
    codebook = case.context.parents["codebook"]
    assert isinstance(codebook, SizeCodebook)
    before = codebook.calls
    OBJECTIVE.held_out(model, case.splits["validation"])
    batch = case.splits["train"].batch(torch.arange(8))
    OBJECTIVE.outputs(model, batch, torch.Generator())
    assert codebook.calls == before


def test_guesses_are_the_codes_at_the_hidden_places() -> None:
    case, model = annotated()
    batch = case.splits["train"].batch(torch.arange(5))
    score_BS = torch.rand(5, model.backbone.tokens, generator=torch.Generator().manual_seed(5))
    assert len(model.backbone.parts(batch.x_BLT, batch.r_peaks_BP)) == 2
    found, full = model.guess(batch, score_BS), in_full(model, batch, score_BS)
    order_M = found.record_M.argsort(stable=True)
    assert torch.equal(found.record_M[order_M], full.record_M)
    assert torch.equal(found.codes_M[order_M], full.codes_M)
    assert int(found.codes_M.min()) >= 0
    torch.testing.assert_close(found.logits_MK[order_M], full.logits_MK)


def in_full(model: MaskedModel, batch: Batch, score_BS: Tensor) -> Guesses:
    """Guesses with all slots of all records computed."""
    beats = model.backbone.tokenize(batch.x_BLT, batch.r_peaks_BP)
    masked_BS = choose_masked(beats.real_BS, score_BS, 0.5)
    states = model.backbone.encode(beats, masked_BS)[:, 1:]
    codes_M = batch.extra["codes"][masked_BS].long()
    return Guesses(model.head(states[masked_BS]), codes_M, masked_BS.nonzero()[:, 0])


def test_leaving_out_padding_changes_no_gradient() -> None:
    case, model = annotated()
    model = model.double()
    batch = case.splits["train"].batch(torch.arange(16))
    batch = dataclasses.replace(batch, x_BLT=batch.x_BLT.double())
    score_BS = torch.rand(16, model.backbone.tokens, generator=torch.Generator().manual_seed(5))
    gradients = []
    for guesses in (model.guess(batch, score_BS), in_full(model, batch, score_BS)):
        each_M = cross_entropy(guesses.logits_MK, guesses.codes_M, reduction="none")
        model.zero_grad()
        each_M.square().sum().backward()  # type: ignore[no-untyped-call]
        gradients.append([value.grad for value in model.parameters()])
    for one, two in zip(*gradients, strict=True):
        assert (one - two).norm() <= 1e-10 * two.norm()


def test_what_is_hidden_does_not_reach_the_transformer() -> None:
    case, model = annotated()
    split = case.splits["train"]
    batch = split.batch(torch.arange(2))
    model.eval()
    score_BS = torch.zeros(2, model.backbone.tokens)  # ties: the first tokens of lead I are hidden
    beats = model.backbone.tokenize(batch.x_BLT, batch.r_peaks_BP)
    masked_BS = choose_masked(beats.real_BS, score_BS, 0.5)
    changed = beats.beats_BSW.clone()
    changed[:, 1] += 1.0  # neither its neighbours nor it are seen
    assert bool(masked_BS[:, :3].all())
    twin = dataclasses.replace(beats, beats_BSW=changed)
    with torch.no_grad():
        one, two = (model.backbone.encode(b, masked_BS) for b in (beats, twin))
        seen = model.backbone.encode(twin)
    assert torch.equal(one, two)
    assert not torch.equal(one, seen)


def test_it_starts_at_the_frequencies_of_codes() -> None:
    case, model = annotated()
    codes = case.splits["train"].extra["codes"]
    share = torch.bincount(codes[codes >= 0].long(), minlength=CODES) / (codes >= 0).sum()
    torch.testing.assert_close(model.head.bias.softmax(dim=0), share, atol=1e-3, rtol=0.01)
    entropy = -(share[share > 0] * share[share > 0].log()).sum()
    start = OBJECTIVE.held_out(model, case.splits["train"]).mean().item()
    assert start == pytest.approx(entropy.item(), rel=0.1)
    assert start < math.log(CODES)


def test_a_held_out_mask_belongs_to_a_place_in_the_split() -> None:
    case, model = annotated()
    split = tiny_split(2 * HELD_OUT_BATCH + 6, 4)
    OBJECTIVE.annotate({"long": split}, case.context)
    few = split.first(HELD_OUT_BATCH + 20)
    OBJECTIVE.annotate({"short": few}, case.context)
    long, short = OBJECTIVE.held_out(model, split), OBJECTIVE.held_out(model, few)
    torch.testing.assert_close(long[: len(few)], short)


def test_nothing_is_dropped_when_held_out() -> None:
    training = tiny_training("masked", recipe=Recipe(dropout=0.5))
    context = Context(training=training, outputs=1, parents={"codebook": SizeCodebook()})
    splits = {"train": tiny_split(8, 0)}
    OBJECTIVE.annotate(splits, context)
    model = OBJECTIVE.build(context)
    one, two = (OBJECTIVE.held_out(model, splits["train"]) for _ in range(2))
    assert torch.equal(one, two)


def test_the_head_is_counted_on_the_share_of_slots_that_is_hidden() -> None:
    counts = [
        count_training(tiny_training("masked", options=(("codes", k), ("mask_ratio", 0.25))), 1)
        for k in (64, 128)
    ]
    assert counts[1].macs - counts[0].macs == 64 * 8 * 32  # codes x width x 32 of 128 slots
    assert counts[1].N == counts[0].N
    assert counts[1].params["head"] == 8 * 128 + 128


def test_a_trained_codebook_model_serves_as_parent() -> None:
    torch.manual_seed(0)
    codebook = VqHbr("l1d48k256t128").eval()
    training = tiny_training("masked", options=(("codes", 256),))
    objective = objective_of(training)
    context = Context(training=training, outputs=1, parents={"codebook": codebook})
    splits = {"train": tiny_split(8, 0)}
    objective.annotate(splits, context)
    model = objective.build(context)
    objective.start(model, splits["train"])
    assert int(splits["train"].extra["codes"].max()) < 256
    assert bool(torch.isfinite(objective.held_out(model, splits["train"])).all())


@pytest.mark.parametrize(
    ("codebook", "message"),
    [
        (SizeCodebook(codes=4), "4 codes, the option 'codes' says 8"),
        (SizeCodebook(tokens=256), "256 heartbeats, a Transformer l1d8h1t128 128"),
        (SizeCodebook(codes=4, tokens=256), "4 codes.*; it reads 256"),
    ],
)
def test_a_codebook_that_does_not_fit_is_refused_by_its_differences(
    codebook: SizeCodebook, message: str
) -> None:
    context = Context(
        training=tiny_training("masked", parents=(Parent("codebook", "t0123"),)),
        outputs=1,
        parents={"codebook": codebook},
    )
    with pytest.raises(ValueError, match=rf"t0123.*{message}"):
        OBJECTIVE.annotate({"train": tiny_split(2, 0)}, context)


def test_it_needs_a_codebook() -> None:
    context = Context(training=tiny_training("masked"), outputs=1)
    with pytest.raises(ValueError, match="parent of the stage codebook"):
        OBJECTIVE.annotate({"train": tiny_split(2, 0)}, context)
