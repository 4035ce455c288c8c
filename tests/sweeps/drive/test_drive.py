"""What the driver makes of the events of an executor."""

from __future__ import annotations

import dataclasses
import errno
import io
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scaling.corpora.errors import CorpusError
from scaling.identity import Job
from scaling.records.record import write_record
from scaling.trial import run_job
from scaling.workspace import Workspace
from sweeps.drive.driver import RunOutcome, prepare_corpora, run_plan
from sweeps.drive.executors.base import JobEvent, OnEvent
from sweeps.errors import ConfigurationError, StorageError
from sweeps.grid.load import load_grid
from sweeps.plan.corpora import Case, CorpusTask, StudyCorpora, find_corpora
from sweeps.plan.plan import Plan
from sweeps.plan.warnings import leaks
from sweeps.store import Store
from tests.sweeps.conftest import GRID, SMALLEST, WriteGrid
from tests.sweeps.study import plan_of

Act = Callable[[Job, Workspace], JobEvent]


class Scripted:
    """An executor that says of each job what the test wants said."""

    def __init__(self, act: Act) -> None:
        self.act = act
        self.order: list[Job] = []
        self.runs: list[list[str]] = []  # sizes of the models of each run

    def run(self, jobs: Sequence[Job], workspace: Workspace, on_event: OnEvent) -> None:
        self.runs.append([job.training.size for job in jobs])
        for job in jobs:
            self.order.append(job)
            on_event(JobEvent(kind="started", job=job))
            on_event(self.act(job, workspace))


@pytest.fixture
def plan(grid: Path) -> Plan:
    return plan_of(grid)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results" / "small", "small")


def drive(plan: Plan, store: Store, act: Act) -> tuple[RunOutcome, str, Scripted]:
    executor, out = Scripted(act), io.StringIO()
    workspace = Workspace(store=store.runs, cache=store.folder)
    with store.locked():
        outcome = run_plan(plan, store, executor, workspace, workers=2, out=out)
    return outcome, out.getvalue(), executor


def finish(job: Job, workspace: Workspace) -> JobEvent:
    records = run_job(job, workspace)
    return JobEvent(kind="finished", job=job, records=tuple(records))


def test_jobs_are_given_longest_first_and_counted(plan: Plan, store: Store) -> None:
    outcome, text, executor = drive(plan, store, finish)
    assert (outcome.trained, outcome.failures) == (9, [])
    assert [job.training.size for job in executor.order] == (
        ["n16000"] * 3 + ["n4000"] * 3 + ["n1000"] * 3
    )
    assert text.splitlines()[-1] == "9/9 trials, 100 % of FLOPs"


def test_stages_that_need_nothing_of_each_other_run_together(
    write_grid: WriteGrid, store: Store
) -> None:
    stages = """\
  - pretrain: {families: {simulated: [n1000]}, data: [256], recipe: &recipe {max_steps: 80}}
  - pretrain: {families: {simulated: [n4000]}, data: [256], recipe: *recipe}
  - finetune: {parents: {sizes: n1000}, data: [512], recipe: *recipe}
  - pretrain: {families: {simulated: [n16000]}, data: [256], recipe: *recipe}
  - finetune: {parents: {sizes: n16000}, data: [512], recipe: *recipe}
  - finetune: {parents: {best: loss}, data: [1024], recipe: *recipe}
  - pretrain: {families: {simulated: [n2000]}, data: [256], recipe: *recipe}
"""
    path = write_grid(GRID[: GRID.index("  - pretrain")] + stages)
    plan = plan_of(path)
    outcome, _, executor = drive(plan, store, finish)
    # The best of trials that are not finished is known in a later plan: here it never comes.
    assert executor.runs == [["n4000", "n1000"], ["n16000", "n1000"], ["n16000"], ["n2000"]]
    assert len(outcome.not_started) == 1 and "is not known" in outcome.not_started[0]
    again = plan_of(path, store.known)
    _, _, executor = drive(again, store, finish)
    assert executor.runs == [["n16000"]]  # all others are there


def test_a_worker_that_keeps_dying_leaves_a_failed_record(plan: Plan, store: Store) -> None:
    outcome, text, _ = drive(
        plan, store, lambda job, _: JobEvent(kind="crashed", job=job, error="x")
    )
    assert outcome.trained == 0
    assert len(outcome.failures) == 9
    assert "WorkerDied: x (traceback in " in text
    assert {known.status for known in store.known.values()} == {"failed"}


def test_a_worker_that_dies_in_an_evaluation_keeps_the_training(plan: Plan, store: Store) -> None:
    def act(job: Job, workspace: Workspace) -> JobEvent:
        run_job(Job(training=job.training), workspace)
        return JobEvent(kind="crashed", job=job, error="it died")

    outcome, text, _ = drive(plan, store, act)
    assert outcome.trained == 9
    assert len(outcome.failures) == 9
    assert "evaluating it: it died" in text
    assert {known.status for known in store.known.values()} == {"done"}


