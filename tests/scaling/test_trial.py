"""A job is run once, its records are kept as they come, and what fails fails alone."""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from scaling import trial
from scaling.identity import Evaluation, Job, Training
from scaling.provenance import evaluation_record, failed_training, training_record
from scaling.records.record import read_record, validate, write_record
from scaling.trial import Record, run_job
from scaling.workspace import Report, Workspace
from tests.scaling.test_identity import TRAINING


def evaluations(*protocols: str) -> tuple[Evaluation, ...]:
    return tuple(
        Evaluation(training=TRAINING.id, corpus=TRAINING.corpus, task="", protocol=protocol)
        for protocol in protocols
    )


@dataclasses.dataclass
class FakeTrainer:
    """Yields a record for each evaluation until it breaks off."""

    error: Exception | None = None
    after: int = 1
    trajectory: bool | None = None
    asked: list[str] = dataclasses.field(default_factory=list)

    def train(
        self,
        training: Training,
        workspace: Workspace,
        report: Report,
        keep_trajectory: bool = False,
    ) -> Record:
        from scaling.provenance import run_columns

        self.trajectory = keep_trajectory
        checkpoint = workspace.checkpoint_of(training.id)
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.write_bytes(b"")
        row = run_columns(training) | {"status": "done"}
        return training_record(training, row, params={}, curve=[], notes=["it went on"])

    def evaluate_all(
        self, evaluations: Sequence[Evaluation], training: Training, workspace: Workspace
    ) -> Iterator[Record]:
        self.asked += [evaluation.protocol for evaluation in evaluations]
        for place, evaluation in enumerate(reversed(evaluations)):  # any order will do
            if place == self.after and self.error:
                raise self.error
            yield evaluation_record(evaluation, "done", [])


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> FakeTrainer:
    fake = FakeTrainer()
    monkeypatch.setattr(trial, "trainer_for", lambda training: fake)
    return fake


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(store=tmp_path / "store", cache=tmp_path / "cache")


def run(workspace: Workspace, *protocols: str) -> list[dict[str, Any]]:
    records = run_job(Job(training=TRAINING, evaluations=evaluations(*protocols)), workspace)
    for record in records:
        validate(record)
    return records


def test_all_evaluations_are_made_in_one_pass(trainer: FakeTrainer, workspace: Workspace) -> None:
    records = run(workspace, "held-out", "linear-probe")
    assert trainer.asked == ["held-out", "linear-probe"]
    assert [record["kind"] for record in records] == ["training", "evaluation", "evaluation"]
    assert records[0]["notes"] == ["it went on"]


def test_only_missing_evaluations_are_asked_for(trainer: FakeTrainer, workspace: Workspace) -> None:
    run(workspace, "held-out")
    run(workspace, "held-out", "linear-probe")
    run(workspace, "held-out", "linear-probe")
    assert trainer.asked == ["held-out", "linear-probe"]


def test_a_pass_that_breaks_off_keeps_what_it_made_and_fails_the_rest(
    trainer: FakeTrainer, workspace: Workspace
) -> None:
    trainer.error = ValueError("no such corpus")
    _, *records = run(workspace, "held-out", "linear-probe", "best-test")
    assert [record["status"] for record in records] == ["done", "failed", "failed"]
    assert {record["id"] for record in records} == {
        e.id for e in evaluations("held-out", "linear-probe", "best-test")
    }
    assert records[1]["error"]["message"] == "no such corpus"
    for record in records:
        assert read_record(workspace.spool / f"{record['id']}.json")["status"] == record["status"]


def test_a_pass_that_forgets_an_evaluation_fails_it(
    trainer: FakeTrainer, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = trainer.evaluate_all
    monkeypatch.setattr(trainer, "evaluate_all", lambda e, t, w: real(e[:1], t, w))
    _, first, second = run(workspace, "held-out", "linear-probe")
    assert (first["status"], second["status"]) == ("done", "failed")


def test_a_full_disk_is_no_trials_fault(trainer: FakeTrainer, workspace: Workspace) -> None:
    trainer.error = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space left"):
        run(workspace, "held-out", "linear-probe")
    assert len(list(workspace.spool.glob("*.json"))) == 2  # what was complete is kept


def test_the_checkpoint_goes_when_the_record_is_there(
    trainer: FakeTrainer, workspace: Workspace
) -> None:
    run(workspace)
    assert not workspace.checkpoint_of(TRAINING.id).exists()


def test_a_trajectory_is_kept_when_an_evaluation_needs_it(
    trainer: FakeTrainer, workspace: Workspace
) -> None:
    run(workspace, "linear-probe")
    assert trainer.trajectory is False
    (one,) = evaluations("linear-probe")
    along = dataclasses.replace(one, checkpoint="trajectory")
    other = Workspace(store=workspace.store / "other", cache=workspace.cache)
    run_job(Job(training=TRAINING, evaluations=(along,)), other)
    assert trainer.trajectory is True


def test_a_failed_record_is_none_that_is_finished(
    trainer: FakeTrainer, workspace: Workspace
) -> None:
    write_record(workspace.records, failed_training(TRAINING, ValueError("no")))
    assert workspace.finished(TRAINING.id) is None
    run(workspace)
    found = workspace.finished(TRAINING.id)
    assert found is not None
    assert found["trial"]["status"] == "done"
    (workspace.records / f"{TRAINING.id}.json").write_text("{")  # broken, and so is no help
    assert workspace.finished(TRAINING.id) == found
    assert workspace.finished("t0") is None


def test_an_interrupt_between_evaluations_keeps_what_is_there(
    trainer: FakeTrainer, workspace: Workspace
) -> None:
    def report(share: float) -> None:
        raise KeyboardInterrupt

    job = Job(training=TRAINING, evaluations=evaluations("held-out", "linear-probe"))
    with pytest.raises(KeyboardInterrupt):
        run_job(job, workspace, report)
    assert len(list(workspace.spool.glob("*.json"))) == 2
    assert [record["kind"] for record in run_job(job, workspace)] == ["evaluation"]


def test_a_trial_beside_another_in_one_process_is_refused(
    trainer: FakeTrainer, workspace: Workspace
) -> None:
    """Both would draw from one stream of random numbers: their losses would depend on luck."""
    refused: list[str] = []

    def report(share: float) -> None:
        with pytest.raises(RuntimeError, match="a process of its own") as error:
            run_job(job, workspace)
        refused.append(str(error.value))

    job = Job(training=TRAINING, evaluations=evaluations("held-out"))
    assert len(run_job(job, workspace, report)) == 2
    assert len(refused) == 1
    run_job(job, workspace)  # the first has ended


def test_kept_steps_are_found_in_order(workspace: Workspace) -> None:
    workspace.weights.mkdir(parents=True)
    for step in (100, 20, 3):
        workspace.weights_at("t1", step).touch()
    workspace.weights_of("t1").touch()
    workspace.weights_at("t2", 5).touch()
    assert list(workspace.trajectory("t1")) == [3, 20, 100]
