"""What the evaluations of a trial take, and the disk that a trial leaves full."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scaling.cost import Counts
from scaling.identity import Evaluation, Training
from sweeps.plan.ladder import GUESSED_FLOPS_PER_S
from sweeps.plan.tasks import Target, Targets
from sweeps.stages.base import UNTRAINED

ROW_BYTES = 250  # one row of a curve or of values, as JSON
RECORD_BYTES = 4000  # the rest of a record
NAME_BYTES = 4 * 24  # a record id in a table of predictions
EVALUATION_S = 1.0  # opening a corpus, and what else does not grow with the model


def evaluations_s(
    evaluations: Sequence[Evaluation], training: Training, counts: Counts, targets: Targets
) -> float:
    """Expected seconds of the missing evaluations of a trial.

    All tasks of one corpus share one pass of the model over its records.
    """
    seconds = 0.0
    records: dict[tuple[str, str], int] = {}
    for evaluation in evaluations:
        spec = evaluation.corpus
        if spec.source.startswith("simulated/"):
            continue
        seconds += EVALUATION_S
        summary = targets.of(spec, evaluation.task).summary
        needed = summary.validation + summary.test
        passes = 1
        if evaluation.protocol == "linear-probe":
            needed += summary.train
        if evaluation.checkpoint == "trajectory":
            passes = training.recipe.max_steps // training.recipe.eval_every
        key = (spec.key, evaluation.checkpoint)
        records[key] = max(records.get(key, 0), needed * passes)
    return seconds + 2 * counts.macs * sum(records.values()) / GUESSED_FLOPS_PER_S["float32"]


def disk_bytes(
    training: Training,
    evaluations: Sequence[Evaluation],
    counts: Counts,
    targets: Targets,
    *,
    trained: bool,
) -> int:
    """Bytes that what is missing of a trial will leave.

    Args:
        training: of the trial.
        evaluations: those that are missing.
        counts: of its model.
        targets: corpora of the study.
        trained: whether only evaluations are missing.
    """
    recipe = training.recipe
    steps = 0 if training.objective == UNTRAINED else recipe.max_steps // recipe.eval_every
    total = len(evaluations) * (RECORD_BYTES + 4 * ROW_BYTES)
    for evaluation in evaluations:
        if evaluation.predictions:
            summary = targets.of(evaluation.corpus, evaluation.task).summary
            row = 5 * len(summary.classes) + NAME_BYTES + 17
            total += row * (summary.validation + summary.test)
    if not trained:
        kept = 1 + steps * any(e.checkpoint == "trajectory" for e in evaluations)
        total += kept * counts.bytes + RECORD_BYTES + 2 * steps * ROW_BYTES
    return total


def unprepared_bytes(targets: Targets, cache: Path) -> int:
    """Disk that corpora which are not prepared yet will take; folds share their signals."""
    found: dict[tuple[str, str], int] = {}
    for target in targets.all():
        if not _is_prepared(target, cache):
            summary = target.summary
            records = summary.train + summary.validation + summary.test
            spec = target.spec
            key = (spec.source, f"{spec.fs_hz}/{spec.window_s}/{spec.preprocessing}/{spec.seed}")
            size = records * 12 * spec.samples * 2
            found[key] = max(found.get(key, 0), size)
    return sum(found.values())


def _is_prepared(target: Target, cache: Path) -> bool:
    spec = target.spec
    if spec.source.startswith("simulated/"):
        return True
    return any((cache / "corpora").glob(f"*-{spec.key}"))
