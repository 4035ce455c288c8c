"""How often 95 % intervals hold what they promise on real extrapolations.

The constant of ``analysis.rolling`` is chosen again here with each of the five sources left out,
and judged on that source: the coverage is that of data the constant never saw.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis import fit_law, rolling
from analysis.laws import FloatArray
from analysis.uncertainty import covariance, t_quantile
from tests.analysis.public.laws import extrapolations

Task = tuple[FloatArray, FloatArray, float]  # errors, nominal half widths, rms of rolling errors


def source(task: str) -> str:
    return next((s for s in ("gadre", "marin") if s in task), task)


def measured(shared: Path, delta: float | None) -> dict[str, Task]:
    """What is needed to form intervals of the held-out runs with any constant."""
    found = {}
    for task, fitted, held in extrapolations(shared):
        fit = fit_law(fitted[["N", "D", "loss"]], delta=delta, n_boot=0)
        at = held[["N", "D"]].to_numpy()
        f, jac = fit.problem.model(fit.free[None], at)
        spread = np.einsum("pn,pq,qn->n", jac[0], covariance(fit.problem, fit.free), jac[0])
        half = t_quantile(fit.problem.dof) * np.sqrt(spread + fit.scatter**2)
        errors = np.log(held["loss"].to_numpy()) - f[0]
        found[task] = errors, half, rolling.rms(rolling.origins(fit.problem))
    return found


def chosen(tasks: dict[str, Task]) -> float:
    """Smallest share for which sources hold 95 % of their runs on average."""
    for share in np.arange(0.0, 3.0, 0.01):
        by_source: dict[str, list[float]] = {}
        for task, (error, half, rms) in tasks.items():
            covered = np.abs(error) <= np.hypot(half, share * rms)
            by_source.setdefault(source(task), []).append(float(covered.mean()))
        if np.mean([np.mean(v) for v in by_source.values()]) >= 0.95:
            return float(share)
    raise AssertionError("no share is enough")


@pytest.mark.parametrize("delta", [None, 1e-3])
def test_intervals_beyond_the_data_cover_sources_they_never_saw(
    shared: Path, delta: float | None
) -> None:
    tasks = measured(shared, delta)
    covered, width, nominal, shares = [], [], [], []
    for task, (error, half, rms) in tasks.items():
        others = {k: v for k, v in tasks.items() if source(k) != source(task)}
        shares.append(chosen(others))
        own = np.hypot(half, shares[-1] * rms)
        covered.append(np.abs(error) <= own)
        width.append(2 * own)
        nominal.append(np.abs(error) <= half)
    pooled = float(np.concatenate(covered).mean())
    assert 0.90 <= pooled <= 0.98
    assert np.concatenate(nominal).mean() < 0.80  # without the misfit
    assert 0.03 < np.concatenate(width).mean() < 0.07  # 5.5 % of the loss, mean over runs
    assert min(shares) - 0.2 <= rolling.SHARE <= max(shares) + 0.2


def test_predictions_use_the_same_intervals(shared: Path) -> None:
    """``predict`` with the bootstrap is what the test above forms by the delta method."""
    task, fitted, held = next(iter(extrapolations(shared)))
    fit = fit_law(fitted[["N", "D", "loss"]], delta=1e-3, n_boot=200)
    table = fit.predict(N=held["N"], D=held["D"])
    beyond = table["beyond"] > 1
    assert beyond.any()
    own = np.log(table["new_high"] / table["new_low"])[beyond] / 2
    _, half, rms = measured(shared, 1e-3)[task]
    expected = np.hypot(half, rolling.SHARE * rms)[beyond.to_numpy()]
    np.testing.assert_allclose(own, expected, rtol=0.25)
