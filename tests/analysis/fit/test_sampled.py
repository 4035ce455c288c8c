"""A number with its resamples: its interval, and resamples of several fits brought together."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.fit.intervals import t_quantile
from analysis.fit.sampled import UNKNOWN, Sampled, Stream, aligned, combined, mean, percentile_ends
from analysis.text import NORMAL

A, TWIN, OTHER = ((Stream(seed, 100, (run,)),) for seed, run in ((0, "a"), (0, "b"), (1, "b")))
VALUES = np.concatenate([[1.0], np.random.default_rng(0).normal(1.0, 0.1, 400)])


def test_the_interval_is_that_of_the_percentiles_widened_by_student() -> None:
    samples = np.linspace(-1.0, 1.0, 201)
    low, high = percentile_ends(samples, np.array(0.0), 3)
    assert high == pytest.approx(0.95 * t_quantile(3) / NORMAL) and low == pytest.approx(-high)
    one = Sampled(point=0.0, samples=samples, dof=3).interval
    assert [one.low, one.high] == [float(low), float(high)]
    logged = Sampled(point=1.0, samples=np.exp(samples), dof=3, positive=True).interval
    assert (logged.low, logged.high) == pytest.approx((math.exp(low), math.exp(high)))
    both = percentile_ends(np.stack([samples, 2 * samples], axis=1), np.zeros(2), 3)
    np.testing.assert_allclose(both, [[low, 2 * low], [high, 2 * high]])
    assert np.isnan(percentile_ends(samples[:0], np.array(0.0), 3)).all()


def test_bounds_hold_and_intervals_of_kappa_stay_within_its_own() -> None:
    bounded = Sampled.of(VALUES, 3, lower=0.95, upper=1.05)
    assert (bounded.interval.low, bounded.interval.high) == (0.95, 1.05)
    less = bounded.less(bounded)
    assert (less.lower, less.upper) == pytest.approx((-0.1, 0.1))
    values = np.concatenate([[0.02], np.full(50, 0.011), np.full(50, 0.3)])
    kappa = Sampled.of(values, 2, lower=0.01, upper=4.0).interval
    assert kappa.low == 0.01 and kappa.high < 4.0


def test_resamples_are_kept_together() -> None:
    one = Sampled.of(VALUES, 1000)
    assert one.interval.covers(1.0) and 0.3 < one.interval.high - one.interval.low < 0.5
    cancelled = mean([one, Sampled.of(2 - VALUES, 20)])
    np.testing.assert_allclose([cancelled.point, *cancelled.samples], 1.0)
    assert cancelled.dof == 20
    few = Sampled.of(np.where(np.arange(401) % 3 == 0, VALUES, np.nan), 1000)
    assert np.isnan(few.interval.low)
    assert np.isnan(mean([]).point) and mean([]).why == "no estimate"


def test_independent_runs_of_one_seed_are_shuffled_and_of_another_are_not() -> None:
    samples = np.arange(100.0)
    (same, twin, shuffled, other), source = aligned([samples] * 4, [A, A, TWIN, OTHER])
    assert (same == twin).all() and (same == other).all()
    assert sorted(shuffled) == sorted(same) and (shuffled != same).any()
    assert source == (*A, *TWIN, *OTHER)
    both = mean([Sampled(point=50.0, samples=samples, dof=9, source=s) for s in (A, OTHER)])
    again = aligned([samples, samples], [both.source, A])[0]
    assert (again[0] == again[1]).all()  # a mean of several stays paired with its parts
    one = Sampled(point=50.0, samples=samples, dof=1000, source=A)
    assert combined(np.subtract, one, one).interval.high == 0.0
    assert mean([one, one]).interval == one.interval


def test_infinite_samples_lie_beyond_every_bound() -> None:
    far = Sampled(point=1.0, samples=np.append(np.ones(9), math.inf), dof=20, positive=True)
    assert far.interval.low == 1.0 and math.isinf(far.interval.high)
    assert far.share(np.isinf) == 0.1
    few = Sampled(point=1.0, samples=np.append(1.0, np.full(9, math.nan)), dof=20)
    assert few.interval == UNKNOWN and few.why == "only 1 of 10 resamples have a value"
    never = Sampled(point=math.inf, samples=np.append(np.ones(9), math.inf), dof=20)
    assert (never.interval.low, never.interval.high) == (1.0, math.inf)
