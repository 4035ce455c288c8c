"""One job after the other, in this process: for tests, debugging and small machines.

Ray is not needed, and a debugger or profiler sees all that a trial does.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from scaling.identity import Job
from scaling.workspace import Workspace
from sweeps import interrupts
from sweeps.drive.executors.base import JobEvent, OnEvent, run_to_event

PROGRESS_S = 0.2  # between two signs of progress


class SerialExecutor:
    """Runs jobs in this process. An interrupt ends the job that is running, at a step."""

    def __init__(self, workers: int = 1) -> None:
        """``workers`` is not looked at: there is this process alone."""

    def run(self, jobs: Sequence[Job], workspace: Workspace, on_event: OnEvent) -> None:
        """Run ``jobs`` one by one; see ``Executor``.

        Raises:
            Interrupted: a signal asked the run to end; the job that ran has its checkpoint.
        """
        interrupts.check()
        for job in jobs:
            with interrupts.gently():
                self._run_one(job, workspace, on_event)
            interrupts.check()

    def _run_one(self, job: Job, workspace: Workspace, on_event: OnEvent) -> None:
        last = -PROGRESS_S

        def report(share: float) -> None:
            nonlocal last
            interrupts.check()
            now = time.monotonic()
            if share == 1.0 or now - last >= PROGRESS_S:  # it may be called at every step
                last = now
                on_event(JobEvent(kind="progress", job=job, share=share))

        on_event(JobEvent(kind="started", job=job))
        on_event(run_to_event(job, workspace, report))
