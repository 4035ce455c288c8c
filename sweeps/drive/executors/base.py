"""What an executor is: jobs in, events out, in the driver's thread; and the one without Ray."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from scaling.identity import Job
from scaling.records.files import why
from scaling.trial import run_job
from scaling.workspace import Report, Workspace
from sweeps import interrupts

PROGRESS_S = 0.2  # between two signs of progress


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """Something that happened to a job.

    ``retried``: its worker died, and it starts again. ``restarted``: the cluster died and starts
    again with all that has not ended, of which this is one; no job is to blame. ``finished``: its
    records may say that it failed. ``crashed``: its worker died, again and again, or its trainer is
    at fault. ``storage``: its worker could not write.
    """

    kind: Literal["started", "progress", "retried", "restarted", "finished", "crashed", "storage"]
    job: Job
    records: tuple[dict[str, Any], ...] = ()  # new ones of a finished job
    error: str = ""  # why it crashed, could not write, or started again
    share: float = 0.0  # of the training done, in [0, 1]


ENDED = ("finished", "crashed", "storage")

OnEvent = Callable[[JobEvent], None]


class Executor(Protocol):
    """Runs jobs, no two at once in a process; each gets ``finished``, ``crashed`` or ``storage``.

    Records are in the spool before ``finished`` is sent. An exception raised by ``on_event``
    ends the run and comes out of ``run``; running jobs are stopped. So does an interrupt (see
    ``interrupts``), for which running jobs are given time to write a checkpoint.
    """

    def run(self, jobs: Sequence[Job], workspace: Workspace, on_event: OnEvent) -> None:
        """Run ``jobs``, started in the order given: the longest come first."""
        ...


class SerialExecutor:
    """Runs one job after the other in this process: for tests, debugging and small machines.

    A debugger or profiler sees all that a trial does.
    """

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


def run_to_event(job: Job, workspace: Workspace, report: Report) -> JobEvent:
    """Run one job in this process; what cannot be written is an event, not an exception."""
    try:
        records = run_job(job, workspace, report)
    except OSError as error:
        message = f"{error.filename}: {why(error)}" if error.filename else why(error)
        return JobEvent(kind="storage", job=job, error=message)
    except Exception as error:  # a fault of the trainer must not end the whole study
        return JobEvent(kind="crashed", job=job, error=f"{type(error).__name__}: {error}")
    return JobEvent(kind="finished", job=job, records=tuple(records))
