"""Every interval holds its own point.

Without noise the refits coincide with the estimate up to a rounding, which differs between the
kernels of processors: an interval that is not made to hold its point misses it here or there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from analysis.checks.learning_curve import extrapolate
from analysis.compute.allocation import allocate
from analysis.compute.isoflop import isoflop, porian
from analysis.fit.loglog import fit_line
from analysis.fit.result import Fit
from analysis.fit.sampled import Sampled
from analysis.laws import FloatArray
from analysis.questions import collapse, data_needed, extent, reduction
from analysis.questions.answer import Question
from analysis.questions.exponents import Ratio
from analysis.text import Interval, holding
from scaling.records.patients import Estimate
from tests.analysis.asked import GRID, made
from tests.analysis.frontiers import EPOCH, STANDARD, fitted, isoflop_runs

SMALL = float(np.nextafter(1.0, 2.0))
TRUTHS = [(0.1 + 0.01 * k, 20.0 + k, 0.7 - 0.01 * k, 70.0 - k, 1.1 - 0.02 * k) for k in range(6)]


@pytest.fixture(scope="module", params=TRUTHS, ids=str)
def fit(request: pytest.FixtureRequest) -> Fit:
    return made(request.param, n_boot=20)


def holds(value: float, low: float, high: float) -> bool:
    return low <= value <= high


def missed(table: pd.DataFrame, names: tuple[str, ...]) -> list[str]:
    """Columns with an end on the wrong side of the point; unknown ends count as well."""
    inside = {n: table[n].between(table[f"{n}_low"], table[f"{n}_high"]).all() for n in names}
    return [name for name, held in inside.items() if not held]


def test_an_end_moves_to_the_point_and_no_further() -> None:
    assert Interval(low=SMALL, high=2.0).holding(1.0) == Interval(low=1.0, high=2.0)
    assert Interval(low=0.0, high=1.0).holding(SMALL) == Interval(low=0.0, high=SMALL)
    assert Interval(low=0.0, high=2.0).holding(1.0) == Interval(low=0.0, high=2.0)
    unknown = Interval(low=math.nan, high=math.nan).holding(1.0)
    assert math.isnan(unknown.low) and math.isnan(unknown.high)
    assert Interval(low=0.0, high=2.0).holding(math.nan) == Interval(low=0.0, high=2.0)
    low, high = holding(np.array([1.0, 5.0]), np.array([2.0, 1.0]), np.array([3.0, np.nan]))
    np.testing.assert_array_equal(low, [1.0, 1.0])
    np.testing.assert_array_equal(high, [3.0, np.nan])


def test_parameters_lie_in_their_intervals(fit: Fit) -> None:
    for found in (fit.intervals, fit.intervals_bootstrap):
        assert [n for n, v in fit.params.items() if not found[n].covers(v)] == []
    assert fit.profile is not None and fit.profile.interval.covers(fit.params["E"])


def test_parameters_given_lie_in_theirs() -> None:
    for value in np.linspace(0.61, 0.79, 7):
        fit = made(n_boot=0, fixed={"alpha": float(value)})
        assert fit.intervals["alpha"].covers(fit.params["alpha"])


def test_predictions_lie_in_their_intervals(fit: Fit) -> None:
    table = fit.predict(N=GRID[:, 0], D=GRID[:, 1])
    for kind in ("mean", "new"):
        assert table["loss"].between(table[f"{kind}_low"], table[f"{kind}_high"]).all()
    left_out = fit.holdout(N=GRID[-1, 0], D=GRID[-1, 1])
    assert left_out.interval.covers(left_out.predicted)


def questions(fit: Fit) -> Iterator[Question]:
    yield from (extent(fit, 2e4, d) for d in (512.0, 2048.0, 8192.0))
    yield from (data_needed(fit, 2e4, delta) for delta in (0.02, 0.1))
    yield from (reduction(fit, axis, times) for axis in ("N", "D") for times in (3.0, 10.0))
    yield collapse(fit)


def test_answers_lie_in_their_intervals(fit: Fit) -> None:
    numbers = 0
    for question in questions(fit):
        for line in question.lines:
            if math.isfinite(line.interval.low) and math.isfinite(line.value):
                assert line.interval.covers(line.value), line
                numbers += 1
    assert numbers >= 9


def test_numbers_and_their_ratios_lie_in_their_intervals() -> None:
    for point in np.geomspace(0.01, 100, 40):
        same = np.full(20, point)
        for positive in (False, True):
            found = Sampled(point=float(point), samples=same, dof=3, positive=positive)
            assert found.interval.covers(found.point)
        ratio = Ratio(
            first="a", second="b", axis="N", times=3.0, tasks=("t",), reason="",
            log_ratio=Sampled(point=math.log(point), samples=np.log(same), dof=3),
        )  # fmt: skip
        assert ratio.interval.covers(ratio.ratio) and ratio.needed_interval.covers(ratio.needed)


def test_optima_lie_in_their_intervals() -> None:
    found = allocate(fitted(EPOCH), STANDARD, C=np.geomspace(1e19, 1e23, 25).tolist())
    known = found.table.dropna()
    assert missed(known, ("N", "D", "loss")) == []
    runs = isoflop_runs(EPOCH)
    for one in (isoflop(runs, n_boot=20), porian(runs, n_boot=100)):
        assert missed(one.budgets, ("N", "D")) == []
        assert missed(one.predict(np.geomspace(1e18, 1e22, 25)), ("N", "D")) == []


def test_lines_lie_in_their_intervals() -> None:
    x = np.geomspace(1.0, 1e4, 5)
    for exponent in np.linspace(-1.3, 1.3, 14):
        y = 3.7 * x**exponent
        line = fit_line(x, y, draws=np.tile(np.log(y), (20, 1)))
        assert line.interval.covers(line.exponent)
        assert line.interval_runs.covers(line.exponent)
        values, low, high = line.predict(np.geomspace(1.0, 1e6, 40))
        assert ((low <= values) & (values <= high)).all()


def test_learning_curves_lie_in_theirs() -> None:
    n = np.geomspace(100, 1e4, 40)
    table = extrapolate({"D": n, "loss": 0.2 + 3 * n**-0.4}, np.geomspace(1e4, 3e4, 15)).table
    assert (table["low"] <= table["loss"]).all() and (table["loss"] <= table["high"]).all()


@pytest.mark.parametrize("resamples", [[0.99, 0.98, 0.97], [1.0, 1.0, 1.0]])
def test_scores_lie_in_their_intervals(resamples: list[float]) -> None:
    """A perfect score on few records: no resample reaches it, or all but a rounding."""
    value = SMALL if resamples[0] == 1.0 else 1.0
    values: FloatArray = np.array([value, *resamples])
    one = Estimate.of(values)
    assert holds(one.value, one.low, one.high)
    assert one.low >= min(resamples)
