"""Compute-optimal allocation from a fitted surface."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar

from analysis import fit_law
from analysis.compute.allocation import Allocation, allocate
from analysis.compute.cost import compute_model
from analysis.compute.surface import Surface, exponents_of
from analysis.figures.base import png
from analysis.text import number
from tests.analysis.frontiers import (
    EPOCH,
    SKEWED,
    STANDARD,
    costing,
    fitted,
    ladder,
    loss_of,
    refits,
)


def test_epochs_optimum_gives_its_exponent() -> None:
    found = allocate(fitted(EPOCH), STANDARD)
    assert found.a == pytest.approx(0.51390, abs=5e-6)
    assert found.b == pytest.approx(1 - found.a, abs=1e-12)
    assert found.counted.gamma == found.standard.gamma
    assert found.counted.gamma == pytest.approx(EPOCH[4] * found.b, abs=1e-12)


def test_the_example_of_s1_sends_80_percent_to_data() -> None:
    found = allocate(fitted((0.1, 2.0, 0.4, 3.0, 0.1)), STANDARD)
    assert found.a == pytest.approx(0.2, abs=1e-12)
    assert found.counted.share_data == pytest.approx(0.8, abs=1e-12)


@pytest.mark.parametrize("theta", [EPOCH, SKEWED])
@pytest.mark.parametrize(("m", "q"), [(1.0, 1.0), (0.83, 1.0), (0.9, 0.7), (1.2, 1.1)])
def test_the_optimum_is_that_of_a_numeric_search(
    theta: tuple[float, ...], m: float, q: float
) -> None:
    compute = costing(m, q)
    found = allocate(fitted(theta), compute, C=[1e19, 1e21, 1e23])
    for C, N, D, least in found.table[["C", "N", "D", "loss"]].to_numpy():

        def loss(log_n: float, C: float = C) -> float:
            log_d = (math.log(C) - compute.log_k - m * log_n) / q
            return float(loss_of(theta, np.exp(log_n), np.exp(log_d)))

        best = minimize_scalar(loss, bracket=(5, 20, 40), tol=1e-12)
        assert least == pytest.approx(best.fun, rel=1e-12)
        assert math.log(N) == pytest.approx(best.x, abs=1e-5)  # the minimum is flat
        assert compute.compute(N, D) == pytest.approx(C, rel=1e-9)


@pytest.mark.parametrize(("m", "q"), [(1.0, 1.0), (0.83, 1.0), (0.9, 0.7)])
def test_the_exponents_are_the_slopes_of_the_optimum(m: float, q: float) -> None:
    _, _, alpha, _, beta = SKEWED
    found = allocate(fitted(SKEWED), costing(m, q), C=[1e19, 1e23])
    first, last = found.table.iloc[0], found.table.iloc[1]
    span = math.log(1e4)
    assert math.log(last["N"] / first["N"]) / span == pytest.approx(found.a, abs=1e-9)
    assert math.log(last["D"] / first["D"]) / span == pytest.approx(found.b, abs=1e-9)
    excess = [row["loss"] - SKEWED[0] for row in (first, last)]
    assert -math.log(excess[1] / excess[0]) / span == pytest.approx(found.counted.gamma, abs=1e-9)
    assert found.a == pytest.approx(beta / (m * beta + q * alpha), abs=1e-12)
    assert found.b == pytest.approx(alpha / (m * beta + q * alpha), abs=1e-12)
    assert m * found.a + found.counted.share_data == pytest.approx(1, abs=1e-12)
    assert found.standard.a == pytest.approx(beta / (alpha + beta), abs=1e-12)


def test_a_noiseless_surface_that_is_fitted_gives_its_exponents() -> None:
    N, D = (v.ravel() for v in np.meshgrid(np.geomspace(1e7, 1e10, 6), np.geomspace(1e9, 1e12, 6)))
    fit = fit_law({"N": N, "D": D, "loss": loss_of(EPOCH, N, D)}, n_boot=20)
    found = allocate(fit, STANDARD)
    assert found.a == pytest.approx(EPOCH[4] / (EPOCH[2] + EPOCH[4]), abs=1e-9)
    assert found.counted.a_interval.low == pytest.approx(found.a, abs=1e-6)
    assert found.status == "converged" and found.runs["loss"].equals(
        pd.Series(loss_of(EPOCH, N, D))
    )


def test_counted_compute_moves_the_exponent() -> None:
    compute = compute_model(ladder(m=0.83))
    found = allocate(fitted(EPOCH), compute)
    _, _, alpha, _, beta = EPOCH
    assert found.a == pytest.approx(beta / (0.83 * beta + alpha), abs=1e-9)
    assert found.a > found.standard.a


def test_how_far_the_optimum_lies_outside_the_runs_is_said() -> None:
    fit = fitted(EPOCH)
    row = allocate(fit, STANDARD, C=[1e19, 1e24]).table.iloc[1]
    assert row["beyond_N"] == pytest.approx(row["N"] / 1e10)
    assert row["beyond_D"] == pytest.approx(row["D"] / 1e11)
    assert row["beyond_C"] == pytest.approx(1e24 / (6 * 1e10 * 1e11))
    assert row["beyond"] == max(row["beyond_N"], row["beyond_D"], row["beyond_C"])
    within = allocate(fit, STANDARD, C=1e19)
    assert within.table["beyond"].iloc[0] == 1
    assert not any("outside" in w for w in within.warnings)
    outside = allocate(fit, STANDARD, C=1e24).warnings
    assert any(w.startswith("N of 1 of 1 budgets lies outside") for w in outside)


def test_the_default_budgets_are_those_measured_and_one_beyond() -> None:
    compute = compute_model(ladder())
    found = allocate(fitted(EPOCH), compute)
    low, high = compute.ranges["C"]
    np.testing.assert_allclose(found.table["C"].iloc[[0, 4, 5]], [low, high, 10 * high])


def test_intervals_are_percentiles_of_the_optima_of_the_refits() -> None:
    draws = refits(EPOCH, count=100)
    found = allocate(fitted(EPOCH, draws=draws), STANDARD, C=[1e20])
    each = [allocate(fitted(tuple(t)), STANDARD, C=[1e20]) for t in draws]
    a = np.array([e.a for e in each])
    N = np.array([e.table["N"].iloc[0] for e in each])
    widening = 2.7764 / 1.95996  # Student's t at 9 runs less 5 parameters
    low, high = np.quantile(a, [0.025, 0.975])
    assert found.counted.a_interval.low == pytest.approx(found.a - widening * (found.a - low), 1e-4)
    assert found.counted.a_interval.high == pytest.approx(
        found.a + widening * (high - found.a), 1e-4
    )
    row = found.table.iloc[0]
    low = np.quantile(N, 0.025)
    assert row["N_low"] == pytest.approx(row["N"] * (low / row["N"]) ** widening, rel=1e-3)
    assert row["loss_low"] < row["loss"] < row["loss_high"]


def test_the_cost_of_training_adds_its_own_uncertainty() -> None:
    fit = fitted(EPOCH, draws=refits(EPOCH, spread=0.001))
    sure, unsure = (allocate(fit, compute_model(ladder(noise=s)), C=[1e14]) for s in (1e-6, 0.3))
    narrow, wide = (f.counted.a_interval.high - f.counted.a_interval.low for f in (sure, unsure))
    assert wide > 5 * narrow
    ratio = [f.table["N_high"].iloc[0] / f.table["N_low"].iloc[0] for f in (sure, unsure)]
    assert ratio[1] > ratio[0]


def test_intervals_cover_the_truth_with_both_uncertainties() -> None:
    rng, covered = np.random.default_rng(0), []
    truth = Surface(theta=np.array(SKEWED), cost=np.array([1.0, 0.8, 0.9]))
    exact = [float(v) for v in truth.exponents]
    for _ in range(300):
        seen = _noisy(truth, rng)
        drawn = _noisy(seen, rng, 150)
        found = exponents_of(seen, drawn, dof=1000)
        intervals = (found.a_interval, found.b_interval, found.share_data_interval)
        values = (exact[0], exact[1], exact[3])
        covered.append([i.covers(v) for i, v in zip(intervals, values, strict=True)])
    share = np.mean(covered, axis=0)
    assert (share > 0.91).all() and (share < 0.985).all()


def _noisy(at: Surface, rng: np.random.Generator, *count: int) -> Surface:
    """``at`` with 10 % noise on every number, or ``count`` such."""
    theta, cost = (
        v * np.exp(0.1 * rng.standard_normal((*count, *v.shape))) for v in (at.theta, at.cost)
    )
    return Surface(theta=theta, cost=cost)


@pytest.mark.parametrize("level", [2.2, 2.3, 2.6])
def test_contours_have_the_loss_they_are_drawn_for(level: float) -> None:
    found = allocate(fitted(EPOCH), costing(1.0, 0.9))
    for plane in ("NC", "ND"):
        line = found.contours([level], plane=plane)
        assert len(line) > 20
        at = loss_of(EPOCH, line["N"].to_numpy(), line["D"].to_numpy())
        np.testing.assert_allclose(at, np.full(len(at), level), rtol=1e-9)
        np.testing.assert_allclose(found.compute.compute(line["N"], line["D"]), line["C"])
        low, high = found.ranges[plane[1]]
        assert line[plane[1]].between(low / 3.001, high * 3.001).all()


def test_the_optimum_is_where_a_contour_is_cheapest() -> None:
    found = allocate(fitted(EPOCH), costing(0.8, 1.0), C=[1e18])
    row = found.table.iloc[0]
    line = found.contours([row["loss"]], margin=30)
    cheapest = line.iloc[int(line["C"].argmin())]
    assert cheapest["C"] == pytest.approx(1e18, rel=1e-3)
    assert cheapest["N"] == pytest.approx(row["N"], rel=0.05)


def test_no_contour_lies_at_or_below_the_floor() -> None:
    found = allocate(fitted(EPOCH), STANDARD)
    with pytest.raises(ValueError, match=r"reach a loss of 1\.8: E is 1\.817"):
        found.contours([2.0, 1.8])


@pytest.fixture(scope="module")
def shown() -> Allocation:
    return allocate(fitted(EPOCH, draws=refits(EPOCH)), compute_model(ladder()), C=[1e13, 1e14])


def test_the_result_shows_itself(shown: Allocation) -> None:
    numbers = json.loads(json.dumps(shown.to_dict(), allow_nan=False))
    assert numbers["counted"]["a"] == shown.a and len(numbers["table"]) == 2
    assert numbers["counted"]["a_interval"][0] == shown.counted.a_interval.low
    assert numbers["compute"]["m"] == shown.compute.m
    text = shown.summary()
    assert text.splitlines()[0].startswith("Approach 3") and "a at C = k N D" in text
    assert shown._repr_html_().count("<tr>") == 5
    assert numbers["standard"]["a"] == pytest.approx(0.51390, abs=5e-6)


def test_the_figure_shows_contours_and_optima(shown: Allocation) -> None:
    figure = shown.plot()
    left, right = figure.axes
    assert len(left.lines) == 6 + 6 + 2  # equal loss, equal C, the optimum and the runs
    N = next(line for line in right.lines if line.get_label() == "N*")
    C = np.asarray(N.get_xdata(), dtype=float)
    np.testing.assert_allclose(np.asarray(N.get_ydata()), shown.optimal(C)["N"])
    assert len(png(figure)) > 10_000


def test_the_loss_beyond_the_data_holds_the_laws_own_error() -> None:
    """The intervals of an optimum are those that ``predict`` gives the same point."""
    N, D = (v.ravel() for v in np.meshgrid(np.geomspace(1e5, 1e7, 5), np.geomspace(1e5, 1e7, 5)))
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(len(N)))
    loss = (0.5 + 20 / N**0.3 + 30 / D**0.3) * noise * (1 + 0.01 * np.log(N / 1e6) ** 2)
    fit = fit_law({"N": N, "D": D, "loss": loss}, n_boot=200)
    row = allocate(fit, STANDARD, C=6e15).table.iloc[0]
    same = fit.predicted(np.array([[row["N"], row["D"]]])).iloc[0]
    assert row["beyond"] > 5
    widths = [np.log(r[high] / r[low]) for r, low, high in (
        (row, "loss_low", "loss_high"), (same, "mean_low", "mean_high"))]  # fmt: skip
    assert widths[0] == pytest.approx(widths[1], rel=0.2)
    assert fit.misfit is not None
    down, up = fit.misfit.widths(np.array([[row["N"], row["D"]]]))
    assert widths[0] > down[0] + up[0] > 0


def test_lines_of_equal_loss_do_not_lie_on_each_other() -> None:
    """In N and C they did: their far arms met."""
    left = allocate(fitted(EPOCH), costing(0.83, 0.23)).plot().axes[0]
    known = [line for line in left.lines if str(line.get_label())[:1].isdigit()]
    drawn = [
        left.transAxes.inverted().transform(left.transData.transform(line.get_xydata()))
        for line in known
    ]
    assert len(drawn) == 6 and all(len(xy) > 20 for xy in drawn)
    for one, other in itertools.pairwise(drawn):
        apart = np.linalg.norm(one[:, None] - other[None], axis=2)
        assert apart.min() > 0.02  # of the panel's side


def test_it_is_said_which_exponents_hold_for_whom(shown: Allocation) -> None:
    m, q = number(shown.compute.m), number(shown.compute.q)
    for words in (f"whose C grew as N^{m} D^{q}: plan such training with them", "C = k N D hold"):
        assert words in shown.meaning and words in shown.summary()
    assert shown.to_dict()["meaning"] == shown.meaning
    assert allocate(fitted(EPOCH), STANDARD).meaning == ""  # one set alone
    poor = dataclasses.replace(shown, status="at bound")
    assert poor.meaning == "neither set of exponents is to be relied on: the fit is at bound"
    fixed = compute_model(ladder().assign(macs=lambda t: t["N"] ** 0.8), convention="fixed epochs")
    assert "a pass costs N^0.800" in allocate(fitted(EPOCH), fixed).meaning
