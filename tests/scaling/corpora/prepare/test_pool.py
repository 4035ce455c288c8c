"""A map whose results are made ahead, by this process and others."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from scaling.corpora.errors import CorpusError
from scaling.corpora.processes import in_order, one_thread


def slow_square(i: int) -> tuple[int, int]:
    """The square, later for every third, and who made it."""
    time.sleep(0.02 if i % 3 else 0.1)
    return i * i, os.getpid()


def broken(i: int) -> int:
    if multiprocessing.parent_process() is not None:
        time.sleep(0.2)  # so that the other process meets the five first
    if i == 5:
        raise ValueError("five")
    return i


def deadly(i: int) -> int:
    if multiprocessing.parent_process() is not None:
        os._exit(3)
    return i


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_order_and_others_help(workers: int) -> None:
    found = list(in_order(slow_square, range(60), workers))
    assert [square for square, _ in found] == [i * i for i in range(60)]
    made = Counter(who for _, who in found)
    assert os.getpid() in made and (len(made) == 1) == (workers == 1)


def test_items_without_end_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for i in itertools.count():
            taken.append(i)
            yield i

    results = in_order(slow_square, items(), 2)
    assert [square for square, _ in itertools.islice(results, 5)] == [0, 1, 4, 9, 16]
    results.close()
    assert len(taken) < 20


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_comes_in_its_turn(workers: int) -> None:
    results, before = in_order(broken, range(20), workers), []
    with pytest.raises(ValueError, match="five"):
        for found in results:
            before.append(found)
    assert before == [0, 1, 2, 3, 4]
    assert list(in_order(broken, (), workers)) == []


def test_a_worker_that_dies_is_said() -> None:
    with pytest.raises(CorpusError, match="a worker process was killed"):
        list(in_order(deadly, range(50), 2))


def threads() -> set[int]:
    """Of torch and of the linear algebra of numpy and scipy."""
    return {torch.get_num_threads(), *(int(found["num_threads"]) for found in threadpool_info())}


def test_processes_that_share_the_cores_have_one_thread_each() -> None:
    np.linalg.solve(np.eye(3), np.ones(3))
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        outside = threads()
        with pytest.raises(RuntimeError), one_thread():
            assert threads() == {1}
            raise RuntimeError
        assert threads() == outside and 3 in outside
    finally:
        torch.set_num_threads(before)
