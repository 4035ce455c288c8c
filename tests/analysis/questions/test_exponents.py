"""Reductions and efficiencies have closed forms on noiseless laws."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis import fit_law
from analysis.fit.result import Fit
from analysis.questions import efficiency, reduction
from tests.analysis.asked import GRID, HOME, exact, made

OTHER = (0.15, 5.0, 0.35, 40.0, 0.8)


def flat() -> Fit:
    """Nothing depends on D."""
    return made(loss=0.3 + 5.0 / GRID[:, 0] ** 0.5)


def test_reduction_is_times_to_the_minus_exponent() -> None:
    fit = made()
    for axis, exponent in (("N", 0.7), ("D", 1.1)):
        found = reduction(fit, axis, times=10)  # type: ignore[arg-type]
        assert found.ratio == pytest.approx(10**-exponent, rel=1e-5)
        assert found.interval.covers(found.ratio)
        assert found.interval.high - found.interval.low < 1e-4
        assert not found.reason
    assert reduction(fit, "N", times=2).ratio == pytest.approx(2**-0.7, rel=1e-5)


def test_reduction_of_a_marginal_and_of_a_tied_law() -> None:
    d_law = made(law="d_law")
    assert reduction(d_law, "D").ratio == pytest.approx(10**-1.1, rel=1e-5)
    with pytest.raises(ValueError, match="not on 'N'"):
        reduction(d_law, "N")
    tied = made((0.12, 20.0, 0.6, 70.0, 0.6), law="tied")
    assert reduction(tied, "N").ratio == reduction(tied, "D").ratio
    assert reduction(tied, "N").ratio == pytest.approx(10**-0.6, rel=1e-5)


def test_reduction_interval_is_that_of_the_exponent_and_covers_the_truth() -> None:
    hits = []
    for seed in range(8):
        fit = made(noise=0.01, seed=seed, n_boot=100)
        found, ends = reduction(fit, "N"), fit.intervals["alpha"]
        assert found.interval.low == pytest.approx(10**-ends.high)
        assert found.interval.high == pytest.approx(10**-ends.low)
        hits.append(found.interval.covers(10**-0.7))
    assert sum(hits) >= 7


def test_an_exponent_at_a_bound_is_no_answer() -> None:
    found = reduction(flat(), "D")
    assert math.isnan(found.ratio) and "at a bound" in found.reason
    assert "no answer: " in str(found) and "at a bound" in found._repr_html_()
    assert reduction(
        made(loss=0.3 + 5.0 / GRID[:, 0] ** 0.5, n_boot=0), "N"
    ).ratio == pytest.approx(10**-0.5, rel=1e-3)


def test_no_fit_says_why() -> None:
    few = fit_law({"N": [1e3] * 6, "D": np.geomspace(1e2, 1e4, 6), "loss": np.ones(6)})
    found = reduction(few, "N")
    assert "1 value of N" in found.reason and found.table()["value"].isna().all()


def test_without_refits_the_interval_says_why() -> None:
    found = reduction(made(n_boot=0), "N")
    assert found.ratio == pytest.approx(10**-0.7, rel=1e-5)
    assert found.table()["reason"].str.contains("n_boot = 0").all()


@pytest.mark.parametrize("times", [1.0, 0.5, math.inf, math.nan])
def test_times_must_be_above_one(times: float) -> None:
    with pytest.raises(ValueError, match="times must be"):
        reduction(made(n_boot=0), "N", times)
    with pytest.raises(ValueError, match="times must be"):
        efficiency({"a": made(n_boot=0), "b": made(n_boot=0)}, "N", times)


def test_a_law_of_another_form_is_refused() -> None:
    rows = {"N": GRID[:, 0], "D": GRID[:, 1], "delta": 0.1 * GRID[:, 1] ** -0.5}
    with pytest.raises(ValueError, match="overfitting is not E"):
        reduction(fit_law(rows, "overfitting", n_boot=0))


def test_efficiency_is_the_ratio_of_exponents() -> None:
    found = efficiency({"resnet": made(), "transformer": made(OTHER, name="u")}, "N", 10)
    pair = found.pair("resnet", "transformer")
    assert pair.ratio == pytest.approx(2.0, rel=1e-4)
    assert pair.needed == pytest.approx(100.0, rel=1e-3)
    assert pair.resolved and pair.interval.covers(pair.ratio)
    assert pair.words.startswith(
        "what 10.0 times the parameters take off the excess loss of resnet"
    )
    assert "takes 100 [" in pair.words and "not resolved" not in pair.words
    by = efficiency({"a": made(), "b": made(OTHER, name="u")}, "D", 10).pairs[0]
    assert by.ratio == pytest.approx(1.1 / 0.8, rel=1e-4)
    with pytest.raises(KeyError):
        found.pair("transformer", "resnet")


def test_equal_exponents_are_not_resolved() -> None:
    found = efficiency({
        "a": made(noise=0.01, seed=1), "b": made(noise=0.01, seed=2, name="u")
    }).pairs[0]  # fmt: skip
    assert found.interval.covers(1.0) and not found.resolved
    assert "not resolved" in found.words


def test_shared_resamples_narrow_a_ratio() -> None:
    pool = [f"t{i:02d}" for i in range(len(GRID))]
    one = made(noise=0.02, pool=pool, n_boot=200)
    same = made(loss=1.3 * exact(HOME), noise=0.02, pool=pool, n_boot=200)
    apart = made(loss=1.3 * exact(HOME), noise=0.02, name="u", n_boot=200)
    paired, independent = (
        efficiency({"a": one, "b": other}).pairs[0].interval for other in (same, apart)
    )
    assert paired.high / paired.low < 1.001
    assert independent.high / independent.low > 1.2


def test_several_tasks_are_a_geometric_mean_and_a_spoilt_one_is_left_out() -> None:
    first = {"x": made(), "y": made((0.2, 9.0, 0.6, 40.0, 0.8)), "z": flat()}
    other = made(OTHER, name="u")
    found = efficiency({"a": first, "b": dict.fromkeys("xyz", other)}, "D")
    assert found.pairs[0].tasks == ("x", "y")
    assert found.pairs[0].ratio == pytest.approx(math.sqrt(1.1 * 0.8) / 0.8, rel=1e-4)
    assert "at a bound" in found.excluded["a", "z"]
    exponent = found.exponents["a"]
    assert exponent is not None and exponent.point == pytest.approx(math.sqrt(0.88), rel=1e-4)


def test_nothing_in_common_says_why() -> None:
    found = efficiency({"a": {"x": made(n_boot=0)}, "b": {"y": made(n_boot=0)}}).pairs[0]
    assert found.reason == "no task in common" and math.isnan(found.ratio)
    spoilt = efficiency({"a": made(), "b": flat()}, "D")
    assert "b: " in spoilt.pairs[0].reason and spoilt.exponents["b"] is None
    assert spoilt.table().query("value != value")["reason"].str.contains("at a bound").all()
    with pytest.raises(ValueError, match="at least two"):
        efficiency({"a": made(n_boot=0)})
