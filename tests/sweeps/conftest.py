"""A small simulated study, and a clean cache, for every test of the sweep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scaling.models.families import FAMILIES

GRID = """\
study: small
corpus: {source: simulated/chinchilla, records: 4096}
stages:
  - pretrain:
      families: {simulated: [n1000, n4000, n16000]}
      data: [256, 512, 1024]
      recipe: {max_steps: 40, batch: 64, warmup_steps: 4}
      tasks: [simulated/shifted]
"""

SMALLEST = FAMILIES["resnet"].sizes[0]

WriteGrid = Callable[[str], Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("ECG_CACHE", str(folder))
    monkeypatch.delenv("ECG_ROOT_PTBXL", raising=False)
    return folder


@pytest.fixture
def write_grid(tmp_path: Path) -> WriteGrid:
    def write(text: str) -> Path:
        path = tmp_path / "grid.yaml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def grid(write_grid: WriteGrid) -> Path:
    return write_grid(GRID)
