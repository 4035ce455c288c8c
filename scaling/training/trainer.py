"""The torch trainer: a Training becomes a record and weights, an Evaluation a record."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from scaling.corpora.corpus import Corpus
from scaling.cost import count_training, training_flops
from scaling.evaluation.measure import held_out_values, probe_values
from scaling.identity import Evaluation, Training
from scaling.models.classifier import Classifier
from scaling.objectives.base import Context, Objective
from scaling.objectives.registry import objective_of
from scaling.provenance import corpus_name, run_columns
from scaling.record import read_record
from scaling.training.data import Split, open_corpus, split_of
from scaling.training.loop import Outcome, train
from scaling.training.weights import load_weights, save_weights
from scaling.trial import Workspace, evaluation_record, training_record

Record = dict[str, Any]

CURVE_TEST_RECORDS = 1024  # records of the test split measured at every evaluation step


class TorchTrainer:
    """Runs trainings and evaluations in this process; see ``scaling.trial.Trainer``."""

    def train(
        self, training: Training, workspace: Workspace, report: Callable[[float], None]
    ) -> Record:
        """Train, keep the weights of the best validation step, return the record."""
        start = time.monotonic()
        torch.set_num_threads(workspace.threads)
        row = run_columns(training)
        corpus = open_corpus(training.corpus, workspace)
        device = pick_device()
        splits, rows = training_splits(corpus, training, device)
        labels = splits["train"].labels.shape[1]
        counts = count_training(training, labels)
        objective = objective_of(training)
        context = Context(training=training, outputs=labels, device=device)
        objective.annotate(splits, context)
        outcome = train(
            initial_model(objective, context, splits["train"]).to(device),
            objective,
            splits,
            training.recipe,
            seed=training.seed,
            macs=counts.macs,
            report=report,
        )
        if outcome.best_state:
            about = {
                "training": training.to_dict(),
                "classes": list(corpus.classes(training.task)),
                "preprocessing": corpus.info["preprocessing"],
                "step": outcome.best_step,
            }
            save_weights(workspace.weights_of(training.id), outcome.best_state, about)
        row |= {
            "num_labels": labels,
            "N": counts.N,
            "params_total": counts.total,
            "patients": len(np.unique(corpus.patients[rows])),
            "status": outcome.status,
            "steps": outcome.steps,
            "C": training_flops(counts.macs, training.recipe.batch, outcome.steps),
            "macs": counts.macs,
            "duration_s": round(time.monotonic() - start, 3),
            "device": device_name(device),
        }
        return training_record(training, row, params=counts.params, curve=_curve(training, outcome))

    def evaluate(self, evaluation: Evaluation, training: Training, workspace: Workspace) -> Record:
        """Measure the kept weights of ``training``; protocols ``held-out`` and ``linear-probe``.

        Raises:
            ValueError: unknown protocol.
            scaling.training.weights.WeightsError: the weights are gone or damaged.
        """
        torch.set_num_threads(workspace.threads)
        trained = _training_record(workspace, training.id)
        status, weights = trained["trial"]["status"], workspace.weights_of(training.id)
        if status == "diverged" and not weights.exists():
            return evaluation_record(evaluation, status, [])
        state, about = load_weights(weights)
        device = pick_device()
        model = Classifier(
            training.family, training.size, len(training.leads), len(about["classes"])
        )
        model.load_state_dict(state)
        model.to(device)
        corpus = open_corpus(evaluation.corpus, workspace)
        if evaluation.protocol == "held-out":
            rows = held_out_values(model, corpus, evaluation, device)
            rows += _best_test(trained)
        elif evaluation.protocol == "linear-probe":
            rows = probe_values(model, corpus, evaluation, training.seed, device)
        else:
            raise ValueError(f"{evaluation.id}: unknown protocol {evaluation.protocol!r}")
        place = {
            "step": about["step"],
            "C": training_flops(trained["trial"]["macs"], training.recipe.batch, about["step"]),
            "task": corpus_name(evaluation.corpus.source, evaluation.task),
            "protocol": evaluation.protocol,
        }
        return evaluation_record(evaluation, status, [place | row for row in rows])


def pick_device() -> torch.device:
    """CUDA when there is one, the CPU otherwise."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """What the record says: the GPU's name, or the CPU with its number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu x{torch.get_num_threads()}"


def training_splits(
    corpus: Corpus, training: Training, device: torch.device
) -> tuple[dict[str, Split], NDArray[np.int64]]:
    """The D training records (nested by patient), validation and test; and the rows used.

    Of the test split only the records of the curve are loaded.
    """
    task = training.task
    rows = corpus.subset(task, training.data)
    splits = {"train": split_of(corpus, rows, task, device)}
    measured = {
        "validation": corpus.rows("validation", task),
        "test": corpus.rows("test", task)[:CURVE_TEST_RECORDS],
    }
    splits |= {name: split_of(corpus, chosen, task, device) for name, chosen in measured.items()}
    return splits, rows


def initial_model(objective: Objective, context: Context, train: Split) -> nn.Module:
    """The untrained model of the training's seed, on the CPU."""
    torch.manual_seed(context.training.seed)
    model = objective.build(context)
    objective.start(model, train)
    return model


def _curve(training: Training, outcome: Outcome) -> list[Record]:
    task = corpus_name(training.corpus.source, training.task)
    fixed = {"task": task, "metric": "loss", "protocol": "curve"}
    return [fixed | row for row in outcome.curve]


def _best_test(trained: Record) -> list[Record]:
    """S1's convention: the lowest test loss over the evaluated steps.

    It is measured on the test records of the curve, which may be fewer than those of
    ``held-out``: compare it with the curve's own value at the best validation step.
    """
    curve = trained["curve"]  # a loss that was not finite came back from JSON as None
    rows = [row for row in curve if row["split"] == "test" and row["value"] is not None]
    best = min(rows, key=lambda row: row["value"], default=None)
    if best is None:
        return []
    return [{k: best[k] for k in ("step", "C", "split", "metric", "value", "n", "value_se")}
            | {"protocol": "best-test"}]  # fmt: skip


def _training_record(workspace: Workspace, training: str) -> Record:
    for folder in (workspace.records, workspace.spool):
        path = folder / f"{training}.json"
        if path.exists():
            return read_record(path)
    raise FileNotFoundError(f"{training}: no record of this training in {workspace.store}")
