"""Where trials run: in this process, or on Ray. Both pass the same battery of tests."""

from __future__ import annotations

from sweeps.drive.executors.base import Executor, JobEvent

NAMES = ("tune", "serial")


def make_executor(name: str, workers: int) -> Executor:
    """Build an executor; nothing is started yet.

    Args:
        name: one of ``NAMES``.
        workers: jobs that run at once (``serial`` runs one).
    """
    if name == "serial":
        from sweeps.drive.executors.serial import SerialExecutor

        return SerialExecutor()
    from sweeps.drive.executors.cluster import TuneExecutor

    return TuneExecutor(workers)


__all__ = ["NAMES", "Executor", "JobEvent", "make_executor"]
