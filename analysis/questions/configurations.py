"""The fits behind the findings: each configuration in distribution and on every other task."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.fit.fit import fit_law
from analysis.fit.result import Fit
from analysis.questions.answer import law_doubt, transfer_doubt
from analysis.studies.groups import Kind, RunGroup, chosen_groups
from analysis.studies.rows import check_study, pooled
from analysis.text import number
from analysis.transfer import Transfer, fit_transfer
from scaling.records.names import LINEAR_PROBE, STATUSES, USED

_SIZES = 3  # from which an exponent of the MACs is estimated
_GROWS = 0.05  # exponent of C in D at fixed N below which C is a function of N alone


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TaskFit:
    """The laws of one configuration on one task it was not trained on.

    Attributes:
        task: corpus and task.
        fit: joint law of the probe's test loss.
        transfer: loss-to-loss law; None where a floor is missing.
        doubt: why kappa cannot be used; "" where it can.
    """

    task: str
    fit: Fit
    transfer: Transfer | None
    doubt: str

    def numbers(self) -> dict[str, Any] | None:
        """What JSON says of the loss-to-loss law; None without one."""
        law = self.transfer
        if law is None:
            return None
        return {
            "kappa": law.kappa.point,
            "interval": law.kappa.interval,
            "K": law.K,
            "floors": law.floors,
            "r2": law.r2,
            "kappa_free": law.kappa_free.point,
            "interval_free": law.kappa_free.interval,
            "floor_free": law.floor_free,
            "warnings": law.warnings,
        }

    def identified(self, axis: str) -> bool:
        """Whether the law determines the exponent of ``axis`` (``N`` or ``D``) at all."""
        return not law_doubt(self.fit, terms=axis)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ComputeExponents:
    """Exponents of compute.

    Attributes:
        macs: m of MACs ~ N^m, least squares in logs over sizes; NaN below three sizes.
        data: q of C ~ D^q at fixed N, least squares in logs within sizes; NaN where no size was
            trained on several D.
    """

    macs: float
    data: float

    @property
    def doubt(self) -> str:
        """Why no frontier was measured; "" where C grows with D at fixed N."""
        if math.isnan(self.data):
            return "no size was trained on several D"
        if self.data < _GROWS:
            return (
                f"C does not grow with D at fixed N (C ~ D^{number(self.data, 2)}): the exponents "
                "are S1's formula, not a measured frontier"
            )
        return ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One family and paradigm.

    Attributes:
        key: what sets its runs apart.
        title: the same in words.
        fit: joint law of the held-out loss on the task trained on, in that objective's unit.
        tasks: laws on other tasks.
        compute: how training compute depends on N and D.
        comparable: whether it may be compared with the others that are.
        statuses: trials by status.
    """

    key: dict[str, Any]
    title: str
    fit: Fit
    tasks: tuple[TaskFit, ...]
    compute: ComputeExponents
    comparable: bool
    statuses: dict[str, int]

    @property
    def kind(self) -> Kind:
        """Family and paradigm."""
        return str(self.key["family"]), str(self.key["paradigm"])

    @property
    def name(self) -> str:
        """Such as ``resnet-SL``."""
        return f"{self.kind[0]}-{self.kind[1].upper()}"

    def task(self, name: str) -> TaskFit:
        """The laws on a task.

        Raises:
            KeyError: no such task.
        """
        return {t.task: t for t in self.tasks}[name]


By = Mapping[Kind, Configuration]


def comparable(by: By) -> By:
    """Configurations that may be compared with each other."""
    return {kind: c for kind, c in by.items() if c.comparable}


def shared_tasks(*found: Configuration) -> list[str]:
    """Tasks that all of them were probed on."""
    names = [{t.task for t in c.tasks} for c in found]
    return sorted(set.intersection(*names)) if names else []


