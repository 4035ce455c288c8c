"""Every law draws its own axes, response and floor."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from analysis import fit_law
from analysis.figures import base as figures
from analysis.figures import fits
from analysis.figures.fits import MOST_COLOURS, picked, scale_text
from analysis.fit.result import Fit
from tests.analysis.checks.test_second_opinion import CASES, noisy

PLAIN = {"N": "N, parameters", "D": "D, training data"}  # of columns that are no study's


def panels(picture: figures.Picture) -> list[Axes]:
    picture.canvas.draw()
    return list(picture.axes)


def fitted(law: str) -> Fit:
    return fit_law(noisy(CASES[law]()), law, n_boot=5)


@pytest.mark.parametrize("law", CASES)
def test_every_law_draws_its_axes_and_its_response(law: str) -> None:
    fit = fitted(law)
    drawn = panels(fit.plot())
    assert len(drawn) == len(fit.law.axes)
    for axes, axis in zip(drawn, fit.law.axes, strict=True):
        assert axes.get_xlabel() == {**figures.LABELS, **PLAIN}[axis]
        assert fit.law.response in axes.get_ylabel() or "loss" in axes.get_ylabel()
        points = [line for line in axes.lines if line.get_marker() not in ("None", "", None)]
        assert sum(len(np.asarray(line.get_xdata())) for line in points) == len(fit.rows)
        texts = [t.get_text().split(" ")[0] for t in axes.texts]
        assert texts == ([fit.law.floor] if fit.law.floor else [])


@pytest.mark.parametrize("law", ["loss_to_loss", "overfitting", "sigmoid", "data_constrained"])
def test_residuals_and_uncertainty_are_drawn_too(law: str) -> None:
    fit = fitted(law)
    assert len(panels(fits.residuals(fit))) == len(fit.law.axes) + 1
    titles = [a.get_title(loc="left") for a in panels(fits.uncertainty(fit))]
    first = fit.law.floor or fit.law.names[0]
    assert all(first in title for title in titles[1:])


def test_losses_are_drawn_as_they_are_and_scales_in_logarithms() -> None:
    assert [panels(fitted(law).plot())[0].get_xscale() for law in ("sigmoid", "frontier")] == [
        "linear", "log",
    ]  # fmt: skip


def test_many_values_of_another_axis_share_a_few_curves() -> None:
    rng = np.random.default_rng(0)
    n, d = np.exp(rng.uniform(7, 12, 60)), np.exp(rng.uniform(5, 9, 60))
    loss = (0.2 + 5 * n**-0.5 + 4 * d**-0.4) * np.exp(0.01 * rng.standard_normal(60))
    axes = panels(fit_law({"N": n, "D": d, "loss": loss}, n_boot=0).plot())[0]
    curves = [line for line in axes.lines if line.get_marker() in ("None", "", None)]
    assert len(curves) == MOST_COLOURS + 1  # and the floor
    assert picked(np.array([3.0, 1.0, 3.0])).tolist() == [1.0, 3.0]


def test_scales_read_well() -> None:
    assert [scale_text(v) for v in (256.0, 4096.0, 95_000.0, 1e15, 0.25)] == [
        "256", "4,096", "95K", "1.00e15", "0.250",
    ]  # fmt: skip


def test_curves_go_through_the_middle_of_the_runs_in_their_colour() -> None:
    """Data sizes that are all different: no curve at the very smallest, which one run has."""
    rng = np.random.default_rng(0)
    n, d = np.exp(rng.uniform(10, 15, 60)), np.exp(rng.uniform(12, 20, 60))
    fit = fit_law({"N": n, "D": d, "loss": 1 + 20 / n**0.3 + 300 / d**0.4}, n_boot=0)
    axes = panels(fit.plot())[0]
    tops = [line.get_ydata() for line in axes.lines if len(np.asarray(line.get_xdata())) == 60]
    highest = max(float(np.asarray(y)[0]) for y in tops)
    assert highest < float(fit.predict(N=n.min(), D=d.min())["loss"].iloc[0])


def test_a_wide_axis_has_one_label_a_decade() -> None:
    axes = panels(figures.picture(1)[0])[0]
    axes.plot([1e7, 1e12], [1, 2])
    figures.scale(axes, "D")
    low, high = axes.get_xlim()
    shown = [t for t in axes.get_xticks() if low <= t <= high]
    assert [np.log10(t) % 1 for t in shown] == [0.0] * len(shown)
    assert len(shown) >= 5


def test_a_dollar_in_the_name_of_a_column_is_drawn_as_it_is() -> None:
    rng = np.random.default_rng(0)
    n, d = np.exp(rng.uniform(10, 15, 20)), np.exp(rng.uniform(12, 20, 20))
    loss = 1 + 20 / n**0.3 + 300 / d**0.4
    fit = fit_law(pd.DataFrame({"params $a$ (1e0)": n, "tokens": d, "loss $": loss}), n_boot=0)
    axes = panels(fit.plot())[0]
    assert axes.get_ylabel() == r"loss \$"
