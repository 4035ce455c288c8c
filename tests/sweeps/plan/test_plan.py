"""The plan: which trials, what of them is missing, and what they cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaling.identity import Training
from sweeps.plan.cost import makespan
from sweeps.plan.plan import Plan
from sweeps.plan.text import full_text
from tests.sweeps.conftest import GRID, WriteGrid
from tests.sweeps.study import ids_of, plan_of, run, store_of


def trainings(plan: Plan) -> list[Training]:
    return [planned.job.training for planned in plan.trials]


def test_axes_are_crossed_and_each_trial_is_measured(grid: Path) -> None:
    plan = plan_of(grid)
    assert {(t.size, t.data) for t in trainings(plan)} == {
        (size, data) for size in ("n1000", "n4000", "n16000") for data in (256, 512, 1024)
    }
    for planned in plan.trials:
        assert [e.protocol for e in planned.job.evaluations] == ["held-out", "linear-probe"]
        assert planned.flops == 6 * planned.counts.macs * 64 * 40
        assert (planned.status, planned.todo) == ("new", planned.job)


def test_recipe_fields_are_axes_and_sizes_may_differ(write_grid: WriteGrid) -> None:
    text = GRID.replace("batch: 64", "batch: 64, lr: [0.1, 0.2], by_size: {n4000: {lr: 0.5}}")
    found = {(t.size, t.recipe.lr) for t in trainings(plan_of(write_grid(text)))}
    assert found == {(s, r) for s in ("n1000", "n16000") for r in (0.1, 0.2)} | {("n4000", 0.5)}


def test_cells_are_listed_instead(write_grid: WriteGrid) -> None:
    text = """\
study: cells
corpus: {source: simulated/chinchilla}
stages:
  - pretrain:
      seeds: [0, 1]
      recipe: {lr: 0.1}
      cells:
        - {family: simulated, size: n10, data: 8}
        - {family: simulated, size: n20, data: 9, seed: 5, recipe: {lr: 0.3}}
"""
    found = [(t.size, t.data, t.seed, t.recipe.lr) for t in trainings(plan_of(write_grid(text)))]
    assert found == [("n10", 8, 0, 0.1), ("n10", 8, 1, 0.1), ("n20", 9, 5, 0.3)]


def test_repeated_trials_run_once_with_a_warning(write_grid: WriteGrid) -> None:
    plan = plan_of(write_grid(GRID.replace("[256, 512, 1024]", "[256, 512, 1024, 256]")))
    assert len(plan.trials) == 9
    assert any("lists 3 trial(s) more than once" in warning for warning in plan.warnings)


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        ("[256, 512, 1024]", "[256, 512]", "2 data sizes: a law needs at least 3"),
        ("[n1000, n4000, n16000]", "[n1000]", "1 model sizes"),
        ("batch: 64", "batch: 512", "batch 512 is larger than the data (256 records)"),
        ("batch: 64", "batch: 8", "less than one pass over D = 512, 1024"),
    ],
)
def test_what_looks_wrong_is_said(old: str, new: str, warning: str, write_grid: WriteGrid) -> None:
    plan = plan_of(write_grid(GRID.replace(old, new)))
    assert any(warning in line for line in plan.warnings), plan.warnings


def test_sizes_and_data_that_rise_together_are_told(write_grid: WriteGrid) -> None:
    cells = ", ".join(
        f"{{family: simulated, size: n{n}00, data: {n}}}" for n in (64, 128, 256, 512)
    )
    text = GRID.split("      families")[0] + f"      cells: [{cells}]\n"
    assert any("N and D rise together" in line for line in plan_of(write_grid(text)).warnings)


def test_a_good_plan_has_no_warnings(grid: Path) -> None:
    assert plan_of(grid).warnings == ()


def test_identity_depends_on_neither_pool_nor_order(write_grid: WriteGrid) -> None:
    first = ids_of(plan_of(write_grid(GRID)))
    text = GRID.replace("records: 4096", "records: 8192").replace("256, 512", "512, 256")
    assert ids_of(plan_of(write_grid(text))) == first


def test_a_grown_grid_leaves_only_the_new_cells(write_grid: WriteGrid) -> None:
    grid = write_grid(GRID)
    assert run(grid) == 0
    grown = write_grid(GRID.replace("1024]", "1024, 2048]"))
    plan = plan_of(grown, store_of(grown).known)
    assert {p.job.training.data for p in plan.missing} == {2048}
    assert [p.status for p in plan.trials].count("finished") == 9


def test_a_new_task_leaves_only_its_evaluation(write_grid: WriteGrid) -> None:
    grid = write_grid(GRID.replace("[simulated/shifted]", "[]"))
    assert run(grid) == 0
    grid = write_grid(GRID)
    plan = plan_of(grid, store_of(grid).known)
    assert {p.status for p in plan.trials} == {"measure"}
    assert {len(p.todo.evaluations) for p in plan.missing if p.todo} == {1}
    assert sum(p.flops for p in plan.trials) == 0


def test_makespan_is_that_of_list_scheduling() -> None:
    assert makespan([3, 3, 2, 2, 2], workers=2) == 7  # the optimum is 6
    assert makespan([5, 1, 1], workers=3) == 5
    assert makespan([], workers=2) == 0


def test_the_text_lists_trials_or_groups_them(write_grid: WriteGrid) -> None:
    text = full_text(plan_of(write_grid(GRID)), workers=2)
    assert text.count("simulated/n4000") == 3
    assert "9 trials (9 new)" in text
    assert "uncalibrated" in text
    many = full_text(plan_of(write_grid(GRID + "      seeds: [0, 1, 2, 3, 4]\n")), workers=2)
    assert many.count("simulated/n4000") == 1
    assert "256..1,024" in many


def test_a_recipe_that_varies_is_shown(write_grid: WriteGrid) -> None:
    text = full_text(plan_of(write_grid(GRID.replace("batch: 64", "lr: [0.1, 0.2]"))), workers=1)
    assert "lr=0.1" in text
    assert "batch=" not in text


def test_measured_speed_replaces_the_guess(write_grid: WriteGrid) -> None:
    grid = write_grid(GRID.replace("max_steps: 40", "max_steps: 80"))
    guessed = sum(p.seconds for p in plan_of(grid).trials)
    assert run(grid) == 0
    again = plan_of(grid)
    assert all(planned.calibrated for planned in again.trials)
    assert sum(p.seconds for p in again.trials) < guessed
    assert all(row["s_per_step"] is not None for row in again.ladder)
