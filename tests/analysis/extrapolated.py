"""Worlds whose truth is known, for the coverage of predictions at larger compute.

Five families. In two the law fitted (Chinchilla's) is the true one, with normal noise and with
noise of Student's t with two degrees of freedom; in one the runs of a cell share an error; in two
the truth is another law: Kaplan's, and a power law whose exponent changes inside the data. Every
truth is drawn from a prior that was written, and committed, before any interval was judged by it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.laws import FloatArray, get

FAMILIES = ("chinchilla", "kaplan", "broken", "shared-seed", "t2")
FACTORS = (4.0, 30.0)  # times the largest compute fitted
_HELD = 4  # new runs at each factor
Curve = Callable[[FloatArray, FloatArray], FloatArray]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Runs to fit and runs to predict.

    Attributes:
        runs: columns N, D, loss.
        held: columns N, D, exact (loss without noise), loss (of a new run), factor (of compute).
    """

    runs: pd.DataFrame
    held: pd.DataFrame


def world(family: str, seed: int) -> World:
    """Draw a truth, a design and noise.

    Args:
        family: one of ``FAMILIES``.
        seed: of everything.
    """
    rng = np.random.default_rng([20261129, FAMILIES.index(family), seed])
    N, D = _design(rng)
    curve = _truth(family, rng, N, D)
    sd = float(np.exp(rng.uniform(np.log(0.002), np.log(0.02))))
    seeds = 3 if family == "shared-seed" else int(rng.integers(1, 3))
    n, d = np.repeat(N, seeds), np.repeat(D, seeds)
    loss = curve(n, d) * np.exp(_noise(family, rng, sd, len(N), seeds))
    at_n, at_d, factor = _beyond(rng, N, D)
    exact = curve(at_n, at_d)
    new = exact * np.exp(_noise(family, rng, sd, len(at_n), 1))
    held = {"N": at_n, "D": at_d, "exact": exact, "loss": new, "factor": factor}
    return World(runs=pd.DataFrame({"N": n, "D": d, "loss": loss}), held=pd.DataFrame(held))


def _design(rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Cells: a full grid, or budgets of compute with sizes around the optimum of each."""
    sizes, datas = int(rng.integers(4, 8)), int(rng.integers(4, 8))
    low_n, low_d = 10 ** rng.uniform(3, 8), 10 ** rng.uniform(2, 9)
    span_n, span_d = 10 ** rng.uniform(1.0, 2.5), 10 ** rng.uniform(1.0, 2.5)
    if rng.random() < 0.5:
        n, d = np.meshgrid(np.geomspace(1, span_n, sizes), np.geomspace(1, span_d, datas))
        return low_n * n.ravel(), low_d * d.ravel()
    budgets = np.geomspace(1, span_n * span_d, datas)[:, None]
    ratio = np.geomspace(1 / 4, 4, sizes)[None, :]
    n, d = np.sqrt(budgets) * ratio, np.sqrt(budgets) / ratio
    return low_n * n.ravel(), low_d * d.ravel()


def _truth(family: str, rng: np.random.Generator, N: FloatArray, D: FloatArray) -> Curve:
    """A curve whose reducible loss is 0.2 to 5 times its floor at the centre of the data."""
    floor = 10 ** rng.uniform(-1, 0.3)
    above = floor * 10 ** rng.uniform(-0.7, 0.7)
    share = rng.uniform(0.2, 0.8)  # of what lies above the floor, due to finite N
    alpha, beta = rng.uniform(0.2, 0.7, size=2)
    n0, d0 = np.exp(np.log(N).mean()), np.exp(np.log(D).mean())
    if family == "kaplan":  # no floor: ((Nc/N)^(alpha/beta) + Dc/D)^beta, Kaplan et al. 2020, 1.5
        alpha, beta = rng.uniform(0.05, 0.4, size=2)
        return lambda n, d: (
            (floor + above) * (share * (n0 / n) ** (alpha / beta) + (1 - share) * d0 / d) ** beta
        )
    if family == "broken":  # of D, smoothly, between the first and the last third of the data
        later = beta * rng.uniform(0.4, 0.8)
        low, high = np.quantile(np.log(D), [1 / 3, 2 / 3])
        at, width = np.exp(rng.uniform(low, high)), rng.uniform(0.2, 1.0)

        def data_term(d: FloatArray) -> FloatArray:
            found: FloatArray = (d0 / d) ** beta * (1 + (d / at) ** (1 / width)) ** (
                width * (beta - later)
            )
            return found

        return lambda n, d: floor + above * (share * (n0 / n) ** alpha + (1 - share) * data_term(d))
    A, B = above * share * n0**alpha, above * (1 - share) * d0**beta
    theta = np.array([floor, A, alpha, B, beta])
    return lambda n, d: get("chinchilla").value(theta, np.stack([n, d], axis=-1))


def _noise(
    family: str, rng: np.random.Generator, sd: float, cells: int, seeds: int
) -> npt.NDArray[np.float64]:
    """Error of log loss of each run (cells x seeds,)."""
    own = rng.standard_normal((cells, seeds))
    if family == "t2":
        own = rng.standard_t(2, size=(cells, seeds)) / 2.0
    if family == "shared-seed":  # seeds of a cell share their error; a fifth is their own
        own = rng.standard_normal((cells, 1)) + 0.2 * own
    found: npt.NDArray[np.float64] = sd * own.ravel()
    return found


def _beyond(
    rng: np.random.Generator, N: FloatArray, D: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Runs at 4 and 30 times the largest compute, the factor split between N and D at random."""
    largest = int((N * D).argmax())
    factor = np.repeat(FACTORS, _HELD)
    to_n = rng.uniform(0.2, 0.8, size=len(factor))
    return N[largest] * factor**to_n, D[largest] * factor ** (1 - to_n), factor
