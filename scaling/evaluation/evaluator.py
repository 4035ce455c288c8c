"""Measure a finished training on all of its tasks in one pass.

Weights are read once, each corpus is opened once, and the features of its records are extracted
once for all probes on it. What goes wrong in one evaluation is that evaluation's failed record.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from scaling.corpora.format.corpus import Corpus
from scaling.data.batches import open_corpus
from scaling.data.device import (
    OutOfMemory,
    device_name,
    is_out_of_memory,
    keep_freed,
    measuring_advice,
    pick_device,
    release_memory,
    spare_what_is_loaded,
)
from scaling.evaluation.external import measure_external
from scaling.evaluation.held_out import measure_held_out
from scaling.evaluation.measure import MEASURED, Scored, save_predictions, thresholds_of
from scaling.evaluation.probe import FeatureStore, Probe, measure_probe, prepare_probe
from scaling.evaluation.trained import Trained, load_trained
from scaling.identity import Evaluation, Training
from scaling.provenance import corpus_name, evaluation_record, failed_evaluation, protocol_name
from scaling.records.files import reraise_storage
from scaling.records.names import EXTERNAL, HELD_OUT, TRAJECTORY
from scaling.records.patients import Row
from scaling.training.loop import evaluated_steps
from scaling.weights import WeightsError
from scaling.workspace import Workspace

Record = dict[str, Any]


def evaluate_all(
    evaluations: Sequence[Evaluation], training: Training, workspace: Workspace
) -> Iterator[Record]:
    """Yield one record for each evaluation; one that raises gives a failed record.

    A training that diverged before its first finite loss has no weights: its evaluations have
    its status and no values.

    Raises:
        OSError: the disk is full.
        OutOfMemory: not even the model fits.
        WeightsError: the weights are gone, damaged or another model's.
        FileNotFoundError: the training has no record.
    """
    torch.set_num_threads(workspace.threads)
    keep_freed()
    spare_what_is_loaded()
    if (record := workspace.finished(training.id)) is None:
        raise FileNotFoundError(f"{training.id}: no finished record of it in {workspace.store}")
    status, weights = record["trial"]["status"], workspace.weights_of(training.id)
    if status == "diverged" and not weights.exists():
        yield from (evaluation_record(evaluation, status, []) for evaluation in evaluations)
        return
    device = pick_device()
    trained = load_trained(training, record, weights, workspace, device)
    try:
        yield from _Pass(trained, evaluations).records()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise _explained(error, device) from error


class _Pass:
    """All evaluations of one training."""

    def __init__(self, trained: Trained, evaluations: Sequence[Evaluation]) -> None:
        self.trained, self.workspace = trained, trained.workspace
        # By corpus, so that one is open and in the feature store at a time.
        self.evaluations = sorted(evaluations, key=lambda e: e.corpus.key)
        self.failed: dict[str, Exception] = {}
        self.rows: dict[str, list[Row]] = {e.id: [] for e in evaluations}
        self.thresholds: dict[str, dict[str, float]] = {}

    def records(self) -> Iterator[Record]:
        """Of the trained head first, then probes at the best step, then along the trajectory."""
        probes: dict[str, list[Probe]] = {}
        for evaluation in self.evaluations:
            try:
                protocol_name(evaluation)
                if evaluation.protocol == HELD_OUT:
                    self._held_out(evaluation)
                elif evaluation.protocol == EXTERNAL:
                    self._external(evaluation)
                else:
                    probes.setdefault(evaluation.checkpoint, []).append(self._prepared(evaluation))
                    continue
            except Exception as error:
                self._failed(evaluation, error)
            yield self._record(evaluation)
        along = probes.pop(TRAJECTORY, [])
        for found in probes.values():
            yield from self._probe_all(found, self.trained)
        if along:
            yield from self._along(along)

    def _held_out(self, evaluation: Evaluation) -> None:
        trained = self.trained
        trained.check_reads(evaluation.corpus, evaluation.task)
        corpus = open_corpus(evaluation.corpus, self.workspace)
        rows, scored = measure_held_out(trained, corpus, evaluation)
        if evaluation.predictions and not scored:
            name = trained.training.objective
            raise ValueError(f"{evaluation.id}: objective {name} predicts no labels to keep")
        if scored:
            self._keep(evaluation, dict.fromkeys(MEASURED, corpus), scored, trained.classes)
        self._add(evaluation, trained, rows)
        self.rows[evaluation.id] += _best_test(trained.record, evaluation)

    def _external(self, evaluation: Evaluation) -> None:
        trained = self.trained
        trained.check_reads(evaluation.corpus, evaluation.task)
        own = open_corpus(trained.training.corpus, self.workspace)
        other = open_corpus(evaluation.corpus, self.workspace)
        rows, scored, classes = measure_external(trained, own, other, evaluation)
        self._keep(evaluation, {"validation": own, "test": other}, scored, classes)
        self._add(evaluation, trained, rows)

    def _keep(
        self,
        evaluation: Evaluation,
        corpora: Mapping[str, Corpus],
        scored: Mapping[str, Scored],
        classes: Sequence[str],
    ) -> None:
        """Predictions of the trained head, where they are wanted, and thresholds."""
        if evaluation.predictions:
            path = self.workspace.predictions_of(evaluation.id)
            save_predictions(path, corpora, scored, classes)
        self.thresholds[evaluation.id] = thresholds_of(scored, classes)

    def _prepared(self, evaluation: Evaluation) -> Probe:
        self.trained.check_reads(evaluation.corpus, evaluation.task)
        return prepare_probe(evaluation, open_corpus(evaluation.corpus, self.workspace))

    def _probe_all(self, probes: Sequence[Probe], trained: Trained) -> Iterator[Record]:
        """Probes of one set of weights."""
        store = FeatureStore(trained, probes)
        for probe in probes:
            self._probe(probe, store, trained)
            yield self._record(probe.evaluation)

    def _along(self, probes: Sequence[Probe]) -> Iterator[Record]:
        """Probes at every evaluated step."""
        training = self.trained.training
        kept = self.workspace.trajectory(training.id)
        steps = evaluated_steps(self.trained.record["curve"])
        if lost := [step for step in steps if step not in kept]:
            error = WeightsError(
                f"{self.workspace.weights_of(training.id)}: the weights of its steps "
                f"{', '.join(map(str, lost))} were not kept; delete the training's record to "
                "train it again"
            )
            for probe in probes:
                self._failed(probe.evaluation, error)
        for path in [kept[step] for step in steps if not lost]:
            trained = load_trained(
                training, self.trained.record, path, self.workspace, self.trained.device
            )
            store = FeatureStore(trained, probes)
            for probe in probes:
                if probe.evaluation.id not in self.failed:
                    self._probe(probe, store, trained)
        for probe in probes:
            yield self._record(probe.evaluation)

    def _probe(self, probe: Probe, store: FeatureStore, trained: Trained) -> None:
        evaluation = probe.evaluation
        try:
            rows, scored = measure_probe(probe, store, trained.training.seed)
            if evaluation.predictions:
                path = self.workspace.predictions_of(evaluation.id)
                classes = probe.corpus.classes(evaluation.task)
                save_predictions(path, dict.fromkeys(MEASURED, probe.corpus), scored, classes)
            self._add(evaluation, trained, rows)
        except Exception as error:
            self._failed(evaluation, error)

    def _add(self, evaluation: Evaluation, trained: Trained, rows: Sequence[Row]) -> None:
        spec = evaluation.corpus
        place = {
            "step": trained.step,
            "C": trained.flops,
            "task": corpus_name(spec.source, evaluation.task, spec.fold),
            "protocol": protocol_name(evaluation),
        }
        self.rows[evaluation.id] += [place | row for row in rows]

    def _failed(self, evaluation: Evaluation, error: Exception) -> None:
        reraise_storage(error)
        # What its frames hold would stay in memory as long as the error does.
        traceback.clear_frames(error.__traceback__)
        release_memory(self.trained.device)
        self.failed[evaluation.id] = _explained(error, self.trained.device)

    def _record(self, evaluation: Evaluation) -> Record:
        if error := self.failed.get(evaluation.id):
            return failed_evaluation(evaluation, error)
        status = self.trained.record["trial"]["status"]
        thresholds = self.thresholds.get(evaluation.id)
        return evaluation_record(
            evaluation, status, self.rows[evaluation.id], thresholds=thresholds
        )


def _explained(error: Exception, device: torch.device) -> Exception:
    """An error, or what to do about it where memory ran out."""
    if not is_out_of_memory(error):
        return error
    told = OutOfMemory(measuring_advice(device_name(device)))
    told.__cause__ = error
    return told


def _best_test(trained: Record, evaluation: Evaluation) -> list[Row]:
    """S1's convention: the lowest test loss over the steps at which it was measured.

    These are the steps that had the lowest validation loss so far. It is measured on the test
    records of the curve, which may be fewer than those of ``held-out``: compare it with the
    curve's own value at the best validation step.
    """
    curve = trained["curve"]  # a loss that was not finite came back from JSON as None
    rows = [row for row in curve if row["split"] == "test" and row["value"] is not None]
    best = min(rows, key=lambda row: row["value"], default=None)
    if best is None:
        return []
    spec = evaluation.corpus
    task = corpus_name(spec.source, evaluation.task, spec.fold)
    return [dict(best) | {"task": task, "protocol": "best-test"}]
