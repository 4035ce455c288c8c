"""Which rows of a table are fitted: status, split, checkpoints, and what is said of the others."""

from __future__ import annotations

import pytest

from analysis.runs import read_runs
from tests.analysis.anyones import runs

PLAIN = runs()


def test_rows_of_an_unknown_word_are_left_out_and_named() -> None:
    frame = PLAIN.assign(
        split=["train"] * 20 + ["test"] * 3 + ["ood"] * 2,
        status=["finished"] * 18 + ["failed"] * 2 + ["frozen"] + ["finished"] * 4,
    )
    found = read_runs(frame)
    assert list(found.only().index) == list(range(18))
    assert list(found.held[""].index) == [21, 22]
    status, split = found.warnings
    assert status == (
        "1 row left out, whose status is not known: 'frozen' (1 row) in column status; --where "
        "status=frozen keeps such rows alone, --by status fits the rows of each value"
    )
    assert "2 rows left out, whose split is not known: 'ood' (2 rows) in column split" in split
    assert len(read_runs(frame, where={"split": "ood"}).only()) == 2
    each = read_runs(frame.drop(columns="status"), by=["split"])
    assert {k: len(v) for k, v in each.sets.items()} == {"train": 20, "test": 3, "ood": 2}
    assert not each.held and not each.warnings


@pytest.mark.parametrize(
    "word",
    ["timeout", "TIMED OUT", "NODE_FAIL", "OUT_OF_MEMORY", "out of memory", "preempting", "stopped",
     "aborted", "CANCELLED by 1004", "CANCELLED+", "KILLED", "crashed", "TERMINATED", "pruned"],
)  # fmt: skip
def test_runs_that_ended_early_are_left_out(word: str) -> None:
    found = read_runs(PLAIN.assign(status=["finished"] * 23 + [word] * 2))
    assert len(found.only()) == 23
    assert not found.warnings


def test_trials_that_ray_tune_terminated_are_finished() -> None:
    found = read_runs(PLAIN.assign(status=["TERMINATED"] * 23 + ["ERROR"] * 2))
    assert len(found.only()) == 23 and "2 left out (error)" in str(found)


def test_a_column_of_mostly_unknown_words_is_no_split() -> None:
    found = read_runs(PLAIN.assign(split=["north"] * 20 + ["test"] * 5, seed=0))
    assert sum(len(v) for v in found.sets.values()) == 25
    assert "split" not in found.chosen


def test_empty_cells_are_fitted_where_only_the_others_are_marked() -> None:
    found = read_runs(PLAIN.assign(split=[""] * 22 + ["test"] * 3, status=["failed"] + [""] * 24))
    assert list(found.only().index) == list(range(1, 22))
    assert len(found.held[""]) == 3
