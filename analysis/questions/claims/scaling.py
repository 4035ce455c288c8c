"""Findings ii and v of S1: which exponents are larger on other tasks, and where compute goes."""

from __future__ import annotations

import math

import numpy as np

from analysis.laws.parameters import EXPONENT
from analysis.published import s1
from analysis.questions.claims.claim import Claim, Quantity, mean
from analysis.questions.claims.limits import FAMILIES
from analysis.questions.evidence.configurations import (
    By,
    Configuration,
    TaskFit,
    alike,
    shared_tasks,
    thetas,
)
from analysis.questions.evidence.trust import law_doubt, left_out, tasks, tasks_doubt
from analysis.text.numbers import Interval, number

PARADIGMS = ("sl", "ssl")
_COLUMN = {"alpha": 2, "beta": 4}  # of the joint law's parameters E, A, alpha, B, beta
_AXIS = {"alpha": "N", "beta": "D"}


def exponent(found: TaskFit, name: str) -> Quantity:
    """``alpha`` or ``beta`` of a task with its resamples."""
    return Quantity(
        values=thetas(found.fit)[:, _COLUMN[name]], dof=found.fit.problem.dof,
        lower=EXPONENT[0], upper=EXPONENT[1],
    )  # fmt: skip


def mean_exponent(configuration: Configuration, name: str) -> Quantity:
    """Mean over the tasks whose law determines it."""
    return mean(exponent(t, name) for t in configuration.tasks if t.identified(_AXIS[name]))


def efficiency_claims(by: By) -> list[Claim]:
    """Finding ii: ratios of exponents out of distribution, as a geometric mean over tasks."""
    same, found = alike(by), []
    for paradigm in PARADIGMS:
        first, second = same.get(("resnet", paradigm)), same.get(("transformer", paradigm))
        if first and second:
            words = f"{first.name} gains more from N than {second.name}"
            found.append(_ratio(first, second, "alpha", words))
    for family in FAMILIES:
        first, second = same.get((family, "ssl")), same.get((family, "sl"))
        if first and second:
            words = f"{first.name} gains more from data than {second.name}"
            found.append(_ratio(first, second, "beta", words))
    return found


def _ratio(first: Configuration, second: Configuration, name: str, words: str) -> Claim:
    axis, names = _AXIS[name], shared_tasks(first, second)
    doubts = {
        task: next(filter(None, (law_doubt(c.task(task).fit, terms=axis)
                                 for c in (first, second))), "")
        for task in names
    }  # fmt: skip
    used = [task for task in names if not doubts[task]]
    ratio = mean(_log_ratio(first.task(task), second.task(task), name) for task in used)
    scale, ends = math.exp(ratio.estimate), ratio.interval
    note = tasks(len(used)) + left_out([why for why in doubts.values() if why])
    if math.isfinite(scale) and name == "alpha":
        note += f"; {second.name} needs {number(2**scale)} times the parameters for what 2 times do"
    return Claim(
        finding="ii", claim=words, printed="larger (digits lost)",
        measured=f"ratio of {name}, {first.name} over {second.name}", estimate=scale,
        interval=Interval(low=math.exp(ends.low), high=math.exp(ends.high)).holding(scale),
        line=1.0, side="above", note=note, doubt=tasks_doubt(len(used), len(names)),
    )  # fmt: skip


def _log_ratio(first: TaskFit, second: TaskFit, name: str) -> Quantity:
    widest = math.log(EXPONENT[1] / EXPONENT[0])
    return Quantity(
        values=np.log(exponent(first, name).values / exponent(second, name).values),
        dof=min(first.fit.problem.dof, second.fit.problem.dof), lower=-widest, upper=widest,
    )  # fmt: skip


def to_data(found: TaskFit, macs: float = 1.0) -> Quantity:
    """Exponent with which the best D grows with C, where C ~ N^macs D.

    Minimising A / N^alpha + B / D^beta at fixed N^m D gives alpha A / N^alpha = m beta B / D^beta,
    so that N^alpha ~ D^beta and D ~ C^(alpha / (alpha + m beta)). With m = 1 it is S1's (Eq. S.7)
    share of marginal compute that goes to data.
    """
    theta = thetas(found.fit)
    alpha, beta = theta[:, 2], theta[:, 4]
    return Quantity(
        values=alpha / (alpha + macs * beta), dof=found.fit.problem.dof, lower=0.0, upper=1.0
    )


def mean_to_data(configuration: Configuration, macs: float = 1.0) -> Quantity:
    """Mean of ``to_data`` over the tasks whose law determines both exponents."""
    return mean(to_data(t, macs) for t in _both(configuration))


def _both(configuration: Configuration) -> list[TaskFit]:
    return [t for t in configuration.tasks if not law_doubt(t.fit, terms="ND")]


def allocation_claims(by: By) -> list[Claim]:
    """Finding v: where marginal compute goes."""
    return [_allocation(by[kind], printed) for kind, printed in s1.DATA_SHARE.items() if kind in by]


def _allocation(configuration: Configuration, printed: float) -> Claim:
    compute, used = configuration.compute, len(_both(configuration))
    share = mean_to_data(configuration)
    measured = mean_to_data(configuration, compute.macs)
    doubts = [law_doubt(t.fit, terms="ND") for t in configuration.tasks]
    found = measured.interval
    note = (
        f"{tasks(used)}{left_out([d for d in doubts if d])}; with MACs ~ N^{number(compute.macs)}, "
        f"alpha / (alpha + m beta) is {number(measured.estimate)} "
        f"[{number(found.low)}, {number(found.high)}]; C ~ D^{number(compute.data, 2)} at fixed N"
    )
    more = printed > 0.5
    where = "data" if more else "model size"
    return Claim(
        finding="v", claim=f"{configuration.name} spends more on {where}",
        printed=f"{100 * printed:.0f} % to data on one task",
        measured="alpha / (alpha + beta), mean over tasks", estimate=share.estimate,
        interval=share.interval, line=0.5, side="above" if more else "below", note=note,
        check=found, doubt=tasks_doubt(used, len(configuration.tasks)) or compute.doubt,
    )  # fmt: skip
