"""Whose loss on other tasks is lowest (S1, Section 4, Tables S.5 and S.6).

Losses are those of the joint laws on a common grid of sizes at the largest common D, inside the
range of every configuration compared; they need no exponent and no floor, only that the law runs
through the losses, so a law with little to explain (a flat loss) is used as well.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import final

import numpy as np
import numpy.typing as npt

from analysis.fit.certificate import Status
from analysis.fit.result import Fit
from analysis.fit.sampled import Sampled, mean, source_of
from analysis.laws import FloatArray
from analysis.questions.additive import thetas
from analysis.questions.answer import Line, Question, side_of, tasks
from analysis.questions.configurations import Configuration, shared_tasks
from analysis.text import count, number

GRID = 9  # sizes, evenly spaced in log N
_FURTHEST = 1e4  # times the largest common N, up to which a crossing is looked for
_SURE = 10_000  # degrees of freedom of a share of a grid, which Student's t does not widen


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """Where losses of configurations are compared.

    Attributes:
        tasks: on which all of them have a joint law that converged.
        sizes: N within the range of all of them (GRID,).
        D: the largest common number of records.
    """

    tasks: tuple[str, ...]
    sizes: FloatArray
    D: float

    @classmethod
    def of(cls, configurations: Sequence[Configuration], names: Sequence[str] | None) -> Common:
        """Of several configurations, on the tasks of these ``names``; None for all.

        Raises:
            ValueError: no such task, or no size that all of them span.
        """
        bad = (Status.UNIDENTIFIABLE, Status.NOT_CONVERGED)
        usable = [
            name
            for name in shared_tasks(*configurations)
            if (names is None or name in names)
            and all(c.task(name).fit.status not in bad for c in configurations)
        ]
        if not usable:
            raise ValueError("no task on which all of them have a joint law that converged")
        ranges = [c.fit.ranges for c in configurations]
        low, high = max(r["N"][0] for r in ranges), min(r["N"][1] for r in ranges)
        if not low < high:
            raise ValueError("no range of N was trained in all of them")
        return cls(
            tasks=tuple(usable),
            sizes=np.geomspace(low, high, GRID),
            D=min(r["D"][1] for r in ranges),
        )

    def __str__(self) -> str:
        ends = " to ".join(count(n) for n in (self.sizes[0], self.sizes[-1]))
        return f"{tasks(len(self.tasks))}, N = {ends}, D = {count(self.D)}"


def predicted(fit: Fit, sizes: npt.ArrayLike, D: float) -> FloatArray:
    """Probe loss of a joint law and its resamples at ``sizes`` (m,): (1 + R, m), in nats."""
    n = np.atleast_1d(np.asarray(sizes, dtype=np.float64))
    loss: FloatArray = fit.law.value(thetas(fit), np.stack([n, np.full(len(n), D)], axis=1))
    return loss


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LowestLoss(Question):
    """Share of tasks and sizes at which a configuration of each family is lowest.

    Attributes:
        shares: by family, mean over tasks, in [0, 1].
        among: how many configurations.
        common: where they are compared.
    """

    shares: Mapping[str, Sampled]
    among: int
    common: Common
    warnings: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What was asked."""
        return f"Which family has the lowest loss on other tasks, of {self.among} configurations"

    @property
    def lines(self) -> tuple[Line, ...]:
        """One share for each family."""
        return tuple(
            Line.of(f"a {family} is lowest", share, f"share of tasks and sizes, {self.common}")
            for family, share in self.shares.items()
        )


def lowest_loss(configurations: Sequence[Configuration]) -> LowestLoss:
    """Which family has the lowest loss, over tasks and a grid of sizes.

    Raises:
        ValueError: one family only, no task with a law in all of them, or no common size.
    """
    families = sorted({c.kind[0] for c in configurations})
    if len(families) < 2:
        raise ValueError("one family only")
    common = Common.of(configurations, None)
    shares = {}
    for family in families:
        lower = [_lower(configurations, family, common, task) for task in common.tasks]
        shares[family] = mean([Sampled.of(s, _SURE, lower=0.0, upper=1.0) for s in lower])
    return LowestLoss(shares=shares, among=len(configurations), common=common)


