"""Run one job: a training and its evaluations, in this process.

``run_job`` is the one door between a sweep and what a trial does. It picks the trainer
(real or simulated), writes each record to the spool the moment it is complete, and
returns all of them. A trial that fails leaves a ``failed`` record with its traceback;
it does not raise.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from scaling.identity import Evaluation, Job, Training
from scaling.provenance import failed_evaluation, failed_training
from scaling.records.files import reraise_storage
from scaling.records.names import TRAJECTORY
from scaling.records.record import status_of, write_record
from scaling.workspace import Report, Workspace

Record = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Trainer:
    """What runs a training and its evaluations: the real one, or the simulated one.

    Attributes:
        train: from (training, workspace, report, keep_trajectory) to the training's record.
            ``report`` takes the share done, in [0, 1], often; ``KeyboardInterrupt`` raised by it
            ends the training after a checkpoint. ``keep_trajectory``: keep the weights of every
            evaluated step, and not of the best only.
        evaluate_all: from (evaluations, training, workspace) to one record for each evaluation of
            a finished training, in any order. An evaluation that cannot be made gives a failed
            record and leaves the others alone.
    """

    train: Callable[[Training, Workspace, Report, bool], Record]
    evaluate_all: Callable[[Sequence[Evaluation], Training, Workspace], Iterator[Record]]


def trainer_for(training: Training) -> Trainer:
    """The simulated trainer for ``simulated/...`` corpora, the torch one otherwise."""
    if training.corpus.is_simulated:
        from scaling import simulated

        return Trainer(simulated.run_training, simulated.evaluate_all)
    from scaling.evaluation.evaluator import evaluate_all
    from scaling.training.trainer import run_training

    return Trainer(run_training, evaluate_all)


_BUSY = threading.Lock()


@contextlib.contextmanager
def _alone_in_this_process() -> Iterator[None]:
    """Trainings seed and draw from torch's global stream: two in threads would mix theirs."""
    if not _BUSY.acquire(blocking=False):
        raise RuntimeError(
            "another trial runs in this process, and both draw from torch's global stream of "
            "random numbers: run each trial in a process of its own, not in a thread"
        )
    try:
        yield
    finally:
        _BUSY.release()


@_alone_in_this_process()
def run_job(job: Job, workspace: Workspace, report: Report | None = None) -> list[Record]:
    """Run what is missing of ``job`` and return the new records, training first.

    A finished training record found in the store or the spool is not run again; its
    evaluations then use the weights kept in ``workspace.weights``. The checkpoint of a
    training goes when its record is there; one that failed keeps it for the next attempt.

    Raises:
        OSError: a record could not be written (disk full); nothing half-written is left.
        KeyboardInterrupt: ``report`` raised it, in training or between evaluations.
        RuntimeError: another job runs in this process.
    """
    training = job.training
    trainer = trainer_for(training)
    report = report or (lambda share: None)
    records: list[Record] = []
    if workspace.finished(training.id) is None:
        record = _trained(trainer, job, workspace, report)
        write_record(workspace.spool, record)
        records.append(record)
        if status_of(record) == "failed":
            return records
    workspace.checkpoint_of(training.id).unlink(missing_ok=True)
    # Some may have been written by this job before it was killed and started again.
    missing = [e for e in job.evaluations if workspace.finished(e.id) is None]
    for record in _evaluated(trainer, missing, training, workspace):
        write_record(workspace.spool, record)
        records.append(record)
        report(1.0)
    return records


def _trained(trainer: Trainer, job: Job, workspace: Workspace, report: Report) -> Record:
    trajectory = any(e.checkpoint == TRAJECTORY for e in job.evaluations)
    try:
        return trainer.train(job.training, workspace, report, trajectory)
    except Exception as error:
        reraise_storage(error)
        return failed_training(job.training, error)


def _evaluated(
    trainer: Trainer, evaluations: Sequence[Evaluation], training: Training, workspace: Workspace
) -> Iterator[Record]:
    """Records as they come; when the pass as a whole breaks off, the rest fail with its error."""
    left = {evaluation.id: evaluation for evaluation in evaluations}
    if not left:
        return
    records = trainer.evaluate_all(evaluations, training, workspace)
    while left:
        try:
            record = next(records)
        except Exception as error:  # StopIteration too: each evaluation has a record, or failed
            reraise_storage(error)
            yield from (failed_evaluation(evaluation, error) for evaluation in left.values())
            return
        del left[record["id"]]
        yield record
