"""The training loop: steps, evaluations, early stop, and what came of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from scaling.cost import training_flops
from scaling.evaluation.held_out import mean_and_se
from scaling.identity import Recipe
from scaling.objectives.base import Objective
from scaling.training.data import Order, Split
from scaling.training.schedule import learning_rate


@dataclasses.dataclass(kw_only=True)
class Outcome:
    """What a training run left.

    Attributes:
        status: ``done``, ``budget_limited`` or ``diverged``.
        steps: optimiser steps run.
        best_step: step of the lowest validation loss; 0 when none was finite.
        best_state: weights at that step.
        curve: rows (step, C, split, value, n, value_se) of losses in nats.
    """

    status: str = "budget_limited"
    steps: int = 0
    best_step: int = 0
    best_state: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    curve: list[dict[str, Any]] = dataclasses.field(default_factory=list)


def train(
    model: nn.Module,
    objective: Objective,
    splits: dict[str, Split],
    recipe: Recipe,
    *,
    seed: int,
    macs: int,
    report: Callable[[float], None] = lambda share: None,
) -> Outcome:
    """Train ``model`` on ``splits["train"]`` until its validation loss stops falling.

    It stops early when the validation loss has not improved by ``recipe.min_delta`` (a
    fraction) for ``recipe.patience`` evaluations after ``recipe.min_steps``: status ``done``.
    A run that reaches ``max_steps`` first is ``budget_limited``; a loss that is not finite
    ends it as ``diverged``.

    Args:
        model: what ``objective`` built; changed in place.
        objective: what is minimised.
        splits: ``train``, ``validation`` and ``test``.
        recipe: how to train.
        seed: order of the batches (initial weights are the caller's).
        macs: forward MACs of one record, for C.
        report: takes the share of ``max_steps`` done.
    """
    loop = _Loop(model, objective, splits, recipe, macs, seed)
    order = Order(len(splits["train"]), recipe.batch, seed)
    for step in range(recipe.max_steps):
        if not loop.step(step, next(order)):
            loop.outcome.status = "diverged"
            break
        if (step + 1) % recipe.eval_every == 0 or step + 1 == recipe.max_steps:
            report((step + 1) / recipe.max_steps)
            if loop.evaluate():
                break
    return loop.outcome


class _Loop:
    """State of one run: optimiser, running train loss, best weights, patience."""

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        splits: dict[str, Split],
        recipe: Recipe,
        macs: int,
        seed: int,
    ) -> None:
        self.model, self.objective, self.splits = model, objective, splits
        self.recipe, self.macs = recipe, macs
        self.generator = torch.Generator().manual_seed(seed)
        self.optimiser = torch.optim.AdamW(
            model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay
        )
        self.device = next(model.parameters()).device
        self.outcome = Outcome()
        self.best = self.reference = math.inf
        self.stale = 0
        self.losses: list[Tensor] = []

    def step(self, step: int, rows: Tensor) -> bool:
        """One optimiser step; False when the loss is not finite."""
        recipe = self.recipe
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(step, recipe.lr, recipe.warmup_steps, recipe.max_steps)
        batch = self.splits["train"].batch(rows)
        self.model.train()
        with torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=recipe.precision == "bf16"
        ):
            outputs = self.objective.outputs(self.model, batch, self.generator)
        loss = self.objective.loss(outputs, batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if recipe.grad_clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), recipe.grad_clip)
        self.optimiser.step()
        self.losses.append(loss.detach())
        self.outcome.steps = step + 1
        return bool(torch.isfinite(loss))

    def evaluate(self) -> bool:
        """Measure validation and test; True when training should stop."""
        outcome = self.outcome
        value = float(torch.stack(self.losses).mean())
        self._row("train", value, None, len(self.losses) * self.recipe.batch)
        self.losses.clear()
        measured = {}
        for name in ("validation", "test"):
            split = self.splits[name]
            loss, se = mean_and_se(self.objective.held_out(self.model, split), split.patients)
            self._row(name, loss, se, len(split))
            measured[name] = loss
        loss = measured["validation"]
        if not math.isfinite(loss):
            outcome.status = "diverged"
            return True
        if loss < self.best:
            self.best, outcome.best_step = loss, outcome.steps
            state = self.model.state_dict()
            outcome.best_state = {k: v.detach().clone() for k, v in state.items()}
        if loss < self.reference * (1.0 - self.recipe.min_delta):
            self.reference, self.stale = loss, 0
        elif outcome.steps > self.recipe.min_steps:
            self.stale += 1
        if self.stale >= self.recipe.patience:
            outcome.status = "done"
            return True
        return False

    def _row(self, split: str, value: float, se: float | None, n: int) -> None:
        steps = self.outcome.steps
        row = {
            "step": steps,
            "C": training_flops(self.macs, self.recipe.batch, steps),
            "split": split,
            "value": value,
            "n": n,
            "value_se": se,
        }
        self.outcome.curve.append(row)
