"""Where the next unit of compute goes (S1, Eq. S.7 and Section 5)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import final

from analysis.compute.allocation import Allocation, allocate
from analysis.compute.cost import ComputeModel, compute_model
from analysis.fit.result import Fit
from analysis.fit.sampled import Sampled, mean
from analysis.published import s1
from analysis.questions.additive import Additive
from analysis.questions.answer import (
    Line,
    Question,
    law_doubt,
    left_out,
    side_of,
    tasks,
    terms_doubt,
)
from analysis.questions.configurations import ComputeExponents, Configuration
from analysis.studies.fit_rows import Data
from analysis.text import number

_SIDES = {  # of one half
    "above": "more to data than to size",
    "below": "more to size than to data",
    "": "which gets more is not told",
}


def data_share_of_compute(fit: Fit, macs: float = 1.0) -> Sampled:
    """Exponent with which the best D grows with C, in [0, 1], where C ~ N^macs D.

    Minimising A / N^alpha + B / D^beta at fixed N^m D gives alpha A / N^alpha = m beta B / D^beta,
    so that N^alpha ~ D^beta and D ~ C^(alpha / (alpha + m beta)). With m = 1 it is S1's (Eq. S.7;
    Hoffmann et al. 2022) share of a marginal log-increase of compute that goes to data.
    """
    law = Additive.joint(fit)
    alpha, beta = law.theta[:, 2], law.theta[:, 4]
    return law.sampled(alpha / (alpha + macs * beta), lower=0.0, upper=1.0)


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AllocationSplit(Question):
    """Share of marginal compute that goes to data.

    Attributes:
        share: alpha / (alpha + beta), for C = k N D, in [0, 1].
        reason: why the law does not determine it; "" where it does.
        counted: the allocation at counted compute; None with a ``counted_reason``.
        counted_reason: why there is none; "" where there is one.
        printed: what S1 prints for the one task of its Figure 5; None where it prints nothing.
    """

    share: Sampled
    reason: str
    counted: Allocation | None
    counted_reason: str
    printed: float | None
    warnings: tuple[str, ...]

    @property
    def title(self) -> str:
        """What was asked."""
        return "Share of marginal compute that goes to data"

    @property
    def lines(self) -> tuple[Line, ...]:
        """Both conventions."""
        words = "" if self.reason else f"C = k N D: {_SIDES[side_of(self.share.interval, 0.5)]}"
        return (Line.of("alpha / (alpha + beta)", self.share, words, self.reason), self._counted())

    def _counted(self) -> Line:
        name = "at counted compute"
        if self.counted is None:
            return Line.none(name, self.counted_reason)
        found, cost = self.counted.counted, self.counted.compute
        missing = "" if len(self.counted.draws.theta) else "no resamples (n_boot = 0)"
        return Line(
            name=name,
            value=found.share_data,
            interval=found.share_data_interval,
            reason=missing,
            words=f"C = k N^{number(cost.m)} D^{number(cost.q)}",
        )

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """S1's share, and which of ours holds for whom."""
        meaning = self.counted.meaning if self.counted is not None else ""
        return (*([("which holds", meaning)] if meaning else []), *_beside_s1(self.printed))


def allocation_split(
    fit: Fit, compute: ComputeModel | Data | None = None, *, kind: s1.Kind | None = None
) -> AllocationSplit:
    """Share of a marginal log-increase of compute that goes to data (S1, Eq. S.7).

    Where C does not grow as N D, see ``analysis.compute.allocation``.

    Args:
        fit: of ``chinchilla`` or ``tied``.
        compute: what training costs, or the runs (N, D, C in FLOPs) it is fitted to; None for
            C = k N D alone.
        kind: family and paradigm, for S1's value beside ours.

    Raises:
        ValueError: a marginal law or one of another form.
    """
    share, reason = data_share_of_compute(fit), terms_doubt(fit, "ND")
    counted, why = _counted(fit, compute, reason)
    return AllocationSplit(
        share=share,
        reason=reason,
        counted=counted,
        counted_reason=why,
        printed=None if kind is None else s1.DATA_SHARE.get(kind),
        warnings=counted.warnings if counted is not None else (),
    )


def _counted(
    fit: Fit, compute: ComputeModel | Data | None, reason: str
) -> tuple[Allocation | None, str]:
    if compute is None:
        return None, "no compute given"
    if reason:
        return None, reason
    options = fit.options
    try:
        if not isinstance(compute, ComputeModel):
            compute = compute_model(compute, n_boot=max(options.n_boot, 1), seed=options.seed)
        return allocate(fit, compute, seed=options.seed), ""
    except ValueError as error:
        return None, str(error)


def _beside_s1(printed: float | None) -> tuple[tuple[str, str], ...]:
    if printed is None:
        return ()
    return (("S1, on the task of its Figure 5", f"{number(printed, 2)} to data"),)


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MeanAllocation(Question):
    """Share of marginal compute that goes to data, mean over the tasks that determine it.

    Attributes:
        share: alpha / (alpha + beta), for C = k N D; NaN without tasks.
        with_macs: alpha / (alpha + m beta), for C = k N^m D with the MACs of the sizes trained.
        doubts: by task why its law does not determine it; "" where it does.
        compute: how the compute of the runs grew.
        printed: what S1 prints for the one task of its Figure 5; None where it prints nothing.
    """

    name: str
    share: Sampled
    with_macs: Sampled
    doubts: Mapping[str, str]
    compute: ComputeExponents
    printed: float | None
    warnings: tuple[str, ...]

    @property
    def used(self) -> int:
        """Tasks that it is a mean over."""
        return sum(not why for why in self.doubts.values())

    @property
    def counted(self) -> str:
        """How many tasks count, and why the others do not."""
        return f"{tasks(self.used)}{left_out([why for why in self.doubts.values() if why])}"

    @property
    def title(self) -> str:
        """What was asked."""
        return f"Share of marginal compute that {self.name} gives to data, mean over tasks"

    @property
    def lines(self) -> tuple[Line, ...]:
        """With m = 1, as S1 has it, and with the MACs measured."""
        names = ("alpha / (alpha + beta)", f"with MACs ~ N^{number(self.compute.macs)}")
        if not self.used:
            return tuple(Line.none(n, f"no task determines it: {self.counted}") for n in names)
        lines = []
        for name, share in zip(names, (self.share, self.with_macs), strict=True):
            words = "" if share.why else f"{self.counted}: {_SIDES[side_of(share.interval, 0.5)]}"
            missing = "no MACs of three sizes" if math.isnan(share.point) else ""
            lines.append(Line.of(name, share, words, missing))
        return tuple(lines)

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """S1's share."""
        return _beside_s1(self.printed)


def mean_allocation(configuration: Configuration) -> MeanAllocation:
    """Share of marginal compute that goes to data, over the tasks of a configuration.

    Minimising at C ~ N^m D with the MACs of the sizes trained holds for planning where every
    record is passed over equally often.
    """
    compute = configuration.compute
    doubts = {t.task: law_doubt(t.fit, terms="ND") for t in configuration.tasks}
    fits = [t.fit for t in configuration.tasks if not doubts[t.task]]
    share, with_macs = (
        mean([data_share_of_compute(fit, macs) for fit in fits]) for macs in (1.0, compute.macs)
    )
    return MeanAllocation(
        name=configuration.name,
        share=share,
        with_macs=with_macs,
        doubts=doubts,
        compute=compute,
        printed=s1.DATA_SHARE.get(configuration.kind),
        warnings=(compute.doubt,) if compute.doubt else (),
    )
