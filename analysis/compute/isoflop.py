"""Approach 2: isoFLOP curves (Hoffmann et al. 2022, arXiv 2203.15556, section 3.2).

For each budget a parabola of the loss in log N has its minimum at N*(C), and a line through the
minima in logs gives N* = k C^a; the same in log D gives D* = k' C^b. The parabola is biased when
alpha and beta differ and the sizes are wide or lie to one side (Czech et al. 2026, arXiv
2603.22339), so the surface fit (``analysis.compute.allocation``) should stand beside it.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.compute.budgets import Optimum, budget_of, polynomial_optimum
from analysis.compute.isoflop_assembly import BudgetFit, assemble, line_through
from analysis.compute.isoflop_result import IsoFlop
from analysis.compute.rows import (
    MEASURE,
    AllocationError,
    Data,
    checked,
    spread_at_fixed_size,
)
from analysis.fit.bootstrap import random_factors
from analysis.laws import FloatArray

__all__ = ["IsoFlop", "budget_rows", "isoflop"]

NEAR = 1.25  # ratio of neighbouring budgets that may be one: published designs step by 2 and more
NAMES = {2: "parabolas in log N", 3: "cubics in log N"}


def isoflop(
    data: Data,
    *,
    by: str = "C",
    n_boot: int = 1000,
    seed: int = 0,
    degree: Literal[2, 3] = 2,
    tolerance: float = 0.02,
    budget: str | None = None,
) -> IsoFlop:
    """Compute-optimal N and D from isoFLOP curves.

    Args:
        data: one row per run: N, loss (nats), the compute, and D where known.
        by: the column of the compute, FLOPs.
        n_boot: resamples of the runs within their budgets; 0 for none.
        seed: of the resamples.
        degree: of the curve in log N.
        tolerance: neighbouring C that differ by less are one budget.
        budget: column that names the budget of each run, such as the nominal compute; None to tell
            budgets by C. The C of a budget is the geometric mean of its runs.

    Returns:
        Optima, power laws and refusals. It has no power law (``ok`` is False, ``reason`` says
        why) where fewer than two budgets have an optimum.

    Raises:
        AllocationError: C does not vary, or not at fixed N.
        ValueError: no rows, a missing column, a value that is not positive and finite, C that
            does not fall into budgets, or a degree other than 2 and 3.
    """
    if degree not in NAMES:
        raise ValueError(f"degree {degree} is neither 2 nor 3")
    rows = budget_rows(data, by, tolerance, budget)
    rng = np.random.default_rng(seed)
    fits, others = [], []
    for C in np.unique(rows["C"].to_numpy()):
        part = rows[rows["C"] == C]
        factors = random_factors(rng, n_boot, len(part))
        fits.append(_fit(float(C), part, degree, factors))
        others.append(_fit(float(C), part, 5 - degree, factors[:0]))
    sensitivity = {}
    optima = [(f, f.N) for f in others if isinstance(f.N, Optimum)]
    if len(optima) > 1:
        sensitivity[NAMES[5 - degree]] = line_through(optima).exponent
    found = assemble(NAMES[degree], rows, fits, sensitivity)
    if budget is None and (near := _near(fits)):
        found = dataclasses.replace(found, warnings=(*found.warnings, near))
    return found


def _near(fits: list[BudgetFit]) -> str:
    """A warning where neighbouring budgets may be one."""
    C = np.array([f.C for f in fits])
    close = np.flatnonzero(C[1:] / C[:-1] < NEAR)
    if not close.size:
        return ""
    first, second = C[close[0]], C[close[0] + 1]
    return (
        f"budgets {first:.3g} and {second:.3g} lie {second / first - 1:.0%} apart: if they are "
        "one, name the budgets (budget=) or raise the tolerance"
    )


def budget_rows(data: Data, by: str, tolerance: float, budget: str | None = None) -> pd.DataFrame:
    """Checked rows N, D (if there), C (of the budget) and loss, sorted by C and N.

    Raises:
        AllocationError: C does not vary, or not at fixed N.
        ValueError: see ``isoflop``.
    """
    labels = None if budget is None else _labels(data, budget)
    rows = checked(data, ("N", by, "loss"), optional=("D",)).rename(columns={by: "C"})
    exact = rows["C"].to_numpy()
    if exact.max() / exact.min() < 1 + tolerance:
        raise AllocationError(f"C does not vary (one budget, {exact.mean():.3g} FLOPs): {MEASURE}")
    records: FloatArray | None = rows["D"].to_numpy() if "D" in rows else None
    spread, varies = spread_at_fixed_size(rows["N"].to_numpy(), exact, records)
    if not varies:
        raise AllocationError(
            f"C is a function of N alone (log C spreads by {spread:.2g} at fixed N): {MEASURE}"
        )
    if labels is None:
        rows["C"] = budget_of(exact, tolerance)
    else:
        rows["C"] = np.exp(pd.Series(np.log(exact)).groupby(labels).transform("mean"))
    return rows.sort_values(["C", "N"], kind="stable").reset_index(drop=True)


def _labels(data: Data, budget: str) -> npt.NDArray[np.intp]:
    """Number of the budget of each run, by its label."""
    frame = data if isinstance(data, pd.DataFrame) else pd.DataFrame(dict(data))
    if budget not in frame.columns:
        raise ValueError(f"missing column {budget}, named as the budget of each run")
    labels, _ = pd.factorize(frame[budget])
    if (labels < 0).any():
        raise ValueError(f"row {int((labels < 0).argmax())}: {budget} is empty")
    return np.asarray(labels, dtype=np.intp)


def _fit(C: float, rows: pd.DataFrame, degree: int, factors: FloatArray) -> BudgetFit:
    loss = rows["loss"].to_numpy()
    size = polynomial_optimum(rows["N"].to_numpy(), loss, "N", degree, factors)
    records = None
    if "D" in rows:
        records = polynomial_optimum(rows["D"].to_numpy(), loss, "D", degree, factors)
    return BudgetFit(C=C, runs=len(rows), N=size, D=records)
