"""The training loop on a toy problem: convergence, early stop, divergence, C, determinism."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from scaling.data.batches import Batch, Order, Split
from scaling.identity import Recipe
from scaling.objectives.labels import Supervised
from scaling.objectives.registry import OBJECTIVES
from scaling.training.loop import Outcome, Run, learning_rate, train

SETTINGS = OBJECTIVES["supervised"].settings(())
RECIPE = Recipe(max_steps=60, batch=16, lr=0.05, warmup_steps=5, eval_every=10)


class Toy(nn.Module):
    """Logistic regression on the mean of each lead."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(12, 2)

    def forward(self, x_BLT: Tensor, r_peaks_BP: Tensor) -> Tensor:
        logits: Tensor = self.head(x_BLT.mean(dim=-1))
        return logits


def toy_split(n: int, seed: int) -> Split:
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(n, 12, 1))
    signals = (1000 * (means + 0.1 * rng.normal(size=(n, 12, 20)))).astype(np.int16)
    return Split(
        signals=torch.from_numpy(signals),
        labels=torch.from_numpy((means[:, :2, 0] > 0).astype(np.float32)),
        patients=np.arange(n),
        mv=1e-3,
        r_peaks=torch.full((n, 1), 10, dtype=torch.int16),
    )


def run(recipe: Recipe, model: nn.Module | None = None, n: int = 128) -> Outcome:
    splits = {"train": toy_split(n, 1), "validation": toy_split(64, 2), "test": toy_split(64, 3)}
    return train(model or Toy(), Supervised(SETTINGS), splits, recipe, seed=0, macs=100)


def losses(outcome: Outcome, split: str) -> list[float]:
    return [row["value"] for row in outcome.curve if row["split"] == split]


def test_it_learns_and_hits_the_cap() -> None:
    outcome = run(RECIPE)
    assert outcome.status == "budget_limited"
    assert outcome.steps == 60
    assert losses(outcome, "validation")[-1] < 0.8 * losses(outcome, "validation")[0]


def test_every_row_carries_the_compute_spent_by_then() -> None:
    outcome = run(RECIPE)
    for row in outcome.curve:
        assert row["C"] == 6 * 100 * 16 * row["step"]
    assert {row["split"] for row in outcome.curve} == {"train", "validation", "test"}


def test_test_records_are_measured_at_the_best_steps_alone() -> None:
    outcome = run(dataclasses.replace(RECIPE, max_steps=300, patience=100, lr=0.5), n=16)
    best, improved = math.inf, []
    for row in (row for row in outcome.curve if row["split"] == "validation"):
        if row["value"] < best:
            best = row["value"]
            improved.append(row["step"])
    assert [row["step"] for row in outcome.curve if row["split"] == "test"] == improved
    assert improved[-1] == outcome.best_step
    assert 0 < len(improved) < len(losses(outcome, "validation")) == 30


def test_the_curve_is_measured_in_the_precision_of_the_recipe() -> None:
    """And training goes on in it: the same weights, looked at through bf16."""
    recipe = dataclasses.replace(RECIPE, precision="bf16")
    outcome, model = run(recipe), Toy()
    model.load_state_dict(outcome.best_state)
    exact = Supervised(SETTINGS).held_out(model, toy_split(64, 2)).mean().item()
    with torch.autocast("cpu", torch.bfloat16):
        rough = Supervised(SETTINGS).held_out(model, toy_split(64, 2)).mean().item()
    (found,) = (
        row["value"]
        for row in outcome.curve
        if (row["split"], row["step"]) == ("validation", outcome.best_step)
    )
    assert found == pytest.approx(rough, rel=1e-6)
    assert found != pytest.approx(exact, rel=1e-6)


def test_it_stops_when_validation_stops_falling() -> None:
    outcome = run(dataclasses.replace(RECIPE, max_steps=400, patience=2, min_delta=0.5))
    assert outcome.status == "done"
    assert outcome.steps < 400


def test_early_stopping_waits_for_min_steps() -> None:
    recipe = dataclasses.replace(RECIPE, max_steps=400, patience=2, min_delta=0.9, min_steps=200)
    assert run(recipe).steps == 220


