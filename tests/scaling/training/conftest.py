"""A store for the small trials."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaling.workspace import Workspace
from tests.scaling.training.trials import workspace


@pytest.fixture
def trials(tmp_path: Path, trials_cache: Path) -> Workspace:
    return workspace(tmp_path / "store", trials_cache)
