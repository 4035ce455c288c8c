"""Runs that an allocation is read from: whether C varies, and Pareto fronts."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.compute.rows import pareto, spread_at_fixed_size
from tests.analysis.frontiers import isoflop_runs, ladder


def test_sizes_with_several_d_decide_whether_c_varies() -> None:
    rows = ladder(r=-1.0)
    bent = rows["C"] * np.exp(0.5 * np.sin(2 * np.log(rows["N"])))  # of N alone, but not smooth
    N, C, D = (v.to_numpy() for v in (rows["N"], bent, rows["D"]))
    spread, varies = spread_at_fixed_size(N, C, D)
    assert spread < 1e-9 and not varies
    stopped = C * np.exp(0.05 * np.random.default_rng(0).standard_normal(len(C)))
    spread, varies = spread_at_fixed_size(N, stopped, D)
    assert varies and spread == pytest.approx(0.05, rel=0.4)


def test_a_grid_whose_every_size_is_new_varies() -> None:
    runs = isoflop_runs()
    N, C = runs["N"].to_numpy(), runs["C"].to_numpy()
    assert runs["N"].nunique() == len(runs)
    assert spread_at_fixed_size(N, C, runs["D"].to_numpy())[1]
    assert not spread_at_fixed_size(N, N**1.1, None)[1]
    doubled = np.repeat(N, 2)  # seeds of a size share N, D and C
    assert spread_at_fixed_size(doubled, np.repeat(C, 2), np.repeat(runs["D"].to_numpy(), 2))[1]
    assert spread_at_fixed_size(N[:2], C[:2]) == (0.0, False)


@given(
    st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=30),
    st.integers(1, 3),
)
def test_pareto_keeps_what_nothing_dominates(rows: list[tuple[int, ...]], count: int) -> None:
    values = np.array(rows, dtype=float)[:, :count]
    names = ["C", "loss", "bytes"][:count]
    found = pareto(pd.DataFrame(values, columns=names), names)
    for kept, row in zip(found, values, strict=True):
        beaten = ((values <= row).all(axis=1) & (values < row).any(axis=1)).any()
        assert kept == (not beaten)


def test_pareto_needs_columns_that_compare() -> None:
    rows = {"C": [1.0, 2.0], "loss": [1.0, math.nan]}
    with pytest.raises(ValueError, match="loss holds NaN"):
        pareto(rows, ("C", "loss"))
    with pytest.raises(ValueError, match="missing column bytes"):
        pareto(rows, ("C", "bytes"))
    with pytest.raises(ValueError, match="no columns"):
        pareto(rows, ())
    assert pareto({"C": [1.0, math.inf], "loss": [2.0, 1.0]}, ("C", "loss")).all()
