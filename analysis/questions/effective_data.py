"""Effective data transferred by pretraining (S1, Appendix B.8, Eq. S.9; Hernandez et al. 2021).

Each fine-tuned run is turned into the data that a model trained from scratch would need.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping
from typing import final

import numpy as np
import pandas as pd

from analysis.compute.rows import positive_columns
from analysis.fit.fit import fit_law
from analysis.fit.result import Fit
from analysis.fit.sampled import Sampled, combined, mean
from analysis.laws import FloatArray
from analysis.questions.additive import Additive, beyond
from analysis.questions.answer import Line, Question, terms_doubt
from analysis.studies.fit_rows import Data
from analysis.studies.rows import mean_over_folds
from analysis.text import number
from scaling.records.names import HELD_OUT, USED

STAGE = "finetune"
SCRATCH, TUNED = "scratch", "fine-tuned"
_EQUAL = ("family", "objective", "preprocessing", "leads")  # of all runs
REACH = 4.0  # times outside the scratch runs up to which a D_eff counts


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TunedRun:
    """One fine-tuned run.

    Attributes:
        trial: name.
        task: fine-tuned on.
        N: backbone parameters.
        D: records fine-tuned on.
        loss: of it, nats.
        needed: D_eff, records from scratch for that loss; infinite below the floor.
        beyond: how many times outside the measured D_eff lies; 1 within.
        reason: why it counts in no law; "" where it does.
    """

    trial: str
    task: str
    N: float
    D: float
    loss: float
    needed: Sampled
    beyond: float
    reason: str

    @property
    def transferred(self) -> Sampled:
        """D_T = D_eff - D, records; below 0 where pretraining did harm."""
        return combined(lambda needed: needed - self.D, self.needed)

    def row(self) -> dict[str, object]:
        """For a table."""
        row = {name: getattr(self, name) for name in ("task", "trial", "N", "D", "loss")}
        for name, records in (("D_eff", self.needed), ("D_T", self.transferred)):
            ends = records.interval
            row |= {name: records.point, f"{name}_low": ends.low, f"{name}_high": ends.high}
        return {**row, "beyond": self.beyond, "reason": self.reason}


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Transferred(Question):
    """What pretraining is worth in records of each task.

    Attributes:
        runs: fine-tuned, each with its D_eff.
        scratch: law L(D) of the runs from scratch, by task and N.
        laws: D_T = k D^alpha N^beta by task; None with a reason.
        reasons: why a task has no law; "" where it has one.
    """

    runs: tuple[TunedRun, ...]
    scratch: Mapping[tuple[str, float], Fit]
    laws: Mapping[str, Fit | None]
    reasons: Mapping[str, str]
    warnings: tuple[str, ...]

    def multiplier(self, task: str) -> tuple[Sampled | None, str]:
        """Median of D_eff / D over the runs of a task whose D_eff is known, and else why not.

        A run below the floor of the scratch law counts as infinite, one that gains nothing as
        below 1.
        """
        of_task = [r for r in self.runs if r.task == task]
        known = [
            r
            for r in of_task
            if not (r.reason.startswith("scratch law") or math.isnan(r.needed.point))
        ]
        if not known:
            reasons = {r.reason for r in of_task}
            return None, "; ".join(sorted(reasons)) or "no fine-tuned run"

        def median(*needed: FloatArray) -> FloatArray:
            ratio = [n / r.D for n, r in zip(needed, known, strict=True)]
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
            else:
                found += Line.of_parameters(law, law.law.names[1:], f"{task}: ")
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
    far_out = "D_eff too far outside the scratch runs"
    counts = Counter(far_out if "outside" in run.reason else run.reason for run in found)
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


def transfer_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Fine-tuned and scratch runs of a study.

    Those of the stage ``finetune``; the ones without a parent started from random weights.

    Args:
        frame: from ``load``.

    Returns:
        One row per run: ``trial, task, N, D, loss`` (test, nats) and ``start`` (``scratch`` or
        ``fine-tuned``). Failed and diverged trials are left out.

    Raises:
        ValueError: no such runs, none of one kind, or runs of several families or the like.
    """
    rows = frame[
        (frame["stage"] == STAGE)
        & (frame["metric"] == "loss")
        & (frame["split"] == "test")
        & (frame["protocol"] == HELD_OUT)
        & (frame["task"] == frame["corpus"])
        & frame["status"].isin(USED)
        & frame["value"].notna()
    ]
    if rows.empty:
        raise ValueError(f"no finished trial of the stage {STAGE} has a held-out test loss")
    for column in _EQUAL:
        kinds = sorted(str(k) for k in rows[column].dropna().unique())
        if len(kinds) > 1:
            raise ValueError(f"rows mix several of {column} ({', '.join(kinds)}): choose one")
    rows = mean_over_folds(rows)
    start = np.where(rows["parents"] == "", SCRATCH, TUNED)
    for kind in (SCRATCH, TUNED):
        if kind not in start:
            raise ValueError(f"the stage {STAGE} has no run that is {kind}")
    found = rows[["trial", "task", "N", "D"]].assign(loss=rows["value"], start=start)
    return found.astype({"N": "float64", "D": "float64"})


