"""List scheduling: how long jobs take on workers that each take the next one when free."""

from __future__ import annotations

import heapq
from collections.abc import Sequence


def makespan(seconds: Sequence[float], workers: int) -> float:
    """Wall time in seconds of list scheduling, longest first (Graham 1969).

    Args:
        seconds: duration of each job.
        workers: jobs that run at once, >= 1.
    """
    free = [0.0] * workers
    for duration in sorted(seconds, reverse=True):
        heapq.heapreplace(free, free[0] + duration)
    return max(free)
