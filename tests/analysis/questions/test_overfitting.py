"""Overfitting of noiseless laws, whether it collapses, and the train-validation gap."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from analysis import load
from analysis.compute.cost import compute_model
from analysis.published import s1
from analysis.questions import allocation_split, collapse, data_needed, extent
from analysis.questions.overfitting import gap_cells
from tests.analysis.asked import GRID, HOME, made
from tests.analysis.worlds import HOLDS, write_world

N = 2e4
UNLIMITED = HOME[0] + HOME[1] / N ** HOME[2]


def test_extent_is_eq_s8() -> None:
    found = extent(made(), N, 2048)
    assert found.delta.point == pytest.approx(HOME[3] / 2048 ** HOME[4] / UNLIMITED, rel=1e-5)
    assert found.delta.interval.covers(found.delta.point) and not found.reason


def test_data_needed_inverts_extent() -> None:
    fit = made()
    found = data_needed(fit, N, 0.1)
    assert found.D.point == pytest.approx((HOME[3] / (0.1 * UNLIMITED)) ** (1 / HOME[4]), rel=1e-5)
    assert extent(fit, N, found.D.point).delta.point == pytest.approx(0.1, rel=1e-9)
    assert found.beyond == 1.0
    far = data_needed(fit, N, 1e-4)
    assert far.beyond > 10 and "extrapolated" in far.lines[0].words


def test_data_needed_covers_the_truth() -> None:
    true = (HOME[3] / (0.1 * UNLIMITED)) ** (1 / HOME[4])
    hits = [
        data_needed(made(noise=0.01, seed=s, n_boot=100), N, 0.1).D.interval.covers(true)
        for s in range(10)
    ]
    assert sum(hits) >= 8


def test_outside_the_data_is_said_and_bad_scales_are_refused() -> None:
    fit = made(n_boot=0)
    assert any("N = 2M lies 10" in w for w in extent(fit, 2e6, 2048).warnings)
    for bad in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="must be positive"):
            extent(fit, bad, 2048)
        with pytest.raises(ValueError, match="delta must be positive"):
            data_needed(fit, N, bad)
    with pytest.raises(ValueError, match="not a joint law"):
        extent(made(law="d_law", n_boot=0), N, 2048)
    with pytest.raises(ValueError, match="not a joint law"):
        collapse(made(law="n_law", n_boot=0))


def test_no_effect_of_data_is_no_answer() -> None:
    flat = made(loss=0.3 + 5.0 / GRID[:, 0] ** 0.5)
    for found in (extent(flat, N, 2048).lines, data_needed(flat, N, 0.1).lines):
        assert math.isnan(found[0].value) and "at a bound" in found[0].reason
    assert "at a bound" in collapse(flat).reason


def test_noiseless_runs_collapse_onto_one_curve() -> None:
    found = collapse(made())
    assert found.r2 == pytest.approx(1.0, abs=1e-6) and found.scatter < 1e-4
    assert found.left_out.empty
    slope = np.polyfit(np.log(found.runs["scaled"]), np.log(found.runs["delta"]), 1)[0]
    assert slope == pytest.approx(-HOME[4], rel=1e-4)
    assert found.law is not None and found.law.params["q"] == pytest.approx(HOME[4], rel=1e-3)
    assert 0 < found.law.params["p"] < HOME[2] and 0.9 < found.law_r2 < 1.0
    p, q = found.law.params["p"], found.law.params["q"]
    assert found.runs["coordinate"][3] == pytest.approx(GRID[3, 1] / GRID[3, 0] ** (p / q))


def test_runs_below_unlimited_data_are_listed() -> None:
    found = collapse(made(noise=0.03, seed=5))
    assert 0 < len(found.left_out) < len(GRID) and (found.left_out["delta"] <= 0).all()
    assert found.left_out["trial"].iloc[0] in found.warnings[0]
    assert found.scatter > 0.1 and found.r2 < 0.95


def test_allocation_split_is_alpha_over_alpha_plus_beta() -> None:
    found = allocation_split(made(), kind=("transformer", "sl"))
    assert found.share.point == pytest.approx(0.7 / 1.8, rel=1e-5)
    assert found.printed == s1.DATA_SHARE["transformer", "sl"]
    assert found.counted is None and found.lines[1].reason == "no compute given"
    assert "more to size" in found.lines[0].words


def test_allocation_split_at_counted_compute() -> None:
    fit = made()
    cost = {"N": GRID[:, 0], "D": GRID[:, 1], "C": 7.0 * GRID[:, 0] ** 0.8 * GRID[:, 1] ** 0.9}
    found = allocation_split(fit, cost)
    share = 0.9 * 0.7 / (0.8 * 1.1 + 0.9 * 0.7)
    assert found.lines[1].value == pytest.approx(share, rel=1e-4)
    given = allocation_split(fit, compute_model(cost, n_boot=10))
    assert given.lines[1].value == pytest.approx(share, rel=1e-4)
    flat = allocation_split(fit, {**cost, "C": 7.0 * GRID[:, 0]})
    assert flat.counted is None and "C does not vary at fixed N" in flat.lines[1].reason
    assert flat.lines[0].value == found.lines[0].value


def test_the_gap_is_validation_less_train(tmp_path: Path) -> None:
    frame = load(write_world(tmp_path / "w", {("resnet", "sl"): HOLDS["resnet", "sl"]}, ()))
    cells = gap_cells(frame)
    assert len(cells) == 25 and (cells["runs"] == 1).all()
    np.testing.assert_allclose(cells["gap"], 0.0001 * 8192 / cells["D"].astype(float), rtol=1e-9)
    np.testing.assert_allclose(cells["relative"], cells["gap"] / cells["train"], rtol=1e-12)
    assert gap_cells(frame[frame["split"] != "train"]).empty
