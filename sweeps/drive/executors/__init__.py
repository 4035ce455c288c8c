"""Where trials run: in this process, or on Ray. All pass the same battery of tests.

A new executor is one file and one row of ``EXECUTORS``; its class takes the number of workers.
"""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweeps.drive.executors.base import Executor

EXECUTORS = {  # name: module and class, imported when it is asked for
    "tune": "sweeps.drive.executors.cluster:TuneExecutor",
    "serial": "sweeps.drive.executors.base:SerialExecutor",
}


def make_executor(name: str, workers: int) -> Executor:
    """Build an executor of ``EXECUTORS`` for so many jobs at once; nothing is started yet."""
    executor: Executor = resolve_name(EXECUTORS[name])(workers)
    return executor
