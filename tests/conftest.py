"""Fixtures shared by all tests."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that no worker is left alone with one at the end."""
    long, slow = (
        {item.path for item in items if item.get_closest_marker(mark)}
        for mark in ("timeout", "slow")
    )
    items.sort(key=lambda item: (item.path not in long, item.path not in slow))


def keep_what_there_is() -> None:
    """Do not look through it again at every collection of garbage.

    Each trial collects what it leaves, and in a process with all of torch that took half of the
    time of a small one.
    """
    gc.collect()
    gc.freeze()


def pytest_collection_finish() -> None:
    """Modules are imported by now."""
    keep_what_there_is()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real recordings beside the checkout; tests that need it skip without it."""
    folder = Path(__file__).resolve().parents[1] / "../shared"
    if not folder.is_dir():
        pytest.skip("the folder of real recordings (../shared) is not here")
    return folder.resolve()


@pytest.fixture(scope="session")
def trials_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the corpus and the codebook of the small trials, prepared once."""
    from tests.scaling.training.trials import prepare

    cache = tmp_path_factory.mktemp("trials")
    prepare(cache)
    keep_what_there_is()  # and what the first trial imports
    return cache
