"""The trainer: a Training becomes a record and weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from scaling.cost import (
    Counts,
    bf16_note,
    count_macs,
    count_training,
    records_per_step,
    taught_records,
    training_flops,
)
from scaling.data.batches import EVAL_BATCH, Split, open_corpus
from scaling.data.device import (
    OutOfMemory,
    device_name,
    is_out_of_memory,
    keep_freed,
    largest_batch,
    pick_device,
    release_memory,
    training_advice,
)
from scaling.identity import RESTORATION, START, TEACHER, Training
from scaling.models.checkpointing import recompute_blocks
from scaling.objectives.base import Context, Objective, objective_of
from scaling.objectives.registry import OBJECTIVES
from scaling.provenance import corpus_name, run_columns, training_record
from scaling.training.checkpoint import Checkpoint, State
from scaling.training.loop import Outcome, Run, Weights, evaluated_steps, train
from scaling.training.restored import restored_signals
from scaling.training.selection import UNLABELLED, Selection, select, training_rows
from scaling.weights import (
    BACKBONE,
    ParentError,
    frozen_models,
    kept,
    parents_of,
    save_weights,
    start_from,
)
from scaling.workspace import Report, Workspace

Record = dict[str, Any]


def run_training(
    training: Training, workspace: Workspace, report: Report, keep_trajectory: bool = False
) -> Record:
    """Train, keep the weights of the best validation step, return the record.

    See ``scaling.trial.Trainer`` for what it is given.

    Raises:
        OutOfMemory: it does not fit; the message says which batch would.
        WeightsError: a parent's weights are absent or damaged.
        ParentError: a parent that does not go with the training.
        CorpusError: the corpus does not have what is asked for.
    """
    torch.set_num_threads(workspace.threads)
    keep_freed()
    device = pick_device()
    try:
        return _run(_Job(training, workspace, device, keep_trajectory), report)
    finally:
        release_memory(device)


def _run(job: _Job, report: Report) -> Record:
    # A function of its own: when memory is released, nothing may hold the job any more.
    try:
        return job.run(report)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    # Out of the ``except`` block, since the exception holds on to the step's tensors.
    raise OutOfMemory(job.what_fits())


class _Job:
    """One training, from its configuration to its record."""

    def __init__(
        self, training: Training, workspace: Workspace, device: torch.device, trajectory: bool
    ) -> None:
        self.training, self.workspace, self.device = training, workspace, device
        self.trajectory = trajectory
        self.row = run_columns(training)
        self.corpus = open_corpus(training.corpus, workspace)
        self.objective: Objective = objective_of(training)
        self.parents = parents_of(training, workspace)
        self.frozen = frozen_models(self.parents, device)
        self.selection: Selection = select(
            self.corpus,
            training,
            device,
            unlabelled=self.objective.unlabelled > 0,
            hide=not self.objective.hides_leads,
            restored=self._restored(),
        )
        self.notes = [*self._teacher_notes(), *self.selection.notes]
        self.counts: Counts = count_training(training, len(self.selection.classes))
        self.annotated = False

    def _restored(self) -> NDArray[np.int16] | None:
        """Signals of all records by the restoration net, where the training has one."""
        for parent in self.parents.get(RESTORATION, ()):
            net, cache = self.frozen[RESTORATION], self.workspace.cache
            return restored_signals(self.corpus, self.training, parent.id, net, cache)
        return None

    def _teacher_notes(self) -> Iterator[str]:
        """What the user should know of the teacher, whose answers have the student's classes.

        Raises:
            ParentError: it tells others apart, or in another order.
        """
        for parent in self.parents.get(TEACHER, ()):
            if parent.classes != self.selection.classes:
                raise ParentError(
                    f"teacher {parent.id} tells {', '.join(parent.classes)} apart, and "
                    f"{self.training.id} learns {', '.join(self.selection.classes)}"
                )
            teacher = Training.from_dict(parent.config)
            most = len(self.corpus.rows("train", teacher.task))
            known = dataclasses.replace(teacher, data=min(teacher.data, most))
            rows = np.setdiff1d(training_rows(self.corpus, known), self.selection.rows)
            if len(rows):
                yield (
                    f"the teacher has seen the labels of {len(rows):,} records whose labels this "
                    "training does not use"
                )

    def run(self, report: Report) -> Record:
        """Train and keep weights; the record."""
        training, splits = self.training, self.selection.splits
        checkpoint = self._checkpoint()
        model = self._model()
        if training.paradigm == "random":
            outcome = Outcome(status="done", best_state=model.state_dict())
        else:
            outcome = train(
                model,
                self.objective,
                splits,
                training.recipe,
                seed=training.seed,
                macs=self.counts.macs,
                report=report,
                checkpoint=checkpoint,
                keep=self._keep if self.trajectory else None,
            )
        if outcome.best_state:
            path = self.workspace.weights_of(training.id)
            save_weights(path, kept(outcome.best_state), self._about(outcome.best_step))
        return self._record(outcome, checkpoint)

    def what_fits(self) -> str:
        """Advice after a run that ran out of memory: which batch does fit."""
        recipe, least = self.training.recipe, OBJECTIVES[self.training.objective].least_batch
        fitting = largest_batch(recipe.batch, self._try, self.device, least)
        where = device_name(self.device)
        return training_advice(recipe.batch, fitting, where, recipe.activation_checkpointing, least)

    def _try(self, batch: int) -> None:
        """Steps of ``batch`` records around an evaluation, of a fresh model.

        The second step has the optimiser's moments and the best weights beside it.
        """
        few = {
            name: split.first(batch if name == "train" else EVAL_BATCH[self.device.type])
            for name, split in self.selection.splits.items()
        }
        recipe = dataclasses.replace(self.training.recipe, batch=batch)
        model, training = self._model(), self.training
        run = Run(model, self.objective, few, recipe, self.counts.macs, training.seed)
        run.step()
        run.evaluate()
        run.step()

    def _model(self) -> nn.Module:
        """The model as it starts, on the device; splits get what its objective needs."""
        training, splits = self.training, self.selection.splits
        context = Context(
            training=training,
            outputs=len(self.selection.classes),
            parents=self.frozen,
            units=self.corpus.units,
        )
        if not self.annotated:
            self.objective.annotate(splits, context)
            self.annotated = True
        model = initial_model(self.objective, context, splits["train"])
        for parent in self.parents.get(START, ()):
            start_from(model, parent)
        if training.recipe.activation_checkpointing:
            recompute_blocks(model.get_submodule(BACKBONE))
        return model.to(self.device)

    def _checkpoint(self) -> Checkpoint:
        made_for = {
            "training": self.training.id,
            "torch": torch.__version__,
            "device": self.device.type,
            "test records": str(len(self.selection.splits["test"])),
        }
        path = self.workspace.checkpoint_of(self.training.id)
        with_threads = {"threads": str(torch.get_num_threads())}
        every_s = self.workspace.checkpoint_s
        return Checkpoint(path, every_s, made_for, made_with=with_threads, lacks=self._lost)

    def _lost(self, state: State) -> str:
        """Evaluated steps behind a checkpoint that the trajectory has no weights of, in words."""
        kept = self.workspace.trajectory(self.training.id)
        steps = [step for step in evaluated_steps(state.values["curve"]) if step not in kept]
        if not self.trajectory or not steps:
            return ""
        return f"comes after steps whose weights were not kept ({', '.join(map(str, steps))})"

    def _keep(self, step: int, state: Weights) -> None:
        path = self.workspace.weights_at(self.training.id, step)
        save_weights(path, kept(state), self._about(step))

    def _about(self, step: int) -> Record:
        """The sidecar of the weights of ``step``."""
        return {
            "training": self.training.to_dict(),
            "classes": list(self.selection.classes),
            "core": list(self.selection.core),
            "preprocessing": self.corpus.info["preprocessing"],
            "units": self.corpus.units,
            "step": step,
        }

    def _record(self, outcome: Outcome, checkpoint: Checkpoint) -> Record:
        training, counts = self.training, self.counts
        row = self.row | {
            "num_labels": len(self.selection.classes),
            "N": counts.N,
            "params_total": counts.total,
            "patients": self.selection.patients,
            "status": outcome.status,
            "steps": outcome.steps,
            "C": training_flops(counts.macs, records_per_step(training), outcome.steps),
            "macs": counts.macs,
            "macs_full": counts.macs_full,
            "C_full": training_flops(counts.macs_full, records_per_step(training), outcome.steps),
            "duration_s": round(checkpoint.seconds(), 3),
            "device": device_name(self.device),
            **self._beside(outcome.steps),
        }
        corpus = training.corpus
        fixed = {
            "task": corpus_name(corpus.source, training.task, corpus.fold),
            "metric": "loss",
            "protocol": "curve",
        }
        bf16 = training.recipe.precision == "bf16" and training.paradigm != "random"
        notes = [checkpoint.note, *self.notes, bf16_note(self.device) if bf16 else ""]
        return training_record(
            training,
            row,
            params=counts.params,
            curve=[fixed | point for point in outcome.curve],
            notes=[note for note in notes if note],
        )

    def _beside(self, steps: int) -> Record:
        """What else the trial rests on, and what is deployed of it."""
        training, splits, counts = self.training, self.selection.splits, self.counts
        shape = (1, len(training.leads), training.corpus.samples)
        found: Record = {"N_system": counts.total, "macs_system": counts.macs, "C_teacher": 0}
        if training.paradigm == "sl":
            found["labelled"] = len(splits["train"])
            found["unlabelled"] = len(splits[UNLABELLED]) if UNLABELLED in splits else 0
        if (net := self.frozen.get(RESTORATION)) is not None:
            found["N_system"] += sum(value.numel() for value in net.parameters())
            found["macs_system"] += count_macs(net, shape)
        if (teacher := self.frozen.get(TEACHER)) is not None:
            shown = taught_records(training, steps)
            found["C_teacher"] = 2 * count_macs(teacher, shape) * shown
        spent = self._spent_by_parents()
        return found | ({} if spent is None else {"C_parents": spent})

    def _spent_by_parents(self) -> float | None:
        """FLOPs of all trainings that this one rests on; None where one has no record here."""
        todo, seen, spent = [*self.training.parent_ids], set[str](), 0.0
        while todo:
            if (name := todo.pop()) in seen:
                continue
            seen.add(name)
            record = self.workspace.finished(name)
            if record is None:
                return None
            spent += record["trial"]["C"] + (record["trial"].get("C_teacher") or 0)
            todo += record["config"]["parents"]
        return spent


def initial_model(objective: Objective, context: Context, train: Split) -> nn.Module:
    """The untrained model of the training's seed, on the CPU."""
    torch.manual_seed(context.training.seed)
    model = objective.build(context)
    objective.start(model, train)
    return model
