"""IsoFLOP curves: published answers, known surfaces, refusals and intervals."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from analysis.compute.isoflop import isoflop
from analysis.compute.rows import AllocationError
from analysis.figures.base import png
from tests.analysis.frontiers import EPOCH, SKEWED, isoflop_runs, optimal_size

EXPONENT = EPOCH[4] / (EPOCH[2] + EPOCH[4])


def published(shared: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    rows = pd.read_csv(shared / "laws/isoflop.csv")
    return rows, json.loads((shared / "laws/isoflop_approach2.json").read_text())


def test_llama_3_reproduces_the_published_exponents_and_optimum(shared: Path) -> None:
    rows, answers = published(shared)
    found = isoflop(rows[rows["experiment"] == "llama_3__raw_loss"])
    expected = answers["published"]["reproduced_here"]
    assert found.a == pytest.approx(expected["a"], abs=1e-6)
    assert found.b == pytest.approx(expected["b"], abs=1e-6)
    at = found.predict(3.8e25).iloc[0]
    assert at["N"] == pytest.approx(393.325e9, rel=1e-5)
    assert at["D"] == pytest.approx(16.102e12, rel=1e-5)
    assert at["beyond"] == pytest.approx(3800)
    assert at["N_low"] < at["N"] < at["N_high"]
    assert len(found.budgets) == 10 and not found.refused


def test_every_published_parabola_exponent_is_reproduced(shared: Path) -> None:
    rows, answers = published(shared)
    expected = [r for r in answers["rows_non_outliers"] if r["peer"] == "athena_approach2"]
    assert len(expected) == 8
    kept = rows[~rows["peer_outlier"]]
    for answer in expected:
        found = isoflop(kept[kept["experiment"] == answer["task"]], n_boot=0)
        assert found.a == pytest.approx(answer["a"], abs=1e-6), answer["task"]
        assert found.b == pytest.approx(answer["b"], abs=1e-6), answer["task"]
        np.testing.assert_allclose(found.budgets["N"], answer["N_opts"], rtol=1e-6)
        assert found.predict(1e22)["N"].iloc[0] == pytest.approx(answer["N_opt_1e22"], rel=1e-6)


def test_a_public_bootstrap_of_the_same_parabolas_agrees(shared: Path) -> None:
    rows, _ = published(shared)
    kept = rows[~rows["peer_outlier"] & (rows["experiment"] == "llama_3__raw_loss")]
    runs = isoflop(kept).N_line
    assert runs is not None
    # simple-scaling-laws 0.2.0, degree 2, 200 draws: [0.4898, 0.5116]
    assert runs.interval_runs.low == pytest.approx(0.4898, abs=0.006)
    assert runs.interval_runs.high == pytest.approx(0.5116, abs=0.006)


@pytest.mark.parametrize("theta", [EPOCH, SKEWED])
def test_a_grid_that_follows_the_optimum_gives_the_exact_exponents(
    theta: tuple[float, ...],
) -> None:
    found = isoflop(isoflop_runs(theta), n_boot=0)
    assert found.a == pytest.approx(theta[4] / (theta[2] + theta[4]), abs=1e-9)
    assert found.b == pytest.approx(theta[2] / (theta[2] + theta[4]), abs=1e-9)
    assert not found.warnings


def test_a_symmetric_surface_gives_the_exact_optimum() -> None:
    theta = (1.8, 400.0, 0.35, 900.0, 0.35)
    found = isoflop(isoflop_runs(theta), n_boot=0)
    expected = [optimal_size(theta, c) for c in found.budgets["C"]]
    np.testing.assert_allclose(found.budgets["N"], expected, rtol=1e-9)


def test_the_optimum_is_none_of_the_sizes_trained() -> None:
    runs = isoflop_runs(off=0.1)
    found = isoflop(runs, n_boot=0)
    for C, N in found.budgets[["C", "N"]].to_numpy():
        sizes = runs.loc[runs["C"] == C, "N"].to_numpy()
        assert np.abs(np.log(sizes / N)).min() > 0.01
        assert pytest.approx(optimal_size(EPOCH, C), rel=0.01) == N


@pytest.mark.parametrize(
    ("runs", "word"),
    [
        (isoflop_runs(off=0.5), "asymmetric grid"),
        (isoflop_runs(width=100.0), "wide grid"),
        (isoflop_runs(SKEWED, budgets=(1e19, 1e20, 1e21), fixed=True, width=20), "drifting grid"),
        (isoflop_runs(budgets=(1e18, 1e19, 1e20)), "3 budgets"),
    ],
)
def test_what_biases_a_parabola_is_said(runs: pd.DataFrame, word: str) -> None:
    assert any(word in w for w in isoflop(runs, n_boot=0).warnings)
    assert not any(word in w for w in isoflop(isoflop_runs(), n_boot=0).warnings)


def test_a_drifting_grid_biases_the_exponent_and_the_interval_shows_it() -> None:
    runs = isoflop_runs(SKEWED, fixed=True, width=60)
    found = isoflop(runs, n_boot=0)
    truth = SKEWED[4] / (SKEWED[2] + SKEWED[4])
    cubic = found.sensitivity["cubics in log N"]
    assert found.a - truth == pytest.approx(-0.032, abs=0.001)
    assert cubic - truth == pytest.approx(0.015, abs=0.001)
    assert found.a_interval.covers(truth)  # the optima leave the line
    assert isoflop(runs, degree=3, n_boot=0).a == pytest.approx(cubic, abs=1e-12)


def test_another_curve_that_moves_the_exponent_is_said(shared: Path) -> None:
    rows, _ = published(shared)
    marin = rows[~rows["peer_outlier"] & (rows["experiment"] == "marin_202603__comma__llama_2")]
    found = isoflop(marin)
    cubic = found.sensitivity["cubics in log N"]
    assert not found.a_interval.covers(cubic)
    assert f"a is {cubic:.3f} by cubics in log N, not {found.a:.3f}" in found.warnings


def spoilt(change: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
    """Good budgets and a changed one at C = 1e22."""
    runs = isoflop_runs()
    last = runs["C"] == 1e22
    return pd.concat([runs[~last], change(runs[last])], ignore_index=True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda r: r.iloc[3:5], "2 runs, at least 3 are needed"),
        (lambda r: r.iloc[[0, 0, 1, 1]], "2 distinct N, at least 3"),
        (lambda r: r.assign(loss=5 - r["loss"]), "opens downwards"),
        (lambda r: r.iloc[:4], "not bracketed by the runs.*add runs of larger N"),
        (lambda r: r.iloc[5:], "not bracketed by the runs.*add runs of smaller N"),
    ],
)
def test_a_budget_without_an_optimum_is_refused_with_its_reason(
    change: Callable[[pd.DataFrame], pd.DataFrame], reason: str
) -> None:
    found = isoflop(spoilt(change), n_boot=50)
    by_size = [r for r in found.refused if r.axis == "N"]
    assert [r.C for r in by_size] == [1e22] and len(found.budgets) == 4
    assert pytest.approx(EXPONENT, abs=1e-9) == found.a
    assert re.search(reason, by_size[0].reason), by_size[0].reason
    assert any("1 of 5 budgets refused" in w for w in found.warnings)
    assert by_size[0].reason in found.summary()


def test_without_two_optima_there_is_a_reason_and_no_number() -> None:
    found = isoflop(isoflop_runs(off=1.5), n_boot=20)
    assert not found.ok and np.isnan(found.a) and np.isnan(found.a_interval.low)
    assert "0 of 5 budgets with an optimum" in found.reason and "smaller N" in found.reason
    assert found.reason in found.summary()
    with pytest.raises(AllocationError, match="budgets with an optimum"):
        found.predict(1e20)
    assert found.to_dict()["a"] is None
    assert len(png(found.plot())) > 5000


RUNS = isoflop_runs()
SCATTERED = np.random.default_rng(0).permutation(np.geomspace(1e18, 2e18, len(RUNS)))


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (RUNS[RUNS["C"] == 1e20], AllocationError, "C does not vary .one budget"),
        (RUNS.assign(C=RUNS["N"] * 1e12), AllocationError, "function of N alone"),
        (RUNS.assign(C=RUNS["N"] ** 0.8 * 1e12).drop(columns="D"), AllocationError, "train each"),
        (RUNS.assign(loss=np.nan), ValueError, "row 0: loss is nan"),
        (RUNS.assign(N=-RUNS["N"]), ValueError, "row 0: N is -"),
        (RUNS.assign(D=0.0), ValueError, "row 0: D is 0"),
        (RUNS.drop(columns="loss"), ValueError, "missing column loss"),
        (RUNS.iloc[:0], ValueError, "no rows"),
        (RUNS.assign(C=SCATTERED), ValueError, "not fall into budgets"),
    ],
)
def test_data_without_an_answer_is_an_error(
    data: pd.DataFrame, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        isoflop(data)


def test_other_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="degree 4"):
        isoflop(RUNS, degree=4)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="positive finite"):
        isoflop(RUNS, n_boot=0).predict([1e20, -1])


def test_c_that_is_nearly_the_same_is_one_budget() -> None:
    rng = np.random.default_rng(0)
    near = RUNS.assign(C=RUNS["C"] * np.exp(0.003 * rng.standard_normal(len(RUNS))))
    found = isoflop(near, n_boot=0)
    assert len(found.budgets) == 5
    assert found.a == pytest.approx(EXPONENT, abs=1e-3)


def test_d_may_be_absent_and_the_compute_may_have_another_name() -> None:
    found = isoflop(RUNS.drop(columns="D").rename(columns={"C": "counted"}), by="counted", n_boot=0)
    assert found.a == pytest.approx(EXPONENT, abs=1e-9)
    assert np.isnan(found.b) and any("no column D" in w for w in found.warnings)
    assert "D" not in found.predict(1e20)


def test_the_interval_of_an_optimum_is_fiellers() -> None:
    runs = isoflop_runs(noise=0.004, seed=3)
    row = isoflop(runs, n_boot=0).budgets.iloc[2]
    part = runs[runs["C"] == row["C"]]
    x = np.log(part["N"]) - np.log(part["N"]).mean()
    basis = np.vander(x, 3)
    solved = np.linalg.lstsq(basis, part["loss"], rcond=None)[0]
    residual = part["loss"] - basis @ solved
    variance = np.linalg.inv(basis.T @ basis) * (residual**2).sum() / (len(x) - 3)
    for end in ("N_low", "N_high"):
        at = np.log(row[end]) - np.log(part["N"]).mean()
        slope = np.array([2 * at, 1.0, 0.0])
        error = np.sqrt(slope @ variance @ slope)
        assert abs(slope @ solved) / error == pytest.approx(student.ppf(0.975, 6), rel=1e-6)


def test_a_flat_curve_bounds_no_optimum() -> None:
    found = isoflop(isoflop_runs(width=1.5, noise=0.02, seed=2, sizes=6), n_boot=50)
    table = found.budgets
    assert len(table) and (table["N_low"] == 0).all() and np.isinf(table["N_high"]).all()
    assert found.to_dict()["budgets"][0]["N_high"] is None


def test_the_intervals_cover_the_truth_and_are_no_wider_than_needed() -> None:
    covered, widths = [], []
    for seed in range(60):
        interval = isoflop(isoflop_runs(noise=0.01, seed=seed), n_boot=80, seed=seed).a_interval
        covered.append(interval.covers(EXPONENT))
        widths.append(interval.high - interval.low)
    assert sum(covered) >= 54  # nominal 57; fewer than 54 has a chance of 7 % at 95 %
    assert 0.005 < np.median(widths) < 0.1


def test_more_noise_gives_wider_intervals_and_the_same_seed_the_same() -> None:
    quiet, loud = (isoflop(isoflop_runs(noise=s), n_boot=200) for s in (0.002, 0.02))
    narrow, wide = (f.a_interval.high - f.a_interval.low for f in (quiet, loud))
    assert wide > 5 * narrow
    again = isoflop(isoflop_runs(noise=0.02), n_boot=200)
    assert again.a_interval == loud.a_interval
    other = isoflop(isoflop_runs(noise=0.02), n_boot=200, seed=1)
    assert other.N_line is not None and loud.N_line is not None
    assert other.N_line.interval_runs != loud.N_line.interval_runs


def test_the_result_shows_itself() -> None:
    found = isoflop(isoflop_runs(noise=0.003), n_boot=50)
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert json.loads(text)["a"] == found.a
    assert "Approach 2" in found.summary() == str(found)
    assert found._repr_html_().count("<tr>") == 3
    left, right = found.plot().axes
    assert len(left.lines) == 2 * 5 + 1 and "N* ~ C^" in right.get_title(loc="left")
    points = left.lines[-1]
    np.testing.assert_allclose(np.asarray(points.get_xdata()), found.budgets["N"])


def test_curves_that_are_exactly_symmetric_have_an_optimum() -> None:
    sizes = np.array([0.25, 0.5, 1.0, 2.0, 4.0])
    loss = 3.0 + np.array([4.0, 1.0, 0.0, 1.0, 4.0]) / 8.0
    runs = pd.concat(
        pd.DataFrame({"N": N * sizes, "D": C / (6 * N * sizes), "C": C, "loss": loss})
        for C, N in ((6e18, 1e8), (2.4e19, 2e8), (9.6e19, 4e8))
    )
    found = isoflop(runs, n_boot=20)
    np.testing.assert_allclose(found.budgets["N"], [1e8, 2e8, 4e8], rtol=1e-9)
    assert found.a == pytest.approx(0.5, abs=1e-9) and not found.refused


def test_three_runs_a_budget_give_the_optimum_and_no_interval_of_it() -> None:
    full = isoflop_runs(noise=0.002)
    runs = full[full.groupby("C").cumcount().isin([2, 4, 6])]
    found = isoflop(runs, n_boot=50)
    assert (found.budgets["runs"] == 3).all() and not found.refused
    assert (found.budgets["N_low"] == 0).all() and np.isinf(found.budgets["N_high"]).all()
    assert any("their optima have no interval" in w for w in found.warnings)
    line = found.N_line
    assert line is not None and np.isnan(line.interval_runs.low)
    assert found.a_interval.covers(EXPONENT) and np.isfinite(found.a_interval.high)


def test_budgets_go_by_their_label_where_counted_compute_scatters() -> None:
    runs = isoflop_runs(noise=0.001)
    counted = runs["C"] * (1.0 + 0.05 * (runs.groupby("C").cumcount() // 3))
    scattered = runs.assign(nominal=[f"{c:.0e}" for c in runs["C"]], C=counted)
    split = isoflop(scattered, n_boot=0)
    assert any("name the budgets (budget=)" in w for w in split.warnings)
    found = isoflop(scattered, n_boot=0, budget="nominal")
    assert len(found.budgets) == runs["C"].nunique() and not found.refused
    np.testing.assert_allclose(found.budgets["N"], isoflop(runs, n_boot=0).budgets["N"], rtol=1e-9)
    assert not any("budget=" in w for w in found.warnings)
    for data, message in (
        (scattered.drop(columns="nominal"), "missing column nominal"),
        (scattered.assign(nominal=None), "row 0: nominal is empty"),
    ):
        with pytest.raises(ValueError, match=message):
            isoflop(data, n_boot=0, budget="nominal")
