"""Refits under other choices: what they change, and that they are optima."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis import fit_law
from analysis.checks.sensitivity import Sensitivity, change
from analysis.fit.result import Fit
from analysis.text import Interval
from tests.analysis.checks.test_second_opinion import CASES, noisy
from tests.analysis.fit.test_fit import TRUTH, study


@pytest.fixture(scope="module")
def fit() -> Fit:
    return fit_law(study(), n_boot=100)


@pytest.fixture(scope="module")
def found(fit: Fit) -> Sensitivity:
    total = pd.Series(2.0 * fit.rows["N"].to_numpy(), index=fit.rows["trial"])[::-1]
    found: Sensitivity = fit.sensitivity(
        n_convention={"total": total}, weights=np.linspace(1, 2, 20)
    )
    return found


def row(found: Sensitivity, choice: str, value: str) -> Any:
    table = found.table
    return table[(table["choice"] == choice) & (table["value"] == value)].iloc[0]


def test_one_row_per_choice_and_the_fit_first(fit: Fit, found: Sensitivity) -> None:
    table = found.table
    assert set(table["choice"]) == {
        "fit", "delta", "residual", "variant", "without run", "without", "N", "weights",
    }  # fmt: skip
    assert not table.duplicated(["choice", "value"]).any()
    first = table.iloc[0]
    assert [first[n] for n in fit.law.names] == [fit.params[n] for n in fit.law.names]
    assert (first[[f"{n}_change" for n in fit.law.names]] == 0).all()
    assert table["comparable"].sum() == 2 and row(found, "N", "total")["comparable"]
    assert (table["status"] == "converged").all()


def test_refits_are_those_of_fit_law(fit: Fit, found: Sensitivity) -> None:
    cases: dict[tuple[str, str], Any] = {
        ("delta", "infinite (least squares)"): {"loss": "least_squares"},
        ("residual", "linear"): {"residual": "linear"},
        ("residual", "linear, least squares"): {"residual": "linear", "loss": "least_squares"},
        ("delta", "0.001"): {"delta": 1e-3},
    }
    for key, options in cases.items():
        other = fit_law(study(), n_boot=0, **options)
        np.testing.assert_allclose(row(found, *key)[list(fit.law.names)].astype(float),
                                   other.theta, rtol=1e-6)  # fmt: skip
        assert row(found, *key)["objective"] == pytest.approx(other.certificate.objective)


def test_leaving_out_a_run_is_a_refit_without_it(fit: Fit, found: Sensitivity) -> None:
    top = found.influence.iloc[0]
    keep = (fit.rows["trial"] != top["trial"]).to_numpy()
    alone = fit.refit(keep, delta=fit.problem.delta, n_boot=0)
    expected = row(found, "without run", top["trial"])
    np.testing.assert_allclose(expected[list(fit.law.names)].astype(float), alone.theta, rtol=1e-6)
    assert top["E"] == pytest.approx((alone.params["E"] - fit.params["E"]) / fit.errors["E"])
    assert len(found.influence) == 20 and found.influence["largest"].is_monotonic_decreasing


def test_a_spoiled_run_is_named() -> None:
    data = study(noise=0.003)
    data["loss"][7] *= 1.2
    found = fit_law(data, n_boot=0, loss="least_squares").sensitivity()
    assert found.influence.iloc[0]["trial"] == "row 7"
    assert not found.robust
    assert found.influence["largest"][0] > 2 * found.influence["largest"][1]


def test_another_unit_of_n_changes_the_amplitude_only(fit: Fit, found: Sensitivity) -> None:
    other = row(found, "N", "total")
    assert other["alpha"] == pytest.approx(fit.params["alpha"], rel=1e-6)
    assert other["A"] == pytest.approx(fit.params["A"] * 2 ** fit.params["alpha"], rel=1e-6)
    assert other["objective"] == pytest.approx(fit.certificate.objective)


def test_changes_are_in_half_widths_of_the_side(fit: Fit) -> None:
    known = dataclasses.replace(fit)
    known.__dict__["intervals"] = {
        **fit.intervals, "E": Interval(low=0.0, high=fit.params["E"] + 0.1),
        "A": Interval(low=fit.params["A"] / 2, high=fit.params["A"] * 4),
    }  # fmt: skip
    assert change(known, "E", fit.params["E"] + 0.2) == pytest.approx(2.0)
    assert change(known, "E", 0.0) == pytest.approx(-1.0)
    assert change(known, "A", fit.params["A"] * 2) == pytest.approx(0.5)
    assert change(known, "A", fit.params["A"] / 4) == pytest.approx(-2.0)


def test_scales_that_become_too_few_are_unidentifiable() -> None:
    data = {k: v[study()["N"] > 5e3] for k, v in study().items()}
    found = fit_law(data, n_boot=0).sensitivity()
    lost = row(found, "without", "smallest N")
    assert lost["status"] == "unidentifiable" and np.isnan(lost["alpha"])
    assert any("smallest N: unidentifiable" in w for w in found.warnings)
    assert found.plot() and json.dumps(found.to_dict(), allow_nan=False)


def test_duplicates_and_runs_of_several_rows_are_left_out_together() -> None:
    data = pd.DataFrame({k: np.repeat(v, 2) for k, v in study().items()})
    data["trial"] = [f"t{i // 2}" for i in range(len(data))]
    found = fit_law(data, n_boot=0).sensitivity()
    assert row(found, "without", "duplicates")["points"] == 20
    assert found.influence["trial"].is_unique and len(found.influence) == 20
    assert row(found, "without run", found.influence["trial"][0])["points"] == 38


@pytest.mark.parametrize("name", ["power_law", "frontier", "loss_to_loss", "sigmoid", "tied"])
def test_other_laws_have_one_too(name: str) -> None:
    fit = fit_law(noisy(CASES[name]()), name, n_boot=0)
    found = fit.sensitivity()
    assert list(found.verdicts) == list(fit.law.names)
    assert found.plot() and "choices" in found.summary() and "<table>" in found._repr_html_()
    assert json.dumps(found.to_dict(), allow_nan=False)


def test_options_of_the_fit_are_kept() -> None:
    data = {**study(), "w": np.linspace(1, 2, 20)}
    found = fit_law(data, n_boot=0, weights="w", fixed={"E": 0.2}, variant="bounded").sensitivity()
    assert (found.table["E"] == 0.2).all() and found.verdicts["E"] == "held"
    assert row(found, "weights", "none")["status"] == "converged"
    assert set(found.table.loc[found.table["choice"] == "variant", "value"]) == {
        "plain", "regularised",
    }  # fmt: skip


def test_many_runs_are_left_out_in_one_go(shared: Path) -> None:
    rows = pd.read_csv(shared / "laws/epoch_chinchilla.csv").query("split_all == 'fit'")
    found = fit_law(rows[["N", "D", "loss"]], n_boot=0).sensitivity()
    assert len(found.influence) == 240 and (found.influence["status"] == "converged").all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_convention": {"total": np.ones(3)}}, "total: 20 values are needed, not"),
        ({"n_convention": {"total": -np.ones(20)}}, "total: -1.0 for row 0"),
        ({"n_convention": {"total": "params_total"}}, "no column 'params_total'"),
        ({"weights": np.append(np.nan, np.ones(19))}, "weights: nan for row 0"),
    ],
)
def test_bad_counts_and_weights_are_refused(
    fit: Fit, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fit.sensitivity(**options)


def test_what_has_no_parameters_or_no_n_is_refused() -> None:
    none = fit_law({k: v[:8] for k, v in study().items()}, n_boot=0)
    with pytest.raises(ValueError, match="no parameters to vary: 2 values of N"):
        none.sensitivity()
    by_d = fit_law(study(theta=TRUTH), "d_law", n_boot=0)
    with pytest.raises(ValueError, match="d_law has no N"):
        by_d.sensitivity(n_convention={"total": np.ones(5)})
