"""One job after the other, in this process: for tests, debugging and small machines."""

from __future__ import annotations

from collections.abc import Sequence

from scaling.identity import Job
from scaling.trial import Workspace
from sweeps.executors.base import JobEvent, OnEvent, run_to_event


class SerialExecutor:
    """Runs jobs in this process. An interrupt ends the job that is running."""

    def run(self, jobs: Sequence[Job], workspace: Workspace, on_event: OnEvent) -> None:
        """Run ``jobs`` one by one; see ``Executor``."""
        for job in jobs:
            self._run_one(job, workspace, on_event)

    def _run_one(self, job: Job, workspace: Workspace, on_event: OnEvent) -> None:
        def report(share: float) -> None:
            on_event(JobEvent(kind="progress", job=job, share=share))

        on_event(JobEvent(kind="started", job=job))
        on_event(run_to_event(job, workspace, report))
