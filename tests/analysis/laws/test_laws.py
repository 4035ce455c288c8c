"""Every registered law passes the contract."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis import fit_law
from analysis.laws import LAWS, FloatArray, get, plain_law, register
from analysis.testing import SCALES, LawContract


class TestChinchilla(LawContract):
    law = LAWS["chinchilla"]
    truth = (0.2, 5.0, 0.5, 4.0, 0.4)


class TestNLaw(LawContract):
    law = LAWS["n_law"]
    truth = (0.3, 6.0, 0.45)


class TestDLaw(LawContract):
    law = LAWS["d_law"]
    truth = (0.25, 4.0, 0.35)


class TestKaplan(LawContract):
    law = LAWS["kaplan"]
    truth = (0.2, 1e4, 0.5, 300.0, 0.4)


class TestTied(LawContract):
    law = LAWS["tied"]
    truth = (0.2, 12.0, 5.0, 0.4)


class TestGammaLaw(LawContract):
    law = LAWS["gamma_law"]
    truth = (0.2, 8.0, 0.6, 6.0, 0.5, 0.7)
    recovered = 1e-6
    agreed = 0.3


class TestFarseer(LawContract):
    law = LAWS["farseer"]
    truth = (-0.4, 0.12, 0.3, 12.0, -0.2, -1.5, -0.9, 0.06, 0.4)
    recovered = 1e-5
    agreed = 0.2

    def grid(self) -> FloatArray:
        return np.array([(n, d) for n in np.geomspace(2e3, 5e5, 6) for d in SCALES["D"]])


class TestSaturating(LawContract):
    law = LAWS["saturating"]
    truth = (0.2, 2.5, 6.0, 0.5, 20.0, 0.45, 0.02, 0.5, 0.6)
    recovered = 1e-6
    agreed = 0.2


class TestSamples(LawContract):
    law = LAWS["samples"]
    truth = (0.2, 5.0, 0.5, 9.0, 0.3)


class TestDataConstrained(LawContract):
    law = LAWS["data_constrained"]
    truth = (0.2, 8.0, 0.4, 6.0, 0.45, 12.0, 6.0)
    agreed = 0.2


class TestPowerLaw(LawContract):
    law = LAWS["power_law"]
    truth = (4.0, 0.35)


class TestM3(LawContract):
    law = LAWS["m3"]
    truth = (6.0, 2e-4, 0.4)
    recovered = 1e-7


class TestM4(LawContract):
    law = LAWS["m4"]
    truth = (0.1, 1.2, 300.0, 0.9, 1.3)
    recovered = 1e-6

    def grid(self) -> FloatArray:
        return np.geomspace(50.0, 5e5, 16)[:, None]


class TestBrokenPowerLaw(LawContract):
    law = LAWS["bnsl"]
    truth = (0.1, 3.0, 0.15, 0.5, 2e3, 0.6)
    recovered = 1e-5

    def grid(self) -> FloatArray:
        return np.geomspace(50.0, 5e5, 20)[:, None]


class TestFrontier(LawContract):
    law = LAWS["frontier"]
    truth = (0.25, 2e4, 3e13, 0.33)
    recovered = 1e-7


class TestLossToLoss(LawContract):
    law = LAWS["loss_to_loss"]
    truth = (0.1, 0.8, 0.7, 0.12)
    recovered = 1e-6


class TestEffectiveData(LawContract):
    law = LAWS["effective_data"]
    truth = (40.0, 0.6, -0.2)


class TestOverfitting(LawContract):
    law = LAWS["overfitting"]
    truth = (0.5, 0.3, 0.6)


class TestSigmoid(LawContract):
    law = LAWS["sigmoid"]
    truth = (0.2, 0.9, 4.0, 0.7)
    recovered = 1e-7


class TestErrorLaw(LawContract):
    law = LAWS["error_law"]
    truth = (0.8, 0.7, 1.1)
    recovered = 1e-7


def test_every_law_has_its_contract() -> None:
    tests = (path.read_text() for path in Path(__file__).parent.rglob("test_*.py"))
    covered = {
        name
        for text in tests
        for name in re.findall(r"\(LawContract\):\n    law = LAWS\[\"(\w+)\"\]", text)
    }
    assert covered == set(LAWS)


def test_an_unknown_law_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match="no law called 'chinchila', did you mean 'chinchilla'"):
        get("chinchila")


def test_a_name_of_the_package_is_registered_once() -> None:
    with pytest.raises(ValueError, match="registered already, by the package"):
        register(LAWS["n_law"])


def test_a_law_of_ones_own_is_registered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a notebook does whose cell runs twice."""
    monkeypatch.setattr("analysis.laws.LAWS", dict(LAWS))
    for power in (0.5, 0.7):
        own = plain_law(
            "mine", lambda x, a, p=power: a / x["D"] ** p, formula="a / D^p", source="made up",
            axes=("D",), parameters={"a": (0, math.inf)},
        )  # fmt: skip
        register(own)
        assert get("mine") is own


def documented_blocks() -> list[str]:
    """The python blocks of the page on laws, one after the other."""
    page = (Path(__file__).resolve().parents[3] / "docs" / "laws.md").read_text()
    return re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)


def test_the_page_on_laws_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    """One program: what an example uses is made by it or by one before it."""
    blocks = documented_blocks()
    known: dict[str, Any] = {}
    assert len(blocks) == 3
    try:
        for block in blocks:
            exec(compile(block, "docs/laws.md", "exec"), known)
    finally:
        LAWS.pop("vocabulary", None)
    fit, chain = known["fit"], known["chain"]
    for name, value in known["truth"].items():
        assert fit.params[name] == pytest.approx(value, abs=6 * fit.errors[name])
    above = known["above"]
    assert (above.problem.residual(above.free[None]) > 0).mean() == pytest.approx(0.75, abs=0.15)
    row = chain.predict(N=1e5, D=4096.0).iloc[0]
    inner = LAWS["chinchilla"].value(np.array([0.2, 9.0, 0.5, 4.0, 0.4]), np.array([[1e5, 4096.0]]))
    wanted = LAWS["sigmoid"].value(np.array([0.5, 0.95, 5.0, 0.6]), inner[:, None])
    assert row["new_low"] < float(wanted[0]) < row["new_high"]
    assert "vocabulary" not in LAWS and "95 %" in capsys.readouterr().out


def test_every_law_stands_on_the_page() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "laws.md").read_text()
    for name, law in LAWS.items():
        assert f"| `{name}` | {law.formula.split('. h =')[0]} |" in page


@pytest.mark.parametrize("variant", ["bounded", "regularised"])
def test_a_variant_that_changes_nothing_is_said(variant: Any) -> None:
    """Both act on parameters that are marked as exponents; a law of one's own may mark none."""
    scales = np.geomspace(1e3, 1e6, 8)
    data = {"D": scales, "loss": 4.0 / scales**0.35}
    (warning,) = fit_law(data, "power_law", variant=variant, n_boot=0).warnings
    assert "changes nothing: no parameter of power_law is marked as an exponent" in warning
