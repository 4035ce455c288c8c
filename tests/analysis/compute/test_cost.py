"""What training costs, from the runs."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from analysis.compute.cost import ComputeModel, compute_model
from analysis.compute.rows import AllocationError
from tests.analysis.frontiers import ladder


def test_exact_costs_give_exact_exponents() -> None:
    found = compute_model(ladder(m=0.83, epochs=20, p=0.1, r=-0.3))
    assert found.m == pytest.approx(0.93, abs=1e-9) and found.q == pytest.approx(0.7, abs=1e-9)
    assert math.exp(found.log_k) == pytest.approx(6 * 40 * 20, rel=1e-9)
    assert found.macs == pytest.approx(0.83, abs=1e-9)
    assert found.epochs == pytest.approx((0.1, -0.3), abs=1e-9)
    assert found.r2 == pytest.approx(1) and found.varies and not found.warnings
    rows = ladder(m=0.83, epochs=20, p=0.1, r=-0.3)
    np.testing.assert_allclose(
        found.compute(rows["N"].to_numpy(), rows["D"].to_numpy()), rows["C"], rtol=1e-9
    )


def test_fixed_epochs_take_m_from_the_macs_and_q_as_1() -> None:
    found = compute_model(ladder(m=0.83, epochs=20, r=-0.3), convention="fixed epochs")
    assert found.m == pytest.approx(0.83, abs=1e-9) and found.q == 1
    assert any("not measured" in w for w in found.warnings)
    bare = compute_model(ladder().drop(columns="C"), convention="fixed epochs")
    assert any("no column C" in w for w in bare.warnings)
    assert math.exp(bare.log_k) == pytest.approx(6 * 40, rel=1e-9)


def test_c_that_departs_from_a_power_law_is_in_the_interval() -> None:
    rows = ladder(m=0.83)
    bent = rows.assign(macs=rows["macs"] * np.exp(0.1 * np.sin(np.log(rows["N"]))))
    bent["C"] = bent["macs"] * rows["C"] / rows["macs"]
    found = compute_model(bent)
    assert found.m_interval.covers(0.83)
    assert found.m_interval.high - found.m_interval.low > 0.03
    assert found.q_interval.high - found.q_interval.low < 1e-6  # D costs the same at every size
    macs = compute_model(bent, convention="fixed epochs")
    assert macs.m_interval.high - macs.m_interval.low > 0.03


def test_intervals_cover_the_exponents() -> None:
    covered = []
    base = ladder(m=0.9)
    N, D = base["N"].to_numpy(), base["D"].to_numpy()
    rng = np.random.default_rng(0)
    for seed in range(80):
        of_size = dict(zip(np.unique(N), 0.1 * rng.standard_normal(5), strict=True))
        noise = np.array([of_size[n] for n in N]) + 0.1 * rng.standard_normal(len(N))
        C = 6 * N**0.9 * D**1.0 * np.exp(noise)
        found = compute_model({"N": N, "D": D, "C": C}, n_boot=150, seed=seed)
        covered.append((found.m_interval.covers(0.9), found.q_interval.covers(1.0)))
        assert found.m_interval.high - found.m_interval.low < 0.5
    m, q = np.sum(covered, axis=0)
    assert m >= 68 and q >= 70  # nominal 76 of 80


def test_c_that_does_not_vary_at_fixed_n_is_said() -> None:
    found = compute_model(ladder(r=-1.0))
    assert not found.varies and found.at_fixed_N < 1e-9
    assert any("does not vary at fixed N" in w and "train each size" in w for w in found.warnings)
    assert "C varies at fixed N: no" in found.summary()


def test_two_sizes_test_no_power_law() -> None:
    rows = ladder()
    found = compute_model(rows[rows["N"] < 1e4])
    assert any(w.startswith("2 sizes") for w in found.warnings)


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (ladder().assign(family=["resnet"] * 10 + ["transformer"] * 10), AllocationError, "mix"),
        (ladder().query("N == 2000"), AllocationError, "one N only"),
        (ladder().assign(D=lambda r: 20 * r["N"]), AllocationError, "D is a function of N"),
        (ladder().assign(D=1000.0), AllocationError, "D is a function of N"),
        (ladder().drop(columns="C"), ValueError, "missing column C"),
        (ladder().assign(C=np.nan), ValueError, "row 0: C is nan"),
        (ladder().assign(macs=0), ValueError, "row 0: macs is 0"),
    ],
)
def test_costs_that_cannot_be_told_apart_are_refused(
    rows: pd.DataFrame, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        compute_model(rows)


def test_the_standard_convention_is_exact() -> None:
    found = ComputeModel.standard()
    assert (found.m, found.q, found.varies) == (1, 1, True)
    assert found.compute(np.array(2.0), np.array(5.0)) == pytest.approx(60)


def test_the_model_shows_itself() -> None:
    found = compute_model(ladder(noise=0.1))
    numbers = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert numbers["m"] == found.m and numbers["q_interval"][0] == found.q_interval.low
    assert json.dumps(ComputeModel.standard().to_dict(), allow_nan=False)
    assert "C = k N^m D^q" in found.summary() and "MACs" in found._repr_html_()
