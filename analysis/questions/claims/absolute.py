"""Finding iv of S1: whose loss on other tasks is lowest.

Losses are those of the joint laws on a common grid of sizes at the largest common D, inside the
range of every configuration compared; they need no exponent and no floor, only that the law runs
through the losses, so a law with little to explain (a flat loss) is used as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from analysis.fit.certificate import Status
from analysis.laws import FloatArray
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
from analysis.questions.evidence.trust import tasks
from analysis.text.numbers import count, number

GRID = 9  # sizes, evenly spaced in log N
_FURTHEST = 1e4  # times the largest common N, up to which a crossing is looked for
_RIVALS = (("transformer", "ssl"), ("resnet", "ssl"))


def predicted(found: TaskFit, sizes: npt.ArrayLike, d: float) -> FloatArray:
    """Probe loss of the joint law and its resamples at ``sizes`` (m,): (1 + R, m), in nats."""
    n = np.atleast_1d(np.asarray(sizes, dtype=np.float64))
    loss: FloatArray = found.fit.law.value(
        thetas(found.fit), np.stack([n, np.full(len(n), d)], axis=1)
    )
    return loss


def common(found: Sequence[Configuration]) -> tuple[FloatArray, float]:
    """Sizes that all of them span (empty where none are) and the largest common D."""
    low = max(c.fit.ranges["N"][0] for c in found)
    high = min(c.fit.ranges["N"][1] for c in found)
    sizes = np.geomspace(low, high, GRID) if low < high else np.empty(0)
    return sizes, min(c.fit.ranges["D"][1] for c in found)


def usable(found: Sequence[Configuration]) -> list[str]:
    """Tasks on which all of them have a joint law that converged."""
    bad = (Status.UNIDENTIFIABLE, Status.NOT_CONVERGED)
    return [
        name
        for name in shared_tasks(*found)
        if all(c.task(name).fit.status not in bad for c in found)
    ]


def absolute_claims(by: By) -> list[Claim]:
    """Finding iv."""
    same = alike(by)
    found = []
    if {family for family, _ in same} >= set(FAMILIES):
        found += _lowest(same)
    pairs = [
        (("transformer", "ssl"), ("transformer", "sl"), False),
        *(((family, "ssl"), (family, "sl"), True) for family in FAMILIES),
    ]
    for first, second, unseen in pairs:
        if first in same and second in same:
            found += _below(same[first], same[second], unseen=unseen)
    if all(kind in same for kind in _RIVALS):
        found += _narrowing(*(same[kind] for kind in _RIVALS))
    return found


def _lowest(by: By) -> list[Claim]:
    """A ResNet is lowest, on average over tasks and sizes."""
    every = list(by.values())
    sizes, d = common(every)
    names = usable(every)
    if not names or not len(sizes):
        return []
    won = mean(
        Quantity(values=_resnet_lower(by, name, sizes, d), dof=10_000, lower=0.0, upper=1.0)
        for name in names
    )
    printed = (
        f"{sum(s1.LOWEST_BY_SIZE)} of {s1.TASKS * len(s1.LOWEST_BY_SIZE)} tasks and sizes, "
        f"{', '.join(map(str, s1.LOWEST_BY_SIZE))} of {s1.TASKS} by size"
    )
    return [
        Claim(
            finding="iv", claim="a ResNet has the lowest loss across most sizes", printed=printed,
            measured="share of tasks and sizes", estimate=won.estimate, interval=won.interval,
            line=0.5, side="above", note=f"{_where(names, sizes, d)}; {len(every)} configurations",
        )
    ]  # fmt: skip


def _resnet_lower(by: By, name: str, sizes: FloatArray, d: float) -> FloatArray:
    """Share of the sizes at which the lowest loss is a ResNet's (1 + R,); NaN where one lacks."""
    lowest = {
        resnet: np.min(
            [predicted(c.task(name), sizes, d) for (f, _), c in by.items()
             if (f == "resnet") == resnet], axis=0,
        )
        for resnet in (True, False)
    }  # fmt: skip
    lower = np.where(np.isfinite(lowest[True] + lowest[False]), lowest[True] < lowest[False],
                     math.nan)  # fmt: skip
    share: FloatArray = lower.mean(axis=1)
    return share


