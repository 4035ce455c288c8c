"""Approach 1: the lower envelope of training curves (Hoffmann et al. 2022, section 3.1).

At each of many budgets the run with the smallest loss is found, and a line through its N (or D)
against C in logs gives N* = k C^a. The best run is one of those trained, so N* moves in steps
from one size to the next: the exponent is tied to the sizes, and a size counts only at budgets
where a smaller and a larger one were measured too.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.compute.optima import NO_RECORDS, AllocationLines
from analysis.compute.rows import (
    AllocationError,
    distinct,
    pareto,
    positive_budgets,
    positive_columns,
    refuse_function_of_size,
)
from analysis.fit.loglog import LogLine, fit_line
from analysis.laws import FloatArray
from analysis.studies.fit_rows import Data
from analysis.text import Card, json_object

FEW_SIZES, LEAST_SIZES = 5, 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Envelope(AllocationLines):
    """Compute-optimal allocation from training curves (Hoffmann et al. 2022, Approach 1).

    Attributes:
        rows: the curves: N, D (if known), C (FLOPs spent by then), loss (nats), trial, and
            ``pareto`` (whether no row has both less compute and less loss).
        frontier: the envelope: C, loss, N, D and trial of the best run, ``lowest`` (whether no
            less compute reached a lower loss) and ``bracketed`` (whether moreover a smaller and
            a larger size were measured at that C); the lines use the latter.
        N_line: N*(C) = k C^a, or None (see ``reason``).
        D_line: D*(C) = k' C^b, or None.
        sizes: distinct N the line goes through.
        reason: why there is no N*(C); empty when there is one.
    """

    rows: pd.DataFrame
    frontier: pd.DataFrame
    N_line: LogLine | None
    D_line: LogLine | None
    sizes: int
    reason: str
    warnings: tuple[str, ...]

    def card(self) -> Card:
        """What is shown."""
        used = int(self.frontier["bracketed"].sum())
        return Card(
            title="Approach 1: envelope of training curves",
            warnings=self.reason_and_warnings(),
            estimates=self.estimates(),
            facts=(
                ("runs", f"{self.rows['trial'].nunique()}"),
                ("sizes on the line", f"{self.sizes}"),
                ("points between a smaller and a larger size", f"{used} of {len(self.frontier)}"),
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """All numbers, as plain JSON values; NaN becomes None."""
        return json_object(approach=1, **self.numbers(), sizes=self.sizes, frontier=self.frontier)


def at_budgets(curves: Data, C: npt.ArrayLike) -> pd.DataFrame:
    """Training curves cut at budgets, as rows for ``isoflop``.

    Args:
        curves: one row per evaluation: N, C spent by then, loss, and D and trial where known;
            without ``trial`` a run is what has one N (and one D).
        C: budgets, FLOPs, scalar or (m,).

    Returns:
        One row per budget and run that reached it: trial, N, D (where known), C, loss, the last
        two interpolated in logs between evaluations, never beyond them.

    Raises:
        ValueError: see ``envelope``.
    """
    runs = _runs(curves)
    budgets = positive_budgets(C, "budgets")
    cut = [
        _cut(run, budgets[(budgets >= run["C"].iloc[0]) & (budgets <= run["C"].iloc[-1])])
        for run in runs
    ]
    return pd.concat(cut, ignore_index=True).sort_values(["C", "N"], ignore_index=True)


def _runs(curves: Data) -> list[pd.DataFrame]:
    """The evaluations of each run, by C."""
    rows = positive_columns(curves, ("N", "C", "loss"), optional=("D",), kept=("trial",))
    if "trial" not in rows:
        by = [c for c in ("N", "D") if c in rows]
        if "D" in rows and not rows.duplicated(by).any():
            by = ["N"]  # D grows along a run
        rows["trial"] = [str(i) for i in rows.groupby(by).ngroup()]
    mixed = rows.groupby("trial")["N"].nunique()
    if (mixed > 1).any():
        raise ValueError(f"run {mixed.idxmax()} has several N")
    best = rows.sort_values(["C", "loss"]).drop_duplicates(["trial", "C"])
    return [part for _, part in best.groupby("trial", sort=False)]


def _cut(run: pd.DataFrame, budgets: FloatArray) -> pd.DataFrame:
    """One run at budgets between its evaluations."""
    cut = pd.DataFrame({"trial": run["trial"].iloc[0], "N": run["N"].iloc[0], "C": budgets})
    for column in [c for c in ("D", "loss") if c in run]:
        cut[column] = np.exp(np.interp(np.log(budgets), np.log(run["C"]), np.log(run[column])))
    return cut


def envelope(curves: Data, *, points: int = 100, n_boot: int = 1000, seed: int = 0) -> Envelope:
    """Compute-optimal N and D from the lower envelope of training curves.

    Evaluations before the end of a run's learning-rate schedule lie above what a run that ends
    there would reach (Hoffmann et al. 2022, appendix B), which the curves cannot show.

    Args:
        curves: one row per evaluation: N, C (FLOPs spent by then), loss (nats), and D and trial
            where known; without ``trial`` a run is what has one N (and one D).
        points: budgets, spaced in log C over the curves.
        n_boot: resamples of whole runs, with replacement; 0 for none.
        seed: of the resamples.

    Returns:
        The envelope and its lines; without lines where fewer than three sizes are on it
        between a smaller and a larger one (``ok`` is False, ``reason`` says so).

    Raises:
        AllocationError: fewer than three sizes, or C does not vary at fixed N.
        ValueError: no rows, a missing column, a value that is not positive and finite, a run of
            several N.
    """
    runs = _runs(curves)
    rows = pd.concat(runs, ignore_index=True)
    if (sizes := distinct(rows["N"])) < LEAST_SIZES:
        raise AllocationError(f"{sizes} sizes, at least {LEAST_SIZES} are needed for an envelope")
    refuse_function_of_size(rows["N"].to_numpy(), rows["C"].to_numpy())
    grid = np.geomspace(rows["C"].min(), rows["C"].max(), points)
    return _envelope_of(rows, _Losses.of(runs, grid), n_boot, seed)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Losses:
    """Losses of the runs at budgets.

    Attributes:
        grid: the budgets (G,), FLOPs.
        log_loss: (runs, G), infinite where a run has none.
        N: of the runs (runs,).
        log_d: log D of the runs at the budgets (runs, G), or None.
        trial: the runs (runs,).
    """

    grid: FloatArray
    log_loss: FloatArray
    N: FloatArray
    log_d: FloatArray | None
    trial: tuple[object, ...]

    @property
    def log_n(self) -> FloatArray:
        """Log N of the runs (runs,)."""
        return np.log(self.N)

    @classmethod
    def of(cls, runs: list[pd.DataFrame], grid: FloatArray) -> _Losses:
        """Interpolated in logs between the evaluations of each run."""
        log_c = np.log(grid)

        def along(column: str, outside: float | None) -> FloatArray:
            return np.stack([
                np.interp(log_c, np.log(r["C"]), np.log(r[column]), left=outside, right=outside)
                for r in runs
            ])  # fmt: skip

        return cls(
            grid=grid, log_loss=along("loss", np.inf),
            N=np.array([r["N"].iloc[0] for r in runs]),
            log_d=along("D", None) if "D" in runs[0] else None,
            trial=tuple(r["trial"].iloc[0] for r in runs),
        )  # fmt: skip

    def best(self, drawn: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.intp], FloatArray]:
        """The best of the runs drawn (runs,) at each budget (G,), and its log N.

        log N is NaN where no smaller or no larger size has a loss, and where less compute has
        reached a lower one: after the best run so far has ended, the next may lie above it.
        """
        loss = np.where(drawn[:, None], self.log_loss, np.inf)
        there = np.isfinite(loss)
        least = np.where(there, self.log_n[:, None], np.inf).min(axis=0)
        most = np.where(there, self.log_n[:, None], -np.inf).max(axis=0)
        run = loss.argmin(axis=0)
        size = self.log_n[run]
        height = loss.min(axis=0)
        lowest = height <= np.minimum.accumulate(height)
        inside = lowest & there.any(axis=0) & (size > least + 1e-9) & (size < most - 1e-9)
        return run, np.where(inside, size, np.nan)


def _envelope_of(rows: pd.DataFrame, at: _Losses, n_boot: int, seed: int) -> Envelope:
    """The envelope at the budgets, and lines through it."""
    run, size = at.best(np.ones(len(at.log_n), dtype=np.bool_))
    columns = np.arange(len(at.grid))
    used = np.isfinite(size)
    frontier = pd.DataFrame({"C": at.grid, "loss": np.exp(at.log_loss[run, columns]),
                             "N": at.N[run]})  # fmt: skip
    if at.log_d is not None:
        frontier["D"] = np.exp(at.log_d[run, columns])
    frontier["trial"] = [at.trial[i] for i in run]
    frontier["lowest"] = frontier["loss"] <= frontier["loss"].cummin()
    frontier["bracketed"] = used
    sizes = distinct(np.exp(size[used])) if used.any() else 0
    reason = ""
    if sizes < LEAST_SIZES:
        reason = (
            f"{sizes} sizes are on the envelope between a smaller and a larger one, at least "
            f"{LEAST_SIZES} are needed: add sizes, or cut the curves at budgets for isoFLOP curves"
        )
    N_line, D_line = (None, None) if reason else _lines(at, used, sizes, n_boot, seed)
    warnings = []
    if at.log_d is None:
        warnings.append(NO_RECORDS)
    elif N_line and D_line is None:
        warnings.append("the runs on the envelope share one D: D*(C) is not estimated")
    if N_line and sizes < FEW_SIZES:
        warnings.append(f"{sizes} sizes on the envelope: the exponent is tied to the sizes trained")
    return Envelope(
        rows=rows.assign(pareto=pareto(rows, ("C", "loss"))), frontier=frontier, N_line=N_line,
        D_line=D_line, sizes=sizes, reason=reason, warnings=tuple(warnings),
    )  # fmt: skip


def _lines(
    at: _Losses, used: npt.NDArray[np.bool_], sizes: int, n_boot: int, seed: int
) -> tuple[LogLine, LogLine | None]:
    """Lines through the budgets used, refitted to resamples of whole runs.

    Neighbouring budgets share their best run, so as many points count as there are sizes.
    """
    rng, count = np.random.default_rng(seed), len(at.log_n)
    columns = np.flatnonzero(used)
    every = [np.ones(count, dtype=np.bool_)]
    every += [
        np.bincount(d, minlength=count) > 0 for d in rng.integers(count, size=(n_boot, count))
    ]
    best = [at.best(drawn) for drawn in every]
    N = np.stack([size[used] for _, size in best])
    dof = max(1, sizes - 2)
    C = at.grid[used]
    N_line = fit_line(C, np.exp(N[0]), draws=N[1:], dof=dof, effective=sizes)
    if at.log_d is None:
        return N_line, None
    D = np.stack([at.log_d[run[used], columns] for run, _ in best])
    if np.ptp(D[0]) < 1e-9:
        return N_line, None
    D = np.where(np.isfinite(N), D, np.nan)
    return N_line, fit_line(C, np.exp(D[0]), draws=D[1:], dof=dof, effective=sizes)
