"""What every executor must do. A new one inherits this battery."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaling.identity import Job
from scaling.records.record import read_record
from scaling.workspace import Workspace
from sweeps.drive.executors.base import Executor, JobEvent
from tests.sweeps.conftest import GRID, WriteGrid
from tests.sweeps.study import plan_of


class Halt(Exception):  # noqa: N818 - it is thrown on purpose
    """Thrown by a driver that wants to stop."""


class ExecutorContract:
    """Subclass it and give ``executor``."""

    @pytest.fixture
    def executor(self) -> Executor:
        raise pytest.UsageError("a contract's subclass gives the executor")

    @pytest.fixture
    def workspace(self, tmp_path: Path) -> Workspace:
        return Workspace(store=tmp_path / "store", cache=tmp_path / "cache")

    @pytest.fixture
    def jobs(self, write_grid: WriteGrid) -> list[Job]:
        text = GRID.replace("simulated/chinchilla", "simulated/flaky")
        return [planned.job for planned in plan_of(write_grid(text)).trials]

    def test_each_job_ends_once_with_its_records_in_the_spool(
        self, executor: Executor, jobs: list[Job], workspace: Workspace
    ) -> None:
        events: list[JobEvent] = []
        spooled: list[bool] = []

        def on_event(event: JobEvent) -> None:
            events.append(event)
            for record in event.records:
                path = workspace.spool / f"{record['id']}.json"
                spooled.append(read_record(path)["id"] == record["id"])

        executor.run(jobs, workspace, on_event)
        ended = [e.job.training.id for e in events if e.kind == "finished"]
        started = [e.job.training.id for e in events if e.kind == "started"]
        wanted = sorted(job.training.id for job in jobs)
        given = [job.training.id for job in jobs]
        assert sorted(started) == wanted
        # The driver puts the longest first; jobs that run at once may say so in either order.
        assert all(abs(given.index(name) - place) <= 2 for place, name in enumerate(started))
        assert sorted(ended) == wanted
        assert all(spooled)
        status = {
            r["trial"]["status"] for e in events for r in e.records if r["kind"] == "training"
        }
        assert status == {"done", "failed"}  # a trial that fails leaves a record, and ends no run

    def test_an_exception_of_the_driver_ends_the_run(
        self, executor: Executor, jobs: list[Job], workspace: Workspace
    ) -> None:
        def on_event(event: JobEvent) -> None:
            if event.kind == "finished":
                raise Halt

        with pytest.raises(Halt):
            executor.run(jobs, workspace, on_event)
        assert not (workspace.store / "ray").exists()

    def test_a_worker_that_cannot_write_says_so(
        self, executor: Executor, jobs: list[Job], workspace: Workspace
    ) -> None:
        workspace.store.mkdir()
        workspace.spool.write_text("a file, not a folder")
        events: list[JobEvent] = []
        executor.run(jobs[:2], workspace, events.append)
        ended = [event for event in events if event.kind not in ("started", "progress")]
        assert [event.kind for event in ended] == ["storage", "storage"]
        assert str(workspace.spool) in ended[0].error