def log_ratio(
    first: Configuration, second: Configuration, names: Sequence[str], sizes: FloatArray, d: float
) -> list[Quantity]:
    """Log of the first's loss over the second's, mean over tasks, at each of the sizes."""
    values = np.mean(
        [np.log(predicted(first.task(n), sizes, d) / predicted(second.task(n), sizes, d))
         for n in names], axis=0,
    )  # fmt: skip
    dof = min(c.task(n).fit.problem.dof for c in (first, second) for n in names)
    return [Quantity(values=column, dof=dof) for column in values.T]


def _below(first: Configuration, second: Configuration, *, unseen: bool) -> list[Claim]:
    """The first has the lower loss, on all tasks or on those unlike the ones trained on."""
    sizes, d = common([first, second])
    names = [n for n in usable([first, second]) if not unseen or s1.unseen(n)]
    if not names or not len(sizes):
        return []
    ratio = mean(log_ratio(first, second, names, sizes, d))
    kind = "unseen tasks" if unseen else "other tasks"
    printed = "consistently lower" if unseen else "lower at every observed scale"
    return [
        Claim(
            finding="iv", claim=f"{first.name} is below {second.name} on {kind}", printed=printed,
            measured="log ratio of losses, mean over tasks and sizes", estimate=ratio.estimate,
            interval=ratio.interval, line=0.0, side="below", note=_where(names, sizes, d),
        )
    ]  # fmt: skip


def _narrowing(first: Configuration, second: Configuration) -> list[Claim]:
    """Transformer-SSL gains on ResNet-SSL with size; where they cross is reported only."""
    sizes, d = common([first, second])
    names = usable([first, second])
    if not names or not len(sizes):
        return []
    ratios = log_ratio(first, second, names, sizes, d)
    change = ratios[-1].less(ratios[0])
    return [
        Claim(
            finding="iv", claim=f"{first.name} gains on {second.name} with size",
            printed=f"overtakes at very large sizes only; mean log ratio in Table S.5 "
            f"{', '.join(f'{v:.3f}' for v in s1.GAP_BY_SIZE)} from the smallest sizes to the "
            "largest",
            measured="log ratio of losses at the largest size less that at the smallest",
            estimate=change.estimate, interval=change.interval, line=0.0, side="below",
            note=f"{_where(names, sizes, d)}; {number(ratios[0].estimate)} at the smallest, "
            f"{number(ratios[-1].estimate)} at the largest; {_crossing(first, second, names, d)}",
        )
    ]  # fmt: skip


def _crossing(first: Configuration, second: Configuration, names: Sequence[str], d: float) -> str:
    """At which size the mean log ratio changes sign, by the laws."""
    sizes, _ = common([first, second])
    reach = np.concatenate([sizes, np.geomspace(sizes[-1], _FURTHEST * sizes[-1], 400)[1:]])
    ratio = np.array([q.estimate for q in log_ratio(first, second, names, reach, d)])
    turns = np.flatnonzero(np.diff(np.sign(ratio)) != 0)
    if not len(turns):
        side = "above" if ratio[-1] > 0 else "below"
        return f"no crossing up to {count(reach[-1])} ({first.name} stays {side})"
    i = int(turns[0])
    share = ratio[i] / (ratio[i] - ratio[i + 1])
    n = float(reach[i] * (reach[i + 1] / reach[i]) ** share)
    times = n / sizes[-1]
    where = "inside the data" if times <= 1 else f"{number(times)} times the largest, extrapolated"
    return f"the laws cross at N = {count(n)} ({where})"


def _where(names: Sequence[str], sizes: FloatArray, d: float) -> str:
    return f"{tasks(len(names))}, N = {count(sizes[0])} to {count(sizes[-1])}, D = {count(d)}"
