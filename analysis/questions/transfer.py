"""What a lower loss in distribution is worth on other tasks, over tasks (S1, Eq. 4, Section 5)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, final

import pandas as pd

from analysis.fit.result import Fit
from analysis.published import s1
from analysis.questions.answer import Line, Question
from analysis.questions.evidence.kappa import TaskKappa, task_kappa
from analysis.questions.evidence.quantity import Quantity, mean
from analysis.text.numbers import number

if TYPE_CHECKING:
    from analysis.questions.evidence.configurations import Configuration

WAYS = {False: "floors of the joint laws", True: "fitted together"}


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TransferEfficiency(Question):
    """Transfer exponents of one configuration.

    Attributes:
        name: of the configuration.
        kind: family and paradigm, where S1's values are wanted.
        tasks: one of each.
        warnings: what a reader must know first.
    """

    name: str
    kind: s1.Kind | None
    tasks: tuple[TaskKappa, ...]
    warnings: tuple[str, ...]

    def mean(
        self, *, together: bool = False, doubtful: bool = False, among: Sequence[str] | None = None
    ) -> Quantity | None:
        """Mean kappa over tasks, resample by resample; None where no task counts.

        Args:
            together: of the kappas fitted together with both floors.
            doubtful: count tasks whose kappa or floor ran to a bound, or whose law explains too
                little, as well, as S1's Table S.7 does.
            among: names of tasks; None for all.
        """
        found = [
            quantity
            for quantity, doubt in (
                t.of(together) for t in self.tasks if among is None or t.task in among
            )
            if quantity is not None and (doubtful or not doubt)
        ]
        return mean(found) if found else None

    def usable(self, *, together: bool = False, doubtful: bool = False) -> list[str]:
        """Names of the tasks that ``mean`` counts."""
        return [
            t.task for t in self.tasks
            if t.of(together)[0] is not None and (doubtful or not t.of(together)[1])
        ]  # fmt: skip

    @property
    def title(self) -> str:
        """What was asked."""
        return f"Transfer efficiency of {self.name}: L_ood - E_ood = K (L_id - E_id)^kappa"

    @property
    def lines(self) -> tuple[Line, ...]:
        """Mean kappa with and without doubtful tasks, in both ways."""
        found = []
        for together, way in WAYS.items():
            if together and all(t.law is None for t in self.tasks):
                continue
            for doubtful in (False, True):
                name = f"mean kappa, {way}, {'all' if doubtful else 'determined'}"
                value = self.mean(together=together, doubtful=doubtful)
                count = len(self.usable(together=together, doubtful=doubtful))
                if value is None:
                    found.append(Line.none(name, self._why(together)))
                else:
                    words = f"{count} of {len(self.tasks)} tasks{_returns(value)}"
                    found.append(Line.of(name, value, words))
        return tuple(found)

    def _why(self, together: bool) -> str:
        counts: dict[str, int] = {}
        for task in self.tasks:
            doubt = task.of(together)[1]
            counts[doubt] = counts.get(doubt, 0) + 1
        reasons = ", ".join(f"{n} ({why})" for why, n in counts.items() if why)
        return f"no task determines it: {reasons}" if reasons else "no tasks"

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """S1's mean."""
        if self.kind is None or self.kind not in s1.KAPPA:
            return ()
        return (("S1's mean over its tasks", number(s1.KAPPA[self.kind])),)

    def by_task(self) -> pd.DataFrame:
        """One row per task.

        Returns:
            ``task``; ``kappa, low, high, doubt`` with the floors of the joint laws, ``together,
            together_low, together_high, together_doubt``; ``at_bound`` and ``together_at_bound``;
            ``s1`` (Table S.7) and ``s1_at_bound``.
        """
        rows = []
        for t in self.tasks:
            row: dict[str, object] = {"task": t.task}
            for together, names in (
                (False, ("kappa", "low", "high", "doubt")),
                (True, ("together", "together_low", "together_high", "together_doubt")),
            ):
                quantity, doubt = t.of(together)
                value = math.nan if quantity is None else quantity.point
                ends = None if quantity is None else quantity.interval
                low, high = (math.nan, math.nan) if ends is None else (ends.low, ends.high)
                why = doubt or ("" if quantity is None else quantity.why)
                row.update(zip(names, (value, low, high, why), strict=True))
            row |= {
                "at_bound": t.at_bound, "together_at_bound": t.fitted_at_bound,
                "s1": math.nan if t.printed is None else t.printed,
                "s1_at_bound": t.printed_at_bound,
            }  # fmt: skip
            rows.append(row)
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        by_task = self.by_task().to_html(index=False, float_format="{:.3f}".format, na_rep="–")
        return Question._repr_html_(self) + by_task


def _returns(kappa: Quantity) -> str:
    ends = kappa.interval
    if kappa.why:
        return ""
    if ends.high < 1:
        return "; diminishing returns"
    return "; accelerating returns" if ends.low > 1 else "; not told from linear transfer"


def transfer_efficiency(
    pairs: Mapping[str, tuple[Fit, Fit]] | Configuration,
    *,
    name: str = "",
    kind: s1.Kind | None = None,
    together: bool = True,
) -> TransferEfficiency:
    """Transfer exponents of one configuration over its tasks.

    Args:
        pairs: by task the joint laws of the loss on the task trained on and of the loss on the
            other, with the same options; or a configuration of ``analysis.findings``, whose fits
            are used as they are.
        name: of the configuration.
        kind: family and paradigm, for S1's values beside ours.
        together: whether to fit both joint laws and the pairs at once as well, with E_id and
            E_ood shared. On public pairs of losses that predicts left-out pairs better
            (relative error 0.0054 against 0.0092 with the floors held).

    Raises:
        ValueError: no tasks.
    """
    if isinstance(pairs, Mapping):
        found = [
            task_kappa(task, *fits, kind=kind, together=together) for task, fits in pairs.items()
        ]
    else:
        name, kind = name or pairs.title, kind or pairs.kind
        found = [
            task_kappa(t.task, pairs.fit, t.fit, transfer=t.transfer, kind=kind, together=together)
            for t in pairs.tasks
        ]
    if not found:
        raise ValueError("no tasks to transfer to")
    bound = [t.task for t in found if t.at_bound]
    warnings = (f"kappa at a bound of the fit: {', '.join(bound)}",) if bound else ()
    return TransferEfficiency(
        name=name or "the configuration", kind=kind, tasks=tuple(found), warnings=warnings
    )
