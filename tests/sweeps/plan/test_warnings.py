"""What looks wrong with a plan: this machine, and its prepared corpora."""

from __future__ import annotations

import types
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sweeps.grid.load import load_grid
from sweeps.plan import warnings as plan_warnings
from sweeps.plan.corpora import find_corpora
from sweeps.plan.warnings import empty_classes, lost_heartbeats
from tests.sweeps.conftest import WriteGrid
from tests.sweeps.study import plan_of

GRID = """\
study: look
corpus: {source: virtual/code, records: 64, validation: 16, test: 16, window_s: 5}
stages:
  - pretrain:
      families: {FAMILIES}
      data: [64]
      recipe: {precision: bf16}
"""
BEATS = 11  # in each of 12 leads: more than 128 together


class Two(types.SimpleNamespace):
    """Two records of each split; class b has no positive record in test, class c in none."""

    r_peak_offsets = np.array([0, BEATS, BEATS + 2])
    signals = np.zeros((2, 12, 500), np.int16)
    leads = tuple("abcdefghijkl")

    def __len__(self) -> int:
        return 2

    def labels(self, task: str) -> NDArray[np.uint8]:
        return np.array([[1, 1, 0], [1, 0, 0]], np.uint8)

    def classes(self, task: str) -> tuple[str, ...]:
        return ("a", "b", "c")

    def rows(self, split: str, task: str) -> NDArray[np.int64]:
        return np.array([1] if split == "test" else [0, 1])


@pytest.fixture(autouse=True)
def prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scaling.corpora.registry.corpus_folder", lambda spec, cache: cache)
    monkeypatch.setattr("scaling.corpora.format.corpus.Corpus.open", lambda folder: Two())


def test_heartbeats_beyond_the_slots_are_counted(write_grid: WriteGrid, tmp_path: Path) -> None:
    plan = plan_of(write_grid(GRID.replace("FAMILIES", "transformer: [l1d8h1t128, l1d24h1]")))
    (line,) = lost_heartbeats(plan.jobs, tmp_path)
    assert line.startswith("virtual/code: 1 of 2 records (50.0%) have more than 128 heartbeats")
    assert "l in 1" in line
    other = plan_of(write_grid(GRID.replace("FAMILIES", "resnet: [d2w6]")))
    assert list(lost_heartbeats(other.jobs, tmp_path)) == []


def test_classes_without_a_positive_record_are_named(write_grid: WriteGrid, tmp_path: Path) -> None:
    grid = write_grid(GRID.replace("FAMILIES", "resnet: [d2w6]"))
    lines = list(empty_classes(find_corpora(load_grid(grid), {}), tmp_path))
    assert [line.partition(";")[0] for line in lines] == [
        "virtual/code: 1 of 3 classes have no positive record in train (c)",
        "virtual/code: 1 of 3 classes have no positive record in validation (c)",
        "virtual/code: 2 of 3 classes have no positive record in test (b, c)",
    ]


@pytest.mark.parametrize(
    ("flags", "times"),
    [
        ("sse avx2", "3 to 11"),
        ("avx2 avx_ne_convert", "3 to 11"),
        ("avx512f avx512bw", "1 to 3"),
        ("avx512f avx512bw avx512_bf16", None),
        ("", None),
    ],
)
def test_bf16_where_there_is_none(
    flags: str,
    times: str | None,
    write_grid: WriteGrid,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : {flags}\n")
    monkeypatch.setattr(plan_warnings, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(plan_warnings, "NVIDIA", tmp_path / "none")
    plan = plan_of(write_grid(GRID.replace("FAMILIES", "resnet: [d2w6]")))
    found = [warning for warning in plan.warnings if "bf16" in warning]
    if times is None:
        assert not found
        return
    (warning,) = found
    assert f"a training step took {times} times as long as in float32" in warning
    assert warning.endswith("set precision: float32 in the recipe")
