"""Counted ladders and measured speeds, and what becomes of them on a bad disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scaling.cost import Counts
from scaling.identity import Training
from scaling.numerics import NUMERICS
from sweeps.plan.cost import FEWEST_STEPS, Ladder, Speeds, speed_key
from tests.sweeps.study import plan_of


@pytest.fixture
def training(grid: Path) -> Training:
    return plan_of(grid).trials[0].job.training


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What was counted: sizes and labels."""
    calls: list[tuple[str, int]] = []

    def count(training: Training, labels: int) -> Counts:
        calls.append((training.size, labels))
        return Counts(params={"backbone": 7, "head": 1}, macs=11, macs_full=12, bytes=32)

    monkeypatch.setattr("sweeps.plan.cost.count_training", count)
    return calls


def counts(cache: Path, training: Training, labels: int = 6) -> Counts:
    ladder = Ladder(cache)
    found = ladder.counts(training, labels)
    ladder.save()
    return found


def test_a_size_is_counted_once(
    training: Training, tmp_path: Path, counted: list[tuple[str, int]]
) -> None:
    first = counts(tmp_path, training)
    assert counts(tmp_path, training) == first
    assert counted == [("n1000", 6)]


def test_it_is_counted_again_when_something_it_depends_on_changes(
    training: Training,
    tmp_path: Path,
    counted: list[tuple[str, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts(tmp_path, training)
    counts(tmp_path, training, labels=5)
    monkeypatch.setitem(NUMERICS, "simulated", 99)
    counts(tmp_path, training)
    assert len(counted) == 3


@pytest.mark.parametrize("content", ["", "[1, 2]", '{"half'])
def test_a_damaged_cache_is_counted_anew(
    content: str, training: Training, tmp_path: Path, counted: list[tuple[str, int]]
) -> None:
    (tmp_path / "ladder.json").write_text(content)
    counts(tmp_path, training)
    assert len(counted) == 1
    assert len(json.loads((tmp_path / "ladder.json").read_text())) == 1


def test_a_cache_that_cannot_be_written_is_no_error(
    training: Training, tmp_path: Path, counted: list[tuple[str, int]]
) -> None:
    (tmp_path / "file").write_text("a file, not a folder")
    assert counts(tmp_path / "file", training).macs == 11
    assert len(counted) == 1


def test_two_plans_at_once_keep_what_both_counted(
    training: Training, tmp_path: Path, counted: list[tuple[str, int]]
) -> None:
    first, second = Ladder(tmp_path), Ladder(tmp_path)
    first.counts(training, 5)
    second.counts(training, 6)
    first.save()
    second.save()
    assert len(json.loads((tmp_path / "ladder.json").read_text())) == len(counted) == 2


def record(training: Training, steps: int, seconds: float) -> dict[str, Any]:
    return {"config": training.to_dict(), "trial": {"steps": steps, "duration_s": seconds}}


def test_speed_is_the_median_and_outlives_the_study(training: Training, tmp_path: Path) -> None:
    Speeds(tmp_path).learn([record(training, 100, s) for s in (1.0, 2.0, 50.0)], save=True)
    speeds = Speeds(tmp_path)
    assert speeds.step_s(training) == 0.02
    assert speeds.expected_s(training, macs=1) == pytest.approx(0.02 * 40)


def test_short_and_unfinished_trials_teach_nothing(training: Training, tmp_path: Path) -> None:
    speeds = Speeds(tmp_path)
    speeds.learn([record(training, FEWEST_STEPS - 1, 9.0), record(training, 0, 9.0)])
    assert speeds.step_s(training) is None
    few, many = (speeds.expected_s(training, macs=macs) for macs in (10**6, 10**8))
    assert 0 < few < many


def test_speed_depends_on_batch_and_not_on_data(change: Any, training: Training) -> None:
    assert speed_key(training) == speed_key(change(training, data=9, seed=9))
    assert speed_key(training) != speed_key(change(training, batch=9))


def test_what_an_older_version_took_is_not_expected_again(
    change: Any, training: Training, tmp_path: Path
) -> None:
    old, new = (
        change(training, numerics=[["corpora.virtual", 1], ["simulated", 1], ["training", n]])
        for n in (1, 2)
    )
    Speeds(tmp_path).learn([record(old, 100, 9.0)], save=True)
    assert Speeds(tmp_path).step_s(old) == 0.09
    assert Speeds(tmp_path).step_s(new) is None
    redrawn = change(old, numerics=[["corpora.virtual", 9], *old.numerics[1:]])
    assert Speeds(tmp_path).step_s(redrawn) == 0.09


@pytest.fixture
def change() -> Any:
    def copy(training: Training, batch: int | None = None, **fields: Any) -> Training:
        value = training.to_dict() | fields
        if batch is not None:
            value["recipe"] |= {"batch": batch}
        return Training.from_dict(value)

    return copy