def configurations(frame: pd.DataFrame, n_boot: int) -> tuple[list[Configuration], list[str]]:
    """Fit everything.

    Runs of one configuration share their resamples, in distribution and on every task, trial by
    trial, so that differences between their laws are of the same runs; configurations have
    their own.

    Args:
        frame: from ``load``.
        n_boot: bootstrap refits of each law.

    Returns:
        Configurations, one for each family and paradigm, and notes on what was left out.

    Raises:
        ValueError: not the frame of a study.
    """
    check_study(frame)
    frame = frame if "fold" in frame.columns else pooled(frame)
    frame = frame[frame["metric"].isin(("loss", ""))]  # "": trials without a value
    chosen, notes = chosen_groups(frame)
    fitted = []
    for seed, group in enumerate(chosen):
        try:
            fitted.append(_configuration(group, n_boot, seed, notes))
        except ValueError as error:
            notes.append(f"{group.title}: no law ({error})")
    return fitted, notes


def _configuration(group: RunGroup, n_boot: int, seed: int, notes: list[str]) -> Configuration:
    """Fit a group; appends to ``notes`` what its tasks lack.

    Raises:
        ValueError: no trial has a held-out loss.
    """
    rows = group.rows
    pool = sorted(
        rows.loc[rows["status"].isin(USED) & (rows["metric"] == "loss"), "trial"].unique()
    )
    fit = fit_law(rows, n_boot=n_boot, seed=seed, pool=pool)
    trials = rows.drop_duplicates("trial")
    counts = trials["status"].value_counts()
    return Configuration(
        key=group.key,
        title=group.title,
        fit=fit,
        tasks=task_fits(rows, fit, group.title, notes),
        compute=compute_exponents(trials),
        comparable=group.comparable,
        statuses={s: int(counts.get(s, 0)) for s in STATUSES if counts.get(s, 0)},
    )


def task_fits(rows: pd.DataFrame, fit: Fit, title: str, notes: list[str]) -> tuple[TaskFit, ...]:
    """Laws of a group on the tasks it was probed on, resampled as ``fit`` is.

    Args:
        rows: of the group, linear probes among them.
        fit: joint law of its loss on the task trained on.
        title: of the group, for notes.
        notes: what tasks lack is appended.
    """
    options = fit.options
    tasks = []
    own = set(rows["corpus"].astype(str))
    probed = rows.loc[(rows["protocol"] == LINEAR_PROBE) & (rows["metric"] == "loss"), "task"]
    for task in sorted(set(probed.astype(str)) - own):
        try:
            law = fit_law(
                rows, task=task, protocol=LINEAR_PROBE, n_boot=options.n_boot,
                seed=options.seed, pool=options.pool,
            )  # fmt: skip
        except ValueError as error:
            notes.append(f"{title}: {task} dropped ({error})")
            continue
        if lacking := len(set(fit.residuals["trial"]) - set(law.residuals["trial"])):
            runs = "1 run lacks" if lacking == 1 else f"{lacking} runs lack"
            notes.append(f"{title}: {runs} a probe of {task}")
        transfer = None
        try:
            transfer = fit_transfer(fit, law)
        except ValueError as error:
            notes.append(f"{title}: no loss-to-loss law on {task} ({error})")
        doubt = transfer_doubt(transfer, fit, law)
        tasks.append(TaskFit(task=task, fit=law, transfer=transfer, doubt=doubt))
    return tuple(tasks)


def compute_exponents(trials: pd.DataFrame) -> ComputeExponents:
    """Exponents of compute of one configuration.

    Args:
        trials: one row per trial: ``N, D, macs, C_total, status``.
    """
    used = trials[trials["status"].isin(USED)].dropna(subset=["N", "D", "macs", "C_total"])
    columns = {c: used[c].to_numpy(dtype=np.float64) for c in ("N", "D", "macs", "C_total")}
    positive = np.all([values > 0 for values in columns.values()], axis=0)
    logs = pd.DataFrame({c: np.log(values[positive]) for c, values in columns.items()})
    sizes = logs.groupby("N")["macs"].mean()
    macs = math.nan
    if len(sizes) >= _SIZES:
        macs = float(np.polyfit(sizes.index.to_numpy(dtype=np.float64), sizes.to_numpy(), 1)[0])
    means = logs.groupby(["N", "D"])["C_total"].mean().reset_index()
    centred = means[["D", "C_total"]] - means.groupby("N")[["D", "C_total"]].transform("mean")
    spread = float((centred["D"] ** 2).sum())
    data = float((centred["D"] * centred["C_total"]).sum()) / spread if spread > 0 else math.nan
    return ComputeExponents(macs=macs, data=data)
