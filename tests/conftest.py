"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that no worker is left alone with one at the end."""
    long, slow = (
        {item.path for item in items if item.get_closest_marker(mark)}
        for mark in ("timeout", "slow")
    )
    items.sort(key=lambda item: (item.path not in long, item.path not in slow))


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
    return cache
