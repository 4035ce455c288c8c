"""What an executor is: jobs in, events out, in the driver's thread."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from scaling.identity import Job
from scaling.records.files import why
from scaling.trial import run_job
from scaling.workspace import Report, Workspace


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """Something that happened to a job.

    Attributes:
        kind: ``started``; ``progress``; ``retried`` (its worker died, and it starts again);
            ``restarted`` (the cluster died and starts again with all that has not ended, of
            which this is one; no job is to blame); ``finished`` (its records, which may say
            that it failed); ``crashed`` (its worker died, again and again, or its trainer is at
            fault); ``storage`` (its worker could not write).
        job: the job.
        records: new records of a finished job.
        error: why it crashed, could not write, or started again.
        share: share of the training done, in [0, 1].
    """

    kind: Literal["started", "progress", "retried", "restarted", "finished", "crashed", "storage"]
    job: Job
    records: tuple[dict[str, Any], ...] = ()
    error: str = ""
    share: float = 0.0


ENDED = ("finished", "crashed", "storage")

OnEvent = Callable[[JobEvent], None]


class Executor(Protocol):
    """Runs jobs, each alone in its process; each gets one ``finished``, ``crashed`` or ``storage``.

    Records are in the spool before ``finished`` is sent. An exception raised by ``on_event``
    ends the run and comes out of ``run``; running jobs are stopped. So does an interrupt (see
    ``interrupts``), for which running jobs are given time to write a checkpoint.
    """

    def run(self, jobs: Sequence[Job], workspace: Workspace, on_event: OnEvent) -> None:
        """Run ``jobs``; which starts first is the executor's choice."""
        ...


def run_to_event(job: Job, workspace: Workspace, report: Report) -> JobEvent:
    """Run one job in this process; what cannot be written is an event, not an exception."""
    try:
        records = run_job(job, workspace, report)
    except OSError as error:
        return JobEvent(kind="storage", job=job, error=storage_message(error))
    except Exception as error:  # a fault of the trainer must not end the whole study
        message = f"{type(error).__name__}: {error}"
        return JobEvent(kind="crashed", job=job, error=message)
    return JobEvent(kind="finished", job=job, records=tuple(records))


def storage_message(error: OSError) -> str:
    """An operating system error in words a user can act on."""
    return f"{error.filename}: {why(error)}" if error.filename else why(error)
