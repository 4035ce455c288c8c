"""lmfit on the same objective agrees with every fit."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from analysis import fit_law
from analysis.checks.lmfit import SecondOpinion
from analysis.fit.fit import fit_together
from analysis.fit.result import Fit
from analysis.laws import get
from analysis.testing import LawContract
from tests.analysis.fit.test_fit import study
from tests.analysis.laws import test_laws


@pytest.fixture(scope="module")
def fit() -> Fit:
    return fit_law(study(), n_boot=0)


@pytest.fixture(scope="module")
def second(fit: Fit) -> SecondOpinion:
    opinion: SecondOpinion = fit.to_lmfit()
    return opinion


def noisy(case: LawContract) -> dict[str, np.ndarray]:
    x = case.grid()
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(len(x)))
    response = case.law.value(np.array(case.truth), x) * noise
    return {**dict(zip(case.law.axes, x.T, strict=True)), case.law.response: response}


CASES: dict[str, type[LawContract]] = {
    c.law.name: c for n, c in vars(test_laws).items() if n.startswith("Test")
}


# Farseer's natural parameters, which lmfit moves, trade off without end: only ours converges.
@pytest.mark.parametrize("name", [name for name in CASES if name != "farseer"])
def test_every_law_gets_the_same_answer(name: str) -> None:
    losses: Any = ("huber", "least_squares")
    for loss in losses:
        fit = fit_law(noisy(CASES[name]()), name, n_boot=0, loss=loss)
        second = fit.to_lmfit()
        assert second.agreement < 1e-6
        assert second.result.ndata == len(fit.rows)
        if not second.held:
            assert second.warnings == ()


def test_other_choices_are_taken_along() -> None:
    data = {**study(), "w": np.linspace(0.5, 2.0, 20)}
    every: Any = (
        {"residual": "linear"}, {"weights": "w"}, {"fixed": {"E": 0.2}},
        {"fixed": {"E": 0.1}, "residual": "log_excess"}, {"variant": "bounded"},
        {"variant": "regularised"}, {"limits": {"alpha": (0.1, 0.4)}},
    )  # fmt: skip
    for options in every:
        fit = fit_law(data, n_boot=0, **options)
        second = fit.to_lmfit()
        assert second.agreement < 1e-6, options
    assert second.held == ("alpha",) and second.params["alpha"] == 0.4
    assert "alpha" in second.warnings[0]


def test_standard_errors_of_least_squares_are_the_same() -> None:
    fit = fit_law(study(), n_boot=0, loss="least_squares")
    for name, error in fit.to_lmfit().errors.items():
        assert error == pytest.approx(fit.errors[name], rel=1e-3)


def test_laws_fitted_together_are_checked_too() -> None:
    data = study()
    both = fit_together({"all": (data, "chinchilla"), "model": (data, "n_law")}, ["E"], n_boot=0)
    assert both.fit.to_lmfit().agreement < 1e-5


def test_a_wrong_answer_is_found(fit: Fit) -> None:
    wrong = {**fit.params, "alpha": fit.params["alpha"] * 1.05}
    second = dataclasses.replace(fit, params=wrong).to_lmfit()
    assert second.agreement > 1e-4
    assert any("alpha differs" in w for w in second.warnings)


def test_the_report_and_profiles_are_those_of_lmfit(fit: Fit, second: SecondOpinion) -> None:
    assert "[[Fit Statistics]]" in second.report() and "log_A" in second.report()
    table = second.profiles(["E", "A"], sigma=(0.95,))
    assert table["name"].tolist() == ["E", "A"]
    assert (table["low"] < table["value"]).all() and (table["value"] < table["high"]).all()
    profile = fit.profile
    assert profile is not None
    e: Any = table.iloc[0]
    assert float(e["low"]) == pytest.approx(profile.interval.low, abs=0.02)
    assert float(e["high"]) == pytest.approx(profile.interval.high, abs=0.02)


def test_a_profile_that_fails_says_why() -> None:
    data = study()
    one = fit_law(data, n_boot=0, fixed={"E": 0.2, "alpha": 0.5, "beta": 0.4}, delta=1.0)
    part = {k: v[data["N"] == 1e5] for k, v in data.items()}
    single = fit_law(part, "power_law", n_boot=0, fixed={"beta": 0.3})
    table = single.to_lmfit().profiles()
    assert table["high"].isna().all() and table["reason"].str.contains("< 2 variables").all()
    assert (one.to_lmfit().profiles(sigma=[1.0])["reason"] == "").all()


def test_an_end_at_a_bound_says_so() -> None:
    second = fit_law(noisy(CASES["n_law"]()), "n_law", n_boot=0).to_lmfit()
    row = second.profiles(["E"], sigma=[2.0]).iloc[0]
    assert math.isinf(row["low"]) and "Bound reached" in row["reason"]


def test_what_cannot_be_checked_is_refused(second: SecondOpinion) -> None:
    none = fit_law({k: v[:8] for k, v in study().items()}, n_boot=0)
    with pytest.raises(ValueError, match="no parameters to check: 2 values of N"):
        none.to_lmfit()
    with pytest.raises(ValueError, match="gamma is not fitted: E, A, alpha, B, beta are"):
        second.profiles(["gamma"])
    with pytest.raises(ValueError, match="sigma must be positive"):
        second.profiles(sigma=[])
    assert get("chinchilla").names == tuple(second.params)
