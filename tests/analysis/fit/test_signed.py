"""Responses, floors and scales of any sign under linear residuals; amplitudes held and bounded."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import least_squares

from analysis import fit_law
from analysis.fit.certificate import Status
from analysis.laws import LAWS, FloatArray, Law, plain_law
from tests.analysis.fit.test_bad_input import CASES

FLOORED = [name for name, law in LAWS.items() if law.additive_floor]


def measured(law: Law, theta: FloatArray) -> dict[str, FloatArray]:
    x = CASES[law.name]().grid()
    return {**dict(zip(law.axes, x.T, strict=True)), law.response: law.value(theta, x)}


@pytest.mark.parametrize("name", FLOORED)
def test_a_floor_below_zero_is_found_where_limits_allow_it(name: str) -> None:
    law, case = LAWS[name], CASES[name]
    theta = np.array(case.truth)
    place = law.names.index(str(law.floor))
    theta[place] = -0.15
    data = measured(law, theta)
    found = fit_law(data, name, residual="linear", limits={str(law.floor): (-1.0, 1.0)}, n_boot=0)
    np.testing.assert_allclose(found.theta, theta, rtol=max(case.recovered, 1e-5))
    positive = {**data, law.response: np.abs(data[law.response]) + 0.01}
    with pytest.raises(ValueError, match=r"lies outside.*residual='linear' takes floors of any"):
        fit_law(positive, name, limits={str(law.floor): (-1.0, 1.0)}, residual="log", n_boot=0)


@pytest.mark.parametrize("name", FLOORED)
def test_losses_less_a_constant_give_the_same_law_less_the_constant(name: str) -> None:
    law, case = LAWS[name], CASES[name]
    theta = np.array(case.truth)
    place = law.names.index(str(law.floor))
    data = measured(law, theta)
    theta[place] -= 3.0
    found = fit_law({**data, law.response: data[law.response] - 3.0}, name, residual="linear",
                    n_boot=0)  # fmt: skip
    np.testing.assert_allclose(found.theta, theta, rtol=max(case.recovered, 1e-5))
    assert found.status is Status.CONVERGED


def test_a_law_that_is_positive_refuses_responses_that_are_not() -> None:
    data = {"D": np.geomspace(10, 1e4, 9), "loss": np.linspace(1.0, -0.2, 9)}
    for residual, message in (("linear", "power_law is positive"), ("log", "row 7: loss is -0.05")):
        with pytest.raises(ValueError, match=message):
            fit_law(data, "power_law", residual=residual, n_boot=0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="residual='linear' takes responses of any sign"):
        fit_law(data, "d_law", n_boot=0)


def test_a_metric_of_zero_is_fitted() -> None:
    loss = np.linspace(0.2, 2.0, 20)
    metric = np.round(LAWS["sigmoid"].value(np.array([0.0, 0.9, 6.0, 0.8]), loss[:, None]), 2)
    assert (metric == 0).any()
    found = fit_law({"loss": loss, "metric": metric}, "sigmoid", n_boot=0)
    assert found.params["k"] == pytest.approx(6.0, rel=0.05)
    assert found.params["low"] == pytest.approx(0.0, abs=0.01)


# --- laws of one's own -----------------------------------------------------------------------


def test_nist_bennett5_with_its_own_sign(shared: Path) -> None:
    table = pd.read_csv(shared / "laws/nist_strd.csv").query("problem == 'Bennett5'")
    answers = json.loads((shared / "laws/nist_strd.json").read_text())["problems"]
    answer = next(a for a in answers if a["problem"] == "Bennett5")
    law = plain_law(
        "bennett5", lambda x, b1, b2, b3: b1 * (b2 + x["x"]) ** (-1 / b3),
        formula="y = b1 * (b2 + x)^(-1/b3)", source="NIST StRD", axes=("x",), residual="linear",
        parameters={"b1": (-1e6, 0.0), "b2": (0.0, math.inf), "b3": (0.05, 20.0)},
    )  # fmt: skip
    data = {"x": table["x"].to_numpy(), "loss": table["y"].to_numpy()}
    found = fit_law(data, law, loss="least_squares", n_boot=0)
    np.testing.assert_allclose(found.theta, answer["certified"], rtol=1e-8)
    np.testing.assert_allclose(list(found.errors.values()), answer["certified_sd"], rtol=1e-6)


def scipy_optimum(law: Law, x: FloatArray, y: FloatArray, starts: FloatArray) -> float:
    """The lowest sum of squares that SciPy reaches from several starts."""

    def residual(theta: FloatArray) -> FloatArray:
        found: FloatArray = law.value(theta, x) - y
        return found

    found = [2.0 * least_squares(residual, s, method="lm", max_nfev=5000).cost for s in starts]
    return float(np.nanmin(found))


def test_scales_from_below_zero_give_the_optimum_of_scipy() -> None:
    law = plain_law(
        "logistic", lambda x, a, b, k, m: a + b / (1 + np.exp(-k * (x["t"] - m))),
        formula="y = a + b / (1 + exp(-k (t - m)))", source="Verhulst 1838", axes=("t",),
        parameters={"a": (-50, 50), "b": (0, math.inf), "k": (0.01, 50.0), "m": (-5, 5)},
        residual="linear", rises=("t",),
    )  # fmt: skip
    t = np.linspace(-4.0, 4.0, 33)
    truth = np.array([-2.0, 5.0, 1.3, 0.4])
    y = law.value(truth, t[:, None]) + 0.1 * np.random.default_rng(0).standard_normal(len(t))
    assert (t == 0).any() and (y < 0).any()
    found = fit_law({"t": t, "loss": y}, law, loss="least_squares", n_boot=30)
    assert 2 * found.certificate.objective <= scipy_optimum(law, t[:, None], y, truth[None]) * (
        1 + 1e-9
    )
    assert found.status is Status.CONVERGED
    assert abs(found.params["k"] - 1.3) < 4 * found.errors["k"]
    row = found.predict(t=-1.0).iloc[0]
    assert row["mean_low"] < row["loss"] < row["mean_high"] < 0
    assert found.summary()


RISING = plain_law(
    "rising", lambda x, top, n0, s: top - (x["n"] / n0) ** -s, formula="y = top - (n / n0)^-s",
    source="a curve that is negative at small n", axes=("n",), residual="linear", rises=("n",),
    parameters={"top": (0.1, 10.0), "n0": (1.0, 1e6), "s": (0.01, 10.0)},
)  # fmt: skip


def test_a_formula_that_turns_negative_reaches_the_optimum_of_scipy() -> None:
    n = np.repeat(np.geomspace(20, 2e4, 8), 3)
    truth = np.array([1.2, 60.0, 0.7])
    rng = np.random.default_rng(2)
    y = RISING.value(truth, n[:, None]) + 0.03 * rng.standard_normal(len(n))
    assert (RISING.value(truth, n[:, None]) < 0).sum() == 3
    found = fit_law({"n": n, "loss": y}, RISING, loss="least_squares", n_boot=0)
    best = scipy_optimum(RISING, n[:, None], y, truth * np.array([[1.0], [0.8], [1.3]]))
    assert 2 * found.certificate.objective <= best * (1 + 1e-9)
    assert found.certificate.agreed > 0.5


def test_log_residuals_say_where_the_formula_is_not_positive() -> None:
    law = plain_law(
        "sinking", lambda x, a: a * np.log(x["n"]), formula="y = a * log(n)", source="none",
        axes=("n",), parameters={"a": (0.0, math.inf)}, rises=("n",),
    )  # fmt: skip
    n = np.array([0.5, 2.0, 4.0, 8.0, 16.0])
    found = fit_law({"n": n, "loss": np.abs(np.log(n)) * 2.0}, law, n_boot=0)
    assert found.status is Status.NOT_CONVERGED
    assert any("not positive at row 0" in w and "residual='linear'" in w for w in found.warnings)
    signed = fit_law({"n": n, "loss": np.log(n) * 2.0}, law, residual="linear", n_boot=0)
    assert signed.params["a"] == pytest.approx(2.0, rel=1e-9)
    assert signed.status is Status.CONVERGED


# --- amplitudes ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def noisy() -> dict[str, FloatArray]:
    data = measured(LAWS["chinchilla"], np.array(CASES["chinchilla"].truth))
    rng = np.random.default_rng(0)
    return {**data, "loss": data["loss"] * np.exp(0.01 * rng.standard_normal(len(data["loss"])))}


def own_joint() -> Law:
    positive, exponent = (0.0, math.inf), (0.01, 4.0)
    return plain_law(
        "own", lambda x, E, A, alpha, B, beta: E + A / x["N"] ** alpha + B / x["D"] ** beta,
        formula="L(N, D) = E + A / N^alpha + B / D^beta", source="Hoffmann et al. 2022",
        axes=("N", "D"), floor="E",
        parameters={"E": positive, "A": positive, "alpha": exponent, "B": positive,
                    "beta": exponent},
    )  # fmt: skip


@pytest.mark.parametrize("own", [False, True])
def test_amplitudes_are_held_and_bounded(noisy: dict[str, FloatArray], own: bool) -> None:
    law: Any = own_joint() if own else "chinchilla"
    free = fit_law(noisy, law, n_boot=0)
    wide = fit_law(noisy, law, limits={"A": (0.1, 1e3), "B": (0.01, 1e4)}, n_boot=20)
    np.testing.assert_allclose(wide.theta, free.theta, rtol=1e-5)
    assert wide.intervals["A"].low < free.params["A"] < wide.intervals["A"].high
    held = fit_law(noisy, law, fixed={"A": 5.0}, n_boot=20)
    assert held.params["A"] == pytest.approx(5.0, rel=1e-12)
    assert held.intervals["A"].low == held.intervals["A"].high == 5.0 and held.errors["A"] == 0
    delta = held.problem.delta
    assert fit_law(noisy, law, fixed={"A": free.params["A"]}, delta=free.problem.delta,
                   n_boot=0).certificate.objective == pytest.approx(
        free.certificate.objective, rel=1e-9)  # fmt: skip
    same = fit_law(noisy, law, delta=delta, n_boot=0)
    assert held.certificate.objective >= same.certificate.objective * (1 - 1e-9)
    narrow = fit_law(noisy, law, limits={"A": (10.0, 20.0)}, n_boot=0)
    ends = [abs(narrow.params["A"] / end - 1) for end in (10.0, 20.0)]
    assert narrow.status is Status.AT_BOUND and min(ends) < 1e-9
    assert narrow.certificate.bounds_hit == ("A",)


def test_an_amplitude_held_at_zero_drops_its_term(noisy: dict[str, FloatArray]) -> None:
    found = fit_law(noisy, fixed={"A": 0.0, "alpha": 0.5}, residual="linear", n_boot=0)
    alone = fit_law({"D": noisy["D"], "loss": noisy["loss"]}, "d_law", residual="linear",
                    delta=found.problem.delta, n_boot=0)  # fmt: skip
    assert found.certificate.objective == pytest.approx(alone.certificate.objective, rel=1e-8)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"alpha": (-1.0, 1.0)}, r"alpha = \(-1.0, 1.0\) lies outside \[0.01, 4.0\]"),
        ({"A": (-1.0, 1.0)}, "A = .* lies outside"),
        ({"beta": (0.1, 9.0)}, "beta = .* lies outside"),
        ({"B": (2.0, 1.0)}, "in order"),
    ],
)
def test_limits_that_reach_too_far_are_refused_and_not_cut(
    noisy: dict[str, FloatArray], limits: dict[str, tuple[float, float]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fit_law(noisy, limits=limits, n_boot=0)


CENTRED = {
    name: [p.name for p in law.parameters if p.form == "centred"] for name, law in LAWS.items()
}


@pytest.mark.parametrize("name", [name for name, centred in CENTRED.items() if centred])
def test_a_law_with_bounded_amplitudes_says_of_itself_what_it_said(name: str) -> None:
    law = LAWS[name]
    bounded = law.uncentred(CENTRED[name])
    assert bounded is not law
    for attribute in Law.__annotations__:
        if attribute != "parameters":
            assert getattr(bounded, attribute) == getattr(law, attribute), attribute
    theta, x = np.array(CASES[name].truth), CASES[name]().grid()
    none, why = bounded.valueless(theta, x)
    assert (
        none.tolist() == law.valueless(theta, x)[0].tolist() and why == law.valueless(theta, x)[1]
    )
    assert bounded.open_end(theta, x) == law.open_end(theta, x)


def test_rolling_origins_go_the_same_way_where_an_amplitude_is_bounded() -> None:
    """Down L_id, towards larger runs: up it, intervals of smaller losses held nothing."""
    x = np.linspace(0.3, 1.5, 24)
    noise = np.exp(0.02 * np.random.default_rng(0).standard_normal(24))
    data = {"L_id": x, "L_ood": 0.2 + 1.3 * (x - 0.25) ** 1.1 * noise}
    options: tuple[dict[str, Any], ...] = ({}, {"limits": {"K": (1e-3, 1e3)}})
    fits = [fit_law(data, "loss_to_loss", n_boot=0, **each) for each in options]
    free, bounded = (fit.misfit for fit in fits)
    assert free is not None and bounded is not None
    np.testing.assert_allclose(bounded.judged, free.judged, rtol=1e-4)
    assert bounded.typical == pytest.approx(free.typical, rel=1e-3)
