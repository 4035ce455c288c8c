"""Loss to loss with floors from other fits, and metrics whose ends no point lies near."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from analysis import fit_law
from analysis.fit.certificate import Status
from analysis.fit.fit import fit_together
from analysis.fit.result import Fit
from analysis.fit.rolling import windows
from analysis.laws import FloatArray, get

LAW, SIGMOID = get("loss_to_loss"), get("sigmoid")
TRUTH = np.array([1.9, 0.8, 0.9, 2.1])  # E_ood, K, kappa, E_id
FLOORS = {"E_ood": 1.9, "E_id": 2.1}
LOSS = np.linspace(2.6, 3.6, 30)


def pairs(seed: int = 0, noise: float = 0.002) -> dict[str, FloatArray]:
    error = noise * np.random.default_rng(seed).standard_normal(len(LOSS))
    return {"L_id": LOSS, "L_ood": LAW.value(TRUTH, LOSS[:, None]) * np.exp(error)}


def width(fit: Fit, at: float) -> float:
    row = fit.predicted(np.array([[at]])).iloc[0]
    return float(row["new_high"] - row["new_low"])


def test_at_and_below_the_floor_there_is_no_value_and_it_is_said() -> None:
    fit = fit_law(pairs(), "loss_to_loss", fixed=FLOORS, n_boot=20)
    with pytest.warns(UserWarning, match=r"2 of 3 points: L_id is at or below E_id = 2.1"):
        table = fit.predict(L_id=[2.0, 2.1, 2.5])
    ends = ["L_ood", "mean_low", "mean_high", "new_low", "new_high"]
    assert table.loc[:1, ends].isna().all(axis=None)
    assert table.loc[2, ends].notna().all()
    with pytest.warns(UserWarning, match="^L_id is at or below E_id"):
        assert math.isnan(fit.predict(L_id=1.0)["L_ood"].iloc[0])


def test_parts_fitted_together_say_it_too() -> None:
    found = fit_together({"one": (pairs(), LAW), "two": (pairs(1), LAW)}, ("kappa",), n_boot=0)
    with pytest.warns(UserWarning, match="one: L_id is at or below E_id"):
        assert found.predict("one", L_id=0.01)["L_ood"].isna().all()
    assert found.predict("two", L_id=3.0)["L_ood"].notna().all()


def test_parts_keep_what_is_said_of_their_rows() -> None:
    marked = pd.DataFrame(pairs()).assign(split=["train"] * 25 + ["test"] * 5)
    found = fit_together({"one": (marked, LAW), "two": (pairs(1), LAW)}, ("kappa",), n_boot=0)
    assert any(w.startswith("one: column split holds train, test") for w in found.fit.warnings)
    with pytest.raises(ValueError, match="weights cannot be given"):
        fit_together({"one": (marked, LAW)}, (), weights="w")


def test_rows_at_or_below_a_held_floor_are_left_out_and_counted() -> None:
    data = pairs()
    own = {k: np.append(v, [2.05, 2.1] if k == "L_id" else [1.95, 1.96]) for k, v in data.items()}
    fit, clean = (fit_law(d, "loss_to_loss", fixed=FLOORS, n_boot=0) for d in (own, data))
    assert any("2 of 32 rows left out: L_id is at or below E_id" in w for w in fit.warnings)
    assert fit.params == pytest.approx(clean.params)
    with pytest.raises(ValueError, match="no rows to fit: L_id is at or below E_id = 4"):
        fit_law(data, "loss_to_loss", fixed={"E_ood": 1.0, "E_id": 4.0})


def test_intervals_hold_floors_that_are_off() -> None:
    """Floors 2 % off: the point stays theirs, the interval holds the fit that frees one."""
    exact = float(LAW.value(TRUTH, np.array([[2.25]]))[0])
    for off in ({"E_ood": 1.94, "E_id": 2.1}, {"E_ood": 1.9, "E_id": 2.14}):
        fit = fit_law(pairs(), "loss_to_loss", fixed=off, n_boot=100)
        row = fit.predicted(np.array([[2.25]])).iloc[0]
        assert row["mean_low"] <= exact <= row["mean_high"]
        alone = fit.table(np.array([[2.25]]), np.array([row["L_ood"]])).iloc[0]
        assert row["mean_low"] <= alone["mean_low"] and row["mean_high"] >= alone["mean_high"]
        assert fit.intervals["kappa"].covers(0.9)
        assert not fit.intervals_bootstrap["kappa"].covers(0.9)
        assert any("intervals also hold the fit with E_id free" in n for n in fit.notes)
        assert fit.intervals["E_id"].low == fit.intervals["E_id"].high == off["E_id"]


@pytest.mark.parametrize(("name", "value"), [("E_id", 2.1), ("E_ood", 1.9)])
def test_of_one_held_floor_the_error_left_out_is_said(name: str, value: float) -> None:
    said = f"{name} is held at {value} as if it were exact: intervals leave out its error"
    fit = fit_law(pairs(), "loss_to_loss", fixed={name: value}, n_boot=20)
    assert fit.released is None and not fit.notes
    told = [w for w in fit.warnings if w.startswith(said)]
    assert len(told) == 1 and f"fixed={{'{name}': ({value}, 0.02)}}" in told[0]
    other = {"E_id": ("E_ood", 1.9), "E_ood": ("E_id", 2.1)}[name]
    both: dict[str, float | tuple[float, float]] = {name: value, other[0]: (other[1], 0.02)}
    half = fit_law(pairs(), "loss_to_loss", fixed=both, n_boot=0)
    assert half.released is None and sum(w.startswith(said) for w in half.warnings) == 1


def test_floors_that_are_free_or_have_errors_leave_nothing_out() -> None:
    both: dict[str, tuple[float, float]] = {"E_id": (2.1, 0.02), "E_ood": (1.9, 0.02)}
    fits = [
        fit_law(pairs(), "loss_to_loss", fixed=FLOORS, n_boot=0),
        fit_law(pairs(), "loss_to_loss", fixed={"E_id": both["E_id"]}, n_boot=0),
        fit_law(pairs(), "loss_to_loss", fixed=both, n_boot=0),
        fit_law(pairs(), "loss_to_loss", n_boot=0),
    ]
    assert not any("leave out its error" in w for fit in fits for w in fit.warnings)
    assert [fit.released is not None for fit in fits] == [True, False, False, False]


def test_floors_with_errors_widen_with_them() -> None:
    points = [
        fit_law(pairs(), "loss_to_loss", n_boot=200,
                fixed={"E_ood": (1.9, se), "E_id": (2.1, se)})
        for se in (1e-6, 0.01, 0.03)
    ]  # fmt: skip
    plain = fit_law(pairs(), "loss_to_loss", fixed=FLOORS, n_boot=0)
    for fit in points:
        assert fit.params == pytest.approx(plain.params) and fit.released is None
    widths = [width(fit, 2.25) for fit in points]
    assert 1.1 * widths[0] < widths[1] < 0.8 * widths[2]
    kappas = [fit.intervals["kappa"].high - fit.intervals["kappa"].low for fit in points]
    assert kappas[0] < kappas[1] < kappas[2]
    held = points[2].intervals["E_id"]
    assert held.low == pytest.approx(2.1 - 1.96 * 0.03, abs=1e-4)
    assert points[2].bootstrap.theta[:, 3].std() == pytest.approx(0.03, rel=0.2)
    assert json.dumps(points[2].to_dict(), allow_nan=False)


def test_a_joint_law_takes_a_floor_with_an_error() -> None:
    law = get("chinchilla")
    x = np.array([(n, d) for n in np.geomspace(2e3, 2e5, 5) for d in np.geomspace(256, 8192, 5)])
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(len(x)))
    loss = law.value(np.array([0.2, 12.0, 0.5, 5.0, 0.4]), x) * noise
    data = {"N": x[:, 0], "D": x[:, 1], "loss": loss}
    sure, unsure = (fit_law(data, fixed={"E": e}, n_boot=100) for e in (0.2, (0.2, 0.05)))
    assert sure.params == pytest.approx(unsure.params)
    widths = [f.intervals["beta"].high - f.intervals["beta"].low for f in (sure, unsure)]
    assert widths[1] > 1.3 * widths[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fixed": {"E_id": (2.1, 0.0)}}, "fixed E_id is .*standard error, which is positive"),
        ({"fixed": {"E_id": (2.1, math.nan)}}, "fixed E_id is .*which is positive"),
        ({"fixed": {"E_id": (2.1, 0.1, 0.2)}}, "give a value, or a value and its standard error"),
        ({"fixed": {"E_ood": (1.9, 0.1)}, "residual": "log_excess"}, "hold it without an error"),
    ],
)
def test_bad_floors_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_law(pairs(), "loss_to_loss", n_boot=0, **options)  # type: ignore[arg-type]


def test_losses_are_extrapolated_downwards() -> None:
    """The origin moves as models grow: from high losses to low."""
    for fit in (
        fit_law(pairs(), "loss_to_loss", fixed=FLOORS, n_boot=0),
        fit_law(accuracies(3.0), "sigmoid", n_boot=0),
    ):
        x, positions = fit.problem.x[:, 0], windows(fit.problem)
        assert positions
        for _, cut, kept in positions:
            assert x[kept].min() == cut >= x[~kept].max()


def accuracies(lowest: float, high: float = 0.9, noise: float = 0.003) -> dict[str, FloatArray]:
    loss = np.linspace(lowest, 6.0, 25)
    exact = SIGMOID.value(np.array([0.1, high, 2.0, 3.0]), loss[:, None])
    return {"loss": loss, "metric": exact + noise * np.random.default_rng(0).standard_normal(25)}


def test_an_end_that_no_point_lies_near_is_held_and_it_is_said() -> None:
    fit = fit_law(accuracies(3.3), "sigmoid", n_boot=0)
    assert fit.params["high"] == 1.0 and fit.options.fixed == {"high": 1.0}
    assert any("no point lies near high" in w and "is held at 1" in w for w in fit.warnings)
    free = fit_law(accuracies(3.3), "sigmoid", limits={"high": (0.0, 1.0)}, n_boot=0)
    assert free.params["high"] < 1.0 and not any("no point" in w for w in free.warnings)
    low = fit_law(accuracies(3.3), "sigmoid", fixed={"high": 0.9}, n_boot=0)
    assert low.params["high"] == 0.9 and not any("no point" in w for w in low.warnings)


def test_intervals_hold_an_end_that_was_held_and_is_not_there() -> None:
    """The range decides where no point does: it may be wrong, and intervals say so."""
    fit = fit_law(accuracies(3.0, high=0.8, noise=0.01), "sigmoid", n_boot=100)
    assert fit.params["high"] == 1.0 and fit.ended == "high" and fit.released is not None
    assert fit.intervals["high"].low < 0.8 and fit.intervals["high"].high == 1.0
    row = fit.predicted(np.array([[1.0]])).iloc[0]
    exact = float(SIGMOID.value(np.array([0.1, 0.8, 2.0, 3.0]), np.array([[1.0]]))[0])
    assert row["mean_low"] <= exact < row["metric"] <= row["mean_high"] <= 1.0
    asked = fit_law(accuracies(3.0, high=0.8), "sigmoid", fixed={"high": 1.0}, n_boot=0)
    assert asked.ended == "" and asked.released is None  # known to the user


def test_an_end_that_is_measured_is_fitted() -> None:
    fit = fit_law(accuracies(1.0), "sigmoid", n_boot=0)
    assert fit.params["high"] == pytest.approx(0.9, abs=0.01)
    assert fit.status is Status.CONVERGED and not fit.warnings


def test_an_end_far_from_the_data_that_they_insist_on_is_a_guess() -> None:
    fit = fit_law(accuracies(2.6, high=0.5, noise=1e-5), "sigmoid", n_boot=0)
    assert fit.params["high"] == pytest.approx(0.5, abs=0.01)
    assert any("beyond the data it is a guess" in w for w in fit.warnings)


def test_an_error_rate_is_held_at_none() -> None:
    data = accuracies(3.3)
    fit = fit_law({**data, "metric": 1.0 - data["metric"]}, "sigmoid", n_boot=0)
    assert fit.params["high"] == 0.0


def test_a_metric_is_held_out_like_a_loss() -> None:
    data = accuracies(1.0)
    fit = fit_law(data, "sigmoid", n_boot=50)
    held = fit.holdout(loss=float(data["loss"][6]))
    assert held.losses == (data["metric"][6],)
    assert held.predicted == pytest.approx(data["metric"][6], abs=0.02)
    assert 0.001 < held.interval.high - held.interval.low < 0.1 and held.covered


@pytest.mark.parametrize("law", ["sigmoid", "error_law"])
def test_a_metric_of_exactly_nothing_is_a_measurement(law: str) -> None:
    data = accuracies(1.0)
    metric = np.round(np.maximum(data["metric"] - 0.12, 0.0), 2)
    assert (metric == 0).sum() >= 5
    fit = fit_law({"loss": data["loss"], "metric": metric}, law, n_boot=20)
    assert fit.ok and len(fit.rows) == 25
    assert fit.predict(loss=3.0)["metric"].notna().all()
    assert fit.plot() and fit.summary() and json.dumps(fit.to_dict(), allow_nan=False)
    with pytest.raises(ValueError, match=r"metric is 0\.0, not a positive"):
        fit_law({"loss": data["loss"], "metric": metric}, law, residual="log")


@pytest.mark.parametrize(("value", "said"), [(45.2, "divide per cents by 100"), (-0.1, "-0.1")])
def test_a_metric_that_is_no_share_is_refused(value: float, said: str) -> None:
    data = accuracies(1.0)
    data["metric"][4] = value
    with pytest.raises(ValueError, match=rf"row 4: metric is .*{said}"):
        fit_law(data, "sigmoid")
