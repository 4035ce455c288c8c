"""Runs on known surfaces, for the tests of compute allocations."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from analysis.compute.cost import ComputeModel
from analysis.fit.result import Fit
from analysis.laws import FloatArray, get
from analysis.text import Interval

EPOCH = (1.8172181046, 477.82591125, 0.3473105042, 2143.4173258, 0.3671724317)
SKEWED = (1.5, 300.0, 0.5, 900.0, 0.3)


def loss_of(theta: Sequence[float], N: FloatArray, D: FloatArray) -> FloatArray:
    """E + A / N^alpha + B / D^beta."""
    E, A, alpha, B, beta = theta
    found: FloatArray = E + A * N**-alpha + B * D**-beta
    return found


def optimal_size(theta: Sequence[float], C: float) -> float:
    """N* at C = 6 N D."""
    _, A, alpha, B, beta = theta
    return float((alpha * A / (beta * B) * (C / 6) ** beta) ** (1 / (alpha + beta)))


def isoflop_runs(
    theta: Sequence[float] = EPOCH,
    *,
    budgets: Sequence[float] = (1e18, 1e19, 1e20, 1e21, 1e22),
    sizes: int = 9,
    width: float = 16.0,
    off: float = 0.0,
    fixed: bool = False,
    noise: float = 0.0,
    seed: int = 0,
) -> pd.DataFrame:
    """IsoFLOP runs at C = 6 N D.

    ``width`` is largest over smallest size; their middle lies ``off`` half widths above N*, or,
    when ``fixed``, at the N* of the middle budget for every budget.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for C in budgets:
        middle = optimal_size(theta, budgets[len(budgets) // 2] if fixed else C)
        steps = np.linspace(-0.5, 0.5, sizes) + off / 2
        N = middle * width**steps
        D = C / 6 / N
        loss = loss_of(theta, N, D) + noise * rng.standard_normal(sizes)
        parts.append(pd.DataFrame({"N": N, "D": D, "C": C, "loss": loss}))
    return pd.concat(parts, ignore_index=True)


def curves(
    theta: Sequence[float] = EPOCH, sizes: int = 12, evaluations: int = 60, noise: float = 0.0
) -> pd.DataFrame:
    """Training curves at C = 6 N D, one run per size."""
    rng = np.random.default_rng(0)
    parts = []
    for i, N in enumerate(np.geomspace(1e7, 1e10, sizes)):
        D = np.geomspace(2e8, 2e12, evaluations)
        loss = loss_of(theta, np.full(evaluations, N), D)
        loss = loss * np.exp(noise * rng.standard_normal())
        parts.append(pd.DataFrame({"trial": f"t{i}", "N": N, "D": D, "C": 6 * N * D, "loss": loss}))
    rows = pd.concat(parts, ignore_index=True)
    return rows[rows["C"].between(1e17, 1e22)].reset_index(drop=True)


def ladder(
    *, m: float = 0.83, epochs: float = 20.0, p: float = 0.0, r: float = 0.0, noise: float = 0.0
) -> pd.DataFrame:
    """A grid of sizes and records with MACs ~ N^m and epochs ~ N^p D^r."""
    rng = np.random.default_rng(1)
    N, D = (v.ravel() for v in np.meshgrid([2e3, 6e3, 2e4, 1e5, 4e5], [256.0, 1024, 4096, 16384]))
    macs = 40 * N**m
    spent = 6 * macs * D * epochs * N**p * D**r * np.exp(noise * rng.standard_normal(len(N)))
    return pd.DataFrame({"N": N, "D": D, "macs": macs, "C": spent})


def fitted(
    theta: Sequence[float] = EPOCH,
    *,
    draws: FloatArray | None = None,
    status: str = "converged",
    bounds_hit: tuple[str, ...] = (),
    grid: tuple[Sequence[float], Sequence[float]] = ((1e8, 1e9, 1e10), (1e9, 1e10, 1e11)),
) -> Fit:
    """What an allocation reads of a fit, with known parameters and refits."""
    law = get("chinchilla")
    x = np.array([(n, d) for n in grid[0] for d in grid[1]])
    loss = loss_of(theta, x[:, 0], x[:, 1])
    known: Any = types.SimpleNamespace(
        misfit=None,
        law=law, params=dict(zip(law.names, theta, strict=True)), theta=np.array(theta),
        ok=bool(np.isfinite(theta).all()), status=status,
        labels={},
        bootstrap=types.SimpleNamespace(theta=np.empty((0, 5)) if draws is None else draws),
        certificate=types.SimpleNamespace(bounds_hit=bounds_hit),
        problem=types.SimpleNamespace(x=x, loss=loss, dof=len(x) - 5),
        ranges={a: (float(x[:, k].min()), float(x[:, k].max())) for k, a in enumerate("ND")},
    )  # fmt: skip
    return cast(Fit, known)


STANDARD = ComputeModel.standard()


def costing(m: float, q: float, k: float = 7.0) -> ComputeModel:
    """C = k N^m D^q, known exactly."""
    exact = [Interval(low=v, high=v) for v in (m, q)]
    return dataclasses.replace(
        STANDARD, convention="counted", log_k=math.log(k), m=m, q=q, m_interval=exact[0],
        q_interval=exact[1],
    )  # fmt: skip


def refits(theta: tuple[float, ...], spread: float = 0.02, count: int = 400) -> FloatArray:
    """Refits of a law about ``theta``."""
    rng = np.random.default_rng(0)
    return np.array(theta) * np.exp(spread * rng.standard_normal((count, 5)))
