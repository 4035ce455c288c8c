"""Fits with known answers, and what a fit says about itself."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from analysis import fit_law, plain_law
from analysis.checks.held_out import leave_out_largest
from analysis.fit.certificate import Status
from analysis.fit.result import ExtrapolationWarning, Fit
from analysis.laws import FloatArray, get

LAW = get("chinchilla")
TRUTH = np.array([0.2, 5.0, 0.5, 4.0, 0.4])
N = (2e3, 8e3, 2.4e4, 1e5)
D = (256.0, 512.0, 1024.0, 2048.0, 4096.0)


def study(
    noise: float = 0.01, seed: int = 0, theta: FloatArray = TRUTH, repeats: int = 1
) -> dict[str, FloatArray]:
    x = np.array([(n, d) for n in N for d in D for _ in range(repeats)])
    rng = np.random.default_rng(seed)
    loss = LAW.value(theta, x) * np.exp(noise * rng.standard_normal(len(x)))
    return {"N": x[:, 0], "D": x[:, 1], "loss": loss}


@pytest.fixture(scope="module")
def fit() -> Fit:
    return fit_law(study(), n_boot=200)


def test_a_fit_says_what_it_is(fit: Fit) -> None:
    assert fit.status is Status.CONVERGED and fit.ok
    assert fit.r2 > 0.99 and fit.r2_log_excess > 0.98
    assert fit.certificate.gradient < 1e-6 and fit.certificate.agreed > 0.5
    assert fit.certificate.condition < 1e3
    assert fit.scatter == pytest.approx(0.01, rel=0.5)
    assert 1e-3 < fit.certificate.delta < 0.05
    assert set(fit.alternatives) == {"least squares", "Huber, delta 0.001"}
    assert fit.warnings == ()


def test_intervals_hold_the_estimate_and_the_truth(fit: Fit) -> None:
    for name, truth in zip(LAW.names, TRUTH, strict=True):
        assert fit.intervals[name].covers(fit.params[name])
        assert fit.intervals[name].covers(truth)
    assert fit.profile is not None
    wider = fit.intervals_bootstrap["E"].union(fit.profile.interval)
    assert fit.intervals["E"] == wider


def test_the_same_seed_repeats_and_another_does_not() -> None:
    first, again = (fit_law(study(), n_boot=30, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.bootstrap.theta, again.bootstrap.theta)
    other = fit_law(study(), n_boot=30, seed=4)
    assert not np.array_equal(first.bootstrap.theta, other.bootstrap.theta)


def test_text_and_html_hold_the_estimates(fit: Fit) -> None:
    assert "alpha" in fit.summary() and str(fit) == fit.summary()
    assert "L(N, D)" in fit._repr_html_()
    assert json.loads(json.dumps(fit.to_dict(), allow_nan=False))["params"]["E"] == fit.params["E"]


def test_predictions_have_nested_intervals_and_say_how_far_they_go(fit: Fit) -> None:
    table = fit.predict(N=[2.4e4, 4e5], D=2048)
    inside = table.iloc[0]
    assert inside["new_low"] < inside["mean_low"] < inside["loss"]
    assert inside["loss"] < inside["mean_high"] < inside["new_high"]
    assert list(table["beyond"]) == pytest.approx([1.0, 4.0])
    expected = float(LAW.value(fit.theta, np.array([[2.4e4, 2048.0]]))[0])
    assert inside["loss"] == pytest.approx(expected)


def test_many_points_are_predicted_a_few_at_a_time(
    fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = np.geomspace(1e4, 1e6, 7)
    expected = fit.predicted(np.column_stack([sizes, np.full(7, 2048.0)]))
    monkeypatch.setattr("analysis.fit.optimum.AT_ONCE", 3)
    pd.testing.assert_frame_equal(
        fit.predicted(np.column_stack([sizes, np.full(7, 2048.0)])), expected
    )


def test_a_grid_of_points_is_flattened_first(fit: Fit) -> None:
    sizes, data = np.meshgrid([1e4, 1e5], [512.0, 1024.0, 2048.0])
    for wrong in ({"N": sizes, "D": 512.0}, {"N": [1e4, 1e5], "D": [256.0, 512.0, 1024.0]}):
        with pytest.raises(ValueError, match=r"give one number or equally many .* N=N.ravel\(\)"):
            fit.predict(**wrong)
    assert len(fit.predict(N=sizes.ravel(), D=data.ravel())) == 6


def test_a_law_that_is_held_whole_has_predictions() -> None:
    known = {"E": 0.2, "A": 12.0, "alpha": 0.5, "B": 5.0, "beta": 0.4}
    row = fit_law(study(), fixed=known, n_boot=20).predict(N=4e5, D=4096).iloc[0]
    assert row["loss"] == pytest.approx(0.2 + 12 / 4e5**0.5 + 5 / 4096**0.4)
    assert row["new_low"] < row["loss"] < row["new_high"]


def test_a_limit_that_was_given_is_no_fault_of_the_data() -> None:
    found = fit_law(study(), limits={"beta": (1.0, 1.5)}, n_boot=0)
    assert "beta ran to a bound (1) that was given" in found.warnings


def test_few_refits_are_said_to_be_few() -> None:
    said = "20 refits give intervals that are too narrow: take 200"
    assert said in fit_law(study(), n_boot=20).warnings
    assert not any("refits" in w for n in (0, 50) for w in fit_law(study(), n_boot=n).warnings)


def test_intervals_of_a_share_stay_between_0_and_1() -> None:
    loss = np.linspace(2.5, 4.0, 12)
    noise = 0.02 * np.random.default_rng(0).standard_normal(12)
    accuracy = 0.25 + 0.75 / (1 + np.exp(4 * (loss - 3.0))) + noise
    found = fit_law({"loss": loss, "metric": accuracy}, "sigmoid", fixed={"high": 1.0}, n_boot=100)
    table = found.predicted(np.array([[1.5], [2.6], [6.0]]))
    assert table["new_high"].max() == 1.0
    assert (table["new_low"] >= 0.0).all()
    assert (table["new_low"] < table["metric"]).all()


def test_intervals_widen_outside_the_data_when_the_law_is_wrong() -> None:
    data = study(noise=0.002)
    bent = {**data, "loss": data["loss"] * (1 + 0.02 * (np.log(data["N"] / 1e4)) ** 2)}
    straight, wrong = (fit_law(d, n_boot=0).misfit for d in (data, bent))
    assert straight is not None and wrong is not None
    assert wrong.typical > 3 * straight.typical
    assert wrong.typical > 0.02
    near, far = (wrong.widths(np.array([[1e5, 4096.0]]) * k)[1][0] for k in (2.0, 10.0))
    assert 0 < near < far
    assert wrong.widths(np.array([[1e5, 4096.0]]))[1][0] == 0


def test_larger_runs_that_lie_lower_than_promised_widen_the_lower_side() -> None:
    data = study(noise=0.002)
    fall = np.log(data["N"] / 2e3) ** 2 + np.log(data["D"] / 256) ** 2
    fit = fit_law({**data, "loss": np.exp(-0.02 * fall)}, n_boot=0)
    assert fit.misfit is not None and fit.misfit.below > 1.3 * fit.misfit.above
    down, up = fit.misfit.widths(np.array([[4e5, 16384.0]]))
    assert down[0] > 1.3 * up[0] > 0


def test_beyond_counts_compute_as_well() -> None:
    """The corner of an isoFLOP design is inside every axis, at 25 times the largest compute."""
    ratio = np.geomspace(0.2, 5.0, 5)
    n = np.concatenate([1e6 * c * ratio for c in (0.5, 1.0, 2.0)])
    d = np.concatenate([1e6 * c / ratio for c in (0.5, 1.0, 2.0)])
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(len(n)))
    fit = fit_law({"N": n, "D": d, "loss": (0.5 + 20 / n**0.3 + 30 / d**0.3) * noise}, n_boot=50)
    with pytest.warns(ExtrapolationWarning, match=r"25 times outside the data.*error of the law"):
        corner = fit.predict(N=n.max(), D=d.max()).iloc[0]
    assert corner["beyond"] == pytest.approx(25.0)
    assert corner["untested"]
    inside = fit.predict(pd.DataFrame({"N": [n[2]], "D": [d[2]], "loss": [1.0]})).iloc[0]
    assert inside["beyond"] == 1.0 and not inside["untested"]
    spread = [np.log(r["new_high"] / r["new_low"]) for r in (corner, inside)]
    assert spread[0] > 2 * spread[1]


def test_a_formula_that_turns_negative_says_so() -> None:
    """As a loss to loss below E_id does: no number that looks like a prediction."""
    u = np.geomspace(1, 100, 30)
    own = plain_law(
        "falling", lambda x, a, b: a - b * np.log(x["u"]), formula="a - b log u", source="made up",
        axes=("u",), parameters={"a": (0, math.inf), "b": (0, math.inf)},
    )  # fmt: skip
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(30))
    fit = fit_law({"u": u, "loss": (3.0 - 0.5 * np.log(u)) * noise}, own, n_boot=30)
    with pytest.warns(UserWarning, match="falling has no positive finite value"):
        table = fit.predict(u=[50.0, 1000.0])
    assert table["loss"].isna().tolist() == [False, True]
    assert not table["untested"].iloc[1]


def test_intervals_do_not_depend_on_the_zero_of_a_linear_response() -> None:
    """A response that may cross 0 has no reducible part: 2 and 102 are as far from the data."""
    u = np.geomspace(1, 100, 30)
    found = []
    for zero in (0.0, 100.0):
        own = plain_law(
            "line", lambda x, a, b: a + b * np.log(x["u"]), formula="a + b log u", source="made up",
            axes=("u",), parameters={"a": (-200, 200), "b": (-10, 10)}, residual="linear",
        )  # fmt: skip
        noise = 0.02 * np.random.default_rng(0).standard_normal(30)
        fit = fit_law({"u": u, "loss": zero + 2.5 - 0.5 * np.log(u) + noise}, own, n_boot=50)
        table = fit.predicted(np.array([[120.0], [148.0], [1000.0]]))
        found.append((table["new_high"] - table["new_low"]).to_numpy())
        assert (np.diff(found[-1]) > 0).all()
        assert table["beyond"].tolist() == pytest.approx([1.2, 1.48, 10.0])
    np.testing.assert_allclose(found[0], found[1], rtol=0.02)


def test_axes_of_any_sign_are_predicted_and_drawn() -> None:
    u = np.linspace(-3, 3, 40)
    own = plain_law(
        "signed", lambda x, a, b: a + b * x["u"], formula="a + b u", source="made up",
        axes=("u",), parameters={"a": (-9, 9), "b": (-9, 9)}, residual="linear",
    )  # fmt: skip
    noise = 0.05 * np.random.default_rng(0).standard_normal(40)
    fit = fit_law({"u": u, "loss": 1.0 + 0.5 * u + noise}, own, n_boot=30)
    for at in (-30.0, 30.0):
        row = fit.predicted(np.array([[at]])).iloc[0]
        assert row["beyond"] > 10 and row["untested"]
    assert fit.plot().axes[0].get_xscale() == "linear"


def test_a_fit_with_everything_held_is_one() -> None:
    held = dict(zip(LAW.names, (float(v) for v in TRUTH), strict=True))
    found = fit_law(study(), fixed=held, n_boot=0)
    assert found.params == held and found.certificate.condition == 1.0


def test_predictions_of_a_frame_keep_its_rows(fit: Fit) -> None:
    frame = pd.DataFrame({"N": [1e4, 3e4], "D": [512.0, 1024.0]}, index=[28, 29])
    assert frame.assign(p=fit.predict(frame)["loss"])["p"].notna().all()


def test_what_was_judged_is_told_by_axis_and_product(fit: Fit) -> None:
    """N a hundred times outside is untested, though the product has been judged farther."""
    assert fit.misfit is not None
    axis, product, _ = np.exp(fit.misfit.judged)
    assert 1 < axis < product
    table = fit.predicted(np.array([[1e5 * axis * 1.5, 1024.0], [1e5 * axis * 0.9, 1024.0]]))
    assert table["untested"].tolist() == [True, False]


def test_intervals_of_noiseless_data_hold_their_point() -> None:
    x = study()
    loss = LAW.value(TRUTH, np.stack([x["N"], x["D"]], axis=-1))
    fit = fit_law({**x, "loss": loss}, n_boot=20)
    table = fit.predicted(np.stack([x["N"], x["D"]], axis=-1))
    for kind in ("mean", "new"):
        assert (table[f"{kind}_low"] <= table["loss"]).all()
        assert (table["loss"] <= table[f"{kind}_high"]).all()


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ({"N": 1e4}, "chinchilla needs D"),
        ({"N": 1e4, "D": -1}, "must be positive"),
        ({"N": math.nan, "D": 10}, "must be positive"),
    ],
)
def test_predict_refuses_bad_scales(fit: Fit, scales: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit.predict(**scales)


def test_the_largest_cell_is_predicted_from_the_others() -> None:
    held = leave_out_largest(fit_law(study(seed=1), n_boot=200))
    assert held.cell == {"N": 1e5, "D": 4096.0}
    assert held.covered is True
    assert len(held.losses) == 1
    assert abs(held.relative_error) < 0.03
    spoiled = study(seed=1)
    spoiled["loss"][-1] *= 1.3
    assert leave_out_largest(fit_law(spoiled, n_boot=50)).covered is False


def test_holdout_names_a_cell_that_is_not_there(fit: Fit) -> None:
    with pytest.raises(ValueError, match="no run is at"):
        fit.holdout(N=123, D=456)


def test_a_holdout_that_leaves_too_little_is_unknown() -> None:
    data = study()
    few = {k: v[(data["N"] < 5e4) & (data["D"] > 600)] for k, v in data.items()}
    corner = {k: v[~((few["N"] < 2e4) & (few["D"] == 4096))] for k, v in few.items()}
    held = fit_law(corner, n_boot=20).holdout(N=2.4e4, D=4096)
    assert held.covered is None and held.status is Status.UNIDENTIFIABLE


def test_an_outlier_moves_huber_less_than_least_squares() -> None:
    data = study(noise=0.005)
    data["loss"][7] *= 1.5
    robust = fit_law(data, n_boot=0)
    plain = fit_law(data, n_boot=0, loss="least_squares")
    at = {"N": 1e4, "D": 1024}
    exact = float(LAW.value(TRUTH, np.array([[1e4, 1024.0]]))[0])
    errors = [abs(float(f.predict(**at)["loss"].iloc[0]) / exact - 1) for f in (robust, plain)]
    assert errors[0] < 0.01 < errors[1]
    assert robust.alternatives["least squares"]["E"] == pytest.approx(plain.params["E"], abs=1e-6)


def test_marginal_laws_take_the_largest_of_the_other_axis() -> None:
    by_n, by_d = fit_law(study(), "n_law", n_boot=20), fit_law(study(), "d_law", n_boot=20)
    assert by_n.at == {"D": 4096.0} and len(by_n.residuals) == 4
    assert by_d.at == {"N": 1e5} and len(by_d.residuals) == 5
    assert "runs at D = 4,096 only" in by_n.notes[0]
    assert any("1 degree of freedom" in w for w in by_n.warnings)
    with pytest.raises(ValueError, match="does not take D"):
        by_n.predict(N=1e4, D=10)


def test_data_without_a_floor_are_said_to_have_none() -> None:
    theta = np.array([0.0, 5.0, 0.3, 4.0, 0.3])
    found = fit_law(study(noise=0.01, theta=theta, seed=1), n_boot=50)
    assert found.intervals["E"].low == 0.0
    assert any(w.startswith(("E ran to 0", "E is not resolved")) for w in found.warnings)


def test_data_that_do_not_fall_with_n_hit_a_bound() -> None:
    theta = np.array([0.3, 0.0, 0.5, 4.0, 0.4])
    found = fit_law(study(noise=0.0, theta=theta), n_boot=0)
    assert found.status is Status.AT_BOUND
    assert any("ran to a bound" in w for w in found.warnings)


def test_unidentifiable_data_still_give_a_fit() -> None:
    data = {k: v[:8] for k, v in study().items()}
    found = fit_law(data)
    assert found.status is Status.UNIDENTIFIABLE and not found.ok
    assert np.isnan(found.predict(N=1e4, D=1024)["loss"]).all()
    assert "unidentifiable" in found.summary()
    assert json.dumps(found.to_dict(), allow_nan=False)


def test_collinear_scales_are_unidentifiable() -> None:
    n = np.geomspace(1e3, 1e6, 12)
    found = fit_law({"N": n, "D": n / 10, "loss": 1 + n**-0.3})
    assert any("move together" in w for w in found.warnings)


def test_rows_of_one_trial_count_once() -> None:
    data = pd.DataFrame(study(repeats=2, seed=1))
    data["trial"] = [f"t{i // 2}" for i in range(len(data))]
    found = fit_law(data, n_boot=20)
    assert found.problem.dof == 20 - 5
    assert fit_law(data.drop(columns="trial"), n_boot=20).problem.dof == 40 - 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": np.array([math.nan] * 20)}, "row 0: loss is nan"),
        ({"N": np.zeros(20)}, "row 0: N is 0.0, not a positive"),
        ({"loss": -np.ones(20)}, "loss is -1.0"),
    ],
)
def test_bad_numbers_name_their_row(change: dict[str, FloatArray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_law({**study(), **change})


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="needs columns D"):
        fit_law({"N": [1.0], "loss": [1.0]})
    with pytest.raises(ValueError, match="neither 'huber' nor"):
        fit_law(study(), loss="l1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="delta must be positive"):
        fit_law(study(), delta=-1)
    with pytest.raises(ValueError, match="no rows"):
        fit_law({"N": [], "D": [], "loss": []})


def test_repeated_rows_are_reported() -> None:
    data = {k: np.append(v, v[-1]) for k, v in study().items()}
    assert any("1 row repeats" in w for w in fit_law(data, n_boot=0).warnings)
