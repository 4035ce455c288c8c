"""Crossings of noiseless laws are where algebra puts them, and parity inverts a law."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis import fit_law
from analysis.questions import crossover, parity
from tests.analysis.asked import HOME, exact, made

D = (70.0, 1.1)
STEEP, SHALLOW = (0.10, 30.0, 0.7, *D), (0.10, 3.0, 0.4, *D)
AT = (30.0 / 3.0) ** (1 / 0.3)  # N at which both terms are equal


def test_equal_floors_cross_where_the_terms_are_equal() -> None:
    found = crossover(made(STEEP), made(SHALLOW, name="u"), "N", D=2048, names=("r", "t"))
    assert found.scale == pytest.approx(AT, rel=1e-3)
    assert not found.below and found.crosses
    assert found.within + found.past == pytest.approx(1.0)
    assert found.crossing.interval.covers(found.scale)
    assert found.words.startswith("t is lower up to ")
    twin = crossover(made(SHALLOW), made(STEEP, name="u"), "N", D=2048)
    assert twin.below and twin.scale == pytest.approx(AT, rel=1e-3)


def test_which_is_lower_at_the_ends() -> None:
    found = crossover(made(STEEP), made(SHALLOW, name="u"), "N", D=2048)
    for end, n in enumerate(found.data):
        at = np.array([[n, 2048.0]])
        lower = exact(STEEP, at)[0] < exact(SHALLOW, at)[0]
        assert found.first_lower(end) == float(lower)


def test_two_crossings_are_both_found_and_the_nearer_is_reported() -> None:
    one, two = (0.20, 40.0, 0.9, *D), (0.199, 4.0, 0.55, *D)
    n = np.geomspace(20, 2e7, 200_001)
    at = np.stack([n, np.full_like(n, 2048.0)], axis=1)
    sign = np.sign(exact(one, at) - exact(two, at))
    turns = np.flatnonzero(np.diff(sign) != 0)
    assert len(turns) == 2
    found = crossover(made(one), made(two, name="u"), "N", D=2048)
    assert sorted(found.scales[0]) == pytest.approx(sorted(n[turns]), rel=5e-2)
    assert found.scale in found.scales[0]


def test_along_data() -> None:
    one, two = (0.1, 30.0, 0.7, 50.0, 1.0), (0.1, 30.0, 0.7, 5.0, 0.7)
    found = crossover(made(one), made(two, name="u"), "D", N=2e4)
    assert found.scale == pytest.approx(10 ** (1 / 0.3), rel=1e-3)
    assert found.within == 1.0


def test_no_crossing_is_an_answer() -> None:
    found = crossover(made(STEEP), made((0.3, 40.0, 0.7, *D), name="u"), D=2048, names=("r", "t"))
    assert not found.crosses and found.none == 1.0 and math.isnan(found.scale)
    assert "no crossing up to 100 times the data: r is lower" in found.words
    row = found.table().iloc[0]
    assert row["reason"] == found.words and "no answer" not in str(found)


def test_a_crossing_out_of_reach_does_not_count() -> None:
    far = (0.10, 9.0, 0.5, *D)  # meets SHALLOW at 9.0 / 3.0 ** 10
    fits = made(far), made(SHALLOW, name="u")
    assert crossover(*fits, D=2048).scale == pytest.approx(3.0**10, rel=1e-2)
    assert not crossover(made((0.1, 0.003, 0.1, *D)), made(SHALLOW, name="u"), D=2048).crosses
    near = made((0.10, 12.0, 0.5, *D))
    assert crossover(near, fits[1], D=2048).crosses
    assert not crossover(near, fits[1], D=2048, reach=1.0).crosses


def test_noise_is_in_the_interval_and_shares_add_up() -> None:
    hits = []
    for seed in range(8):
        first = made(STEEP, noise=0.003, seed=seed, n_boot=100)
        second = made(SHALLOW, noise=0.003, seed=100 + seed, name="u", n_boot=100)
        found = crossover(first, second, "N", D=2048)
        assert found.within + found.past + found.none == pytest.approx(1.0)
        hits.append(found.crosses and found.crossing.interval.covers(AT))
    assert sum(hits) >= 6


def test_refusals() -> None:
    fit = made(n_boot=0)
    with pytest.raises(ValueError, match="hold D"):
        crossover(fit, fit, "N")
    with pytest.raises(ValueError, match="D must be positive"):
        crossover(fit, fit, "N", D=0)
    with pytest.raises(ValueError, match="reach"):
        crossover(fit, fit, "N", D=1, reach=0.5)
    with pytest.raises(ValueError, match="laws of N, D and of D"):
        crossover(fit, made(law="d_law", n_boot=0), "D", N=1e4)
    few = fit_law({"N": [2e4] * 6, "D": np.geomspace(1e2, 1e4, 6), "loss": np.ones(6)}, n_boot=0)
    found = crossover(few, fit, "N", D=2048)
    assert found.reason.startswith("the first: 1 value of N") and not found.words
    assert math.isnan(found.table()["value"][0])


def test_a_law_with_little_to_explain_is_compared_all_the_same() -> None:
    weak = (0.25, 0.3, 0.3, 0.5, 0.5)
    noisy = made(weak, noise=0.08, seed=1, n_boot=20, name="u")
    assert noisy.r2 < 0.7
    found = crossover(made(), noisy, "N", D=2048)
    assert not found.reason and found.crosses
    assert any("R²" in w and "its curve means little" in w for w in found.warnings)


def test_parity_inverts_the_second_law() -> None:
    first, second = made((0.12, 20.0, 0.7, 70.0, 1.1)), made((0.10, 30.0, 0.5, 70.0, 1.1), name="u")
    found = parity(first, second, "N", at={"N": 2e4, "D": 2048}, names=("r", "t"))
    loss = exact(HOME, np.array([[2e4, 2048.0]]))[0]
    assert found.loss == pytest.approx(loss, rel=1e-6)
    needed = (30.0 / (loss - 0.10 - 70.0 / 2048**1.1)) ** 2 / 2e4
    assert found.factor.point == pytest.approx(needed, rel=1e-3)
    assert found.factor.interval.covers(found.factor.point)
    assert f"t needs {needed:.3g}" in found.words


def test_a_floor_above_is_never_reached() -> None:
    found = parity(made(), made((0.4, 5.0, 0.35, 40.0, 0.8), name="u"), at={"N": 2e5, "D": 8192})
    assert math.isinf(found.factor.point) and found.never == 1.0
    assert math.isinf(found.factor.interval.low)
    assert "no number of parameters" in found.words and "its floor there is 0.4" in found.words


@pytest.mark.parametrize("at", [{"N": 1e4}, {"D": 1e3}, {"N": -1.0, "D": 1e3}, {"N": 1, "D": 0}])
def test_parity_needs_both_scales(at: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"missing|hold|positive"):
        parity(made(n_boot=0), made(n_boot=0), at=at)
