"""Finding iii of S1: what a lower loss in distribution is worth on other tasks."""

from __future__ import annotations

from collections.abc import Sequence

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
)
from analysis.questions.evidence.trust import left_out, tasks, tasks_doubt
from analysis.text.numbers import number


def kappa(found: TaskFit, *, free: bool = False) -> Quantity | None:
    """Transfer exponent of a task with its resamples; None without a loss-to-loss law.

    Args:
        found: the task.
        free: with E_ood fitted to the pairs and not taken from the joint law.
    """
    transfer = found.transfer
    if transfer is None:
        return None
    value = transfer.kappa_free if free else transfer.kappa
    samples = transfer.samples_free if free else transfer.samples
    return Quantity(
        values=np.concatenate([[value], samples]), dof=found.fit.problem.dof,
        lower=EXPONENT[0], upper=EXPONENT[1],
    )  # fmt: skip


def mean_kappa(
    configuration: Configuration, names: Sequence[str] | None = None, *, free: bool = False
) -> Quantity:
    """Mean over tasks.

    Args:
        configuration: whose.
        names: of the tasks; None for all that have a loss-to-loss law, those at a bound of the
            search included, as in S1's Table S.7.
        free: with E_ood fitted to the pairs.
    """
    chosen = [t for t in configuration.tasks if names is None or t.task in names]
    return mean(q for q in (kappa(t, free=free) for t in chosen) if q is not None)


def transfer_claims(by: By) -> list[Claim]:
    """Finding iii."""
    found = [_diminishing(c) for c in by.values() if any(t.transfer for t in c.tasks)]
    same = alike(by)
    for family in FAMILIES:
        ssl, sl = same.get((family, "ssl")), same.get((family, "sl"))
        if ssl and sl and shared_tasks(ssl, sl):
            found.append(_larger(ssl, sl))
    return found


def _diminishing(configuration: Configuration) -> Claim:
    used = [t.task for t in configuration.tasks if not t.doubt]
    value, loose = (mean_kappa(configuration, used, free=free) for free in (False, True))
    note = (
        f"{tasks(len(used))}{left_out([t.doubt for t in configuration.tasks if t.doubt])}; "
        f"with E_ood fitted to the pairs {_text(loose)}"
    )
    kind = configuration.kind
    return Claim(
        finding="iii", claim=f"{configuration.name} transfers with diminishing returns",
        printed=f"mean kappa {s1.KAPPA[kind]:.3f}" if kind in s1.KAPPA else "",
        measured="mean kappa over tasks", estimate=value.estimate, interval=value.interval,
        line=1.0, side="below", note=note, check=loose.interval,
        doubt=tasks_doubt(len(used), len(configuration.tasks)),
    )  # fmt: skip


def _larger(ssl: Configuration, sl: Configuration) -> Claim:
    """SSL transfers better than SL."""
    names = shared_tasks(ssl, sl)
    doubts = {n: sl.task(n).doubt or ssl.task(n).doubt for n in names}
    used = [n for n in names if not doubts[n]]
    less, loose = (
        mean_kappa(ssl, used, free=free).less(mean_kappa(sl, used, free=free))
        for free in (False, True)
    )
    printed = s1.KAPPA[ssl.kind] - s1.KAPPA[sl.kind]
    return Claim(
        finding="iii", claim=f"{ssl.name} transfers better than {sl.name}",
        printed=f"mean kappa larger by {printed:.3f}",
        measured="difference of mean kappa, SSL less SL", estimate=less.estimate,
        interval=less.interval, line=0.0, side="above",
        note=f"{tasks(len(used))}{left_out([d for d in doubts.values() if d])}; "
        f"with E_ood fitted to the pairs {_text(loose)}",
        check=loose.interval, doubt=tasks_doubt(len(used), len(names)),
    )  # fmt: skip


def _text(value: Quantity) -> str:
    found = value.interval
    return f"{number(value.estimate)} [{number(found.low)}, {number(found.high)}]"
