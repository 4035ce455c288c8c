"""Where the next unit of compute goes (S1, Eq. S.7 and Section 5)."""

from __future__ import annotations

import dataclasses
from typing import final

from analysis.compute.allocation import Allocation, allocate
from analysis.compute.cost import ComputeModel, compute_model
from analysis.fit.result import Fit
from analysis.published import s1
from analysis.questions.answer import Line, Question
from analysis.questions.evidence.additive import Additive, doubt
from analysis.questions.evidence.quantity import Quantity
from analysis.studies.fit_rows import Data
from analysis.text.numbers import number


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
        warnings: what a reader must know first.
    """

    share: Quantity
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
        ends = self.share.interval
        side = "more to data than to size" if ends.low > 0.5 else (
            "more to size than to data" if ends.high < 0.5 else "which gets more is not told"
        )  # fmt: skip
        words = "" if self.reason else f"C = k N D: {side}"
        return (Line.of("alpha / (alpha + beta)", self.share, words, self.reason), self._counted())

    def _counted(self) -> Line:
        name = "at counted compute"
        if self.counted is None:
            return Line.none(name, self.counted_reason)
        found, cost = self.counted.counted, self.counted.compute
        missing = "" if len(self.counted.draws.theta) else "no resamples (n_boot = 0)"
        return Line(
            name=name, value=found.share_data, interval=found.share_data_interval, reason=missing,
            words=f"C = k N^{number(cost.m)} D^{number(cost.q)}",
        )  # fmt: skip

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """S1's share, and which of ours holds for whom."""
        found = []
        if self.counted is not None and self.counted.meaning:
            found.append(("which holds", self.counted.meaning))
        if self.printed is not None:
            found.append(("S1, on the task of its Figure 5", f"{number(self.printed, 2)} to data"))
        return tuple(found)


def allocation_split(
    fit: Fit, compute: ComputeModel | Data | None = None, *, kind: s1.Kind | None = None
) -> AllocationSplit:
    """Share of a marginal log-increase of compute that goes to data.

    Minimising A / N^alpha + B / D^beta at fixed N D gives D ~ C^(alpha / (alpha + beta)) (Hoffmann
    et al. 2022; S1, Eq. S.7). Where C grows otherwise, see ``analysis.compute.allocation``.

    Args:
        fit: of ``chinchilla`` or ``tied``.
        compute: what training costs, or the runs (N, D, C in FLOPs) it is fitted to; None for
            C = k N D alone.
        kind: family and paradigm, for S1's value beside ours.

    Raises:
        ValueError: a marginal law or one of another form.
    """
    law = Additive.of(fit)
    if law.axes != ("N", "D"):
        raise ValueError(f"{fit.law.name} is not a joint law of N and D, such as chinchilla")
    alpha, beta = law.theta[:, 2], law.theta[:, 4]
    reason = doubt(fit, "ND")
    counted, why = _counted(fit, compute, reason)
    return AllocationSplit(
        share=law.quantity(alpha / (alpha + beta), lower=0.0, upper=1.0), reason=reason,
        counted=counted, counted_reason=why,
        printed=None if kind is None else s1.DATA_SHARE.get(kind),
        warnings=counted.warnings if counted is not None else (),
    )  # fmt: skip


def _counted(
    fit: Fit, compute: ComputeModel | Data | None, reason: str
) -> tuple[Allocation | None, str]:
    if compute is None:
        return None, "no compute given"
    if reason:
        return None, reason
    try:
        options = fit.options
        model = compute if isinstance(compute, ComputeModel) else compute_model(
            compute, n_boot=max(options.n_boot, 1), seed=options.seed
        )  # fmt: skip
        return allocate(fit, model, seed=fit.options.seed), ""
    except ValueError as error:
        return None, str(error)
