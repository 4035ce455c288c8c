"""Processes beside this one: results in order, one thread each, and what may go wrong with them."""

from __future__ import annotations

import collections
import contextlib
import itertools
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import TypeVar

from threadpoolctl import threadpool_limits

from scaling.corpora.errors import CorpusError, WorkerDiedError

Item = TypeVar("Item")
Result = TypeVar("Result")

GUARD = 'if __name__ == "__main__":'
DIED = (
    "a worker process was killed (out of memory, or a script that calls prepare without "
    f"{GUARD}?); what is done is kept: prepare again, with fewer workers"
)
AHEAD = 2  # items handed to each process, so that it need not wait for this one


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch and linear algebra, while processes share the cores.

    Two processes of two threads each, on two cores, took three to four times as long.
    """
    torch = sys.modules.get("torch")  # files are read without it
    before = torch.get_num_threads() if torch else 0
    if torch:
        torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        if torch:
            torch.set_num_threads(before)


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Generator[Result, None, None]:
    """Results of a function in the order of the items, as ``map`` gives them, some made ahead.

    Args:
        function: of a module, so that another process finds it.
        items: what it is called with; taken as they are needed, so they may go on for ever.
        workers: processes, at least 1: this one, and those beside it.

    Raises:
        CorpusError: a worker process died.
    """
    if workers == 1:
        yield from map(function, items)
        return
    coming, others = iter(items), workers - 1
    waiting: collections.deque[Future[Result]] = collections.deque()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(others, context, start_worker) as pool:

        def hand_out() -> None:
            busy = sum(not future.done() for future in waiting)
            for item in itertools.islice(coming, max(0, AHEAD * others - busy)):
                waiting.append(pool.submit(function, item))

        def make_one() -> bool:
            for item in itertools.islice(coming, 1):
                own: Future[Result] = Future()
                try:
                    own.set_result(function(item))
                except Exception as error:
                    own.set_exception(error)  # raised when its turn comes
                waiting.append(own)
                return True
            return False

        try:
            hand_out()
            while waiting:
                # Rather than wait for the first, this process makes one of the next itself.
                room = len(waiting) < 2 * AHEAD * workers
                if room and not waiting[0].done() and make_one():
                    hand_out()
                    continue
                yield waiting.popleft().result()
                hand_out()
        except BrokenProcessPool:
            raise WorkerDiedError(DIED) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def refuse_while_importing() -> None:
    """Stop a worker that runs the user's script again, as it imports it, and would wait for ever.

    Raises:
        CorpusError: this process is such a worker.
    """
    # What multiprocessing itself looks at before it starts a process; here it has to be sooner,
    # as the corpus is locked by the very process that waits for this one.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise CorpusError(
            "a worker process imports the script that started it, and there meets prepare again: "
            f"put what the script does under {GUARD}"
        )


def start_worker() -> None:
    """Leave Ctrl-C to the parent, and end when the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def available_cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
