"""What a lower loss in distribution is worth on other tasks (S1, Eq. 4, Section 5).

L_ood - E_ood = K (L_id - E_id)^kappa, found in three ways: with both floors of the joint laws, as
S1 has it; with E_ood fitted to the pairs; and with both joint laws and the pairs fitted at once.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, final

import numpy as np
import pandas as pd

from analysis.fit.certificate import Status, r_squared
from analysis.fit.fit import Together, fit_together
from analysis.fit.result import Fit
from analysis.fit.sampled import Sampled, combined, mean, source_of
from analysis.laws import Law
from analysis.laws.base import EXPONENT
from analysis.laws.composite import PART
from analysis.published import s1
from analysis.questions.answer import R2_SMALLEST, Line, Question, side_of, tasks, transfer_doubt
from analysis.questions.configurations import Configuration
from analysis.text import number
from analysis.transfer import Transfer, at_bound, fit_transfer

Way = Literal["fixed", "free", "together"]
WAYS: dict[Way, str] = {
    "fixed": "floors of the joint laws",
    "free": "E_ood fitted to the pairs",
    "together": "fitted together",
}
_SHARED = {"E_id": {"id": "E", "pairs": "E_id"}, "E_ood": {"ood": "E", "pairs": "E_ood"}}


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TaskKappa:
    """The transfer exponent of one configuration on one task (S1, Eq. 4).

    Attributes:
        task: name.
        kappas: by way; a way without a value is not there.
        doubts: by way why its kappa cannot be used; "" where it can.
        printed: S1's Table S.7; None where it has no such task.
        law: the laws fitted together; None where they were not.
    """

    task: str
    kappas: Mapping[Way, Sampled]
    doubts: Mapping[Way, str]
    printed: float | None = None
    law: Together | None = None

    def counts(self, way: Way, *, doubtful: bool = False) -> bool:
        """Whether a mean takes this task: it has a kappa, and may be used or ``doubtful``."""
        return way in self.kappas and (doubtful or not self.doubts[way])

    def at_bound(self, way: Way = "fixed") -> bool:
        """Whether its kappa is a limit of the search and no measurement."""
        return way in self.kappas and at_bound(self.kappas[way].point)


def task_kappa(
    task: str,
    trained_on: Fit,
    other: Fit,
    *,
    transfer: Transfer | None = None,
    kind: s1.Kind | None = None,
    together: bool = True,
) -> TaskKappa:
    """The transfer exponents of a task.

    Args:
        task: name, such as ``virtual/mimic:sex``.
        trained_on: joint law of the loss on the task trained on.
        other: joint law of the loss on the other task, with the same options.
        transfer: of both, where it was fitted before.
        kind: family and paradigm, for S1's value.
        together: whether to fit all at once as well.
    """
    pairs, why = transfer, ""
    if pairs is None:
        try:
            pairs = fit_transfer(trained_on, other)
        except ValueError as error:
            why = str(error)
    why = why or transfer_doubt(pairs, trained_on, other)
    kappas: dict[Way, Sampled] = {}
    doubts: dict[Way, str] = {"fixed": why, "free": why, "together": "not asked for"}
    if pairs is not None:
        kappas |= {"fixed": pairs.kappa, "free": pairs.kappa_free}
    law = None
    if together:
        law, fitted, doubts["together"] = _together(trained_on, other)
        if fitted is not None:
            kappas["together"] = fitted
    return TaskKappa(
        task=task,
        kappas=kappas,
        doubts=doubts,
        law=law,
        printed=None if kind is None else s1.kappa(task).get(kind),
    )


def _together(trained_on: Fit, other: Fit) -> tuple[Together | None, Sampled | None, str]:
    """Both joint laws and the loss-to-loss law, with E_id and E_ood shared; and a doubt."""
    options = trained_on.options
    own, rest = (fit.rows[["trial", "N", "D", "loss"]] for fit in (trained_on, other))
    pairs = own.rename(columns={"loss": "L_id"}).merge(
        rest[["trial", "loss"]].rename(columns={"loss": "L_ood"}), on="trial"
    )
    parts: dict[str, tuple[pd.DataFrame, str | Law]] = {
        "id": (own, trained_on.law),
        "ood": (rest, other.law),
        "pairs": (pairs[["trial", "L_id", "L_ood"]], "loss_to_loss"),
    }
    try:
        law = fit_together(
            parts, _SHARED, n_boot=options.n_boot, seed=options.seed, pool=options.pool
        )
    except ValueError as error:
        return None, None, str(error)
    fit = law.fit
    if not fit.ok:
        return law, None, "; ".join(fit.remarks)
    refits = fit.bootstrap.theta[:, fit.law.names.index("pairs.kappa")]
    samples = fit.bootstrap.by_draw(refits, options.n_boot)
    kappa = Sampled(
        point=fit.params["pairs.kappa"],
        samples=samples,
        # The fit to all parts is of as many residuals as it has rows, but of as many runs only.
        dof=other.problem.dof,
        source=source_of(fit.options, fit.rows["trial"]),
        lower=EXPONENT[0],
        upper=EXPONENT[1],
    )
    return law, kappa, _together_doubt(fit)


def _together_doubt(fit: Fit) -> str:
    """Why a kappa fitted together cannot be used; "" where it can."""
    if fit.status is Status.NOT_CONVERGED:
        return "not converged"
    wrong = [n for n in ("E_id", "E_ood", "pairs.kappa") if n in fit.certificate.bounds_hit]
    if wrong:
        return f"{' and '.join(wrong)} at a bound".replace("pairs.", "")
    rows: pd.DataFrame = fit.residuals[fit.residuals[PART] == 3]
    r2 = r_squared(rows["loss"].to_numpy(), rows["fitted"].to_numpy())
    return "" if r2 >= R2_SMALLEST else f"R² {number(r2, 2)} of loss-to-loss below {R2_SMALLEST:g}"


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TransferEfficiency(Question):
    """Transfer exponents of one configuration.

    Attributes:
        kind: family and paradigm, where S1's values are wanted.
    """

    name: str
    kind: s1.Kind | None
    tasks: tuple[TaskKappa, ...]
    warnings: tuple[str, ...]

    def usable(self, way: Way = "fixed", *, doubtful: bool = False) -> list[str]:
        """Names of the tasks that ``mean`` counts."""
        return [t.task for t in self.tasks if t.counts(way, doubtful=doubtful)]

    def mean(
        self, way: Way = "fixed", *, doubtful: bool = False, among: Sequence[str] | None = None
    ) -> Sampled:
        """Mean kappa over tasks, resample by resample; NaN where no task counts.

        Args:
            way: in which kappa is found.
            doubtful: count tasks whose kappa or floor ran to a bound, or whose law explains too
                little, as well, as S1's Table S.7 does.
            among: names of tasks; None for all.
        """
        names = self.usable(way, doubtful=doubtful) if among is None else among
        return mean(
            [
                t.kappas[way]
                for t in self.tasks
                if t.task in names and t.counts(way, doubtful=doubtful)
            ]
        )

    @property
    def title(self) -> str:
        """What was asked."""
        return f"Transfer efficiency of {self.name}: L_ood - E_ood = K (L_id - E_id)^kappa"

    @property
    def ways(self) -> list[Way]:
        """In which kappa was looked for."""
        fitted = any(t.law for t in self.tasks)
        return [way for way in WAYS if way != "together" or fitted]

    @property
    def lines(self) -> tuple[Line, ...]:
        """Mean kappa with and without doubtful tasks, in all ways."""
        lines = []
        for way in self.ways:
            for doubtful in (False, True):
                name = f"mean kappa, {WAYS[way]}, {'all' if doubtful else 'determined'}"
                count = len(self.usable(way, doubtful=doubtful))
                if not count:
                    lines.append(Line.none(name, self._why(way)))
                    continue
                value = self.mean(way, doubtful=doubtful)
                words = f"{count} of {len(self.tasks)} tasks{_returns(value)}"
                lines.append(Line.of(name, value, words))
        return tuple(lines)

    def _why(self, way: Way) -> str:
        counts = Counter(task.doubts[way] for task in self.tasks)
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
            ``task``; of each way ``kappa, low, high, doubt`` and ``at_bound``, with the way and
            ``_`` before them where it is not ``fixed``; ``s1`` (Table S.7) and ``s1_at_bound``.
        """
        rows = []
        for t in self.tasks:
            row: dict[str, object] = {"task": t.task}
            for way in WAYS:
                kappa = t.kappas.get(way) or mean([])
                ends, of = kappa.interval, "" if way == "fixed" else f"{way}_"
                row |= {
                    f"{of}kappa": kappa.point,
                    f"{of}low": ends.low,
                    f"{of}high": ends.high,
                    f"{of}doubt": t.doubts[way] or kappa.why,
                    f"{of}at_bound": t.at_bound(way),
                }
            printed = math.nan if t.printed is None else t.printed
            # 0.050, printed eight times, looks like the bound of S1's fits
            rows.append({**row, "s1": printed, "s1_at_bound": printed <= s1.KAPPA_BOUND})
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        by_task = self.by_task().to_html(index=False, float_format="{:.3f}".format, na_rep="–")
        return Question._repr_html_(self) + by_task


