"""VQ-HBR as an objective: its loss, its codes in training, resuming, quality against k-means."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from scaling.data.batches import Split
from scaling.identity import Recipe
from scaling.models.heartbeats import Part, tokenize
from scaling.objectives.base import Context, objective_of
from scaling.objectives.codebook import (
    CodebookModel,
    heartbeats,
    kmeans_mse,
    perplexity,
    warmup_steps,
)
from scaling.objectives.masked import codes_of
from scaling.training.loop import Run
from tests.scaling.objectives.data import tiny_split, tiny_training

TRAINING = tiny_training("codebook")
OBJECTIVE = objective_of(TRAINING)
RECIPE = Recipe(batch=16, warmup_steps=2, max_steps=30)


def context(**changes: object) -> Context:
    return Context(training=dataclasses.replace(TRAINING, **changes), outputs=3)  # type: ignore[arg-type]


def build(split_seed: int = 0, **changes: object) -> CodebookModel:
    torch.manual_seed(0)
    of_training = context(**changes)
    found = objective_of(of_training.training).build(of_training)
    assert isinstance(found, CodebookModel)
    OBJECTIVE.start(found, tiny_split(64, split_seed))
    return found


@pytest.fixture
def model() -> CodebookModel:
    """Its codes have started."""
    found = build()
    found.start_codes(torch.Generator().manual_seed(0))
    found.codebook.steps.fill_(found.warmup + 1)
    return found


def run_of(model: CodebookModel, precision: str = "float32") -> Run:
    splits = {name: tiny_split(n, seed) for name, n, seed in
              (("train", 64, 0), ("validation", 32, 1), ("test", 32, 2))}  # fmt: skip
    recipe = dataclasses.replace(RECIPE, precision=precision)
    return Run(model, OBJECTIVE, splits, recipe, macs=1, seed=0)


def test_the_loss_is_error_and_commitment_over_real_heartbeats(model: CodebookModel) -> None:
    split = tiny_split(6, 3)
    batch = split.batch(torch.arange(6))
    with torch.no_grad():
        found = model.eval().reconstruct(tokenize(batch.x_BLT, batch.r_peaks_BP, model.tokens))
    expected = []
    for row in range(6):
        terms = []
        for slot in torch.nonzero(found.beats.real_BS[row])[:, 0]:
            wrong = found.output_BSW[row, slot] - found.beats.beats_BSW[row, slot]
            off = found.z_BSW[row, slot] - found.codes_BSW[row, slot]
            terms.append(float(wrong.square().mean() + off.square().mean()))
        expected.append(np.mean(terms))
    assert OBJECTIVE.held_out(model, split).tolist() == pytest.approx(expected, rel=1e-4)


def test_a_step_without_padding_is_that_of_all_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loss, gradients and codes; in training, where dead codes are revived by place."""
    batch = tiny_split(16, 3).batch(torch.arange(16))
    halves = build().parts(batch.x_BLT, batch.r_peaks_BP)
    assert len(halves) == 2 and max(part.slots for part in halves) < 128
    found = []
    for full in (False, True):
        model = build().train()
        model.start_codes(torch.Generator().manual_seed(0))
        model.codebook.steps.fill_(model.warmup + 1)
        model.codebook.uses[::3] = 0.0  # dead
        if full:
            monkeypatch.setattr(model, "parts", lambda x, peaks: [Part(slice(None), 128)])
        losses = OBJECTIVE.outputs(model, batch, torch.Generator().manual_seed(1))
        losses.mean().backward()
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        found.append((losses.detach(), model.codebook.codes, *grads))
    assert len(found[0]) == len(found[1]) > 20
    for ours, reference in zip(*found, strict=True):
        scale = float(reference.abs().max())
        assert torch.allclose(ours, reference, rtol=1e-3, atol=2e-5 * scale)


def test_released_codes_that_depend_on_padding_keep_it(model: CodebookModel) -> None:
    split = tiny_split(6, 3)
    batch = split.batch(torch.arange(6))
    model.attends_padding.fill_(True)
    beats = tokenize(batch.x_BLT, batch.r_peaks_BP, model.tokens)
    codes = codes_of(model, split).long()
    assert torch.equal(codes[beats.real_BS], model.codes(beats)[beats.real_BS])


