"""Made laws for the questions: runs of a known joint law, noiseless unless told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis import fit_law
from analysis.fit.result import Fit
from analysis.laws import FloatArray, get

GRID = np.array([(n, d) for n in np.geomspace(2e3, 2e5, 5) for d in np.geomspace(512, 8192, 5)])
HOME = (0.12, 20.0, 0.7, 70.0, 1.1)


def exact(theta: Sequence[float], grid: FloatArray = GRID) -> FloatArray:
    found: FloatArray = get("chinchilla").value(np.array(theta, dtype=float), grid)
    return found


def made(
    theta: Sequence[float] = HOME,
    *,
    noise: float = 0.0,
    seed: int = 0,
    n_boot: int = 40,
    name: str = "t",
    law: str = "chinchilla",
    loss: FloatArray | None = None,
    **options: Any,
) -> Fit:
    """A fit to the grid; ``seed`` is of the noise and ``name`` sets runs apart."""
    rng = np.random.default_rng(seed)
    at = exact(theta) if loss is None else loss
    columns = {
        "N": GRID[:, 0], "D": GRID[:, 1], "loss": at * np.exp(noise * rng.standard_normal(len(at))),
        "trial": np.array([f"{name}{i:02d}" for i in range(len(GRID))]),
    }  # fmt: skip
    return fit_law(columns, law, n_boot=n_boot, **options)
