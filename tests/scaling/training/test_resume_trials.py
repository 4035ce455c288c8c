"""Trials that were killed, of every objective, and one whose process really was."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from scaling.data import batches as data
from scaling.data.batches import Split
from scaling.identity import Evaluation, Job, Training
from scaling.provenance import failed_training
from scaling.records.record import read_record, write_record
from scaling.training.trainer import run_training
from scaling.trial import run_job
from scaling.workspace import Workspace
from tests.scaling.training.trials import SUPERVISED, TRAINED, of_objective, workspace


class Killed(BaseException):
    """No ordinary exception, as an interrupt is none: the trial does not get to say goodbye."""


def outcome(training: Training, place: Workspace) -> tuple[dict[str, Any], bytes]:
    record = read_record(place.spool / f"{training.id}.json")
    return record, place.weights_of(training.id).read_bytes()


def assert_same(training: Training, one: Workspace, two: Workspace) -> None:
    (a, weights_a), (b, weights_b) = outcome(training, one), outcome(training, two)
    assert a["curve"] == b["curve"]
    assert a["trial"]["steps"] == b["trial"]["steps"]
    assert weights_a == weights_b


def one_label_each(*words: Any, **named: Any) -> Split:
    split = data.split_of(*words, **named)
    n, classes = split.labels.shape
    split.labels = torch.nn.functional.one_hot(torch.arange(n) % classes, classes).float()
    return split


@pytest.mark.parametrize("name", TRAINED)
def test_a_killed_trial_ends_with_the_same_numbers(
    name: str, tmp_path: Path, trials_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = of_objective(name)
    if name == "categorical":
        monkeypatch.setattr("scaling.training.selection.split_of", one_label_each)
    whole, killed = (
        workspace(tmp_path / "whole", trials_cache),
        workspace(tmp_path / "killed", trials_cache),
    )
    run_job(Job(training=training), whole)

    def report(share: float) -> None:
        if share > 0.5:
            raise Killed

    def interrupt(share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(Killed):
        run_job(Job(training=training), killed, report)
    assert killed.checkpoint_of(training.id).exists()
    torch.manual_seed(1234)
    with pytest.raises(KeyboardInterrupt):  # goes on at the evaluation before, at step 3
        run_job(Job(training=training), killed, interrupt)
    torch.manual_seed(5678)
    (record,) = run_job(Job(training=training), killed)
    assert any("went on at step 5" in note for note in record["notes"])
    assert_same(training, whole, killed)
    assert not killed.checkpoint_of(training.id).exists()


def test_a_trial_that_failed_goes_on_where_it_was(
    tmp_path: Path, trials_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, failing = (
        workspace(tmp_path / "whole", trials_cache),
        workspace(tmp_path / "failing", trials_cache),
    )
    run_job(Job(training=SUPERVISED), whole)

    def report(share: float) -> None:
        if share > 0.5:
            raise RuntimeError("the device fell off the bus")

    (record,) = run_job(Job(training=SUPERVISED), failing, report)
    assert record["trial"]["status"] == "failed"
    (record,) = run_job(Job(training=SUPERVISED), failing)
    assert "went on at step 3" in record["notes"][0]
    assert_same(SUPERVISED, whole, failing)


def test_a_trial_that_failed_and_runs_again_is_measured(tmp_path: Path, trials_cache: Path) -> None:
    place = workspace(tmp_path / "store", trials_cache)
    held_out = Evaluation(
        training=SUPERVISED.id, corpus=SUPERVISED.corpus, task="", protocol="held-out"
    )
    write_record(place.records, failed_training(SUPERVISED, RuntimeError("the machine")))
    trained, measured = run_job(Job(training=SUPERVISED, evaluations=(held_out,)), place)
    assert trained["trial"]["status"] != "failed"
    assert (measured["status"], measured["error"]) == (trained["trial"]["status"], None)
    steps = {row["step"] for row in measured["values"]}
    assert steps <= {row["step"] for row in trained["curve"]}  # and not of the one that failed


SCRIPT = """
import sys, time
from pathlib import Path
from scaling.identity import Job
from scaling.workspace import Workspace
from scaling.trial import run_job
from tests.scaling.training.trials import SUPERVISED

