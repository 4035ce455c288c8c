"""Fine-tuned runs turned into the data a model trained from scratch would need."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.compute.rows import positive_columns
from analysis.fit.fit import fit_law
from analysis.fit.result import Fit
from analysis.questions.answer import beyond
from analysis.questions.evidence.additive import Additive, doubt
from analysis.questions.evidence.quantity import Quantity, combined
from analysis.studies.fit_rows import Data
from analysis.studies.rows import mean_over_folds
from scaling.records.names import USED

STAGE = "finetune"
SCRATCH, TUNED = "scratch", "fine-tuned"
_ALIKE = ("family", "objective", "preprocessing", "leads")


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
    needed: Quantity
    beyond: float
    reason: str

    @property
    def transferred(self) -> Quantity:
        """D_T = D_eff - D, records; below 0 where pretraining did harm."""
        return combined(lambda needed: needed - self.D, self.needed)

    def row(self) -> dict[str, object]:
        """For a table."""
        ends, moved = self.needed.interval, self.transferred.interval
        return {
            "task": self.task, "trial": self.trial, "N": self.N, "D": self.D, "loss": self.loss,
            "D_eff": self.needed.point, "D_eff_low": ends.low, "D_eff_high": ends.high,
            "D_T": self.transferred.point, "D_T_low": moved.low, "D_T_high": moved.high,
            "beyond": self.beyond, "reason": self.reason,
        }  # fmt: skip


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
        (frame["stage"] == STAGE) & (frame["metric"] == "loss") & (frame["split"] == "test")
        & (frame["protocol"] == "held-out") & (frame["task"] == frame["corpus"])
        & frame["status"].isin(USED) & frame["value"].notna()
    ]  # fmt: skip
    if rows.empty:
        raise ValueError(f"no finished trial of the stage {STAGE} has a held-out test loss")
    for column in _ALIKE:
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
    numbers = chosen[["N", "D", "loss"]].to_numpy(dtype=np.float64)
    labels = zip(chosen["trial"], chosen["task"], strict=True)
    for number, ((trial, task), (size, records, loss)) in enumerate(
        zip(labels, numbers.tolist(), strict=True)
    ):
        fit = laws.get((str(task), size))
        needed, reason = Quantity(point=math.nan, samples=np.empty(0), dof=1), ""
        if fit is None:
            reason = "no scratch run of this N"
        else:
            needed, reason = _needed(fit, loss, number), _scratch_doubt(fit)
        out = beyond(fit.ranges["D"], needed.point) if fit and needed.point > 0 else 1.0
        found.append(
            TunedRun(
                trial=str(trial), task=str(task), N=size, D=records, loss=loss, needed=needed,
                beyond=out, reason=reason or _run_doubt(needed.point, records, out, reach),
            )
        )  # fmt: skip
    return found


def _needed(fit: Fit, loss: float, number: int) -> Quantity:
    """Records at which the scratch law reaches a loss, in every resample."""
    law = Additive.of(fit)
    noise = np.random.default_rng([number, fit.options.seed]).standard_normal(len(law.theta))
    noise[0] = 0.0
    scatter = fit.scatter if fit.ok else 0.0
    return law.quantity(law.inverse("D", loss * np.exp(scatter * noise), {}), positive=True)


def _scratch_doubt(fit: Fit) -> str:
    if why := doubt(fit, "D"):
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
