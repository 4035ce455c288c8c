"""The serial executor."""

from __future__ import annotations

import pytest

from scaling.identity import Job
from scaling.simulated import selected
from scaling.workspace import Workspace
from sweeps.drive.executors import make_executor
from sweeps.drive.executors.base import Executor, JobEvent
from tests.sweeps.executor_contract import ExecutorContract


class TestSerial(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Executor:
        return make_executor("serial", workers=1)

    def test_order_and_progress(
        self, executor: Executor, jobs: list[Job], workspace: Workspace
    ) -> None:
        events: list[JobEvent] = []
        executor.run(jobs, workspace, events.append)
        started = [e.job.training.id for e in events if e.kind == "started"]
        assert started == [job.training.id for job in jobs]
        assert any(e.kind == "progress" and e.share == 1.0 for e in events)

    def test_a_fault_of_a_trainer_is_one_jobs_failure(
        self,
        executor: Executor,
        jobs: list[Job],
        workspace: Workspace,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("scaling.provenance.SCHEMA", 99)
        events: list[JobEvent] = []
        steady = [job for job in jobs if not selected(job.training)][:2]
        executor.run(steady, workspace, events.append)
        crashed = [e for e in events if e.kind == "crashed"]
        assert len(crashed) == 2
        assert crashed[0].error.startswith("RecordError: ")

    def test_an_interrupt_comes_out(
        self, executor: Executor, jobs: list[Job], workspace: Workspace
    ) -> None:
        def interrupt(event: JobEvent) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            executor.run(jobs, workspace, interrupt)