def checked_runs(data: Data) -> pd.DataFrame:
    """Runs given as columns, checked.

    Raises:
        ValueError: a missing column, a value that is not positive and finite, or a start that
            is neither ``scratch`` nor ``fine-tuned``.
    """
    frame = data if isinstance(data, pd.DataFrame) else pd.DataFrame(dict(data))
    if missing := [c for c in ("task", "start") if c not in frame.columns]:
        raise ValueError(f"missing column {', '.join(missing)}")
    if "trial" not in frame.columns:
        frame = frame.assign(trial=[f"run {i}" for i in range(len(frame))])
    found = positive_columns(frame, ("N", "D", "loss"), kept=("trial", "task", "start"))
    if wrong := sorted(set(found["start"].astype(str)) - {SCRATCH, TUNED}):
        raise ValueError(f"start {wrong[0]!r} is neither {SCRATCH!r} nor {TUNED!r}")
    return found


def scratch_laws(runs: pd.DataFrame, n_boot: int, seed: int) -> dict[tuple[str, float], Fit]:
    """The law L(D) of the scratch runs of every task and N."""
    chosen = runs[runs["start"] == SCRATCH]
    return {
        (str(task), float(str(n))): fit_law(
            part[["trial", "D", "loss"]], "d_law", n_boot=n_boot, seed=seed
        )
        for (task, n), part in chosen.groupby(["task", "N"], sort=True)
    }


def tuned_runs(
    runs: pd.DataFrame, laws: Mapping[tuple[str, float], Fit], reach: float
) -> list[TunedRun]:
    """Every fine-tuned run, inverted.

    The interval of D_eff holds the refits of the scratch law, and a scatter of the fine-tuned
    run like that of a scratch run.
    """
    found = []
    chosen = runs[runs["start"] == TUNED].sort_values(["task", "N", "D"], kind="stable")
    columns = ["trial", "task", "N", "D", "loss"]
    for place, (trial, task, *numbers) in enumerate(chosen[columns].itertuples(index=False)):
        size, records, loss = map(float, numbers)
        fit = laws.get((str(task), size))
        if fit is None:
            needed, out, reason = mean([]), 1.0, "no scratch run of this N"
        else:
            needed, reason = _needed(fit, loss, place), _scratch_doubt(fit)
            out = beyond(fit.ranges["D"], needed.point) if needed.point > 0 else 1.0
        found.append(
            TunedRun(
                trial=str(trial),
                task=str(task),
                N=size,
                D=records,
                loss=loss,
                needed=needed,
                beyond=out,
                reason=reason or _run_doubt(needed.point, records, out, reach),
            )
        )
    return found


def _needed(fit: Fit, loss: float, place: int) -> Sampled:
    """Records at which the scratch law reaches a loss, in every resample."""
    law = Additive.of(fit)
    noise = np.random.default_rng([place, fit.options.seed]).standard_normal(len(law.theta))
    noise[0] = 0.0
    scatter = fit.scatter if fit.ok else 0.0
    return law.sampled(law.inverse("D", loss * np.exp(scatter * noise), {}), positive=True)


def _scratch_doubt(fit: Fit) -> str:
    if why := terms_doubt(fit, "D"):
        return f"scratch law: {why}"
    floor_spoilt = "E" in fit.certificate.bounds_hit and fit.params["E"] > 0
    return "scratch law: E at the smallest loss seen" if floor_spoilt else ""


def _run_doubt(needed: float, records: float, out: float, reach: float) -> str:
    if math.isinf(needed):
        return "its loss lies at or below the floor of the scratch law"
    if out > reach:
        return f"D_eff lies {out:.3g} times outside the scratch runs"
    if not needed > records:
        return "needs more records than from scratch: nothing is transferred"
    return ""
