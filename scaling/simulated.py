"""A trainer that trains nothing: losses drawn from a law whose parameters are known.

L(N, D) = E + A / N^alpha + B / D^beta (Hoffmann et al. 2022, Eq. 2) times lognormal noise that
depends on the training id alone, so that a whole study runs in seconds and has a right
answer. It stands behind the same interface as the real trainer and needs no torch.

The source of the corpus chooses what happens:

* ``simulated/chinchilla``: every trial succeeds;
* ``simulated/flaky``: one trial in three fails on its first attempt and succeeds on the next;
* ``simulated/diverging``: one trial in three diverges;
* ``simulated/slow``: a trial sleeps 10 ms a step;
* ``simulated/shifted`` is the out-of-distribution task, with a loss-to-loss power law.

A probe on a share f of the labels has the loss of the full one times f^-``FEW_SHOT``, and one
along the trajectory the loss at each step of the curve, in proportion. Predictions are not made.
"""

from __future__ import annotations

import hashlib
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from scaling import cost
from scaling.corpora.catalogue import SOURCES
from scaling.identity import Evaluation, Training
from scaling.provenance import (
    corpus_name,
    evaluation_record,
    protocol_name,
    run_columns,
    training_record,
)
from scaling.records.names import HELD_OUT, TRAJECTORY
from scaling.workspace import Report, Workspace

FLOOR = SOURCES["simulated/chinchilla"].bayes_loss
TRUTH = {"E": FLOOR, "A": 3.0, "alpha": 0.40, "B": 8.0, "beta": 0.50, "sigma": 0.01}
"""Parameters of the law, losses in nats; ``sigma`` is the standard deviation of log noise."""

SHIFTED = {"E": SOURCES["simulated/shifted"].bayes_loss, "K": 1.10, "kappa": 0.80}
"""L_shifted = E + K (L - TRUTH.E)^kappa, before noise (Brandfonbrener et al. 2024)."""

FEW_SHOT = 0.1
"""Loss of a probe by labelled share, as a negative exponent."""

LABELS = 6
STEP_S = 0.01
ONE_IN = 3
DECAY_SHARE = 0.15  # the excess loss falls by e in this share of the steps
GUESSING = math.log(2.0)  # loss of a coin, where every curve starts

Row = dict[str, Any]


def expected_loss(n: float, d: float) -> float:
    """Loss in nats before noise, of a backbone of ``n`` parameters on ``d`` unique records."""
    by_size, by_data = n ** -TRUTH["alpha"], d ** -TRUTH["beta"]
    return float(TRUTH["E"] + TRUTH["A"] * by_size + TRUTH["B"] * by_data)


def expected_shifted_loss(n: float, d: float) -> float:
    """Loss in nats before noise on the shifted task."""
    excess = expected_loss(n, d) - TRUTH["E"]
    return float(SHIFTED["E"] + SHIFTED["K"] * excess ** SHIFTED["kappa"])


def uniform(*words: str) -> float:
    """A number in (0, 1) that depends on ``words`` only."""
    digest = hashlib.sha256("/".join(words).encode()).digest()
    return (int.from_bytes(digest[:8], "big") + 0.5) / 2**64


def noise(*words: str) -> float:
    """A lognormal factor with log standard deviation ``TRUTH['sigma']``."""
    return math.exp(TRUTH["sigma"] * statistics.NormalDist().inv_cdf(uniform(*words)))


def selected(training: Training) -> bool:
    """Whether this trial is one of those that fail (flaky) or diverge (diverging)."""
    return uniform("selected", training.id) < 1 / ONE_IN


def diverging(training: Training) -> bool:
    """Whether this trial diverges."""
    return training.corpus.source == "simulated/diverging" and selected(training)


