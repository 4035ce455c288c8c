"""The processes of a session: everything that a process and its children have started.

A session outlives process groups (Ray gives each worker one of its own) and parents (Ray's
agents are left to init when their node dies), so nothing that a cluster started is out of reach.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")


def alive_in(session: int) -> dict[int, str]:
    """Id -> name of the processes of a session that run; zombies do not."""
    found = {}
    for pid in _all():
        with contextlib.suppress(OSError):  # it has gone
            if os.getsid(pid) == session:
                state, name = _about(pid)
                if state[:1] not in ("Z", "X"):
                    found[pid] = name
    return found


def kill_session(session: int, patience_s: float = 3.0) -> bool:
    """Kill every process of a session but this one.

    Returns:
        Whether none is left after ``patience_s``.
    """
    deadline = time.monotonic() + patience_s
    while left := [pid for pid in alive_in(session) if pid != os.getpid()]:
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _all() -> Iterator[int]:
    if (PROC / "self" / "stat").exists():
        yield from (int(path.name) for path in PROC.iterdir() if path.name.isdigit())
    else:
        yield from (int(line) for line in _ps("-axo", "pid=").splitlines())


def _about(pid: int) -> tuple[str, str]:
    """State and name of a process.

    Raises:
        OSError: there is no such process.
    """
    if (PROC / "self" / "stat").exists():
        head, _, tail = (PROC / str(pid) / "stat").read_text().rpartition(")")
        return tail.split()[0], head.partition("(")[2]
    if not (line := _ps("-o", "stat=,comm=", "-p", str(pid)).strip()):
        raise ProcessLookupError(pid)
    state, _, name = line.partition(" ")
    return state, Path(name.strip()).name


def _ps(*words: str) -> str:
    """Output of ``ps``, where there is no ``/proc`` (macOS)."""
    done = subprocess.run(["ps", *words], capture_output=True, text=True, check=False)
    return done.stdout
