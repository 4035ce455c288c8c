"""Envelopes of training curves."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from analysis.compute.envelope import at_budgets, envelope
from analysis.compute.isoflop import isoflop
from analysis.compute.rows import AllocationError
from analysis.figures.base import png
from tests.analysis.frontiers import EPOCH, curves, loss_of, optimal_size

EXPONENT = EPOCH[4] / (EPOCH[2] + EPOCH[4])


def test_the_exponent_of_a_known_surface_is_recovered_within_a_step() -> None:
    found = envelope(curves(sizes=25), n_boot=0)
    assert found.a == pytest.approx(EXPONENT, abs=0.01)
    assert found.b == pytest.approx(1 - EXPONENT, abs=0.01)
    assert found.sizes > 15 and not found.warnings
    at = found.predict(1e20).iloc[0]
    assert at["N"] == pytest.approx(optimal_size(EPOCH, 1e20), rel=0.2)


def test_the_frontier_is_the_lowest_curve() -> None:
    runs = curves()
    frontier = envelope(runs, n_boot=0).frontier
    inner = frontier[frontier["bracketed"]]
    exact = np.min(
        [loss_of(EPOCH, np.full(len(inner), N), inner["C"].to_numpy() / 6 / N)
         for N in runs["N"].unique()], axis=0,
    )  # fmt: skip
    np.testing.assert_allclose(inner["loss"], exact, rtol=1e-3)
    assert set(frontier["N"]) <= set(runs["N"])


def test_a_size_at_an_end_of_those_measured_does_not_count() -> None:
    runs = curves(sizes=16)
    found = envelope(runs[runs["N"].between(1e8, 2e9)], n_boot=0)
    ends = found.frontier["N"].isin([found.rows["N"].min(), found.rows["N"].max()])
    assert ends.any() and not found.frontier.loc[ends, "bracketed"].any()


def test_rows_of_the_pareto_front_are_marked() -> None:
    found = envelope(curves(), n_boot=0)
    best = found.rows.sort_values(["C", "loss"])
    lowest = best["loss"].cummin()
    assert (best.loc[best["pareto"], "loss"] == lowest[best["pareto"]]).all()
    assert 0 < found.rows["pareto"].sum() < len(found.rows)


def test_resamples_are_of_runs_not_of_evaluations() -> None:
    few, many = (envelope(curves(evaluations=n, noise=0.01), n_boot=200) for n in (60, 240))
    assert few.N_line is not None and many.N_line is not None
    one, two = (f.a_interval.high - f.a_interval.low for f in (few, many))
    assert two > 0.7 * one
    assert few.a_interval.covers(EXPONENT) and few.N_line.points == few.sizes


def test_the_sizes_tie_the_exponent_and_few_are_said() -> None:
    found = envelope(curves(sizes=6), n_boot=100)
    assert found.ok and any("tied to the sizes" in w for w in found.warnings)
    fine = envelope(curves(sizes=20), n_boot=100)
    narrow, wide = (f.a_interval.high - f.a_interval.low for f in (fine, found))
    assert narrow < wide


def test_too_few_sizes_on_the_envelope_are_a_reason() -> None:
    runs = curves(sizes=12)
    kept = runs[runs["N"].isin(np.sort(runs["N"].unique())[[0, 5, 11]])]
    found = envelope(kept, n_boot=20)
    assert not found.ok and math.isnan(found.a)
    assert "at least 3 are needed" in found.reason and found.reason in found.summary()
    with pytest.raises(AllocationError, match="on the envelope"):
        found.predict(1e20)
    assert len(png(found.plot())) > 5000


def test_d_is_not_estimated_where_it_is_absent_or_one() -> None:
    runs = curves()
    absent = envelope(runs.drop(columns="D"), n_boot=20)
    assert absent.ok and math.isnan(absent.b) and "no column D" in absent.warnings[0]
    one = envelope(runs.assign(D=1000.0), n_boot=20)
    assert one.ok and math.isnan(one.b) and "share one D" in one.warnings[0]
    assert one.a == pytest.approx(absent.a, abs=1e-12)


RUNS = curves()


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (RUNS[RUNS["trial"].isin(["t0", "t1"])], AllocationError, "2 sizes, at least 3"),
        (
            RUNS.drop_duplicates("trial").assign(C=lambda r: r["N"] * 1e11),
            AllocationError,
            "C is a function of N alone",
        ),
        (RUNS.assign(trial="t0"), ValueError, "run t0 has several N"),
        (RUNS.assign(C=0.0), ValueError, "row 0: C is 0"),
        (RUNS.assign(loss=np.nan), ValueError, "row 0: loss is nan"),
        (RUNS.drop(columns="N"), ValueError, "missing column N"),
    ],
)
def test_curves_without_an_envelope_are_an_error(
    data: pd.DataFrame, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        envelope(data)


def test_a_run_without_a_name_is_what_has_one_size() -> None:
    named, unnamed = envelope(RUNS, n_boot=0), envelope(RUNS.drop(columns="trial"), n_boot=0)
    assert unnamed.a == pytest.approx(named.a, rel=1e-12) and unnamed.rows["trial"].nunique() == 12
    # where D is the records trained on, a run is one size and one D
    records = pd.concat([RUNS.assign(D=1e3), RUNS.assign(D=2e3, loss=RUNS["loss"] - 0.01)])
    found = envelope(records.drop(columns="trial"), n_boot=0)
    assert found.rows["trial"].nunique() == 24
    np.testing.assert_allclose(found.frontier["D"], 2e3, rtol=1e-12)


def test_curves_cut_at_budgets_are_isoflop_rows() -> None:
    budgets = np.geomspace(1e18, 1e21, 5)
    cut = at_budgets(RUNS, budgets)
    assert list(cut.columns) == ["trial", "N", "C", "D", "loss"]
    np.testing.assert_allclose(cut["D"], cut["C"] / 6 / cut["N"], rtol=1e-9)
    exact = loss_of(EPOCH, cut["N"].to_numpy(), cut["D"].to_numpy())
    np.testing.assert_allclose(cut["loss"], exact, rtol=1e-3)
    assert isoflop(cut, n_boot=0).a == pytest.approx(EXPONENT, abs=0.02)


def test_a_curve_is_not_cut_beyond_its_evaluations() -> None:
    ends = RUNS.groupby("N")["C"].agg(["min", "max"])
    for C in (2e17, 1e20, 5e21):
        expected = ends[(ends["min"] <= C) & (ends["max"] >= C)].index
        assert list(at_budgets(RUNS, C)["N"]) == list(expected)
    with pytest.raises(ValueError, match="budgets must be positive"):
        at_budgets(RUNS, [1e18, math.nan])


def test_of_two_evaluations_at_one_budget_the_best_counts() -> None:
    doubled = pd.concat([RUNS, RUNS.assign(loss=RUNS["loss"] + 1)])
    once = envelope(RUNS, n_boot=0).a
    assert envelope(doubled, n_boot=0).a == pytest.approx(once, rel=1e-12)


def test_the_result_shows_itself() -> None:
    found = envelope(RUNS, n_boot=50)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["a"] == found.a
    assert "Approach 1" in found.summary() and found._repr_html_().count("<tr>") == 3
    left, right = found.plot().axes
    assert "envelope" in left.get_title(loc="left").lower()
    shown = {tuple(np.asarray(line.get_xdata())) for line in left.lines}
    assert tuple(found.frontier["C"]) in shown
    assert right.get_ylabel() == "N of the best run"
