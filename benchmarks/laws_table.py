"""Lines of the table that ``bench_laws`` prints, and its clocks."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def heading() -> None:
    print("processor seconds: ours medians of three unless said, SciPy loops once")
    print("ratio is ours over theirs")
    print(f"{'':<6}{'what':<44}{'against':<34}{'ours':>8}{'theirs':>9}{'ratio':>8}  target")


def said(
    what: str,
    ours: float,
    against: str = "nothing",
    theirs: float | None = None,
    *,
    seconds: float | None = None,
    ratio: float | None = None,
) -> bool:
    """Print a line; whether its target, seconds or a ratio to theirs, is met (if it has one)."""
    own = None if theirs is None else ours / theirs
    passed = seconds is None or ours <= seconds
    if ratio is not None:
        passed = passed and own is not None and own <= ratio
    target = f"{seconds:g} s" if seconds else f"ratio {ratio:g}" if ratio else ""
    verdict = ("pass" if passed else "FAIL") if target else ""
    other = f"{'-':>9}{'-':>8}" if theirs is None else f"{theirs:9.3f}{own:8.3f}"
    print(f"{verdict:<6}{what:<44}{against:<34}{ours:8.3f}{other}  {target or 'none'}", flush=True)
    return passed


def note(text: str) -> None:
    print(f"{'':<8}{text}", flush=True)


class Timer:
    """Processor seconds since it was made, of all threads of this process."""

    def __init__(self) -> None:
        self._began = time.process_time()

    def s(self) -> float:
        return time.process_time() - self._began


def median_s(call: Callable[[], Any], times: int = 3) -> float:
    """Median processor seconds of a call."""
    found = []
    for _ in range(times):
        timer = Timer()
        call()
        found.append(timer.s())
    return statistics.median(found)


def child_s(code: str, folder: Path) -> float:
    """Processor seconds of a fresh Python that runs ``code``, its own start included."""

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    began = spent()
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder)
    return spent() - began