def test_a_training_whose_record_cannot_be_read_has_failed(plan: Plan, store: Store) -> None:
    def act(job: Job, workspace: Workspace) -> JobEvent:
        event = finish(job, workspace)
        if job.training.id != first:
            return event
        path = workspace.spool / f"{first}.json"  # of a worker that died, and started again
        path.write_text("{")
        rest = tuple(r for r in event.records if r["id"] != first)
        return JobEvent(kind="finished", job=job, records=rest)

    first = plan.trials[0].job.training.id
    outcome, shown, _ = drive(plan, store, act)
    assert len(outcome.failures) == 1
    assert f"failed: trial {first}" in outcome.failures[0]
    assert f"no record that can be read ({store.live.spool / first}.json)" in outcome.failures[0]
    assert outcome.failures[0] in shown
    assert outcome.trained == len(plan.trials) - 1


def test_a_worker_started_again_is_reported_once(plan: Plan, store: Store) -> None:
    def act(job: Job, workspace: Workspace) -> JobEvent:
        return JobEvent(kind="retried", job=job, error="its worker died")

    outcome, text, _ = drive(plan, store, act)
    assert text.count("its worker died; it starts again") == 9
    assert outcome.failures == []


def test_a_cluster_started_again_is_said_and_nobodys_fault(plan: Plan, store: Store) -> None:
    def act(job: Job, workspace: Workspace) -> JobEvent:
        if len(store.known) == 3:  # records of one trial
            return JobEvent(kind="restarted", job=job, error="Ray died: of this; it starts again")
        return finish(job, workspace)

    outcome, text, _ = drive(plan, store, act)
    assert text.count("Ray died: of this; it starts again\n") == 8
    assert (outcome.trained, outcome.failures) == (1, [])


def test_a_worker_that_cannot_write_ends_the_run(plan: Plan, store: Store) -> None:
    def act(job: Job, workspace: Workspace) -> JobEvent:
        write_record(workspace.spool, run_job(Job(training=job.training), workspace)[0])
        return JobEvent(kind="storage", job=job, error="the disk is full")

    with pytest.raises(StorageError, match=r"could not be written: the disk is full\. Finished"):
        drive(plan, store, act)
    assert len(store.known) == 1  # what it had written is kept
    assert not list(store.live.spool.glob("*.json"))


@pytest.fixture
def corpora(write_grid: WriteGrid) -> StudyCorpora:
    text = GRID.replace("simulated/chinchilla", "virtual/code")
    text = text.replace("simulated: [n1000, n4000, n16000]", f"resnet: [{SMALLEST}]")
    return find_corpora(
        load_grid(write_grid(text.replace("simulated/shifted", "virtual/shifted"))), {}
    )


def test_each_corpus_is_prepared_once(
    corpora: StudyCorpora, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[str] = []

    def prepare(spec: Any, cache: Path, root: Path | None, progress: Any) -> None:
        prepared.append(spec.source)
        progress(0, 2)
        progress(1, 2)
        progress(2, 2)

    monkeypatch.setattr("scaling.corpora.prepare.prepare.prepare", prepare)
    said: list[str] = []
    prepare_corpora(corpora, tmp_path, said.append)
    assert prepared == ["virtual/code", "virtual/shifted"]
    assert said[:2] == [
        "preparing virtual/code: 0/2 records",
        "preparing virtual/code: 2/2 records, joining and measuring",
    ]


@pytest.mark.parametrize(
    ("raised", "wanted", "words"),
    [
        (CorpusError("a.dat is cut short"), ConfigurationError, "virtual/code: a.dat is cut short"),
        (OSError(errno.ENOSPC, "No space left"), StorageError, "virtual/code could not be written"),
    ],
)
def test_a_corpus_that_cannot_be_prepared(
    raised: Exception,
    wanted: type[Exception],
    words: str,
    corpora: StudyCorpora,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def prepare(*words: Any) -> None:
        raise raised

    monkeypatch.setattr("scaling.corpora.prepare.prepare.prepare", prepare)
    with pytest.raises(wanted, match=words):
        prepare_corpora(corpora, tmp_path, lambda line: None)


def test_a_task_that_tests_on_what_was_trained_on(
    corpora: StudyCorpora, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signatures = np.random.default_rng(0).integers(0, 2**63, (3, 4)).astype(np.uint64)

    def corpus(folder: Path) -> types.SimpleNamespace:
        rows = [0, 1] if folder.name == "trained" else [2, 1]
        return types.SimpleNamespace(
            path=folder,
            record_ids=[f"{folder.name}/{row}" for row in rows],
            splits=np.array([0, 0] if folder.name == "trained" else [0, 2]),
            signatures=signatures[rows],
        )

    def with_files(target: CorpusTask, name: str) -> CorpusTask:
        spec = dataclasses.replace(target.spec, fingerprint=name)
        return dataclasses.replace(target, spec=spec)

    monkeypatch.setattr("scaling.corpora.registry.corpus_folder", lambda s, c: c / s.fingerprint)
    monkeypatch.setattr("scaling.corpora.format.corpus.Corpus.open", corpus)
    ((case,),) = corpora.stages
    (task,) = case.tasks

    def between(ours: str, theirs: str) -> list[str]:
        both = Case(corpus=with_files(case.corpus, ours), tasks=(with_files(task, theirs),))
        return leaks(StudyCorpora(stages=((both,),), codebooks=(None,)), tmp_path)

    (line,) = between("trained", "foreign")
    assert line.startswith("virtual/shifted is no foreign task for virtual/code: 1 training")
    assert "trained/1 is foreign/1" in line
    assert between("trained", "trained") == []
    assert leaks(corpora, tmp_path) == []  # virtual patients