def test_the_best_weights_are_those_of_the_lowest_validation_loss() -> None:
    # So few records that it must overfit.
    outcome = run(dataclasses.replace(RECIPE, max_steps=300, patience=100, lr=0.5), n=16)
    curve = [r for r in outcome.curve if r["split"] == "validation"]
    assert outcome.best_step == min(curve, key=lambda row: row["value"])["step"]
    assert outcome.best_state.keys() == Toy().state_dict().keys()


class Breaking(Toy):
    """Multiplies its logits by ``factor`` from the training step ``at`` on."""

    def __init__(self, at: int, factor: float) -> None:
        super().__init__()
        self.at, self.factor, self.seen = at, factor, 0

    def forward(self, x_BLT: Tensor, r_peaks_BP: Tensor) -> Tensor:
        self.seen += self.training
        logits = super().forward(x_BLT, r_peaks_BP)
        return logits * self.factor if self.seen >= self.at else logits


@pytest.mark.parametrize("check_every", [1, 16])
@pytest.mark.parametrize("at", [1, 14, 20, 21])
def test_a_loss_that_is_not_finite_ends_the_run_as_diverged(
    at: int, check_every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(RECIPE)
    make = Run.__init__

    def init(self: Run, *words: Any) -> None:
        make(self, *words)
        self.check_every = check_every  # that of a GPU: the result must be the same

    monkeypatch.setattr(Run, "__init__", init)
    outcome = run(RECIPE, Breaking(at, math.nan))
    assert (outcome.status, outcome.steps) == ("diverged", at)
    measured = 3 * ((at - 1) // 10)
    assert outcome.curve[:measured] == whole.curve[:measured]
    (last,) = outcome.curve[measured:]
    assert (last["split"], last["step"]) == ("train", at)
    assert last["n"] == (at - 1) % 10 * RECIPE.batch
    assert math.isnan(last["value"]) == (at % 10 == 1)


def test_a_validation_loss_that_explodes_ends_the_run_as_diverged() -> None:
    outcome = run(RECIPE, Breaking(29, -200.0))
    assert (outcome.status, outcome.steps) == ("diverged", 30)
    values = losses(outcome, "validation")
    assert values[2] > 10 * values[0] > values[1]
    assert outcome.best_step == 20  # the weights before are kept


def test_a_training_loss_that_explodes_ends_the_run_as_diverged() -> None:
    class Overflowing(Supervised):
        """A loss that grows while the model stays as it is."""

        factor = 1.0

        def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
            self.factor *= 1.2
            return super().loss(outputs, batch) * self.factor

    splits = {"train": toy_split(64, 1), "validation": toy_split(64, 2), "test": toy_split(64, 3)}
    outcome = train(Toy(), Overflowing(SETTINGS), splits, RECIPE, seed=0, macs=100)
    values = losses(outcome, "train")
    assert (outcome.status, outcome.steps) == ("diverged", 10 * len(values))
    assert values[-1] > 10 * values[0] > values[-2]


def test_a_loss_that_rises_for_a_while_has_not_diverged() -> None:
    assert run(RECIPE, Breaking(29, 4.0)).status == "budget_limited"


def test_a_seed_reproduces_a_run_bit_for_bit() -> None:
    one, two = run(RECIPE), run(RECIPE)
    assert one.curve == two.curve
    for name, value in one.best_state.items():
        assert torch.equal(value, two.best_state[name])


def test_batches_are_whole_and_cover_every_epoch() -> None:
    order = Order(10, 4, seed=0)
    rows = torch.cat([next(order) for _ in range(5)]).tolist()
    assert sorted(rows[:10]) == sorted(rows[10:]) == list(range(10))


def test_batches_larger_than_the_data_repeat_it() -> None:
    assert len(next(Order(3, 8, seed=0))) == 8


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.1), (9, 1.0), (10, 1.0), (60, 0.5), (110, 0.0), (500, 0.0)]
)
def test_the_schedule_warms_up_and_decays_to_zero(step: int, expected: float) -> None:
    assert learning_rate(step, 1.0, 10, 110) == pytest.approx(expected)
