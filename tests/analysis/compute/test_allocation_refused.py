"""Allocations that are refused or come with a warning."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from analysis import fit_law
from analysis.compute.allocation import allocate
from analysis.compute.cost import ComputeModel, compute_model
from analysis.compute.rows import AllocationError
from analysis.text import Interval
from tests.analysis.frontiers import (
    EPOCH,
    STANDARD,
    costing,
    fitted,
    ladder,
    refits,
)


def test_without_refits_there_are_no_intervals_and_it_is_said() -> None:
    found = allocate(fitted(EPOCH), STANDARD)
    assert math.isnan(found.counted.a_interval.low)
    assert any("no intervals" in w for w in found.warnings)
    assert found.table["N_low"].isna().all() and found.to_dict()["table"][0]["N_low"] is None


def test_refits_without_an_optimum_are_left_out() -> None:
    draws = refits(EPOCH, count=50)
    draws[:5, 2], draws[5, 0] = 0.0, np.nan
    assert len(allocate(fitted(EPOCH, draws=draws), STANDARD).draws.theta) == 44


@pytest.mark.parametrize(
    ("status", "bounds", "word"),
    [
        ("not converged", (), "the fit is not converged"),
        ("at bound", ("alpha",), "alpha on a bound"),
        ("converged", ("E",), ""),
    ],
)
def test_a_fit_that_is_not_to_be_relied_on_is_said(
    status: str, bounds: tuple[str, ...], word: str
) -> None:
    found = allocate(fitted(EPOCH, status=status, bounds_hit=bounds), STANDARD, C=1e19)
    said = [w for w in found.warnings if "no refits" not in w]
    assert (any(word in w for w in said)) if word else not said


def test_an_interval_that_reaches_an_end_is_said() -> None:
    draws = refits(EPOCH, spread=0.05)
    draws[:40, 2] *= 1e-3
    draws[-40:, 4] *= 1e-3
    found = allocate(fitted(EPOCH, draws=draws), STANDARD)
    assert found.counted.share_data_interval == Interval(low=0.0, high=1.0)
    assert sum("no compute at all for" in w for w in found.warnings) == 2


@pytest.mark.parametrize(
    ("theta", "compute", "message"),
    [
        ((1.8, 400.0, 0.0, 2000.0, 0.4), STANDARD, "alpha is not positive"),
        ((math.nan,) * 5, STANDARD, "the fit has no parameters"),
        (EPOCH, dataclasses.replace(STANDARD, varies=False, at_fixed_N=0.002), "at fixed N"),
        (EPOCH, compute_model(ladder(r=-1.0)), "does not vary at fixed N.*train each size"),
        (
            EPOCH,
            compute_model(ladder(r=-1.0, noise=0.1)),
            "not seen to grow with D.*fix the epochs",
        ),
        (EPOCH, costing(-0.2, 1.0), "not seen to grow with N.*more sizes"),
    ],
)
def test_what_allows_no_allocation_is_refused(
    theta: tuple[float, ...], compute: ComputeModel, message: str
) -> None:
    with pytest.raises(AllocationError, match=message):
        allocate(fitted(theta), compute)


def test_a_law_of_one_axis_is_refused_and_so_is_a_bad_budget() -> None:
    N = np.geomspace(1e3, 1e6, 8)
    fit = fit_law({"N": N, "loss": 1 + 5 / N**0.3}, law="n_law", n_boot=0)
    with pytest.raises(AllocationError, match="joint law of N and D"):
        allocate(fit, STANDARD)
    with pytest.raises(ValueError, match="C must be positive"):
        allocate(fitted(EPOCH), STANDARD, C=[1e20, math.inf])
    assert issubclass(AllocationError, ValueError)


def test_runs_with_c_stand_for_their_compute_model() -> None:
    frame = pd.DataFrame([(n, d) for n in np.geomspace(1e6, 1e8, 4) for d in (1e8, 1e9, 1e10)])
    frame.columns = pd.Index(["N", "D"])
    frame["C"] = 7.0 * frame["N"] ** 0.9 * frame["D"]
    found = allocate(fitted(EPOCH), frame)
    assert found.compute.m == pytest.approx(0.9, rel=1e-9)
    named = frame.rename(columns={"N": "params", "D": "tokens", "C": "flops"})
    assert allocate(fitted(EPOCH), named).a == pytest.approx(found.a, rel=1e-12)
    for given, message in (
        (frame[["N", "D"]], "not runs without C: compute_model"),
        (7, "costs, not int: compute_model"),
    ):
        with pytest.raises(AllocationError, match=message):
            allocate(fitted(EPOCH), given)  # type: ignore[arg-type]


def test_a_law_of_samples_seen_has_no_allocation_in_d() -> None:
    N, S = (v.ravel() for v in np.meshgrid(np.geomspace(1e3, 1e6, 4), np.geomspace(1e4, 1e7, 4)))
    fit = fit_law({"N": N, "S": S, "loss": 1 + 5 / N**0.3 + 9 / S**0.3}, law="samples", n_boot=0)
    with pytest.raises(AllocationError, match=r"samples has no D: .*joint law of N and D"):
        allocate(fit, STANDARD)
