"""Averaged forecasts of one-dimensional curves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import fit_law
from analysis.checks.learning_curve import extrapolate
from analysis.laws import LAWS, FloatArray

D = np.geomspace(100.0, 5e4, 14)
BEYOND = np.array([1e5, 2e5])


def curve(x: FloatArray) -> FloatArray:
    return LAWS["d_law"].value(np.array([0.1, 4.0, 0.4]), x[:, None])


def test_a_curve_that_is_one_of_the_laws_is_carried_on_exactly() -> None:
    found = extrapolate({"D": D, "loss": curve(D)}, BEYOND)
    np.testing.assert_allclose(found.table["loss"], curve(BEYOND), rtol=1e-5)
    assert found.candidates[0].law == "d_law"
    assert sum(c.weight for c in found.candidates) == pytest.approx(1.0)
    assert (found.table["low"] <= found.table["loss"]).all()


def test_noise_widens_the_interval() -> None:
    noise = np.random.default_rng(0).standard_normal(len(D))
    narrow, wide = (
        extrapolate({"D": D, "loss": curve(D) * np.exp(s * noise)}, BEYOND).table
        for s in (0.002, 0.02)
    )
    width = [float(np.log((t["high"] / t["low"]).iloc[-1])) for t in (narrow, wide)]
    assert 0 < 3 * width[0] < width[1]


def test_an_early_plateau_does_not_mislead() -> None:
    """Chance level up to D = 2,000, then a power law: the first window alone would be fooled."""
    x = np.geomspace(20.0, 5e4, 24)
    loss = np.minimum(curve(x), float(curve(np.array([2e3]))[0]))
    found = extrapolate({"D": x, "loss": loss}, BEYOND)
    fooled = fit_law({"D": x, "loss": loss}, "d_law", n_boot=0).predict(D=BEYOND)["loss"]
    own, others = (np.abs(t / curve(BEYOND) - 1).max() for t in (found.table["loss"], fooled))
    assert own < 0.04 < 0.5 * others
    early = sum(c.weight for c in found.candidates if c.window == 0.0 and c.law == "d_law")
    assert early < 0.1


def test_repeated_rows_count_once() -> None:
    doubled = {"D": np.repeat(D, 3), "loss": np.repeat(curve(D), 3)}
    once, thrice = (extrapolate(d, BEYOND) for d in ({"D": D, "loss": curve(D)}, doubled))
    np.testing.assert_array_equal(once.table, thrice.table)


def test_few_points_give_a_line_and_say_so() -> None:
    found = extrapolate({"D": [100.0, 200.0], "loss": [1.0, 0.8]}, [400.0])
    assert found.table["loss"].iloc[0] == pytest.approx(0.64)
    assert any("too few for any law" in w for w in found.warnings)
    assert found.table["low"].isna().all()


def test_a_long_horizon_cannot_be_rehearsed() -> None:
    found = extrapolate({"D": D, "loss": curve(D)}, [1e12])
    assert any("no rehearsal" in w for w in found.warnings)


@pytest.mark.parametrize(
    ("data", "at", "message"),
    [
        ({"D": D, "loss": -curve(D)}, BEYOND, "loss is -"),
        ({"D": D, "loss": curve(D)}, [50.0], "one beyond the data"),
        ({"D": D, "loss": curve(D)}, [np.nan], "must be positive"),
    ],
)
def test_bad_input_is_named(data: dict[str, FloatArray], at: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        extrapolate(data, at)


def test_columns_are_found_or_asked_for() -> None:
    plain = extrapolate({"D": D, "loss": curve(D)}, BEYOND).table
    named = extrapolate({"tokens": D, "val_loss": curve(D)}, BEYOND).table
    np.testing.assert_allclose(named["loss"], plain["loss"], rtol=1e-12)
    with pytest.raises(ValueError, match="needs columns D and loss, not found: D; there are: N"):
        extrapolate({"N": D, "loss": curve(D)}, BEYOND)
    with pytest.raises(ValueError, match="needs columns D and acc, not found: acc"):
        extrapolate({"D": D, "loss": curve(D)}, BEYOND, response="acc")


def test_of_several_sizes_the_largest_model_is_used() -> None:
    plain = extrapolate({"D": D, "loss": curve(D)}, BEYOND)
    two = pd.DataFrame({
        "N": np.repeat([1e6, 1e7], len(D)), "D": np.tile(D, 2),
        "loss": np.concatenate([2.0 * curve(D), curve(D)]),
    })  # fmt: skip
    found = extrapolate(two, BEYOND)
    np.testing.assert_allclose(found.table["loss"], plain.table["loss"], rtol=1e-12)
    assert any("at the largest, 10,000,000, are used" in w for w in found.warnings)


def test_laws_of_other_axes_are_refused() -> None:
    with pytest.raises(ValueError, match="one axis D: chinchilla"):
        extrapolate({"D": D, "loss": curve(D)}, BEYOND, laws=["chinchilla"])