def _returns(kappa: Sampled) -> str:
    if kappa.why:
        return ""
    return {
        "below": "; diminishing returns",
        "above": "; accelerating returns",
        "": "; not told from linear transfer",
    }[side_of(kappa.interval, 1.0)]


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
            other, with the same options; or a configuration, whose fits are used as they are.
        name: of the configuration.
        kind: family and paradigm, for S1's values beside ours.
        together: whether to fit both joint laws and the pairs at once as well, with E_id and
            E_ood shared. On public pairs of losses that predicts left-out pairs better
            (relative error 0.0054 against 0.0092 with the floors held).

    Raises:
        ValueError: no tasks.
    """
    if isinstance(pairs, Configuration):
        own = pairs.fit
        name, kind = name or pairs.title, kind or pairs.kind
        each = [(t.task, own, t.fit, t.transfer) for t in pairs.tasks]
    else:
        each = [(task, *fits, None) for task, fits in pairs.items()]
    if not each:
        raise ValueError("no tasks to transfer to")
    kappas = tuple(
        task_kappa(task, first, second, transfer=transfer, kind=kind, together=together)
        for task, first, second, transfer in each
    )
    bound = [t.task for t in kappas if t.at_bound()]
    warnings = (f"kappa at a bound of the fit: {', '.join(bound)}",) if bound else ()
    return TransferEfficiency(
        name=name or "the configuration", kind=kind, tasks=kappas, warnings=warnings
    )


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TransferComparison(Question):
    """Mean kappas of two configurations on the tasks that both determine (S1, Section 5)."""

    first: TransferEfficiency
    second: TransferEfficiency
    warnings: tuple[str, ...] = ()

    def shared(self, way: Way = "fixed", *, doubtful: bool = False) -> list[str]:
        """Tasks that both determine."""
        second = self.second.usable(way, doubtful=doubtful)
        return [t for t in self.first.usable(way, doubtful=doubtful) if t in second]

    def means(self, way: Way = "fixed", *, doubtful: bool = False) -> tuple[Sampled, Sampled]:
        """Mean kappa of each over the shared tasks; NaN where there are none."""
        names = self.shared(way, doubtful=doubtful)
        first, second = (
            c.mean(way, doubtful=doubtful, among=names) for c in (self.first, self.second)
        )
        return first, second

    def difference(self, way: Way = "fixed", *, doubtful: bool = False) -> Sampled:
        """Mean kappa of the first less that of the second, resample by resample."""
        first, second = self.means(way, doubtful=doubtful)
        return first.less(second)

    @property
    def lines(self) -> tuple[Line, ...]:
        """Difference and ratio, in all ways."""
        lines: list[Line] = []
        for way in (w for w in self.first.ways if w in self.second.ways):
            for doubtful in (False, True):
                name = f"{WAYS[way]}, {'all' if doubtful else 'determined'}"
                names = self.shared(way, doubtful=doubtful)
                if not names:
                    lines.append(Line.none(name, "no task determines it for both"))
                    continue
                first, second = self.means(way, doubtful=doubtful)
                less = self.difference(way, doubtful=doubtful)
                told = "" if side_of(less.interval, 0.0) else "; not told apart"
                words = f"{tasks(len(names))}{told}"
                ratio = combined(np.divide, first, second, positive=True, lower=0.0)
                lines.append(Line.of(f"difference, {name}", less, words))
                lines.append(Line.of(f"ratio, {name}", ratio, words))
        return tuple(lines)

    @property
    def title(self) -> str:
        """What was asked."""
        return f"Whether {self.first.name} transfers better than {self.second.name}"


def compare_transfer(first: TransferEfficiency, second: TransferEfficiency) -> TransferComparison:
    """Difference and ratio of mean kappa, on the same tasks, resample by resample."""
    return TransferComparison(first=first, second=second)