def _lower(
    configurations: Sequence[Configuration], family: str, common: Common, task: str
) -> FloatArray:
    """Share of the sizes at which the lowest loss is the family's (1 + R,); NaN where one lacks."""
    losses = [predicted(c.task(task).fit, common.sizes, common.D) for c in configurations]
    of_family = [c.kind[0] == family for c in configurations]
    own, others = (
        np.min([loss for loss, its in zip(losses, of_family, strict=True) if its == wanted], axis=0)
        for wanted in (True, False)
    )
    share: FloatArray = np.where(np.isfinite(own + others), own < others, math.nan).mean(axis=1)
    return share


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LossRatio(Question):
    """Log ratio of the losses of two configurations, mean over tasks.

    Attributes:
        kind: of the tasks, such as ``other tasks``.
        by_size: at each of the common sizes.
        crossing: at which size it changes sign by the laws, in words; no verdict rests on it.
        common: where they are compared.
    """

    first: str
    second: str
    kind: str
    by_size: tuple[Sampled, ...]
    crossing: str
    common: Common
    warnings: tuple[str, ...] = ()

    @property
    def mean(self) -> Sampled:
        """Mean over sizes."""
        return mean(self.by_size)

    @property
    def change(self) -> Sampled:
        """At the largest size less at the smallest."""
        return self.by_size[-1].less(self.by_size[0])

    @property
    def title(self) -> str:
        """What was asked."""
        return f"Whose loss is lower on {self.kind}: {self.first} or {self.second}"

    @property
    def lines(self) -> tuple[Line, ...]:
        """Mean log ratio, and how it changes with size."""
        side = side_of(self.mean.interval, 0.0)
        told = f"; {self.second if side == 'above' else self.first} is lower"
        told = told if side else "; not told apart"
        words = f"{self.common}{'' if self.mean.why else told}"
        return (
            Line.of(f"log ratio, {self.first} over {self.second}", self.mean, words),
            Line.of("change from the smallest N to the largest", self.change, self.ends),
        )

    @property
    def ends(self) -> str:
        """The ratio at either end of the sizes, and where it changes sign."""
        smallest, largest = (number(self.by_size[i].point) for i in (0, -1))
        return f"{smallest} at the smallest, {largest} at the largest; {self.crossing}"


def loss_ratio(
    first: Configuration,
    second: Configuration,
    *,
    names: Sequence[str] | None = None,
    kind: str = "other tasks",
) -> LossRatio:
    """Log of the first's loss over the second's, at the common sizes and the largest common D.

    Args:
        first: below 0 it has the lower loss.
        second: compared with it.
        names: of tasks; None for all that both have.
        kind: what these tasks are.

    Raises:
        ValueError: no task with a law of both, or no common size.
    """
    common = Common.of((first, second), names)
    return LossRatio(
        first=first.name,
        second=second.name,
        kind=kind,
        by_size=_log_ratios(first, second, common, common.sizes),
        crossing=_crossing(first, second, common),
        common=common,
    )


def _log_ratios(
    first: Configuration, second: Configuration, common: Common, sizes: FloatArray
) -> tuple[Sampled, ...]:
    """Log of the first's loss over the second's, mean over tasks, at each of the sizes."""
    pairs = [[c.task(task).fit for c in (first, second)] for task in common.tasks]
    values = np.mean(
        [np.log(predicted(a, sizes, common.D) / predicted(b, sizes, common.D)) for a, b in pairs],
        axis=0,
    )
    dof = min(fit.problem.dof for pair in pairs for fit in pair)
    source = tuple(
        stream for c in (first, second) for stream in source_of(c.fit.options, c.fit.rows["trial"])
    )
    return tuple(Sampled.of(column, dof, source) for column in values.T)


def _crossing(first: Configuration, second: Configuration, common: Common) -> str:
    """At which size the mean log ratio changes sign, by the laws."""
    sizes = common.sizes
    reach = np.concatenate([sizes, np.geomspace(sizes[-1], _FURTHEST * sizes[-1], 400)[1:]])
    ratio = np.array([r.point for r in _log_ratios(first, second, common, reach)])
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
