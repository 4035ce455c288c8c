"""Ctrl-C, SIGTERM and SIGHUP: the run ends, what is done is kept, and the next run goes on.

The first signal raises ``Interrupted`` where the run is, or, inside ``gently``, at the next
place where nothing is lost. A second Ctrl-C breaks off at once. Repetitions of the other two
are the shell's or the group's and say nothing new. Slurm, containers and spot machines kill
soon after they have asked, so there is a limit: records are complete or absent, hence nothing
is lost when it strikes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import types
from collections.abc import Callable, Iterator

from sweeps.errors import (
    BAD_CONFIGURATION,
    SOME_FAILED,
    ClusterError,
    ConfigurationError,
    StorageError,
    tell,
)

GRACE_S = 4.0  # for running trials to reach a place where they can stop
LIMIT_S = 9.0  # for the whole end
MOST = 2  # times that it raises: to end, and to break off; more would strike the end itself
LATE = "interrupted, tables not written; run the same command again to continue\n"
NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


class Interrupted(KeyboardInterrupt):
    """A signal asked the run to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def code_of(interrupt: KeyboardInterrupt) -> int:
    """The exit code of an interrupted run: 128 and the signal's number, as shells have it."""
    return 128 + getattr(interrupt, "number", signal.SIGINT)


class Interrupts:
    """What was asked for, and how it may be done where the main thread is."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.gentle = self.shielded = 0
        self.forced = False
        self.raised = 0
        self.over = threading.Event()

    def handle(self, number: int, frame: types.FrameType | None) -> None:
        """Handler of the signals."""
        first = self.number is None
        if first:
            self.number = number
            threading.Thread(target=self._end_in_time, daemon=True).start()
        if self.shielded or (first and self.gentle and not self.forced):
            return
        if (first or self.forced or number == signal.SIGINT) and self.raised < MOST:
            self.raised += 1
            raise Interrupted(self.number or number)

    def _end_in_time(self) -> None:
        if self.over.wait(GRACE_S):
            return
        self.forced = True
        if self.gentle and not self.shielded:
            main = threading.main_thread().ident
            assert main is not None
            signal.pthread_kill(main, self.number or signal.SIGINT)
        if not self.over.wait(LIMIT_S - GRACE_S):
            with contextlib.suppress(OSError):
                os.write(2, LATE.encode())
            os._exit(128 + (self.number or signal.SIGINT))


_current = Interrupts()


@contextlib.contextmanager
def handled(*, last: bool = False) -> Iterator[None]:
    """Handle the signals inside; those that are ignored (``nohup``) stay so.

    With ``last`` the process exits right after: once a signal has come, all are ignored from
    then on, so that a repetition does not replace the exit code.

    Does nothing outside the main thread, where Python takes no signals.
    """
    global _current  # noqa: PLW0603 - signals are of the process
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _current = Interrupts()
    numbers = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    for number, old in before.items():
        if old is not signal.SIG_IGN:
            signal.signal(number, _current.handle)
    try:
        yield
    finally:
        _current.over.set()
        _current.shielded += 1
        ignored = last and _current.number is not None
        for number, old in before.items():
            after = signal.SIG_DFL if old is None else old
            signal.signal(number, signal.SIG_IGN if ignored else after)
        _current = Interrupts()


@contextlib.contextmanager
def gently() -> Iterator[None]:
    """Inside, the first signal only makes ``requested`` true and ``check`` raise.

    After ``GRACE_S`` it raises all the same.
    """
    current = _current
    current.gentle += 1
    try:
        yield
    finally:
        current.gentle -= 1


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """Inside, no signal raises: for an end that must be made whole. It must be short."""
    current = _current
    current.shielded += 1
    try:
        yield
    finally:
        current.shielded -= 1


def requested() -> bool:
    """Whether a signal has asked the run to end."""
    return _current.number is not None


def take_no_more() -> None:
    """No signal raises from now on: the run is over but for its exit code."""
    _current.shielded += 1


def check() -> None:
    """Raise ``Interrupted`` when a signal has asked the run to end."""
    if _current.number is not None and not _current.shielded:
        raise Interrupted(_current.number)


def run_command(body: Callable[[], int], interrupted: str, *, last: bool = False) -> int:
    """Run a command and say how it ended where that was not well; returns its exit code.

    Args:
        body: what it does; gives the exit code.
        interrupted: what is said when a signal ended it.
        last: the process exits with the code, and signals that come again cannot change it.
    """
    with handled(last=last):
        try:
            code = _ended(body, interrupted)
            take_no_more()
        except KeyboardInterrupt as interrupt:  # in the end itself
            code = code_of(interrupt)
        return code


def _ended(body: Callable[[], int], interrupted: str) -> int:
    try:
        return body()
    except ConfigurationError as error:
        tell(str(error))
        return BAD_CONFIGURATION
    except (StorageError, ClusterError) as error:
        tell(str(getattr(error, "strerror", None) or error))
        return SOME_FAILED
    except KeyboardInterrupt as interrupt:
        with shielded():
            tell(interrupted)
        return code_of(interrupt)
