"""A law of one's own passes the contract, and reaches certified answers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from analysis import fit_law
from analysis.fit.certificate import Status
from analysis.laws import LAWS, FloatArray, Law, Parameter, plain_law, register
from analysis.laws.formula import FormulaLaw, Guess
from analysis.testing import SCALES, LawContract

POSITIVE = (0.0, math.inf)


def bennett5(guess: Guess | None = None) -> Law:
    """NIST Bennett5 with its sign turned."""
    return plain_law(
        "bennett5", lambda x, b1, b2, b3: b1 * (b2 + x["C"]) ** (-1 / b3),
        formula="y = b1 * (b2 + x)^(-1/b3)", source="NIST StRD, Bennett5", axes=("C",),
        parameters={"b1": POSITIVE, "b2": POSITIVE, "b3": (0.05, 20.0)}, amplitude="b1",
        residual="linear", guess=guess,
    )  # fmt: skip


def danwood(guess: Guess | None = None) -> Law:
    return plain_law(
        "danwood", lambda x, b1, b2: b1 * x["D"] ** b2, formula="y = b1 * x^b2",
        source="NIST StRD, DanWood", axes=("D",), rises=("D",), residual="linear", guess=guess,
        parameters={"b1": POSITIVE, "b2": (-10.0, 10.0)},
    )  # fmt: skip


def m3(function: Any = lambda x, b, g, c: b * (1 / x["D"] + g) ** c, **options: Any) -> Law:
    given: dict[str, Any] = {
        "formula": "L(D) = b * (1/D + g)^c", "source": "Alabdulmohsin et al. 2022, M3",
        "axes": ("D",), "parameters": {"b": POSITIVE, "g": POSITIVE, "c": (0.01, 4.0)},
    }  # fmt: skip
    return plain_law("own_m3", function, **{**given, **options})


def joint(**options: Any) -> Law:
    """The joint law, with the floor and the exponents described."""
    exponent: dict[str, Any] = {
        "lower": 0.01,
        "upper": 4.0,
        "unit": "",
        "meaning": "exponent",
        "exponent": True,
    }
    given: dict[str, Any] = {
        "formula": "L(N, D) = E + A / N^a + B / D^b", "source": "Hoffmann et al. 2022",
        "axes": ("N", "D"), "floor": "E",
        "parameters": [
            Parameter(name="E", lower=0.0, upper=math.inf, unit="nats", meaning="floor"),
            Parameter(name="A", lower=0.0, upper=math.inf, unit="nats", meaning="of N", form="log"),
            Parameter(name="a", **exponent),
            Parameter(name="B", lower=0.0, upper=math.inf, unit="nats", meaning="of D", form="log"),
            Parameter(name="b", **exponent),
        ],
    }  # fmt: skip
    return plain_law(
        "own_joint", lambda x, E, A, a, B, b: E + A / x["N"] ** a + B / x["D"] ** b,
        **{**given, **options},
    )  # fmt: skip


class PlainContract(LawContract):
    """The battery with the law registered for as long as it runs."""

    law = LAWS["chinchilla"]  # direct subclasses of the contract are counted among LAWS
    truth: ClassVar[tuple[float, ...]] = ()

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def registered(cls) -> Iterator[None]:
        register(cls.law)
        yield
        del LAWS[cls.law.name]


class TestM3(PlainContract):
    law = m3()
    truth = (20.0, 2e-4, 0.6)
    recovered = 1e-7


class TestBennett5(PlainContract):
    law = bennett5()
    truth = (2e4, 3e13, 3.0)
    recovered = 1e-6
    agreed = 0.3


class TestJoint(PlainContract):
    law = joint()
    truth = (0.2, 5.0, 0.5, 4.0, 0.4)
    agreed = 0.3


@pytest.mark.parametrize("start", [0, 1, None])
@pytest.mark.parametrize(("make", "problem"), [(bennett5, "Bennett5"), (danwood, "DanWood")])
def test_nist_problems_are_solved_to_nine_digits(
    shared: Path, make: Any, problem: str, start: int | None
) -> None:
    rows = pd.read_csv(shared / "laws/nist_strd.csv").query("problem == @problem")
    answers = json.loads((shared / "laws/nist_strd.json").read_text())["problems"]
    answer = next(a for a in answers if a["problem"] == problem)
    guess = None if start is None else (lambda x, y: np.abs(answer["starts"][start]))
    law = make(guess)
    data = {law.axes[0]: rows["x"].to_numpy(), "loss": rows["y"].abs().to_numpy()}
    fit = fit_law(data, law, loss="least_squares", n_boot=0)
    np.testing.assert_allclose(fit.theta, np.abs(answer["certified"]), rtol=1e-9)
    np.testing.assert_allclose(list(fit.errors.values()), answer["certified_sd"], rtol=1e-7)
    assert fit.status is Status.CONVERGED
    assert fit.certificate.starts == (24 if start is None else 1)


def curve(law: Law, theta: list[float]) -> dict[str, FloatArray]:
    noise = 0.005 * np.random.default_rng(0).standard_normal(24)
    x = np.repeat(SCALES["D"], 4)
    return {"D": x, "loss": law.value(np.array(theta), x[:, None]) * np.exp(noise)}


def test_a_formula_that_is_not_analytic_gets_differences() -> None:
    data = curve(m3(), [20.0, 2e-4, 0.6])
    exact, differs = m3(), m3(lambda x, b, g, c: b * np.abs(1 / x["D"] + g) ** c)
    real = m3(lambda x, b, g, c: b * np.asarray(1 / x["D"] + g, dtype=np.float64) ** c)
    first, second, third = (fit_law(data, law, n_boot=0) for law in (exact, differs, real))
    laws: list[Any] = [exact, differs, real]
    assert [law.derivative for law in laws] == ["forward", "forward", "differences"]
    np.testing.assert_allclose(second.theta, first.theta, rtol=1e-7)
    np.testing.assert_allclose(third.theta, first.theta, rtol=1e-7)


def test_a_maximum_keeps_complex_steps() -> None:
    law = m3(lambda x, b, g, c: b * np.maximum(1 / x["D"] + g, 1e-30) ** c)
    assert fit_law(curve(m3(), [20.0, 2e-4, 0.6]), law, n_boot=0).status is Status.CONVERGED
    assert isinstance(law, FormulaLaw) and law.derivative == "forward"


def test_differences_are_one_sided_where_the_formula_ends() -> None:
    law = m3(
        lambda x, b, g, c: b * np.abs(1 / x["D"]) ** c + np.where(np.real(g) < 0, np.nan, g),
        parameters={"b": POSITIVE, "g": (0.0, 1.0), "c": (0.01, 4.0)},
    )  # fmt: skip
    x = SCALES["D"][:, None]
    free = law.to_free(np.array([[5.0, 0.0, 0.5]]), law.centre(x))
    f, jac = law.log_value(free, x, law.centre(x))
    np.testing.assert_allclose(jac[0, 1], np.exp(-f[0]), rtol=1e-9)


def test_points_without_a_value_count_as_far_away() -> None:
    law = m3(lambda x, b, g, c: b * np.log(x["D"] - 300.0 * g) ** -c)
    x = SCALES["D"][:, None]
    f, jac = law.log_value(np.log([[2.0, 1.0, 0.7]]), x, law.centre(x))
    assert np.isfinite(f).all() and np.isfinite(jac).all()
    assert f[0, 0] > 300 and not jac[0, :, 0].any()


def test_a_typical_size_and_bounds_are_kept() -> None:
    law = m3(typical={"g": 1e-4})
    x, loss = SCALES["D"][:, None], np.linspace(2, 1, 6)
    assert (np.abs(np.log10(law.guess(x, loss)[:, 1] / 1e-4)) <= 3 + 1e-9).all()
    narrow = m3(parameters={"b": (1.0, 5.0), "g": POSITIVE, "c": (0.3, 0.5)})
    starts = narrow.guess(x, loss)
    assert starts[:, 0].min() >= 1 - 1e-9 and starts[:, 0].max() <= 5 + 1e-9


def test_the_own_joint_law_is_the_built_in_one() -> None:
    x = np.array([(n, d) for n in SCALES["N"] for d in SCALES["D"]])
    noise = np.exp(0.01 * np.random.default_rng(1).standard_normal(len(x)))
    loss = LAWS["chinchilla"].value(np.array([0.2, 5.0, 0.5, 4.0, 0.4]), x) * noise
    data = {"N": x[:, 0], "D": x[:, 1], "loss": loss}
    law_of_own = joint()
    for option in ({}, {"variant": "regularised"}, {"fixed": {"E": 0.2}}):
        options: Any = option
        own, known = (fit_law(data, law, n_boot=5, **options) for law in (law_of_own, "chinchilla"))
        np.testing.assert_allclose(own.theta, known.theta, rtol=1e-5)
        np.testing.assert_allclose(own.bootstrap.theta, known.bootstrap.theta, rtol=1e-2)
    assert own.summary() and own.plot()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axes": ()}, "at least one axis"),
        ({"parameters": {}}, "at least one axis and one parameter"),
        ({"parameters": {"b": POSITIVE, "g": POSITIVE}}, "does not fit: missing .* 'c'"),
        ({"parameters": {"b": POSITIVE, "g": POSITIVE, "c": (4.0, 1.0)}}, "c must be in order"),
        ({"parameters": {"b": POSITIVE, "g": POSITIVE, "c": (-math.inf, 1.0)}}, "finite bounds"),
        ({"floor": "E"}, "no parameter 'E'"),
        ({"typical": {"g": 0.0}}, "typical size of g"),
        ({"amplitude": "c"}, "amplitude c must be allowed 0 to infinity"),
    ],
)
def test_laws_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        m3(**changes)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x, b, g, c: b * (1 / x["d"] + g) ** c, r"asks for x\['d'\]; the axes are D"),
        (lambda x, b, g, c: b * (x["D"] / x["D"].max() + g) ** c, "looks at other rows than its"),
        (lambda x, b, g, c: b * (np.mean(x["D"]) + g) ** c * x["D"], "looks at other rows than"),
        (lambda x, b, g, c: None, "gives no numbers for 6 rows"),
        (lambda x, b, g, c: "loss", "for 6 rows, not one number for each"),
        (lambda x, b, g, c: [b, g, c], r"of shape \(3,\) for 6 rows"),
    ],
)
def test_formulas_that_do_not_go_row_by_row_are_refused(function: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        m3(function)


def of_sizes(function: Any, **more: tuple[float, float]) -> Law:
    ends = {"E": POSITIVE, "A": POSITIVE, "a": (0.01, 4.0), **more}
    return plain_law("own", function, formula="E + A / N^a + ...", source="made up",
                     axes=("N",), parameters=ends)  # fmt: skip


def test_parameters_without_effect_are_named() -> None:
    """A refit never moves them: their intervals would have no width."""
    size = np.geomspace(1e6, 1e9, 12)
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(12))
    data = {"N": size, "loss": (1.7 + 400 / size**0.34) * noise}
    idle = of_sizes(lambda x, E, A, a, z: E + A / x["N"] ** a, z=(0.0, 1.0))
    both = of_sizes(lambda x, E, A, a, F: E + F + A / x["N"] ** a, F=POSITIVE)
    for law, said in ((idle, "z has no effect"), (both, "E and F trade off without any effect")):
        fit = fit_law(data, law, n_boot=20)
        assert fit.status is Status.UNIDENTIFIABLE
        assert any(w.startswith(said) for w in fit.warnings)
        for name, ends in fit.intervals.items():
            known = name in {"A", "a"} or (name == "E" and law is idle)
            assert math.isfinite(ends.low) == known
        row = fit.predict(N=2e8).iloc[0]  # which needs none of them
        assert row["mean_low"] <= 1.7 + 400 / 2e8**0.34 <= row["mean_high"]
    assert fit_law(data, idle, fixed={"z": 0.5}, n_boot=0).status is Status.CONVERGED


def test_a_positive_parameter_cannot_be_negative() -> None:
    described: dict[str, Any] = {"upper": 1.0, "unit": "", "meaning": "?", "lower": -1.0}
    cases: Any = (("log", "positive but may be -1"), ("centred", "only an amplitude"))
    for form, message in cases:
        with pytest.raises(ValueError, match=message):
            m3(parameters=[Parameter(name="b", form=form, **described)])


def rough_and_ready(**changes: Any) -> Law:
    """The joint law as one writes it down: bounds and nothing else."""
    exponent = (0.01, 4.0)
    given: dict[str, Any] = {
        "formula": "L(N, D) = E + A / N^alpha + B / D^beta", "source": "Hoffmann et al. 2022",
        "axes": ("N", "D"), "floor": "E",
        "parameters": {"E": POSITIVE, "A": POSITIVE, "alpha": exponent, "B": POSITIVE,
                       "beta": exponent},
    }  # fmt: skip
    return plain_law(
        "rough_and_ready", lambda x, E, A, alpha, B, beta: E + A / x["N"]**alpha + B / x["D"]**beta,
        **{**given, **changes},
    )  # fmt: skip


def test_chinchillas_formula_costs_what_the_built_in_law_costs(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Points the model is evaluated at, resamples included; ``bench_laws`` has the seconds."""
    table = pd.read_csv(shared / "laws/epoch_chinchilla.csv").query("split_all == 'fit'")
    counts: dict[str, int] = {}

    def counted(kind: type[Law], name: str) -> None:
        plain = kind.log_value

        def log_value(self: Law, free: FloatArray, x: FloatArray, centre: FloatArray) -> Any:
            counts[name] = counts.get(name, 0) + len(free) * len(x)
            return plain(self, free, x, centre)

        monkeypatch.setattr(kind, "log_value", log_value)

    counted(FormulaLaw, "own")
    counted(type(LAWS["chinchilla"]), "built in")
    law = rough_and_ready()
    own, known = (fit_law(table, law, delta=1e-3, n_boot=100) for law in (law, "chinchilla"))
    assert len(own.bootstrap.theta) == len(known.bootstrap.theta) == 100
    np.testing.assert_allclose(own.theta, known.theta, rtol=1e-8)
    objectives = [f.certificate.objective for f in (own, known)]
    assert objectives[0] == pytest.approx(objectives[1], rel=1e-10)
    assert own.certificate.agreed == 1.0
    assert isinstance(own.problem.law, FormulaLaw) and own.problem.law.derivative == "forward"
    assert counts["own"] <= 1.5 * counts["built in"]


