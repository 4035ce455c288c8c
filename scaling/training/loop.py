"""The training loop: steps, evaluations, early stop, and the state between them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from scaling.cost import training_flops
from scaling.data.batches import Order, Split
from scaling.identity import Recipe
from scaling.objectives.base import Objective
from scaling.objectives.registry import unlabelled_records
from scaling.records.patients import mean_and_se
from scaling.training.checkpoint import Checkpoint, State

EXPLODED = 10.0  # times its first value: a loss above that is not coming back
# Between the seeds of the orders of labelled and unlabelled records; below 2^32, since PyTorch's
# generator on the CPU looks at no more bits of a seed than that.
SECOND_ORDER = 1 << 31
CHECK_EVERY = 16  # steps between looks at the loss where a look makes a GPU wait

Weights = dict[str, Tensor]
Keep = Callable[[int, Weights], None]


@dataclasses.dataclass(kw_only=True)
class Outcome:
    """What a training run left."""

    status: str = "budget_limited"  # ``done``, ``budget_limited`` or ``diverged``
    steps: int = 0  # optimiser steps run
    best_step: int = 0  # step of the lowest validation loss; 0 when none was finite
    best_state: Weights = dataclasses.field(default_factory=dict)  # weights at that step
    # rows (step, C, split, value, n, value_se) of losses
    curve: list[dict[str, Any]] = dataclasses.field(default_factory=list)


class Run:
    """State of one run: optimiser, order, running train loss, best weights, patience."""

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
        self.order = Order(len(splits["train"]), recipe.batch, seed)
        self.records = recipe.batch  # of a step
        self.second: Order | None = None
        if "unlabelled" in splits:
            size = unlabelled_records(recipe.batch, objective.unlabelled)
            self.second = Order(len(splits["unlabelled"]), size, seed + SECOND_ORDER)
            self.records += size
        self.generator = torch.Generator().manual_seed(seed)
        self.parameters = list(model.parameters())
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True
        )
        self.device = self.parameters[0].device
        self.check_every = CHECK_EVERY if self.device.type == "cuda" else 1
        self.outcome = Outcome()
        self.best = self.reference = math.inf
        self.stale = 0
        self.first: dict[str, float] = {}
        self.losses: list[Tensor] = []
        self.checked = 0  # of ``losses``

    def step(self) -> bool:
        """One optimiser step; False when the loss is not finite."""
        recipe, step = self.recipe, self.outcome.steps
        rate = learning_rate(step, recipe.lr, recipe.warmup_steps, recipe.max_steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        batch = self.splits["train"].batch(next(self.order))
        if self.second is not None:
            batch = batch.with_unlabelled(self.splits["unlabelled"].batch(next(self.second)))
        if not self.model.training:
            self.model.train()
        with self.precision():
            outputs = self.objective.outputs(self.model, batch, self.generator)
        loss = self.objective.loss(outputs, batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if recipe.grad_clip:
            nn.utils.clip_grad_norm_(self.parameters, recipe.grad_clip)
        self.optimiser.step()
        self.losses.append(loss.detach())
        self.outcome.steps = step + 1
        return len(self.losses) % self.check_every != 0 or self._finite()

    def precision(self) -> torch.autocast:
        """That of the recipe: in training, and where the curve is measured."""
        bf16 = self.recipe.precision == "bf16"
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=bf16)

    def _finite(self) -> bool:
        """Look at the losses not looked at yet; the run ends at the first that is not finite."""
        if self.checked == len(self.losses):
            return True
        fresh = torch.stack(self.losses[self.checked :]).isfinite()
        if bool(fresh.all()):
            self.checked = len(self.losses)
            return True
        first = self.checked + int(fresh.int().argmin())
        self.outcome.steps -= len(self.losses) - 1 - first
        del self.losses[first:]
        value = float(torch.stack(self.losses).mean()) if self.losses else math.nan
        self._row("train", value, None, len(self.losses) * self.recipe.batch)
        self.outcome.status = "diverged"
        return False

    def evaluate(self) -> bool:
        """Measure validation, and test where that is the best; True when training should stop."""
        outcome = self.outcome
        if not self._finite():
            return True
        value = float(torch.stack(self.losses).mean())
        self._row("train", value, None, len(self.losses) * self.recipe.batch)
        self.losses.clear()
        self.checked = 0
        loss = self._held_out("validation")
        if not math.isfinite(loss) or self._exploded({"train": value, "validation": loss}):
            outcome.status = "diverged"
            return True
        if loss < self.best:
            self._held_out("test")
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

    def _held_out(self, name: str) -> float:
        """Measure a split: a row of the curve, and its mean loss."""
        split = self.splits[name]
        with self.precision():
            losses = self.objective.held_out(self.model, split)
        loss, se = mean_and_se(losses.double().numpy(), split.patients)
        self._row(name, loss, se, len(split))
        return loss

    def _exploded(self, measured: dict[str, float]) -> bool:
        return any(
            value > EXPLODED * self.first.setdefault(name, value)
            for name, value in measured.items()
        )

    def _row(self, split: str, value: float, se: float | None, n: int) -> None:
        steps = self.outcome.steps
        row = {
            "step": steps,
            "C": training_flops(self.macs, self.records, steps),
            "split": split,
            "value": value,
            "n": n,
            "value_se": se,
        }
        self.outcome.curve.append(row)

    def state(self) -> State:
        """Everything the next step depends on; called after a step or an evaluation."""
        outcome = self.outcome
        moments = {
            f"optimiser.{place}.{name}": value
            for place, found in self.optimiser.state_dict()["state"].items()
            for name, value in found.items()
        }
        tensors = {
            **{f"model.{name}": value for name, value in self.model.state_dict().items()},
            **{f"best.{name}": value for name, value in outcome.best_state.items()},
            **moments,
            "order.queue": self.order.queue,
            "order.generator": self.order.generator.get_state(),
            "generator": self.generator.get_state(),
            "torch": torch.get_rng_state(),
        }
        if self.second is not None:
            tensors["unlabelled.queue"] = self.second.queue
            tensors["unlabelled.generator"] = self.second.generator.get_state()
        if self.device.type == "cuda":
            tensors["cuda"] = torch.cuda.get_rng_state(self.device)
        if self.losses:  # since the last evaluation
            tensors["losses"] = torch.stack(self.losses)
        values = {
            "steps": outcome.steps,
            "best_step": outcome.best_step,
            "curve": outcome.curve,
            "best": self.best,
            "reference": self.reference,
            "stale": self.stale,
            "first": self.first,
            "checked": self.checked,
        }
        return State(tensors=tensors, values=values)

    def restore(self, state: State) -> None:
        """Go on from ``state``."""
        tensors, values, outcome = state.tensors, state.values, self.outcome
        self.model.load_state_dict(_below("model.", tensors))
        outcome.best_state = {k: v.to(self.device) for k, v in _below("best.", tensors).items()}
        moments: dict[int, Weights] = {}
        for name, value in _below("optimiser.", tensors).items():
            place, _, moment = name.partition(".")
            moments.setdefault(int(place), {})[moment] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})
        self.order.queue = tensors["order.queue"]
        self.order.generator.set_state(tensors["order.generator"])
        if self.second is not None:
            self.second.queue = tensors["unlabelled.queue"]
            self.second.generator.set_state(tensors["unlabelled.generator"])
        self.generator.set_state(tensors["generator"])
        torch.set_rng_state(tensors["torch"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["cuda"], self.device)
        outcome.steps, outcome.best_step = values["steps"], values["best_step"]
        outcome.curve = values["curve"]
        self.best, self.reference = values["best"], values["reference"]
        self.stale, self.first = values["stale"], values["first"]
        if "losses" in tensors:
            self.losses = list(tensors["losses"].to(self.device).unbind())
            self.checked = values["checked"]


def train(
    model: nn.Module,
    objective: Objective,
    splits: dict[str, Split],
    recipe: Recipe,
    *,
    seed: int,
    macs: int,
    report: Callable[[float], None] = lambda share: None,
    checkpoint: Checkpoint | None = None,
    keep: Keep | None = None,
) -> Outcome:
    """Train ``model`` on ``splits["train"]`` until its validation loss stops falling.

    It stops early when the validation loss has not improved by ``recipe.min_delta`` (a
    fraction) for ``recipe.patience`` evaluations after ``recipe.min_steps``: status ``done``.
    A run that reaches ``max_steps`` first is ``budget_limited``. It has ``diverged``, and ends,
    when a loss is not finite, or when the validation loss, or the mean training loss between two
    evaluations, is above 10 times its first value (``EXPLODED``). The curve has what was
    measured until then; the last training row of a run that broke off between evaluations is
    the mean of the finite losses since the one before.

    Args:
        model: what ``objective`` built; changed in place.
        objective: what is minimised.
        splits: ``train``, ``validation``, ``test``, and ``unlabelled`` where the objective uses it.
        recipe: how to train.
        seed: order of the batches (initial weights are the caller's).
        macs: forward MACs of one record, for C.
        report: takes the share of ``max_steps`` done, after every step but the last. When it
            raises ``KeyboardInterrupt``, a checkpoint is written first, whatever its time.
        checkpoint: where to go on from and what to write to, at evaluations.
        keep: takes (step, weights) of each evaluation.
    """
    run = Run(model, objective, splits, recipe, macs, seed)
    if checkpoint and (state := checkpoint.load()):
        run.restore(state)
    outcome = run.outcome
    while outcome.steps < recipe.max_steps:
        if not run.step():
            break
        if outcome.steps % recipe.eval_every == 0 or outcome.steps == recipe.max_steps:
            over = run.evaluate()
            if keep:
                keep(outcome.steps, model.state_dict())
            # None at the last step: a run that is over must not be taken up again.
            if over or outcome.steps == recipe.max_steps:
                break
            if checkpoint:
                checkpoint.save_if_due(run.state)
        try:
            report(outcome.steps / recipe.max_steps)
        except KeyboardInterrupt:
            if checkpoint:
                checkpoint.save(run.state)
            raise
    return outcome


def learning_rate(step: int, peak: float, warmup_steps: int, max_steps: int) -> float:
    """Learning rate of step ``step`` (from 0), in [0, ``peak``]: linear warm-up, cosine to zero."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(1, max_steps - warmup_steps)
    return peak * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))


def evaluated_steps(curve: Iterable[Mapping[str, Any]]) -> list[int]:
    """Steps at which the validation loss was measured; a trajectory has the weights of each."""
    return [row["step"] for row in curve if row["split"] == "validation"]


def _below(prefix: str, tensors: Weights) -> Weights:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