def report(share):
    if share > 0.5:
        print("two thirds", flush=True)
        time.sleep(600)

place = Workspace(store=Path(sys.argv[1]), cache=Path(sys.argv[2]), checkpoint_s=0.0)
run_job(Job(training=SUPERVISED), place, report)
"""


def test_a_process_killed_with_signal_9_leaves_what_is_needed(
    tmp_path: Path, trials_cache: Path
) -> None:
    whole, killed = (
        workspace(tmp_path / "whole", trials_cache),
        workspace(tmp_path / "killed", trials_cache),
    )
    run_job(Job(training=SUPERVISED), whole)
    command = [sys.executable, "-c", SCRIPT, str(killed.store), str(trials_cache)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "two thirds\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (killed.spool / f"{SUPERVISED.id}.json").exists()
    (record,) = run_job(Job(training=SUPERVISED), killed)
    assert "went on at step 3" in record["notes"][0]
    assert_same(SUPERVISED, whole, killed)


def test_streamed_records_give_the_same_numbers_bit_for_bit(
    tmp_path: Path, trials_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resident, streamed = (
        workspace(tmp_path / "a", trials_cache),
        workspace(tmp_path / "b", trials_cache),
    )
    run_job(Job(training=SUPERVISED), resident)
    monkeypatch.setattr("scaling.data.device.free_bytes", lambda device: 1000)
    record = run_training(SUPERVISED, streamed, lambda share: None)
    assert "do not fit on cpu" in record["notes"][0]
    first, weights = outcome(SUPERVISED, resident)
    assert record["curve"] == first["curve"]
    assert streamed.weights_of(SUPERVISED.id).read_bytes() == weights


PROBE = Evaluation(
    training=SUPERVISED.id,
    corpus=SUPERVISED.corpus,
    task="",
    protocol="linear-probe",
    checkpoint="trajectory",
)
PLAIN, ALONG = Job(training=SUPERVISED), Job(training=SUPERVISED, evaluations=(PROBE,))


def killed_at_two_thirds(job: Job, place: Workspace) -> None:
    def report(share: float) -> None:
        if share > 0.5:
            raise Killed

    with pytest.raises(Killed):
        run_job(job, place, report)
    assert place.checkpoint_of(job.training.id).exists()


def test_other_threads_are_said_and_not_taken_for_another_run(
    tmp_path: Path, trials_cache: Path
) -> None:
    place = workspace(tmp_path / "store", trials_cache)
    killed_at_two_thirds(PLAIN, place)
    threads = torch.get_num_threads()
    try:
        (record,) = run_job(PLAIN, dataclasses.replace(place, threads=2))
    finally:
        torch.set_num_threads(threads)
    note = record["notes"][0]
    assert note.startswith("went on at step 3 ")
    assert note.endswith(", made with threads 1 instead of 2: last digits may differ")


def test_a_trajectory_that_lacks_its_first_steps_starts_over(
    tmp_path: Path, trials_cache: Path
) -> None:
    whole, killed = (
        workspace(tmp_path / "whole", trials_cache),
        workspace(tmp_path / "killed", trials_cache),
    )
    run_job(ALONG, whole)
    killed_at_two_thirds(PLAIN, killed)  # without a trajectory
    trained, probed = run_job(ALONG, killed)
    note = trained["notes"][0]
    assert "comes after steps whose weights were not kept (3)" in note
    assert note.endswith("the training started over")
    assert list(killed.trajectory(SUPERVISED.id)) == [3, 6, 9]
    assert {row["step"] for row in probed["values"]} == {3, 6, 9}
    assert_same(SUPERVISED, whole, killed)


def test_a_trajectory_that_has_its_first_steps_goes_on(tmp_path: Path, trials_cache: Path) -> None:
    place = workspace(tmp_path / "store", trials_cache)
    killed_at_two_thirds(ALONG, place)
    trained, probed = run_job(ALONG, place)
    assert "went on at step 3" in trained["notes"][0]
    assert {row["step"] for row in probed["values"]} == {3, 6, 9}
