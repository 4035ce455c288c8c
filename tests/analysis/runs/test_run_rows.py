"""Which rows of a table are fitted: status, split, checkpoints, and what is said of the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import fit_law
from analysis.runs.read import RunsError, read_runs
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


def checkpoints(*steps: int, frame: pd.DataFrame = PLAIN) -> pd.DataFrame:
    """Every run at each of the steps, the loss falling to its last; no column of runs or seeds."""
    rows = frame.drop(columns="seed")
    parts = [rows.assign(step=s, loss=rows["loss"] * (1 + 0.1 * (steps[-1] - s))) for s in steps]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("run", [None, "sweep"])
def test_checkpoints_without_names_of_runs_give_their_last(run: str | None) -> None:
    frame = checkpoints(1, 2, 3)
    found = read_runs(frame if run is None else frame.assign(run=run))
    np.testing.assert_allclose(found.only()["loss"], PLAIN["loss"], rtol=1e-15)
    assert (
        "checkpoints: 25 runs used at their last step, 50 rows of earlier steps at the same N and "
        "D left out, since every N and D has the same in column step (--by step fits each step)"
    ) in found.took
    assert not found.warnings
    assert list(read_runs(frame, by=["step"]).sets) == ["1", "2", "3"]


def test_checkpoints_of_two_corpora_are_told_apart() -> None:
    web, code = checkpoints(1, 2), checkpoints(4, 5, 6, frame=runs(shift=0.5))
    both = pd.concat([web.assign(corpus="web"), code.assign(corpus="code")], ignore_index=True)
    found = read_runs(both)
    np.testing.assert_allclose(found.sets["web"]["loss"], PLAIN["loss"], rtol=1e-15)
    np.testing.assert_allclose(found.sets["code"]["loss"], runs(shift=0.5)["loss"], rtol=1e-15)
    one = read_runs(pd.concat([web[web["step"] == 1].assign(corpus="web"),
                               code[code["step"] == 6].assign(corpus="code")]))  # fmt: skip
    assert [len(v) for v in one.sets.values()] == [25, 25]


def test_rows_that_differ_in_their_step_without_a_pattern_are_fitted_and_doubted() -> None:
    seeds = runs(seeds=3).drop(columns="seed")
    frame = seeds.assign(steps=np.random.default_rng(0).integers(900, 1000, len(seeds)))
    found = read_runs(frame)
    assert len(found.only()) == 75
    (doubt,) = found.warnings
    assert doubt == (
        "column steps differs between rows of one N and D, at 25 of 25 of them, and all rows are "
        "fitted: where they are checkpoints, a column run that names the run of each row leaves "
        "the last of each, and --where steps=VALUE keeps one step"
    )


@pytest.mark.parametrize("named", [True, False])
def test_an_empty_step_does_not_switch_checkpoints_off(named: bool) -> None:
    frame = checkpoints(1, 2, 3).astype({"step": "float64"})
    if named:
        frame["run"] = [f"r{i % 25}" for i in range(75)]
    frame.loc[30, "step"] = np.nan
    found = read_runs(frame)
    np.testing.assert_allclose(found.only()["loss"], PLAIN["loss"], rtol=1e-15)
    assert found.warnings == (
        "1 row without a step left out, as others of the same run have one: row 30",
    )
    assert any("25 runs used at their last step, 49 rows of earlier" in t for t in found.took)


def test_a_step_called_final_is_the_last() -> None:
    frame = checkpoints(1, 2, 3).astype({"step": "object"}).replace({"step": {3: "final"}})
    for own in (frame, frame.assign(run=[f"r{i % 25}" for i in range(75)])):
        found = read_runs(own)
        np.testing.assert_allclose(found.only()["loss"], PLAIN["loss"], rtol=1e-15)
        assert not found.warnings


def test_so_few_runs_count_no_more_in_a_file_than_in_a_frame() -> None:
    names = {"N": "params", "D": "tokens"}
    frame = PLAIN.drop(columns="seed").assign(run=[f"r{n:.0f}" for n in PLAIN["N"]])
    said = (
        "column run names 5 runs for 5 parameters: rows count as independent, and intervals are "
        "too narrow where they are not"
    )
    found = read_runs(frame.rename(columns=names))
    assert found.warnings == (said,) and "trial" not in found.only()
    own, renamed = fit_law(frame, n_boot=0), fit_law(frame.rename(columns=names), n_boot=0)
    assert own.params == pytest.approx(renamed.params, rel=1e-9)
    assert own.warnings.count(said) == renamed.warnings.count(said) == 1
    named = read_runs(frame.rename(columns={"run": "trial"}))  # taken at its word
    assert named.only()["trial"].nunique() == 5 and not named.warnings


@pytest.mark.parametrize("run", [False, True])
def test_checkpoints_in_a_frame_of_n_d_and_loss_are_fitted_and_doubted(run: bool) -> None:
    frame = checkpoints(1, 2, 3)
    if run:
        frame["run"] = [f"r{i % 25}" for i in range(75)]
    fit = fit_law(frame, n_boot=0)
    assert len(fit.rows) == 75
    by = "['N', 'D', 'run']" if run else "['N', 'D']"
    (doubt,) = [w for w in fit.warnings if "column step" in w]
    assert "at 25 of 25 of them: all 75 rows are fitted" in doubt
    advice = f"frame[frame['step'] == frame.groupby({by})['step'].transform('max')]"
    assert advice in doubt
    last = eval(advice, {"frame": frame})
    np.testing.assert_allclose(last["loss"], PLAIN["loss"], rtol=1e-15)


def test_steps_that_follow_from_the_data_are_not_doubted() -> None:
    frame = PLAIN.drop(columns="seed")
    for step in (frame["D"] / 1e6, 7):
        assert not [w for w in fit_law(frame.assign(step=step), n_boot=0).warnings if "step" in w]
    seeds = runs(seeds=2)
    stopped = seeds.assign(step=np.random.default_rng(0).integers(900, 1000, len(seeds)))
    assert not [w for w in fit_law(stopped, n_boot=0).warnings if "step" in w]


def test_a_data_set_that_is_all_held_out_is_named() -> None:
    web, code = PLAIN.assign(corpus="web", split="fit"), runs(shift=0.5).assign(corpus="code")
    both = pd.concat([web, code.assign(split="test")], ignore_index=True)
    found = read_runs(both)
    assert list(found.sets) == ["web"]
    assert "1 data set by column corpus, one fit each: web" in found.took
    assert found.warnings == (
        "data set code has 25 rows, all held out by column split (test): it is neither fitted nor "
        "predicted; --where 'corpus=code' fits it",
    )
    assert len(read_runs(both, where={"corpus": "code"}).only()) == 25


def test_held_out_rows_alone_are_refused_where_those_to_fit_lack_a_number() -> None:
    frame = PLAIN.assign(split=["fit"] * 20 + ["test"] * 5)
    frame.loc[:19, "loss"] = np.nan
    with pytest.raises(RunsError, match="no row to fit has all of N, D, loss: the 5 that have"):
        read_runs(frame)


def test_no_row_that_is_left_is_explained() -> None:
    frame = PLAIN.assign(split=["fit"] * 5 + ["dropped"] * 20, status=["failed"] * 5 + ["ok"] * 20)
    with pytest.raises(RunsError, match=r"no row is left: .* 5 left out \(failed\), 20 .*20 left"):
        read_runs(frame)


def test_a_split_that_says_which_loss_of_a_run_is_doubted() -> None:
    plain = PLAIN.rename(columns={"N": "params"})
    named = plain.assign(run=[f"r{i}" for i in range(25)])
    for frame in (plain, named):
        val = frame.assign(split="val", loss=frame["loss"] + 0.1)
        both = pd.concat([frame.assign(split="train"), val], ignore_index=True)
        found = read_runs(both)
        (doubt,) = found.warnings
        assert doubt.startswith("all 25 rows that column split holds out repeat ")
        assert "seed, params, D of rows that are fitted" in doubt
        assert doubt.endswith("loss of a run a row has, --where 'split=val' fits those")
        own = read_runs(both, where={"split": "val"})
        np.testing.assert_allclose(own.only()["loss"], val["loss"], rtol=1e-15)
        assert not own.warnings
    others = named.assign(split=["test" if i % 5 == 4 else "fit" for i in range(25)])
    assert not read_runs(others).warnings


@pytest.mark.parametrize("column", ["run", "trial"])
def test_checkpoints_are_one_run_where_only_d_is_known(tmp_path: Path, column: str) -> None:
    """D of a run moves where it is what is seen; a file and a frame have one answer."""
    d = np.tile(np.geomspace(1e3, 1e6, 6), 5)
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(len(d)))
    loss = (0.3 + d**-0.3) * noise
    frame = pd.DataFrame({"D": d, column: np.repeat(np.arange(5), 6), "loss": loss})
    path = tmp_path / "runs.csv"
    frame.to_csv(path, index=False)
    for data in (path, frame):
        fit = fit_law(data, "d_law", n_boot=0)
        assert fit.problem.drawn[1] == 5, fit.notes
