"""Figures: what is drawn, and how it is labelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from analysis import fit_law, load
from analysis.figures import base as figures
from analysis.figures import fits
from analysis.fit.result import Fit
from analysis.text import Interval, count, interval, number, short


@pytest.fixture(scope="module")
def fit(made: Path) -> Fit:
    return fit_law(load(made), n_boot=50)


def panels(picture: figures.Picture) -> list[Axes]:
    picture.canvas.draw()
    return list(picture.axes)


def test_curves_draw_every_run_and_a_line_per_other_scale(fit: Fit) -> None:
    by_n, by_d = panels(fit.plot())
    for axes, series in ((by_n, 5), (by_d, 4)):
        points = [line for line in axes.lines if line.get_marker() not in ("None", "", None)]
        curves = [line for line in axes.lines if len(np.asarray(line.get_xdata())) == 60]
        assert sum(len(np.asarray(line.get_xdata())) for line in points) == 20
        assert len(curves) == series
        assert axes.get_xscale() == "log"
        assert axes.get_ylabel() == "held-out loss, nats"
    assert by_n.get_xlabel() == "N, backbone parameters"
    assert by_d.get_xlabel() == "D, unique training records"


def test_series_differ_by_marker_and_by_lightness(fit: Fit) -> None:
    axes = panels(fits.curves(fit))[0]
    series = [line for line in axes.lines if line.get_marker() not in ("None", "", None)]
    assert len({str(line.get_marker()) for line in series}) == len(series)
    grey = [float(np.dot(np.asarray(s.get_color())[:3], [0.299, 0.587, 0.114])) for s in series]
    assert (np.diff(grey) > 0.05).all()


def test_e_and_the_bayes_loss_are_named(fit: Fit) -> None:
    texts = [t.get_text() for t in panels(fits.curves(fit, bayes=0.25))[0].texts]
    assert f"E = {number(fit.params['E'])}" in texts
    assert "Bayes loss 0.250" in texts


def test_marginal_laws_have_one_panel(made: Path) -> None:
    assert len(panels(fits.curves(fit_law(load(made), "d_law", n_boot=20)))) == 1


def test_residuals_and_uncertainty_have_a_panel_per_question(fit: Fit) -> None:
    titles = [a.get_title(loc="left") for a in panels(fits.residuals(fit))]
    assert titles == ["Residuals against N", "Residuals against D", "Measured against fitted"]
    titles = [a.get_title(loc="left") for a in panels(fits.uncertainty(fit, 0.25))]
    assert titles == ["Profile of E", "Bootstrap: E and alpha", "Bootstrap: E and beta"]


def test_an_unfitted_law_shows_its_runs_only(made: Path) -> None:
    frame = load(made)
    few = fit_law(frame[frame["size"].isin(["d1w8", "d2w8"])], n_boot=0)
    axes = panels(fits.curves(few))[0]
    assert not [line for line in axes.lines if len(np.asarray(line.get_xdata())) == 60]
    assert sum(len(np.asarray(line.get_xdata())) for line in axes.lines) == 10


def test_measured_averages_seeds() -> None:
    rows = pd.DataFrame({"N": [1e3, 1e3, 1e4], "D": [100.0] * 3, "value": [0.4, 0.6, 0.2]})
    axes = panels(fits.measured(rows, "loss, nats", "Probe loss"))[0]
    np.testing.assert_allclose(np.asarray(axes.lines[0].get_ydata(), dtype=float), [0.5, 0.2])


def test_png_and_svg_are_what_they_say(fit: Fit) -> None:
    picture = fits.curves(fit)
    assert figures.png(picture).startswith(b"\x89PNG")
    assert picture._repr_png_().startswith(b"\x89PNG")
    text = figures.svg(picture, "curves")
    assert text.startswith("<svg") and text.rstrip().endswith("</svg>")
    assert "held-out loss, nats" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123456, "0.123"), (123456.0, "123,000"), (1.5e-7, "1.50e-7"), (0.0, "0"),
     (None, "–"), (float("nan"), "–"), (float("inf"), "∞"), (2.5e9, "2.50e9"), (-12.34, "-12.3"),
     (0.00009999999, "0.000100"), (0.9999, "1.00"), (0.0, "0")],
)  # fmt: skip
def test_numbers_read_well(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(256, "256"), (4096, "4,096"), (95_000, "95K"), (1_234_567, "1.23M")]
)
def test_counts_read_well(value: float, text: str) -> None:
    assert count(value) == text


def test_ticks_and_intervals_read_well() -> None:
    assert [short(v) for v in (300, 3e3, 1e6)] == ["300", "3K", "1M"]
    assert interval(Interval(low=0.1234, high=2.0)) == "[0.123, 2.00]"
    assert interval(Interval(low=np.nan, high=1.0)) == "–"
