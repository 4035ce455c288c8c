"""Lines in logs, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import t as student

from analysis.fit.loglog import fit_line


def test_a_line_through_two_points_has_no_scatter() -> None:
    line = fit_line(np.array([1.0, 10.0]), np.array([2.0, 20.0]))
    assert line.exponent == pytest.approx(1) and line.coefficient == pytest.approx(2)
    assert np.isnan(line.interval.low) and np.isnan(line.predict(3.0)[1])
    with pytest.raises(ValueError, match="two distinct"):
        fit_line(np.array([2.0, 2.0]), np.array([1.0, 2.0]))


def test_a_line_has_the_interval_of_a_regression() -> None:
    rng = np.random.default_rng(0)
    x = np.geomspace(1, 1e4, 9)
    y = 3 * x**0.5 * np.exp(0.1 * rng.standard_normal(9))
    line = fit_line(x, y)
    slope, variance = np.polyfit(np.log(x), np.log(y), 1, cov=True)
    half = student.ppf(0.975, 7) * np.sqrt(variance[0, 0])
    assert line.interval.high == pytest.approx(slope[0] + half, rel=1e-9)
    weights = np.array([1.0, 1, 1, 4, 4, 4, 1, 1, 1])
    weighted = fit_line(x, y, weights=weights)
    expected = np.polyfit(np.log(x), np.log(y), 1, w=np.sqrt(weights))[0]
    assert weighted.exponent == pytest.approx(expected, rel=1e-9)


def test_importing_costs_no_scipy_and_no_matplotlib() -> None:
    code = (
        "import sys; from analysis.compute import allocation, envelope, isoflop;"
        "print([m for m in sys.modules if m in ('scipy', 'matplotlib', 'torch', 'ray') or"
        " (m.startswith('scaling.') and not m.startswith('scaling.records'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
