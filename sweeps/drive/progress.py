"""One progress line: done, share of FLOPs, time left, failures."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterable
from typing import TextIO

EVERY_S = 30.0  # between plain lines
REDRAW_S = 1.0  # on a terminal


@dataclasses.dataclass(slots=True)
class _Item:
    flops: float
    expected_s: float
    started: float | None = None
    share: float = 0.0
    done: bool = False


class Progress:
    """Keeps count of jobs and writes one line about them.

    On a terminal the line is redrawn in place; elsewhere a plain line is written now and
    then, so that a log stays short. A job is (id, FLOPs, expected seconds).
    """

    def __init__(
        self,
        jobs: Iterable[tuple[str, float, float]],
        workers: int,
        stream: TextIO,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._items: dict[str, _Item] = {}
        self.replace((), jobs)
        self._workers = workers
        self._stream = stream
        self._clock = clock
        self._failed = 0
        self._spent_s = 0.0
        self._last = -EVERY_S
        self._tty = stream.isatty()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._redraw, daemon=True)

    def __enter__(self) -> Progress:
        if self._tty:
            self._thread.start()
        self._draw()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closed.set()
        if self._tty:
            self._thread.join()
        self._draw(final=True)

    def replace(self, old: Iterable[str], new: Iterable[tuple[str, float, float]]) -> None:
        """Forget jobs that were only guessed at, and expect others in their place."""
        for name in old:
            self._items.pop(name, None)
        self._items |= {name: _Item(flops, expected) for name, flops, expected in new}

    def started(self, name: str) -> None:
        """A job began, or began again after its worker died."""
        self._items[name].started = self._clock()

    def progress(self, name: str, share: float) -> None:
        """A job came as far as ``share`` of its training, in [0, 1]."""
        self._items[name].share = share
        self._draw()

    def finished(self, name: str, failed: bool) -> None:
        """A job ended."""
        item = self._items[name]
        if item.started is not None:
            self._spent_s += self._clock() - item.started
        item.done = True
        self._failed += failed
        self._draw()

    def say(self, message: str) -> None:
        """Write a message on its own line."""
        with self._lock:
            clear = "\r\x1b[K" if self._tty else ""
            self._write(f"{clear}{message}\n")
        self._draw()

    def line(self) -> str:
        """The line as it is now."""
        items = self._items.values()
        done = sum(item.done for item in items)
        total = sum(item.flops for item in items)
        flops = sum(item.flops * (1.0 if item.done else item.share) for item in items)
        parts = [f"{done}/{len(self._items)} trials"]
        if total:
            parts.append(f"{100 * flops / total:.0f} % of FLOPs")
        if done < len(self._items):
            parts.append(f"about {_duration(self.seconds_left())} left")
        if self._failed:
            parts.append(f"{self._failed} failed")
        return ", ".join(parts)

    def seconds_left(self) -> float:
        """Expected seconds until the last job ends, on the pace of the jobs so far."""
        items = self._items.values()
        expected_done = sum(i.expected_s for i in items if i.done)
        pace = self._spent_s / expected_done if expected_done > 0 and self._spent_s else 1.0
        now = self._clock()
        left = []
        for item in items:
            if not item.done:
                gone = 0.0 if item.started is None else now - item.started
                left.append(max(pace * item.expected_s - gone, 0.0))
        return max([sum(left) / self._workers, *left], default=0.0)

    def _redraw(self) -> None:
        while not self._closed.wait(REDRAW_S):
            self._draw()

    def _draw(self, final: bool = False) -> None:
        with self._lock:
            if self._tty:
                self._write(f"\r\x1b[K{self.line()}" + ("\n" if final else ""))
            elif final or self._clock() - self._last >= EVERY_S:
                self._last = self._clock()
                self._write(f"{self.line()}\n")

    def _write(self, text: str) -> None:
        """Write; a terminal that hung up, or a reader that is gone, ends no study."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
            self._stream.flush()


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