def test_the_commitment_is_weighted(model: CodebookModel) -> None:
    split = tiny_split(6, 3)
    losses = []
    for model.commitment in (0.0, 1.0, 3.0):
        losses.append(OBJECTIVE.held_out(model, split).double())
    assert torch.allclose(losses[2] - losses[0], 3 * (losses[1] - losses[0]), rtol=1e-3)
    assert (losses[1] > losses[0]).all()


def test_settings_reach_the_model() -> None:
    built = build(options=(("commitment", 0.25), ("decay", 0.9)))
    assert (built.commitment, built.decay) == (0.25, 0.9)


def test_records_without_heartbeats_to_cut_are_refused() -> None:
    corpus = TRAINING.corpus
    for changed, message in (
        (dataclasses.replace(corpus, fs_hz=500), "reads records at 100 Hz, not at 500 Hz"),
        (dataclasses.replace(corpus, window_s=0.5), "not of 50"),
    ):
        with pytest.raises(ValueError, match=message):
            OBJECTIVE.build(context(corpus=changed))


def test_the_codes_start_when_the_warm_up_is_over() -> None:
    model = build(recipe=Recipe(warmup_steps=3, max_steps=40)).train()
    random = model.codebook.codes.clone()
    batch, generator = tiny_split(16, 3).batch(torch.arange(16)), torch.Generator().manual_seed(0)
    beats = tokenize(batch.x_BLT, batch.r_peaks_BP, model.tokens)
    for _ in range(3):
        found = OBJECTIVE.outputs(model, batch, generator)
        plain = model.reconstruct(beats, quantised=False)
        error = (plain.output_BSW - beats.beats_BSW)[0][beats.real_BS[0]].square().mean()
        assert found[0].item() == pytest.approx(error.item(), rel=1e-4)
        assert torch.equal(model.codebook.codes, random)
    OBJECTIVE.outputs(model, batch, generator)
    with torch.no_grad():
        z = model.embed(beats)[beats.real_BS]
    near = (z * model.codebook.codes[model.codebook.nearest(z)]).sum(dim=1).mean()
    assert near > (z * random[(z @ random.T).argmax(dim=1)]).sum(dim=1).mean() + 0.05
    assert int(model.codebook.steps) == 4


@pytest.mark.parametrize(("warmup", "steps", "expected"), [(10, 400, 10), (40, 20, 5), (0, 9, 0)])
def test_the_warm_up_of_the_codes_fits_into_the_training(
    warmup: int, steps: int, expected: int
) -> None:
    assert warmup_steps(Recipe(warmup_steps=warmup, max_steps=steps)) == expected


def test_the_start_depends_on_the_training_records_and_the_draws() -> None:
    def codes(split_seed: int, seed: int) -> Tensor:
        built = build(split_seed)
        built.start_codes(torch.Generator().manual_seed(seed))
        return built.codebook.codes

    assert torch.equal(codes(0, 0), codes(0, 0))
    assert not torch.equal(codes(0, 0), codes(1, 0))
    assert not torch.equal(codes(0, 0), codes(0, 1))


def test_training_moves_the_codes_and_measuring_does_not(model: CodebookModel) -> None:
    batch = tiny_split(16, 3).batch(torch.arange(16))
    before = model.codebook.codes.clone()
    OBJECTIVE.held_out(model, tiny_split(16, 3))
    assert torch.equal(model.codebook.codes, before)
    OBJECTIVE.outputs(model.train(), batch, torch.Generator().manual_seed(0))
    moved = (model.codebook.codes * before).sum(dim=1)
    assert (moved < 1 - 1e-6).any()
    assert model.codebook.codes.norm(dim=1).tolist() == pytest.approx([1.0] * 256, rel=1e-5)


