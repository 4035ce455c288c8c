"""What counts as independent: runs, not checkpoints; one of several copies; cells, not seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import fit_law
from analysis.checks.held_out import leave_out_largest
from analysis.fit.bootstrap import corrected
from analysis.laws import LAWS, FloatArray, get
from analysis.studies.clusters import cells, joined_clusters, restarts, run_column, trajectories

LAW, TRUTH = get("d_law"), np.array([0.25, 4.0, 0.35])
GRID = np.geomspace(256, 65536, 12)
SEEDS = 3


def world(seed: int, cell: float, own: float, seeds: int = SEEDS) -> dict[str, FloatArray]:
    """Seeds of 12 data sizes that share an error of their cell, and have one of their own."""
    rng = np.random.default_rng([2026, seed])
    d = np.repeat(GRID, seeds)
    error = np.repeat(cell * rng.standard_normal(len(GRID)), seeds)
    error += own * rng.standard_normal(len(d))
    return {"D": d, "loss": LAW.value(TRUTH, d[:, None]) * np.exp(error)}


def copied(data: dict[str, FloatArray], times: int) -> dict[str, FloatArray]:
    return {k: np.tile(v, times) for k, v in data.items()}


def test_seeds_that_share_an_error_are_one_cluster_and_it_is_said() -> None:
    fit = fit_law(world(0, 0.02, 0.005), "d_law", n_boot=0)
    assert fit.problem.dof == 12 - 3
    assert any("12 clusters, not 36 rows, count as independent" in w for w in fit.warnings)


def test_seeds_with_errors_of_their_own_are_runs() -> None:
    found = [fit_law(world(s, 0.0, 0.01), "d_law", n_boot=0).problem.dof for s in range(10)]
    assert found.count(36 - 3) >= 8  # one in 20 is taken for cells by chance
    assert set(found) <= {36 - 3, 12 - 3}


def test_trials_do_not_hide_that_seeds_share_an_error() -> None:
    data = world(0, 0.02, 0.005)
    trial = [f"t{i}" for i in range(36)]
    assert fit_law({**data, "trial": trial}, "d_law", n_boot=0).problem.dof == 12 - 3
    pooled = fit_law({**data, "trial": trial}, "d_law", n_boot=0, pool=trial)
    assert pooled.problem.dof == 36 - 3  # resamples are shared with other laws, run by run


def test_of_copies_in_a_pool_no_more_is_said_than_is_done() -> None:
    data = copied(world(0, 0.0, 0.01, seeds=1), 3)
    trial = [f"t{i}" for i in range(36)]
    apart = fit_law({**data, "trial": trial}, "d_law", n_boot=0, pool=trial)
    assert apart.problem.dof == 36 - 3
    said = [w for w in apart.warnings if w.startswith("24 rows repeat")]
    assert len(said) == 1 and "with a pool every trial counts as independent" in said[0]
    one = [f"t{i % 12}" for i in range(36)]
    told = fit_law({**data, "trial": one}, "d_law", n_boot=0, pool=trial[:12])
    assert told.problem.dof == 12 - 3
    said = [w for w in told.warnings if w.startswith("24 rows repeat")]
    assert len(said) == 1 and said[0].endswith("they do not count as independent")


@pytest.mark.slow
def test_intervals_cover_where_seeds_share_an_error() -> None:
    """By ``fit.intervals`` and ``predict``; see ``docs/fitting.md``."""
    names, hits = LAW.names, []
    at = np.array([2048.0, 65536.0])
    truth = LAW.value(TRUTH, at[:, None])
    for seed in range(60):
        fit = fit_law(world(seed, 0.02, 0.005), "d_law", n_boot=100, seed=seed)
        table = fit.predict(D=at)
        inside = (table["mean_low"] <= truth) & (truth <= table["mean_high"])
        own = [fit.intervals[n].covers(float(t)) for n, t in zip(names, TRUTH, strict=True)]
        hits.append([*own, *inside])
    shares = np.mean(hits, axis=0)
    # 200 worlds give 0.915 to 0.95, these 0.87 to 0.95; rows as runs give 0.60 to 0.75.
    assert shares.mean() >= 0.85 and shares.min() >= 0.78, shares


def test_copies_count_once() -> None:
    once = world(0, 0.0, 0.01, seeds=1)
    first, thrice = (fit_law(d, "d_law", n_boot=100) for d in (once, copied(once, 3)))
    assert first.problem.dof == thrice.problem.dof == 12 - 3
    assert thrice.scatter == pytest.approx(first.scatter, rel=0.05)
    for name in LAW.names:
        widths = [f.intervals[name].high - f.intervals[name].low for f in (first, thrice)]
        assert widths[1] == pytest.approx(widths[0], rel=0.35)
    assert any("24 rows repeat" in w and "not count as independent" in w for w in thrice.warnings)


def test_as_many_copies_as_are_wanted_are_no_runs() -> None:
    few = {k: v[:3] for k, v in world(0, 0.0, 0.01, seeds=1).items()}
    fit = fit_law(copied(few, 4), "d_law", n_boot=0)
    assert not fit.ok and "3 runs for 3 parameters" in fit.remarks


def test_the_mean_of_seeds_that_share_an_error_is_as_wide_as_one_of_them() -> None:
    fit = fit_law(world(1, 0.02, 0.002), "d_law", n_boot=100)
    held = leave_out_largest(fit)
    whole = fit_law(world(1, 0.0, 0.02), "d_law", n_boot=100)
    apart = leave_out_largest(whole)
    assert len(held.losses) == len(apart.losses) == SEEDS
    widths = [np.log(h.interval.high / h.interval.low) for h in (held, apart)]
    assert widths[0] > widths[1]


def test_checkpoints_of_a_named_run_are_one() -> None:
    data = pd.DataFrame(world(0, 0.01, 0.0))
    for column in ("trial", "Run", "run_id", "model", "name"):
        own = data.assign(**{column: [f"r{i // SEEDS}" for i in range(len(data))]})
        fit = fit_law(own, "d_law", n_boot=0)
        assert fit.problem.dof == 12 - 3, column
        assert fit.rows["trial"].nunique() == 12
    assert "12 runs, by column name" in fit.notes


def test_a_column_that_names_sizes_or_single_rows_names_no_runs() -> None:
    rows = pd.DataFrame({"N": np.repeat([1e6, 1e7, 1e8, 1e9, 2e9, 5e9], 4)})
    rows = rows.assign(D=np.tile([1e9, 2e9, 4e9, 8e9], 6), loss=1.0)
    sizes = rows.assign(model=rows["N"].map("{:g}".format))
    law = LAWS["chinchilla"]
    assert run_column(sizes, law) is None
    assert run_column(sizes, LAWS["error_law"]) == "model"
    assert run_column(rows.assign(name=[f"m{i}" for i in range(24)]), law) is None
    assert run_column(rows.assign(model=["a", "b"] * 12), law) is None
    assert run_column(rows.assign(run=[f"m{i}" for i in range(24)]), law) == "run"
    assert not trajectories(sizes, law)


def test_too_few_named_runs_are_said() -> None:
    data = pd.DataFrame(world(0, 0.0, 0.01)).assign(run=["a", "b"] * 18)
    fit = fit_law(data, "d_law", n_boot=0)
    assert fit.ok
    assert any("column run names 2 runs for 3 parameters" in w for w in fit.warnings)


def test_a_course_of_rows_without_a_name_is_suspected() -> None:
    steps = np.geomspace(1e4, 1e6, 12)
    rows = pd.DataFrame({"N": np.repeat([1e6, 1e7, 1e8], 12), "D": 1e5, "S": np.tile(steps, 3)})
    loss = LAWS["samples"].value(np.array([0.2, 5.0, 0.3, 9.0, 0.3]), rows[["N", "S"]].to_numpy())
    fit = fit_law(rows.assign(loss=loss), "samples", n_boot=0)
    said = [w for w in fit.warnings if "each along a course of S" in w]
    assert said and said[0].startswith("36 rows hold 3 pairs of N and D")
    named = fit_law(rows.assign(loss=loss, run=rows["N"]), "samples", n_boot=0)
    assert any("names 3 runs for 5 parameters" in w for w in named.warnings)
    mixed = rows.sample(frac=1.0, random_state=0)
    assert not trajectories(mixed, LAWS["samples"])


def test_clusters_join_what_either_holds_together() -> None:
    found = joined_clusters(np.array([0, 0, 1, 2, 3]), np.array([4, 5, 5, 6, 7]))
    assert found.tolist() == [0, 0, 0, 1, 2]


def test_the_test_for_cells_needs_freedom() -> None:
    x = np.repeat(np.arange(1.0, 5.0), 3)[:, None]
    runs, residual = np.arange(12), np.repeat([1.0, -1.0, 1.0, -1.0], 3)
    residual = residual + 0.01 * np.random.default_rng(0).standard_normal(12)
    response = 10.0 + residual
    assert cells(x, response, runs, residual, 3)[0].max() == 3
    assert cells(x, response, runs, residual, 4)[0].max() == 11  # cells fit exactly
    assert cells(x, response, runs, 1e-13 * residual, 3)[0].max() == 11  # rounding
    assert cells(x[::3], response[::3], runs[:4], residual[::3], 3)[1] == []  # one row a cell


def test_residuals_of_a_run_are_corrected_together() -> None:
    rng = np.random.default_rng(0)
    jacobian, residual = rng.standard_normal((9, 2)), rng.standard_normal(9)
    runs = np.array([0, 0, 0, 1, 2, 2, 3, 4, 5])
    hat = jacobian @ np.linalg.pinv(jacobian)
    expected = np.empty(9)
    for run in range(6):
        rows = np.flatnonzero(runs == run)
        block = np.eye(len(rows)) - hat[np.ix_(rows, rows)]
        expected[rows] = np.linalg.solve(block, residual[rows])
    np.testing.assert_allclose(corrected(residual, jacobian, runs), expected, rtol=1e-10)


@pytest.mark.parametrize("column", ["run", "id", "Run_ID"])
def test_a_number_that_restarts_in_every_size_names_no_run(column: str) -> None:
    rng = np.random.default_rng(5)
    rows = pd.DataFrame({"N": np.repeat(np.geomspace(1e4, 1e7, 5), 6)})
    rows = rows.assign(D=np.tile(np.geomspace(1e3, 1e6, 6), 5))
    truth = np.array([0.3, 5.0, 0.4, 4.0, 0.35])
    loss = LAWS["chinchilla"].value(truth, rows[["N", "D"]].to_numpy())
    rows["loss"] = loss * np.exp(0.01 * rng.standard_normal(30))
    again = rows.assign(**{column: np.tile(np.arange(6), 5)})
    plain, found = (fit_law(r, "chinchilla", n_boot=20) for r in (rows, again))
    assert found.problem.dof == plain.problem.dof == 30 - 5
    assert found.intervals == plain.intervals
    said = f"column {column} holds several N under one value"
    assert any(said in w and "rows count as independent" in w for w in found.warnings)
    assert not any("runs, by column" in n for n in found.notes)
    named = fit_law(rows.assign(**{column: np.arange(30) // 3}), "chinchilla", n_boot=0)
    assert named.problem.dof == 10 - 5 and f"10 runs, by column {column}" in named.notes


def test_a_column_that_restarts_gives_way_to_one_that_names_runs() -> None:
    rows = pd.DataFrame({"N": np.repeat(np.geomspace(1e4, 1e7, 8), 4), "D": 1e5})
    rows = rows.assign(S=np.tile([1e5, 2e5, 4e5, 8e5], 8), loss=1.0, run=np.arange(32) % 7)
    law = LAWS["samples"]
    assert run_column(rows, law) is None
    assert run_column(rows.assign(id=np.arange(32) // 4), law) == "id"
    family = rows.assign(model=[f"family {i % 8}" for i in range(32)])
    assert run_column(family, law) is None  # a family of several sizes is no run
    repeated = rows.assign(N=1e5, D=np.repeat(np.geomspace(1e4, 1e7, 8), 4))
    assert restarts(repeated, "run", LAWS["data_constrained"]) == "D"
    assert restarts(repeated, "run", law) is None  # D of a run moves where it is what is seen