def run_training(
    training: Training, workspace: Workspace, report: Report, keep_trajectory: bool = False
) -> Row:
    """Return the record of a training that never was, and left no weights to keep.

    Raises:
        RuntimeError: first attempt of a selected trial of ``simulated/flaky``.
    """
    began = time.monotonic()
    kind = training.corpus.source.removeprefix("simulated/")
    if kind == "flaky" and selected(training) and not workspace.record(training.id).exists():
        raise RuntimeError("simulated failure: this trial fails on its first attempt")
    if kind == "slow":
        _sleep(training.recipe.max_steps * STEP_S, report)
    diverges = diverging(training)
    curve = _curve(training, diverges)
    report(1.0)
    counts = _counts(training)
    trial = run_columns(training) | {
        "num_labels": LABELS,
        "N": counts.N,
        "params_total": counts.total,
        "patients": training.data,
        "status": "diverged" if diverges else "done",
        "steps": curve[-1]["step"],
        "C": curve[-1]["C"],
        "macs": counts.macs,
        "macs_full": counts.macs_full,
        "C_full": curve[-1]["C"],
        "duration_s": time.monotonic() - began,
        "device": "simulated",
    }
    return training_record(training, trial, params=counts.params, curve=curve)


def evaluate_all(
    evaluations: Sequence[Evaluation], training: Training, workspace: Workspace
) -> Iterator[Row]:
    """Yield the record of each evaluation; that of a diverged training has no values."""
    for evaluation in evaluations:
        if diverging(training):
            yield evaluation_record(evaluation, "diverged", [])
            continue
        shifted = evaluation.corpus.source == "simulated/shifted"
        law = expected_shifted_loss if shifted else expected_loss
        loss = law(_counts(training).N, training.data) * evaluation.labels_fraction**-FEW_SHOT
        curve = _curve(training, diverges=False)
        values = []
        for point in curve if evaluation.checkpoint == TRAJECTORY else curve[-1:]:
            share = point["value"] / curve[-1]["value"]
            values += _values(training, evaluation, point["step"], loss * share)
        yield evaluation_record(evaluation, "done", values)


def _values(training: Training, evaluation: Evaluation, step: int, loss: float) -> list[Row]:
    """Rows of one step: loss and macro-AUROC on validation and test."""
    values, spec, protocol = [], evaluation.corpus, protocol_name(evaluation)
    task = corpus_name(spec.source, evaluation.task, spec.fold)
    for split, records in (("validation", spec.validation), ("test", spec.test)):
        value = loss * noise(training.id, evaluation.protocol, spec.source, split)
        row = _row(training, step, split, value, records) | {"task": task, "protocol": protocol}
        values.append(row)
        values.append(row | {"metric": "macro_auroc", "value": GUESSING / (value + GUESSING)})
        if split == "test" and evaluation.protocol == HELD_OUT:
            values.append(row | {"protocol": "best-test", "value": 0.995 * value})
    return values


def _counts(training: Training) -> cost.Counts:
    return cost.count("simulated", training.size, len(training.leads), 0, LABELS)


def _sleep(seconds: float, report: Callable[[float], None]) -> None:
    began = time.monotonic()
    while (gone := time.monotonic() - began) < seconds:
        report(gone / seconds)
        time.sleep(min(0.5, seconds - gone))


def _curve(training: Training, diverges: bool) -> list[Row]:
    """Validation loss falling exponentially to the law's value, or blowing up half way."""
    recipe = training.recipe
    final = expected_loss(_counts(training).N, training.data) * noise(training.id, "curve")
    rows, n = [], training.corpus.validation
    for step in range(recipe.eval_every, recipe.max_steps + 1, recipe.eval_every):
        share = step / recipe.max_steps
        value = final + (GUESSING - final) * math.exp(-share / DECAY_SHARE)
        if diverges and share > 0.5:
            rows.append(_row(training, step, "validation", math.nan, n))
            break
        rows.append(_row(training, step, "validation", value, n))
    return rows


def _row(training: Training, step: int, split: str, value: float, n: int | None) -> Row:
    """A row of the curve."""
    return {
        "step": step,
        "C": cost.training_flops(_counts(training).macs, training.recipe.batch, step),
        "task": corpus_name(training.corpus.source, training.task),
        "split": split,
        "metric": "loss",
        "protocol": "curve",
        "value": value,
        "n": n,
        "value_se": None,
    }
