"""From the optima of single budgets to power laws, and what to know about them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.compute.budgets import Optimum, Refusal
from analysis.compute.isoflop_result import IsoFlop
from analysis.fit.loglog import LogLine, fit_line

FEW = 5  # budgets under which the scatter about the line is hardly known
# A symmetric grid 30 times wide moves N* by 7 % when alpha and beta are 0.5 and 0.3, by 1 % when
# they are 0.34 and 0.37; one whose centre wanders by half its half width moves it by 9 % between
# budgets, and with it the exponent.
WIDE, OFF_CENTRE, WANDERS = 30.0, 0.25, 0.5
SENSITIVE = 0.02
NO_RECORDS = "no column D: D*(C) is not estimated"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BudgetFit:
    """A budget and what its runs say: an optimum, or why there is none; None for no column."""

    C: float
    runs: int
    N: Optimum | str
    D: Optimum | str | None


Optima = list[tuple[BudgetFit, Optimum]]


def assemble(
    method: str,
    rows: pd.DataFrame,
    fits: list[BudgetFit],
    sensitivity: Mapping[str, float],
    *,
    interpolated: bool = False,
) -> IsoFlop:
    """Power laws through the optima, and what to know about them.

    Args:
        method: how the optima were read.
        rows: the runs.
        fits: what they say, by budget.
        sensitivity: the exponent of N* by other choices.
        interpolated: whether the curves pass through the runs: the optima are then weighted, and
            none of the biases of a parabola applies.
    """
    refused = tuple(
        Refusal(C=f.C, axis=axis, runs=f.runs, reason=o)
        for f in fits
        for axis, o in (("N", f.N), ("D", f.D))
        if isinstance(o, str)
    )
    sizes = [(f, f.N) for f in fits if isinstance(f.N, Optimum)]
    records = [(f, f.D) for f in fits if isinstance(f.D, Optimum)]
    reason = ""
    if len(sizes) < 2:
        why = _by_reason([r for r in refused if r.axis == "N"])
        reason = f"{len(sizes)} of {len(fits)} budgets with an optimum, 2 are needed ({why})"
    line = None if reason else line_through(sizes, interpolated)
    curves = [pd.DataFrame({"C": f.C, "N": o.curve[0], "loss": o.curve[1]}) for f, o in sizes]
    found = _warnings(fits, sizes)
    if line is not None and not interpolated:
        found += [*_biases(sizes), *_sensitive(line, sensitivity)]
    return IsoFlop(
        method=method, rows=rows, budgets=_table(sizes), reason=reason, refused=refused,
        curves=pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(),
        N_line=line,
        D_line=line_through(records, interpolated) if line and len(records) > 1 else None,
        sensitivity=sensitivity, warnings=tuple(found),
    )  # fmt: skip


def _by_reason(refused: list[Refusal]) -> str:
    """Why budgets have no optimum, each reason once with its budgets."""
    budgets: dict[str, list[str]] = {}
    for each in refused:
        budgets.setdefault(each.reason, []).append(f"{each.C:.3g}")
    return "; ".join(f"{why}, at C = {', '.join(at)}" for why, at in budgets.items())


def line_through(optima: Optima, weighted: bool = False) -> LogLine:
    """The line through two or more optima in logs."""
    found = [o for _, o in optima]
    dof = sum(o.dof for o in found)
    return fit_line(
        np.array([f.C for f, _ in optima]),
        np.array([o.x for o in found]),
        weights=np.array([o.weight for o in found]) if weighted else None,
        draws=np.stack([o.draws for o in found], axis=1) if dof else None,
        dof=max(dof, 1),
    )


def _table(sizes: Optima) -> pd.DataFrame:
    rows = []
    for fit, size in sizes:
        records = fit.D if isinstance(fit.D, Optimum) else None
        rows.append({
            "C": fit.C, "runs": fit.runs, "N": size.x, "N_low": size.low, "N_high": size.high,
            "D": records.x if records else math.nan,
            "D_low": records.low if records else math.nan,
            "D_high": records.high if records else math.nan,
            "loss": size.loss, "curvature": size.curvature, "off_centre": size.off_centre,
            "width": size.width,
        })  # fmt: skip
    return pd.DataFrame(rows)


def _warnings(fits: list[BudgetFit], sizes: Optima) -> list[str]:
    """What a reader must know first, however the optima were read."""
    found = []
    if all(f.D is None for f in fits):
        found.append(NO_RECORDS)
    if exact := sum(o.dof == 0 for _, o in sizes):
        found.append(
            f"{exact} of {len(fits)} budgets have as many runs as the curve has coefficients: "
            "their optima have no interval, and the exponent's is their scatter about the line"
        )
    if missing := len(fits) - len(sizes):
        found.append(f"{missing} of {len(fits)} budgets refused (see refused)")
    if 1 < len(sizes) < FEW:
        found.append(f"{len(sizes)} budgets: fewer than {FEW}, so the line's scatter is unsure")
    return found


def _biases(sizes: Optima) -> list[str]:
    """When parabolas are biased: off the middle of the sizes, wandering over them, too wide."""
    found = []
    off = np.array([o.off_centre for _, o in sizes])
    if (typical := float(np.median(np.abs(off)))) > OFF_CENTRE:
        found.append(
            f"asymmetric grid: the minima lie {typical:.0%} of a half width off the middle of the "
            "sizes, which biases N* when alpha and beta differ"
        )
    log_c = np.log([f.C for f, _ in sizes])
    wander = float(np.polyfit(log_c - log_c.mean(), off, 1)[0] * np.ptp(log_c))
    if abs(wander) > WANDERS:
        found.append(
            f"drifting grid: the minima move by {abs(wander):.0%} of a half width across the sizes "
            "as C grows, which biases the exponent when alpha and beta differ"
        )
    if (width := float(np.median([o.width for _, o in sizes]))) > WIDE:
        found.append(
            f"wide grid: N spans {width:.0f} times within a budget, where a parabola no longer "
            "follows the loss"
        )
    return found


def _sensitive(line: LogLine, sensitivity: Mapping[str, float]) -> list[str]:
    """Other choices under which the exponent leaves its interval, and by more than a little."""
    half = (line.interval.high - line.interval.low) / 2
    return [
        f"a is {a:.3f} by {name}, not {line.exponent:.3f}"
        for name, a in sensitivity.items()
        if abs(a - line.exponent) > max(SENSITIVE, half)
    ]
