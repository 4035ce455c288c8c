"""The training loop: steps, evaluations, early stop, and what came of it."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from scaling.data.batches import Split
from scaling.identity import Recipe
from scaling.objectives.base import Objective
from scaling.training.checkpoint import Checkpoint
from scaling.training.run import Outcome, Run, Weights

Keep = Callable[[int, Weights], None]


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
    evaluations, is above 10 times its first value (``run.EXPLODED``). The curve has what was
    measured until then; the last training row of a run that broke off between evaluations is
    the mean of the finite losses since the one before.

    Args:
        model: what ``objective`` built; changed in place.
        objective: what is minimised.
        splits: ``train``, ``validation`` and ``test``.
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
