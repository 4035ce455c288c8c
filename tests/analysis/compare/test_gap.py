"""Shares of a gap: what their intervals hold, and when they have no ends."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from analysis.compare.comparison import TrainingDraws
from analysis.compare.gap import Share, share_closed
from analysis.compare.paired import Measured, contrast, difference
from analysis.text import NORMAL
from scaling.records.patients import LEVELS, Resamples

METRIC = "macro_auroc"
PATIENTS, RESAMPLES = 120, 200
OWN_SD, RUN_SD = 0.5, 0.7  # of a patient under a method, and of one training of it


def made(
    rng: np.random.Generator, means: Sequence[float], draws: int, draw_sd: float, *, apart: bool
) -> list[Measured]:
    """Methods whose metric is a mean over patients, so that what is true of it is known.

    Patients are hard for all of them, draws lucky for all; of the last one, ``apart``, draws are
    its own.
    """
    patients = Resamples.draw(np.arange(PATIENTS), int(rng.integers(1 << 31)), RESAMPLES)
    weights_NR = patients.weights_NR.astype(np.float64) / PATIENTS
    hard_N, lucky_U = rng.standard_normal(PATIENTS), draw_sd * rng.standard_normal(draws)
    together, alone = (TrainingDraws.draw(draws, RESAMPLES, rng) for _ in range(2))
    found = []
    for i, mean in enumerate(means):
        own = apart and i == len(means) - 1
        level_N = mean + hard_N + OWN_SD * rng.standard_normal(PATIENTS)
        level_U = draw_sd * rng.standard_normal(draws) + (0 if own else 1) * lucky_U
        each_UN = level_N + level_U[:, None] + RUN_SD * rng.standard_normal((draws, PATIENTS))
        units = {
            f"{'seed' if own else 'draw'} {u}": {METRIC: each_UN[u] @ weights_NR}
            for u in range(draws)
        }
        found.append(Measured(units=units, draws=alone if own else together))
    return found


def shares(
    cases: int, gap: float, truth: float, draws: int, draw_sd: float, *, apart: bool = False
) -> list[Share]:
    rng = np.random.default_rng(10 + draws)
    found = []
    for _ in range(cases):
        base, method, top = made(rng, (0.0, truth * gap, gap), draws, draw_sd, apart=apart)
        found.append(share_closed(method, base, top, METRIC))
    return found


@pytest.mark.parametrize(
    ("draws", "draw_sd", "apart"), [(1, 0.0, False), (4, 0.1, False), (4, 0.1, True)]
)
def test_a_clear_gap_has_intervals_that_hold_the_truth_as_often_as_they_say(
    draws: int, draw_sd: float, apart: bool
) -> None:
    found = shares(150, 0.8, 0.6, draws, draw_sd, apart=apart)
    assert np.mean([s.bounded for s in found]) > 0.95
    held = np.mean([s.low <= 0.6 <= s.high for s in found])
    assert held >= 0.90  # 0.93, 0.96 and 0.98 of 800 cases
    values = np.array([s.value for s in found])
    assert np.median(values) == pytest.approx(0.6, abs=0.05)
    low, high = np.percentile(values, LEVELS)
    assert 0.7 < np.median([s.high - s.low for s in found]) / (high - low) < 1.8


def test_a_gap_that_may_be_zero_has_no_ends_and_the_truth_is_held_all_the_same() -> None:
    found = shares(120, 0.2, 0.6, 4, 0.1)
    assert 0.1 < np.mean([s.bounded for s in found]) < 0.7
    assert np.mean([s.low <= 0.6 <= s.high for s in found]) >= 0.92
    for s in found:
        assert s.bounded == (s.gap.low > 0)
        assert s.bounded or (s.low, s.high) == (-math.inf, math.inf)
        assert math.isnan(s.value) == (s.gap.value <= 0)


def test_zero_and_one_are_left_out_where_the_differences_say_so() -> None:
    rng = np.random.default_rng(0)
    seen = set()
    for truth in (-0.4, 0.1, 0.3, 0.5, 0.7, 0.9, 1.4) * 2:
        base, method, top = made(rng, (0.0, truth, 1.0), 6, 0.02, apart=False)
        s = share_closed(method, base, top, METRIC)
        assert s.bounded
        for at, better, worse in ((0.0, method, base), (1.0, method, top)):
            verdict = difference(better, worse, METRIC).verdict
            if min(abs(s.low - at), abs(s.high - at)) > 1e-4:  # ends are known to 1e-5
                told = "better" if s.low > at else "worse" if s.high < at else "open"
                assert verdict == told
            seen.add((at, verdict))
    assert seen == {(at, v) for at in (0.0, 1.0) for v in ("better", "worse", "open")}


def test_normal_resamples_give_fiellers_interval() -> None:
    """(n - rho d)^2 <= z^2 var(n - rho d), solved for rho."""
    rng = np.random.default_rng(1)
    noise = rng.multivariate_normal([0, 0], [[0.04, 0.012], [0.012, 0.03]], 60_000).T
    n, d = (np.concatenate([[m], m + e]) for m, e in zip((0.5, 1.0), noise, strict=True))
    one = TrainingDraws.draw(1, 60_000, rng)
    base, method, top = (
        Measured(units={"seed 0": {METRIC: v}}, draws=one) for v in (0.0 * d, n, d)
    )
    s = share_closed(method, base, top, METRIC)
    z = NORMAL**2
    ends = np.sort(np.roots([1 - z * 0.03, -2 * (0.5 - z * 0.012), 0.25 - z * 0.04]))
    assert (s.low, s.high) == pytest.approx(tuple(ends), abs=0.01)
    assert s.value == 0.5


def test_of_a_metric_that_should_be_small_the_gap_goes_down() -> None:
    rng = np.random.default_rng(2)
    draws = TrainingDraws.draw(1, 200, rng)
    base, method, top = (
        Measured(units={"seed 0": {"ranking_loss": level + 0.01 * rng.standard_normal(201)}},
                 draws=draws)
        for level in (0.4, 0.3, 0.2)
    )  # fmt: skip
    s = share_closed(method, base, top, "ranking_loss")
    assert s.bounded and 0.3 < s.low < s.value < s.high < 0.7
    back = share_closed(method, top, base, "ranking_loss")
    assert math.isnan(back.value) and not back.bounded


def test_the_ceiling_closes_the_whole_gap_and_the_baseline_none() -> None:
    base, top = made(np.random.default_rng(3), (0.0, 1.0), 2, 0.02, apart=False)
    for method, whole in ((top, 1.0), (base, 0.0)):
        s = share_closed(method, base, top, METRIC)
        assert (s.low, s.value, s.high) == pytest.approx((whole,) * 3, abs=1e-4)


def test_one_patient_has_no_interval() -> None:
    draws = TrainingDraws.draw(1, 0, np.random.default_rng(4))
    base, method, top = (
        Measured(units={"seed 0": {METRIC: np.array([v])}}, draws=draws) for v in (0.5, 0.6, 0.7)
    )
    s = share_closed(method, base, top, METRIC)
    assert s.value == pytest.approx(0.5) and not s.bounded and math.isnan(s.gap.low)


def test_a_contrast_adds_by_draw_what_has_the_same_draws() -> None:
    a, b, c = made(np.random.default_rng(5), (0.0, 0.5, 1.0), 3, 0.5, apart=True)
    assert contrast([(1.0, b), (-1.0, a)], METRIC) == pytest.approx(b.less(a, METRIC))
    parts = contrast([(1.0, b), (0.5, a), (-1.5, c)], METRIC)
    apart = contrast([(1.0, b), (0.5, a)], METRIC) - 1.5 * c.of(METRIC)
    assert parts == pytest.approx(apart)