@pytest.mark.parametrize(("precision", "killed_at"), [("float32", 3), ("bf16", 3), ("float32", 1)])
def test_an_interrupted_run_goes_on_bit_for_bit(precision: str, killed_at: int) -> None:
    """Killed after and before the codes started (step 2): they go on as they would have."""
    whole, first, second = (run_of(build(recipe=RECIPE), precision) for _ in range(3))
    for _ in range(killed_at):
        whole.step()
        first.step()
    whole.evaluate()
    first.evaluate()
    second.restore(first.state())
    for _ in range(3):
        assert whole.step()
        assert second.step()
    assert int(whole.model.state_dict()["codebook.steps"]) == killed_at + 3
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name


def test_perplexity_is_the_number_of_codes_used_alike() -> None:
    assert perplexity(torch.tensor([3.0, 3.0, 0.0, 3.0])) == pytest.approx(3.0)
    assert perplexity(torch.tensor([9, 0, 0])) == pytest.approx(1.0)
    share = np.array([0.5, 0.25, 0.25])
    expected = np.exp(-(share * np.log(share)).sum())
    assert perplexity(torch.tensor([2, 1, 1])) == pytest.approx(expected)


def test_plain_kmeans_is_measured_on_held_out_heartbeats() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(5, 8))
    train, held_out = (
        torch.from_numpy(centres[rng.integers(5, size=n)] + 0.1 * rng.normal(size=(n, 8)))
        .float()
        for n in (400, 300)
    )  # fmt: skip
    assert kmeans_mse(train, held_out, 5) == pytest.approx(0.01, rel=0.1)
    assert kmeans_mse(train, held_out, 2) > 0.1
    assert kmeans_mse(train[:3].repeat(4, 1), train[:3], 8) == pytest.approx(0.0, abs=1e-6)


def test_raw_heartbeats_are_the_real_ones_in_order(model: CodebookModel) -> None:
    split = tiny_split(8, 3)
    whole = heartbeats(split, model.tokens)
    batch = split.batch(torch.arange(8))
    beats = tokenize(batch.x_BLT, batch.r_peaks_BP, model.tokens)
    assert torch.equal(whole, beats.beats_BSW[beats.real_BS])
    assert torch.equal(heartbeats(split, model.tokens, 7), whole[:7])


def quality(model: CodebookModel, train: Split, test: Split) -> dict[str, float]:
    rows = OBJECTIVE.quality(model, {"train": train, "test": test})
    assert {(row["split"], row["n"]) for row in rows} == {("test", len(test))}
    return {row["metric"]: row["value"] for row in rows}


def test_quality_counts_real_heartbeats_of_held_out_records(model: CodebookModel) -> None:
    train, held_out = tiny_split(64, 0), tiny_split(20, 1)
    found = quality(model, train, held_out)
    batch = held_out.batch(torch.arange(20))
    with torch.no_grad():
        one = model.eval().reconstruct(tokenize(batch.x_BLT, batch.r_peaks_BP, model.tokens))
    real = one.beats.real_BS
    uses = torch.bincount(one.index_BS[real], minlength=256)
    assert found["perplexity"] == pytest.approx(perplexity(uses))
    assert found["codes_used"] == pytest.approx(int((uses > 0).sum()) / 256)
    wrong = (one.output_BSW - one.beats.beats_BSW)[real]
    assert found["mse"] == pytest.approx(float(wrong.square().mean()), rel=1e-5)
    assert set(found) == {"perplexity", "codes_used", "mse", "mse_kmeans"}
    assert 0 < found["mse_kmeans"] < found["mse"]  # the model is untrained


def test_a_short_training_rebuilds_better_and_uses_its_codes() -> None:
    train, held_out = tiny_split(64, 0), tiny_split(32, 1)
    recipe = Recipe(batch=16, warmup_steps=10, max_steps=40)
    model = build(recipe=recipe)
    before = quality(model, train, held_out)
    run = run_of(model)
    for _ in range(recipe.max_steps):
        assert run.step()
    after = quality(model, train, held_out)
    assert after["mse"] < 0.5 * before["mse"]
    assert after["perplexity"] > 0.3 * 256
