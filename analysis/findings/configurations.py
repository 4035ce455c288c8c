"""The fits behind the findings: each configuration in distribution and on every other task."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pandas as pd

from analysis.fit import fit_law
from analysis.laws import FloatArray
from analysis.result import Fit
from analysis.selection import groups
from analysis.transfer import Transfer, fit_transfer

PROBE = "linear-probe"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TaskFit:
    """The laws of one configuration on one task it was not trained on.

    Attributes:
        task: corpus and task.
        fit: joint law of the probe's test loss.
        transfer: loss-to-loss law; None where a floor is missing.
    """

    task: str
    fit: Fit
    transfer: Transfer | None

    def identified(self, axis: str) -> bool:
        """Whether the law determines the exponent of ``axis`` (``N`` or ``D``) at all."""
        names = {"N": ("A", "alpha"), "D": ("B", "beta")}[axis]
        return self.fit.ok and not set(names) & set(self.fit.certificate.bounds_hit)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One family and paradigm.

    Attributes:
        key: what sets its runs apart.
        fit: joint law of the held-out loss on the task trained on, in that objective's unit.
        tasks: laws on other tasks.
    """

    key: dict[str, Any]
    fit: Fit
    tasks: tuple[TaskFit, ...]

    @property
    def kind(self) -> tuple[str, str]:
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
        for found in self.tasks:
            if found.task == name:
                return found
        raise KeyError(name)


def configurations(frame: pd.DataFrame, n_boot: int) -> tuple[list[Configuration], list[str]]:
    """Fit everything.

    Runs of one configuration share their resamples, in distribution and on every task, so that
    differences between their laws are of the same runs; configurations have their own.

    Args:
        frame: from ``load``.
        n_boot: bootstrap refits of each law.

    Returns:
        Configurations, one for each family and paradigm (where several groups of runs share
        both, the one with most runs), and notes on what was left out.
    """
    frame = frame[frame["metric"].isin(("loss", ""))].copy()  # "": trials without a value
    frame.attrs = {}  # pandas copies them deeply at every step
    chosen: dict[tuple[str, str], tuple[dict[str, Any], pd.DataFrame]] = {}
    notes = []
    for key, part in groups(frame):
        kind = (str(key["family"]), str(key["paradigm"]))
        if kind in chosen:
            old = chosen[kind][1]["trial"].nunique()
            notes.append(
                f"{kind[0]}-{kind[1].upper()}: several groups of runs; the one with most is used"
            )
            if part["trial"].nunique() <= old:
                continue
        chosen[kind] = key, part
    found = []
    for seed, kind in enumerate(sorted(chosen)):
        key, part = chosen[kind]
        try:
            fit = fit_law(part, n_boot=n_boot, seed=seed)
        except ValueError as error:
            notes.append(f"{kind[0]}-{kind[1].upper()}: no law ({error})")
            continue
        tasks = [_task(part, fit, task, n_boot, seed) for task in _tasks(part, str(key["corpus"]))]
        found.append(Configuration(key=key, fit=fit, tasks=tuple(t for t in tasks if t)))
    return found, notes


def _tasks(part: pd.DataFrame, own: str) -> list[str]:
    probed = part.loc[(part["protocol"] == PROBE) & (part["metric"] == "loss"), "task"]
    return sorted(str(t) for t in probed.unique() if t != own)


def _task(part: pd.DataFrame, own: Fit, task: str, n_boot: int, seed: int) -> TaskFit | None:
    try:
        fit = fit_law(part, task=task, protocol=PROBE, n_boot=n_boot, seed=seed)
    except ValueError:  # probed, but by no trial that finished
        return None
    try:
        transfer = fit_transfer(own, fit)
    except ValueError:
        transfer = None
    return TaskFit(task=task, fit=fit, transfer=transfer)


def thetas(fit: Fit) -> FloatArray:
    """Natural parameters of the fit and of each resample (1 + R, P), NaN where none."""
    found = np.full((1 + int(fit.options["n_boot"]), len(fit.law.names)), math.nan)
    found[0] = fit.theta
    found[1 + fit.bootstrap.draw] = fit.bootstrap.theta
    return found
