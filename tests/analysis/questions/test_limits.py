"""What limits a loss, on laws whose terms are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.questions import bottleneck, reduction
from tests.analysis.asked import GRID, HOME, made

RANGES = [float(GRID[:, k].max() / GRID[:, k].min()) for k in (0, 1)]


def test_terms_and_gains_are_those_of_the_law() -> None:
    found = bottleneck(made())
    _, A, alpha, B, beta = HOME
    by_n, by_d = A / GRID[:, 0].max() ** alpha, B / GRID[:, 1].max() ** beta
    assert found.data_share.point == pytest.approx(by_d / (by_n + by_d), rel=1e-4)
    assert "data limits it more" not in found.lines[0].words
    for gain, line, times, exponent in zip(
        found.gains.values(), found.lines[1:], RANGES, (alpha, beta), strict=True
    ):
        assert gain.gone == line.value == pytest.approx(1 - times**-exponent, rel=1e-5)
        assert line.interval == gain.gone_interval and line.interval.covers(line.value)


def test_what_is_used_up_has_the_interval_of_the_exponent() -> None:
    """It covers as often, and never leaves 0 to 1, as an interval of the share itself did."""
    for seed in range(8):
        fit = made(noise=0.03, seed=seed, n_boot=100)
        gain, ends = bottleneck(fit).gains["N"], reduction(fit, "N").exponent.interval
        low, high = (1 - RANGES[0] ** -end for end in (ends.low, ends.high))
        assert (gain.gone_interval.low, gain.gone_interval.high) == pytest.approx((low, high))
        assert 0 < gain.gone_interval.low <= gain.gone <= gain.gone_interval.high < 1


def test_a_law_that_determines_nothing_says_why() -> None:
    flat = bottleneck(made(loss=0.3 + 5.0 / GRID[:, 0] ** 0.5))
    share, of_n, of_d = flat.lines
    assert "at a bound" in share.reason and math.isnan(share.value)
    assert "at a bound" in of_d.reason and not of_n.reason
    none = bottleneck(made(n_boot=0))
    assert all("n_boot = 0" in line.reason for line in none.lines)
    assert not np.isnan([line.value for line in none.lines]).any()
    with pytest.raises(ValueError, match="not a joint law"):
        bottleneck(made(law="n_law", n_boot=0))