def test_a_law_of_seven_parameters_is_solved_from_most_starts() -> None:
    law = plain_law(
        "vocabulary", lambda x, E, A, a, V, v, B, b: (
            E + A / x["N"] ** a + V / x["V"] ** v + B / x["D"] ** b
        ),
        formula="L = E + A / N^a + V / V^v + B / D^b", source="Tao et al. 2024",
        axes=("N", "V", "D"), floor="E",
        parameters={"E": POSITIVE, "A": POSITIVE, "a": (0.01, 4), "V": POSITIVE, "v": (0.01, 4),
                    "B": POSITIVE, "b": (0.01, 4)},
    )  # fmt: skip
    truth = np.array([1.5, 8.0, 0.3, 3.0, 0.6, 40.0, 0.4])
    grid = [np.geomspace(1e6, 1e8, 4), np.geomspace(1e3, 1e5, 4), np.geomspace(1e7, 1e10, 5)]
    x = np.stack(np.meshgrid(*grid), axis=-1).reshape(-1, 3)
    columns = dict(zip(law.axes, x.T, strict=True))
    found = fit_law({**columns, "loss": law.value(truth, x)}, law, n_boot=0)
    np.testing.assert_allclose(found.theta, truth, rtol=1e-6)
    assert found.status is Status.CONVERGED and found.certificate.agreed > 0.5


def test_terms_may_be_negative_or_bounded() -> None:
    """A gain that falls: linear in the level and in the term, which is taken off."""
    law = plain_law(
        "gain", lambda x, top, A, a: top - A / x["D"] ** a, formula="y = top - A / D^a",
        source="a curve that rises", axes=("D",), residual="linear", rises=("D",),
        parameters={"top": (-10.0, 10.0), "A": POSITIVE, "a": (0.01, 4.0)},
    )  # fmt: skip
    truth = np.array([0.4, 9.0, 0.6])
    x = np.geomspace(20, 2e4, 12)
    found = fit_law({"D": x, "loss": law.value(truth, x[:, None])}, law, n_boot=0)
    np.testing.assert_allclose(found.theta, truth, rtol=1e-7)
    free = law.to_free(truth, law.centre(x[:, None]))
    np.testing.assert_allclose(law.to_natural(free, law.centre(x[:, None])), truth, rtol=1e-12)
    assert free[1] == pytest.approx(math.log(9.0 * np.exp(np.log(x).mean()) ** -0.6))
