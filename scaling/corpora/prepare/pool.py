"""Prepare the chunks of a corpus: in this process, and in more beside it where that pays."""

from __future__ import annotations

import collections
import multiprocessing
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from scaling.corpora.errors import WorkerDiedError
from scaling.corpora.prepare.chunks import Work, fill
from scaling.corpora.processes import AHEAD, DIED, one_thread, start_worker
from scaling.corpora.sources.read.base import Chunk

POOL_AFTER_S = 3.0  # less work than this is done before another process has started


def fill_all(
    todo: Mapping[int, Chunk], work: Work, workers: int, done: Callable[[int], None]
) -> list[str]:
    """Prepare chunks; whoever prepares one, the files it leaves are the same.

    Args:
        todo: index -> chunk.
        work: what each needs.
        workers: processes, at least 1.
        done: called with the number of records of each chunk that was read.

    Returns:
        The damaged records, in order of the chunks.

    Raises:
        CorpusError: a worker process died.
    """
    problems: dict[int, list[str]] = {}
    rest = dict(todo)
    records = sum(chunk.size for chunk in rest.values())
    began = time.monotonic()
    timed = 0
    for position, (i, chunk) in enumerate(todo.items()):
        problems[i] = fill(i, chunk, work)
        del rest[i]
        records -= chunk.size
        done(chunk.size)
        if position == 0:
            began = time.monotonic()  # the first chunk also paid for the imports
            continue
        timed += chunk.size
        left_s = (time.monotonic() - began) / timed * records
        if workers > 1 and left_s > POOL_AFTER_S:
            break
    if rest:
        problems |= _fill_with(min(workers - 1, len(rest)), rest, work, done)
    return [problem for i in sorted(problems) for problem in problems[i]]


def _fill_with(
    others: int, todo: Mapping[int, Chunk], work: Work, done: Callable[[int], None]
) -> dict[int, list[str]]:
    """Prepare with other processes; this one takes its share, so it need not wait for them."""
    context = multiprocessing.get_context("spawn")
    problems: dict[int, list[str]] = {}
    queue = collections.deque(todo.items())
    futures: dict[Future[list[str]], int] = {}
    with ProcessPoolExecutor(others, mp_context=context, initializer=start_worker) as pool:
        try:
            while queue or futures:
                while queue and len(futures) < AHEAD * others:
                    i, chunk = queue.popleft()
                    futures[pool.submit(_fill_alone, i, chunk, work)] = i
                if queue:
                    i, chunk = queue.popleft()
                    problems[i] = _fill_alone(i, chunk, work)
                    done(chunk.size)
                patience_s = 0 if queue else None
                for future in wait(futures, patience_s, FIRST_COMPLETED).done:
                    i = futures.pop(future)
                    problems[i] = future.result()
                    done(todo[i].size)
        except BrokenProcessPool:
            raise WorkerDiedError(f"preparing {work.spec.source}: {DIED}") from None
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return problems


def _fill_alone(index: int, chunk: Chunk, work: Work) -> list[str]:
    with one_thread():
        return fill(index, chunk, work)
