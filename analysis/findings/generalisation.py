"""Findings iii and iv of S1: what transfers to other tasks, and whose loss there is lowest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from analysis.findings.claims import Claim, Quantity, mean
from analysis.findings.configurations import Configuration, TaskFit, thetas
from analysis.laws import FloatArray
from analysis.published import s1
from analysis.tables import count, number

By = Mapping[tuple[str, str], Configuration]


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
    return Quantity(values=np.concatenate([[value], samples]), dof=found.fit.problem.dof)


def mean_kappa(
    configuration: Configuration, tasks: Sequence[str] | None = None, *, free: bool = False
) -> Quantity:
    """Mean over tasks, those at a bound of the search included, as in S1's Table S.7."""
    chosen = [t for t in configuration.tasks if tasks is None or t.task in tasks]
    return mean(q for q in (kappa(t, free=free) for t in chosen) if q is not None)


def transfer_claims(by: By) -> list[Claim]:
    """Finding iii."""
    found = []
    for kind, configuration in by.items():
        value, loose = mean_kappa(configuration), mean_kappa(configuration, free=True)
        transfers = [t.transfer for t in configuration.tasks if t.transfer]
        if not transfers:
            continue
        note = f"{len(transfers)} tasks, with E_ood fitted to the pairs {_text(loose)}"
        if bound := sum(t.at_bound for t in transfers):
            note += f"; {bound} at a bound"
        found.append(
            Claim(
                finding="iii", claim=f"{configuration.name} transfers with diminishing returns",
                printed=f"mean kappa {s1.KAPPA[kind]}" if kind in s1.KAPPA else "",
                measured="mean kappa over tasks", estimate=value.estimate,
                interval=value.interval, line=1.0, side="below", note=note,
                check=loose.estimate,
            )
        )  # fmt: skip
    for family in ("resnet", "transformer"):
        if (family, "sl") in by and (family, "ssl") in by:
            found += _larger(by, family)
    return found


def _larger(by: By, family: str) -> list[Claim]:
    """SSL transfers better than SL."""
    ssl, sl = by[(family, "ssl")], by[(family, "sl")]
    shared = [
        t.task for t in ssl.tasks
        if t.transfer and any(o.task == t.task and o.transfer for o in sl.tasks)
    ]  # fmt: skip
    if not shared:
        return []
    less, loose = (
        _minus(mean_kappa(ssl, shared, free=free), mean_kappa(sl, shared, free=free))
        for free in (False, True)
    )
    printed = s1.KAPPA[(family, "ssl")] - s1.KAPPA[(family, "sl")]
    return [
        Claim(
            finding="iii", claim=f"{family}-SSL transfers better than {family}-SL",
            printed=f"mean kappa larger by {printed:.3f}",
            measured="difference of mean kappa, SSL less SL", estimate=less.estimate,
            interval=less.interval, line=0.0, side="above",
            note=f"{len(shared)} tasks, with E_ood fitted to the pairs {_text(loose)}",
            check=loose.estimate,
        )
    ]  # fmt: skip


def _minus(first: Quantity, second: Quantity) -> Quantity:
    return Quantity(values=first.values - second.values, dof=min(first.dof, second.dof))


def _text(value: Quantity) -> str:
    found = value.interval
    return f"{number(value.estimate, 2)} [{number(found.low, 2)}, {number(found.high, 2)}]"


def largest_common(by: By) -> tuple[float, float]:
    """The largest N and D that every configuration reached."""
    fits = [c.fit for c in by.values()]
    return min(f.ranges["N"][1] for f in fits), min(f.ranges["D"][1] for f in fits)


def predicted(found: TaskFit, n: float, d: float) -> FloatArray:
    """Probe loss of the joint law and of its resamples at one cell (1 + R,), in nats."""
    theta = thetas(found.fit)
    at = np.array([[n, d]])
    loss: FloatArray = found.fit.law.value(theta, at)[:, 0]
    return loss


def absolute_claims(by: By) -> list[Claim]:
    """Finding iv, at the largest N and D that all configurations reached."""
    n, d = largest_common(by)
    where = f"at N = {count(n)}, D = {count(d)}"
    losses = _losses(by, n, d)
    found = []
    both = [{k: v for k, v in task.items() if np.isfinite(v[0])} for task in losses.values()]
    both = [t for t in both if len({family for family, _ in t}) == 2 and len(t) == len(by)]
    if both:
        won = Quantity(
            values=np.mean([_resnet_lower(t) for t in both], axis=0), dof=10_000,
            lower=0.0, upper=1.0,
        )  # fmt: skip
        found.append(
            Claim(
                finding="iv", claim=f"a resnet has the lowest loss on most tasks, {where}",
                printed="lowest across most sizes", measured="share of tasks",
                estimate=won.estimate, interval=won.interval, line=0.5, side="above",
                note=f"{len(both)} tasks, {len(by)} configurations",
            )
        )  # fmt: skip
    rivals = [("transformer", "ssl"), ("resnet", "ssl")]
    if all(kind in by for kind in rivals):
        found += _overtaking(by, n, d)
    return found


def _losses(by: By, n: float, d: float) -> dict[str, dict[tuple[str, str], FloatArray]]:
    """Predicted loss by task and configuration, where a joint law could be fitted."""
    found: dict[str, dict[tuple[str, str], FloatArray]] = {}
    for kind, configuration in by.items():
        for task in configuration.tasks:
            if task.fit.ok:
                found.setdefault(task.task, {})[kind] = predicted(task, n, d)
    return found


def _resnet_lower(task: Mapping[tuple[str, str], FloatArray]) -> FloatArray:
    """1 where the lowest loss is a ResNet's, 0 where not, NaN where a resample lacks one."""
    low = {
        family: np.min([v for (f, _), v in task.items() if f == family], axis=0)
        for family in {f for f, _ in task}
    }
    other = np.min([v for family, v in low.items() if family != "resnet"], axis=0)
    if "resnet" not in low:
        return np.zeros_like(other)
    return np.where(np.isfinite(low["resnet"] + other), low["resnet"] < other, math.nan)


def _overtaking(by: By, n: float, d: float) -> list[Claim]:
    """Transformer-SSL against ResNet-SSL at the largest common size."""
    large, small = (
        _advantage(by, size, d) for size in (n, max(c.fit.ranges["N"][0] for c in by.values()))
    )
    if large is None or small is None:
        return []
    return [
        Claim(
            finding="iv", claim="transformer-SSL has overtaken resnet-SSL at the largest size",
            printed="at very large sizes only",
            measured="log ratio of losses, transformer-SSL over resnet-SSL, mean over tasks",
            estimate=large.estimate, interval=large.interval, line=0.0, side="below",
            note=f"at N = {count(n)}, D = {count(d)}; at the smallest common N {_text(small)}. "
            "S1's largest models are far larger",
        )
    ]  # fmt: skip


def _advantage(by: By, n: float, d: float) -> Quantity | None:
    first, second = by[("transformer", "ssl")], by[("resnet", "ssl")]
    names = {t.task for t in second.tasks if t.fit.ok}
    parts = [
        Quantity(
            values=np.log(predicted(t, n, d) / predicted(second.task(t.task), n, d)),
            dof=min(t.fit.problem.dof, second.task(t.task).fit.problem.dof),
        )
        for t in first.tasks
        if t.fit.ok and t.task in names
    ]
    return mean(parts) if parts else None
