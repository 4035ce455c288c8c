"""Approach 2: isoFLOP curves (Hoffmann et al. 2022, arXiv 2203.15556, section 3.2).

For each budget a parabola of the loss in log N has its minimum at N*(C), and a line through the
minima in logs gives N* = k C^a; the same in log D gives D* = k' C^b. The parabola is biased when
alpha and beta differ and the sizes are wide or lie to one side (Czech et al. 2026, arXiv
2603.22339), so the surface fit (``analysis.compute.allocation``) should stand beside it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.compute.optima import (
    NO_RECORDS,
    AllocationLines,
    BudgetOptima,
    OptimaByBudget,
    Optimum,
    RefusedBudget,
    akima_optimum,
    line_through,
    polynomial_optimum,
)
from analysis.compute.rows import (
    MEASURE,
    AllocationError,
    positive_columns,
    refuse_function_of_size,
)
from analysis.fit.bootstrap import random_factors
from analysis.fit.loglog import LogLine
from analysis.laws import FloatArray
from analysis.studies.fit_rows import Data
from analysis.text import Card, json_object, number

CLOSE = 1.25  # ratio of neighbouring budgets that may be one: published designs step by 2 and more
METHODS = {2: "parabolas in log N", 3: "cubics in log N"}
FEW = 5  # budgets under which the scatter about the line is hardly known
# A symmetric grid 30 times wide moves N* by 7 % when alpha and beta are 0.5 and 0.3, by 1 % when
# they are 0.34 and 0.37; one whose centre wanders by half its half width moves it by 9 % between
# budgets, and with it the exponent.
WIDE, OFF_CENTRE, WANDERS = 30.0, 0.25, 0.5
SENSITIVE = 0.02
NOISE = (0.005, 0.1)  # standard deviation of the loss at losses up to 3 and from 6 nats
NOISE_AT = (3.0, 6.0)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IsoFlop(AllocationLines):
    """Compute-optimal allocation from isoFLOP curves (Hoffmann et al. 2022, Approach 2).

    Attributes:
        method: how a budget's optimum was read.
        rows: the runs: N, D (if measured), C (of the budget, FLOPs), loss (nats).
        budgets: one row per budget used: C, runs, N, N_low, N_high, D, D_low, D_high, loss,
            curvature, off_centre, width (see ``Optimum``). D is NaN where its own curve was
            refused, which ``refused`` explains, or where D was not measured.
        curves: C, N and loss of the curves drawn through the runs.
        N_line: N*(C) = k C^a, or None (see ``reason``).
        D_line: D*(C) = k' C^b, or None.
        refused: budgets without an optimum, and why.
        reason: why there is no N*(C); empty when there is one.
        sensitivity: a by another curve.
    """

    method: str
    rows: pd.DataFrame
    budgets: pd.DataFrame
    curves: pd.DataFrame
    N_line: LogLine | None
    D_line: LogLine | None
    refused: tuple[RefusedBudget, ...]
    reason: str
    warnings: tuple[str, ...]
    sensitivity: Mapping[str, float]

    def card(self) -> Card:
        """What is shown."""
        return Card(
            title=f"Approach 2: isoFLOP curves, {self.method}",
            warnings=self.reason_and_warnings(),
            estimates=self.estimates(),
            facts=(
                ("budgets used", f"{len(self.budgets)}"),
                *(("refused", str(r)) for r in self.refused),
                *((f"a by {k}", number(v, 4)) for k, v in self.sensitivity.items()),
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """All numbers, as plain JSON values; NaN becomes None."""
        return json_object(
            approach=2, method=self.method, **self.numbers(), budgets=self.budgets,
            sensitivity=self.sensitivity, refused=[dataclasses.asdict(r) for r in self.refused],
        )  # fmt: skip


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
    if degree not in METHODS:
        raise ValueError(f"degree {degree} is neither 2 nor 3")
    rows = budget_rows(data, by, tolerance, budget)
    rng = np.random.default_rng(seed)
    optima, by_other_curve = [], []
    for C in np.unique(rows["C"].to_numpy()):
        runs = rows[rows["C"] == C]
        factors = random_factors(rng, n_boot, len(runs))
        optima.append(_optima_of(float(C), runs, degree, factors))
        by_other_curve.append(_optima_of(float(C), runs, 5 - degree, factors[:0]))
    sensitivity = {}
    sizes = [(b, b.N) for b in by_other_curve if isinstance(b.N, Optimum)]
    if len(sizes) > 1:
        sensitivity[METHODS[5 - degree]] = line_through(sizes).exponent
    curves = isoflop_of(METHODS[degree], rows, optima, sensitivity)
    if budget is None and (warning := _close_budgets(optima)):
        curves = dataclasses.replace(curves, warnings=(*curves.warnings, warning))
    return curves


def porian(
    data: Data,
    *,
    by: str = "C",
    noise: float | tuple[float, float] = NOISE,
    noise_at: tuple[float, float] = NOISE_AT,
    n_boot: int = 1000,
    seed: int = 0,
    tolerance: float = 0.02,
) -> IsoFlop:
    """Porian et al. 2024's reading of isoFLOP curves (arXiv 2406.19146, section 3 and appendix).

    The loss of each budget is interpolated through its runs (Akima, log loss in log N) and N* is
    the median of the minima of curves whose losses carry the noise from seed to seed. A line
    through the medians in logs, weighted by the inverse variance of the minima, gives N* = k C^a.
    Unlike a parabola it assumes no shape, and unlike the best run it is not tied to the sizes
    trained; but its intervals hold the seeds' noise only, which must be known.

    Args:
        data: one row per run: N, loss (nats), the compute, and D where known. Of several runs
            of one N and budget the best counts.
        by: the column of the compute, FLOPs.
        noise: standard deviation of the loss from seed to seed, nats: one number, or those at
            the two losses of ``noise_at``, between which it is a line in logs. The default is
            that of Porian et al. for language models; other losses have other noise.
        noise_at: losses, nats.
        n_boot: noisy curves, at least 100.
        seed: of the noise.
        tolerance: neighbouring C that differ by less are one budget.

    Returns:
        As ``isoflop``; the lines are weighted, and ``N_line.interval_runs`` is Porian et al.'s
        interval (percentiles of noisy curves), of which ``a_interval`` holds the wider with the
        scatter about the line.

    Raises:
        AllocationError: C does not vary, or not at fixed N.
        ValueError: see ``isoflop``; or a noise that is not positive, or too few noisy curves.
    """
    low, high = (noise, noise) if isinstance(noise, (int, float)) else noise
    if not (low > 0 and high > 0 and 0 < noise_at[0] < noise_at[1]):
        raise ValueError("noise must be positive, at two increasing losses")
    if n_boot < 100:
        raise ValueError(f"{n_boot} noisy curves, at least 100 are needed")
    rows = budget_rows(data, by, tolerance)
    rng = np.random.default_rng(seed)
    optima = []
    for C in np.unique(rows["C"].to_numpy()):
        runs = rows[rows["C"] == C]
        best = runs.loc[runs.groupby("N")["loss"].idxmin()]
        loss = best["loss"].to_numpy()
        sd = np.exp(np.interp(np.log(loss), np.log(noise_at), np.log((low, high))))
        noisy = loss[:, None] + sd[:, None] * rng.standard_normal((len(loss), n_boot))
        log_noisy = np.log(np.maximum(noisy, 1e-3 * loss[:, None]))
        by_axis = {
            axis: akima_optimum(best[axis].to_numpy(), loss, log_noisy, axis)
            for axis in ("N", "D")
            if axis in best
        }
        optima.append(BudgetOptima(C=float(C), runs=len(runs), N=by_axis["N"], D=by_axis.get("D")))
    return isoflop_of("Akima curves with noise", rows, optima, {}, interpolated=True)


def _optima_of(C: float, runs: pd.DataFrame, degree: int, factors: FloatArray) -> BudgetOptima:
    loss = runs["loss"].to_numpy()
    by_axis = {
        axis: polynomial_optimum(runs[axis].to_numpy(), loss, axis, degree, factors)
        for axis in ("N", "D")
        if axis in runs
    }
    return BudgetOptima(C=C, runs=len(runs), N=by_axis["N"], D=by_axis.get("D"))


def _close_budgets(optima: list[BudgetOptima]) -> str:
    """A warning where neighbouring budgets may be one."""
    C = np.array([b.C for b in optima])
    close = np.flatnonzero(C[1:] / C[:-1] < CLOSE)
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
    rows = positive_columns(data, ("N", by, "loss"), optional=("D",)).rename(columns={by: "C"})
    exact = rows["C"].to_numpy()
    if exact.max() / exact.min() < 1 + tolerance:
        raise AllocationError(f"C does not vary (one budget, {exact.mean():.3g} FLOPs): {MEASURE}")
    refuse_function_of_size(
        rows["N"].to_numpy(), exact, rows["D"].to_numpy() if "D" in rows else None
    )
    if labels is None:
        rows["C"] = _budget_of(exact, tolerance)
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


def _budget_of(C: FloatArray, tolerance: float) -> FloatArray:
    """The budget of each run (n,): the geometric mean of the C that belong together.

    Sorted C belong together while neighbours differ by less than ``tolerance``.

    Raises:
        ValueError: neighbours chain into a budget that spreads over four times the tolerance.
    """
    order = np.argsort(C, kind="stable")
    log_c = np.log(C[order])
    label = np.concatenate([[0], np.cumsum(np.diff(log_c) > math.log1p(tolerance))])
    mean = np.bincount(label, log_c) / np.bincount(label)
    first = np.searchsorted(label, np.arange(len(mean)))
    span = np.append(log_c[first[1:] - 1], log_c[-1]) - log_c[first]
    if (span > 4 * math.log1p(tolerance)).any():
        worst = int(span.argmax())
        raise ValueError(
            f"C does not fall into budgets: the runs about C = {math.exp(mean[worst]):.3g} spread "
            f"over {math.expm1(span[worst]):.0%}; name the budgets (budget=), cut training curves "
            "at common budgets (analysis.compute.envelope.at_budgets), or fit the surface "
            "(analysis.compute.allocation)"
        )
    exact = np.where(span == 0, C[order][first], np.exp(mean))
    by_run = np.empty_like(C)
    by_run[order] = exact[label]
    return by_run


def isoflop_of(
    method: str,
    rows: pd.DataFrame,
    optima: list[BudgetOptima],
    sensitivity: Mapping[str, float],
    *,
    interpolated: bool = False,
) -> IsoFlop:
    """Power laws through the ``optima`` of budgets, and what to know about them.

    Where curves are ``interpolated`` through the runs the optima are weighted, and none of the
    biases of a parabola applies. ``sensitivity`` is the exponent of N* by other choices.
    """
    refused = tuple(
        RefusedBudget(C=b.C, axis=axis, runs=b.runs, reason=o)
        for b in optima
        for axis, o in (("N", b.N), ("D", b.D))
        if isinstance(o, str)
    )
    sizes = [(b, b.N) for b in optima if isinstance(b.N, Optimum)]
    records = [(b, b.D) for b in optima if isinstance(b.D, Optimum)]
    reason = ""
    if len(sizes) < 2:
        why = _by_reason([r for r in refused if r.axis == "N"])
        reason = f"{len(sizes)} of {len(optima)} budgets with an optimum, 2 are needed ({why})"
    line = None if reason else line_through(sizes, interpolated)
    curves = [pd.DataFrame({"C": b.C, "N": o.curve[0], "loss": o.curve[1]}) for b, o in sizes]
    warnings = _warnings(optima, sizes)
    if line is not None and not interpolated:
        warnings += [*_biases(sizes), *_sensitive(line, sensitivity)]
    return IsoFlop(
        method=method, rows=rows, budgets=_table(sizes), reason=reason, refused=refused,
        curves=pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(),
        N_line=line,
        D_line=line_through(records, interpolated) if line and len(records) > 1 else None,
        sensitivity=sensitivity, warnings=tuple(warnings),
    )  # fmt: skip


def _by_reason(refused: list[RefusedBudget]) -> str:
    """Why budgets have no optimum, each reason once with its budgets."""
    budgets: dict[str, list[str]] = {}
    for each in refused:
        budgets.setdefault(each.reason, []).append(f"{each.C:.3g}")
    return "; ".join(f"{why}, at C = {', '.join(at)}" for why, at in budgets.items())


def _table(sizes: OptimaByBudget) -> pd.DataFrame:
    """``IsoFlop.budgets``."""
    rows = []
    for budget, size in sizes:
        records = budget.D if isinstance(budget.D, Optimum) else None
        rows.append({
            "C": budget.C, "runs": budget.runs,
            "N": size.x, "N_low": size.low, "N_high": size.high,
            "D": records.x if records else math.nan,
            "D_low": records.low if records else math.nan,
            "D_high": records.high if records else math.nan,
            "loss": size.loss, "curvature": size.curvature, "off_centre": size.off_centre,
            "width": size.width,
        })  # fmt: skip
    return pd.DataFrame(rows)


def _warnings(optima: list[BudgetOptima], sizes: OptimaByBudget) -> list[str]:
    """What a reader must know first, however the optima were read."""
    warnings = []
    if all(b.D is None for b in optima):
        warnings.append(NO_RECORDS)
    if exact := sum(o.dof == 0 for _, o in sizes):
        warnings.append(
            f"{exact} of {len(optima)} budgets have as many runs as the curve has coefficients: "
            "their optima have no interval, and the exponent's is their scatter about the line"
        )
    if missing := len(optima) - len(sizes):
        warnings.append(f"{missing} of {len(optima)} budgets refused (see refused)")
    if 1 < len(sizes) < FEW:
        warnings.append(f"{len(sizes)} budgets: fewer than {FEW}, so the line's scatter is unsure")
    return warnings


def _biases(sizes: OptimaByBudget) -> list[str]:
    """When parabolas are biased: off the middle of the sizes, wandering over them, too wide."""
    warnings = []
    off = np.array([o.off_centre for _, o in sizes])
    if (typical := float(np.median(np.abs(off)))) > OFF_CENTRE:
        warnings.append(
            f"asymmetric grid: the minima lie {typical:.0%} of a half width off the middle of the "
            "sizes, which biases N* when alpha and beta differ"
        )
    log_c = np.log([b.C for b, _ in sizes])
    wander = float(np.polyfit(log_c - log_c.mean(), off, 1)[0] * np.ptp(log_c))
    if abs(wander) > WANDERS:
        warnings.append(
            f"drifting grid: the minima move by {abs(wander):.0%} of a half width across the sizes "
            "as C grows, which biases the exponent when alpha and beta differ"
        )
    if (width := float(np.median([o.width for _, o in sizes]))) > WIDE:
        warnings.append(
            f"wide grid: N spans {width:.0f} times within a budget, where a parabola no longer "
            "follows the loss"
        )
    return warnings


def _sensitive(line: LogLine, sensitivity: Mapping[str, float]) -> list[str]:
    """Other choices under which the exponent leaves its interval, and by more than a little."""
    half = (line.interval.high - line.interval.low) / 2
    return [
        f"a is {a:.3f} by {name}, not {line.exponent:.3f}"
        for name, a in sensitivity.items()
        if abs(a - line.exponent) > max(SENSITIVE, half)
    ]
