"""Effective data transferred by pretraining (S1, Appendix B.8, Eq. S.9; Hernandez et al. 2021)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import final

import numpy as np
import pandas as pd

from analysis.fit.fit import fit_law
from analysis.fit.result import Fit
from analysis.laws import FloatArray
from analysis.questions.answer import Line, Question
from analysis.questions.evidence.quantity import Quantity, combined
from analysis.questions.transfer_runs import (
    TunedRun,
    checked_runs,
    scratch_laws,
    transfer_rows,
    tuned_runs,
)
from analysis.studies.fit_rows import Data
from analysis.text.numbers import number

REACH = 4.0  # times outside the scratch runs up to which a D_eff counts


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Transferred(Question):
    """What pretraining is worth in records of each task.

    Attributes:
        runs: fine-tuned, each with its D_eff.
        scratch: law L(D) of the runs from scratch, by task and N.
        laws: D_T = k D^alpha N^beta by task; None with a reason.
        reasons: why a task has no law; "" where it has one.
        warnings: what a reader must know first.
    """

    runs: tuple[TunedRun, ...]
    scratch: Mapping[tuple[str, float], Fit]
    laws: Mapping[str, Fit | None]
    reasons: Mapping[str, str]
    warnings: tuple[str, ...]

    def multiplier(self, task: str) -> tuple[Quantity | None, str]:
        """Median of D_eff / D over the runs of a task whose D_eff is known, and else why not.

        A run below the floor of the scratch law counts as infinite, one that gains nothing as
        below 1.
        """
        known = [
            r for r in self.runs
            if r.task == task and not r.reason.startswith("scratch law")
            and not math.isnan(r.needed.point)
        ]  # fmt: skip
        if not known:
            reasons = {r.reason for r in self.runs if r.task == task}
            return None, "; ".join(sorted(reasons)) or "no fine-tuned run"
        size = np.array([r.D for r in known])

        def median(*needed: FloatArray) -> FloatArray:
            ratio = np.stack([n / d for n, d in zip(needed, size, strict=True)])
            found: FloatArray = np.median(ratio, axis=0)
            return found

        return combined(median, *(r.needed for r in known), positive=True, lower=0.0), ""

    @property
    def title(self) -> str:
        """What was asked."""
        return "Effective data transferred: D_T = D_eff - D = k D^alpha N^beta"

    @property
    def lines(self) -> tuple[Line, ...]:
        """By task the median of D_eff / D, then alpha and beta."""
        found = []
        for task, law in self.laws.items():
            ratio, why = self.multiplier(task)
            name = f"{task}: D_eff / D"
            if ratio is None:
                found.append(Line.none(name, why))
            else:
                found.append(Line.of(name, ratio, "median over its fine-tuned runs"))
            if law is None:
                found.append(Line.none(f"{task}: alpha, beta", self.reasons[task]))
                continue
            missing = "" if len(law.bootstrap.theta) else "no resamples (n_boot = 0)"
            found += [
                Line(name=f"{task}: {p.name}", value=law.params[p.name],
                     interval=law.intervals_bootstrap[p.name], words=p.meaning, reason=missing)
                for p in law.law.parameters[1:]
            ]  # fmt: skip
        return tuple(found)

    def by_run(self) -> pd.DataFrame:
        """One row per fine-tuned run.

        Returns:
            ``task, trial, N, D, loss`` and ``D_eff``, ``D_T`` (records) with ``_low`` and
            ``_high``, ``beyond`` (how many times outside the scratch runs; 1 within), ``reason``
            (why it counts in no law).
        """
        return pd.DataFrame([run.row() for run in self.runs])

    def _repr_html_(self) -> str:
        by_run = self.by_run().to_html(index=False, float_format="{:.4g}".format, na_rep="–")
        return Question._repr_html_(self) + by_run


def transferred(
    data: Data, *, reach: float = REACH, n_boot: int = 1000, seed: int = 0
) -> Transferred:
    """Records that pretraining replaces, by task.

    For every task and N the scratch runs give L(D) = E + B / D^beta. It is inverted at the loss
    of each run fine-tuned on D records: D_eff. D_T = D_eff - D, where positive, is fitted
    by D_T = k D^alpha N^beta (Hernandez et al. 2021, arXiv 2102.01293, Eq. 1.1). S1 reads its
    pairs off smoothed curves and uses least squares. Intervals of alpha and beta take every D_T as
    known and hold only how they scatter about the law; runs without a gain are left out, which
    raises D_T.

    Args:
        data: from ``load``; or columns ``task, N, D, loss`` and ``start`` (``scratch`` or
            ``fine-tuned``), with ``trial`` where known.
        reach: times outside the scratch runs up to which a D_eff counts in the law, at least 1.
        n_boot: refits of every scratch law.
        seed: of the refits.

    Raises:
        ValueError: no runs of one kind, a missing column, a value that is not positive and
            finite, or a reach below 1.
    """
    if not (math.isfinite(reach) and reach >= 1):
        raise ValueError(f"reach must be finite and at least 1, not {reach}")
    study = isinstance(data, pd.DataFrame) and "stage" in data.columns
    runs = transfer_rows(data) if study else checked_runs(data)  # type: ignore[arg-type]
    scratch = scratch_laws(runs, n_boot, seed)
    found = tuned_runs(runs, scratch, reach)
    tasks = sorted({r.task for r in found})
    laws, reasons = {}, {}
    for task in tasks:
        laws[task], reasons[task] = _law([r for r in found if r.task == task], n_boot, seed)
    counts: dict[str, int] = {}
    for run in found:
        kind = "D_eff too far outside the scratch runs" if "outside" in run.reason else run.reason
        counts[kind] = counts.get(kind, 0) + 1
    used = counts.pop("", 0)
    far = sum(not r.reason and r.beyond > 1 + 1e-9 for r in found)
    warnings = [f"{used} of {len(found)} fine-tuned runs count in a law"]
    warnings += [f"{n} left out: {why}" for why, n in sorted(counts.items())]
    if far:
        warnings.append(f"D_eff of {far} of those that count is extrapolated")
    few = [f.problem.dof for f in scratch.values() if f.ok]
    if few and min(few) < 3:
        warnings.append(
            f"scratch laws have {number(float(min(few)))} degree(s) of freedom: add seeds or data "
            "sizes from scratch"
        )
    return Transferred(
        runs=tuple(found), scratch=scratch, laws=laws, reasons=reasons, warnings=tuple(warnings)
    )


def _law(runs: list[TunedRun], n_boot: int, seed: int) -> tuple[Fit | None, str]:
    """The law of the runs of one task that count, or why there is none."""
    kept = [r for r in runs if not r.reason]
    if not kept:
        return None, f"none of {len(runs)} fine-tuned runs counts"
    columns = pd.DataFrame(
        [(r.trial, r.D, r.N, r.transferred.point) for r in kept], columns=["trial", "D", "N", "D_T"]
    )
    found = fit_law(columns, "effective_data", n_boot=n_boot, seed=seed)
    if not found.ok:
        return None, f"{len(kept)} of {len(runs)} runs count: {'; '.join(found.remarks)}"
    return found, ""
