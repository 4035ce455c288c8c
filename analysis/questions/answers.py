"""All questions of S1, asked of one study."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from html import escape
from itertools import combinations
from typing import Any, final

import pandas as pd

from analysis.published import s1
from analysis.questions.additive import AXES
from analysis.questions.allocation import allocation_split, mean_allocation
from analysis.questions.answer import Question
from analysis.questions.configurations import Configuration, configurations, shared_tasks
from analysis.questions.crossing import crossover, parity
from analysis.questions.effective_data import STAGE, transferred
from analysis.questions.exponents import efficiency
from analysis.questions.limits import bottleneck, reduction
from analysis.questions.losses import loss_ratio, lowest_loss
from analysis.questions.overfitting import collapse, data_needed, extent
from analysis.questions.transfer import TransferEfficiency, compare_transfer, transfer_efficiency
from analysis.text import interval, jsonable, number
from scaling.records.names import HELD_OUT

TOLERANCE = 0.1  # extent of overfitting, S1's example
TRAINED_ON = "task trained on"


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One answer and what it is of.

    Attributes:
        question: name of the function that gives it.
        configuration: one, or several.
        task: whose loss; "" for several.
        answer: the result.
    """

    question: str
    configuration: str
    task: str
    answer: Question

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain JSON values, see ``Answers.to_dict``."""
        numbers = [
            {**row, "infinite": [k for k in ("value", "low", "high") if math.isinf(row[k])]}
            for row in self.answer.table().to_dict("records")
        ]
        return {
            "question": self.question,
            "configuration": self.configuration,
            "task": self.task,
            "asked": self.answer.title,
            "warnings": list(self.answer.warnings),
            "numbers": jsonable(numbers),
            "facts": dict(self.answer.facts),
        }


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """All questions of a study.

    Attributes:
        asked: in order.
        skipped: questions that could not be asked, and why.
        configurations: with the fits that all answers rest on.
    """

    asked: tuple[Asked, ...]
    skipped: tuple[str, ...]
    configurations: tuple[Configuration, ...]

    def of(self, question: str) -> tuple[Asked, ...]:
        """Answers to one question, by the name of its function."""
        return tuple(a for a in self.asked if a.question == question)

    def table(self) -> pd.DataFrame:
        """One row per number.

        Returns:
            ``question, configuration, task, name, value, low, high, words, reason, warnings``; a
            value or interval that is NaN has a reason.
        """
        parts = [
            a.answer.table().assign(
                question=a.question,
                configuration=a.configuration,
                task=a.task,
                warnings="; ".join(a.answer.warnings),
            )
            for a in self.asked
        ]
        first = ["question", "configuration", "task", "name", "value", "low", "high"]
        columns = [*first, "words", "reason", "warnings"]
        if not parts:
            return pd.DataFrame(columns=columns)
        return pd.concat(parts, ignore_index=True)[columns]

    @property
    def answered(self) -> float:
        """Share of the numbers that have a value and an interval."""
        table = self.table()
        return float((table["reason"] == "").mean()) if len(table) else 0.0

    def to_dict(self) -> dict[str, Any]:
        """All answers as plain JSON values.

        A value that is not known is None, with a ``reason``; one that is infinite is None too, and
        named in ``infinite``.
        """
        return {"answers": [a.to_dict() for a in self.asked], "skipped": list(self.skipped)}

    def text(self) -> str:
        """Every answer with its warnings and reasons, by configuration, as text."""
        lines: list[str] = []
        for who, answers in self.by_configuration().items():
            lines += ["", f"== {who}"]
            for a in answers:
                title, *rest = a.answer.summary().splitlines()
                said = {line for line in lines if line.startswith("  warning: ")}
                of = f" ({a.task})" if a.task else ""
                lines += [f"{a.question}: {title}{of}", *(r for r in rest if r not in said)]
        return "\n".join([*lines, "", self.summary()]).lstrip("\n")

    def by_configuration(self) -> dict[str, list[Asked]]:
        """Answers by what they are of, in order."""
        found: dict[str, list[Asked]] = {}
        for a in self.asked:
            found.setdefault(a.configuration, []).append(a)
        return found

    def summary(self) -> str:
        """What was asked and how much of it has an answer."""
        count = {q: len(self.of(q)) for q in dict.fromkeys(a.question for a in self.asked)}
        asked = ", ".join(f"{n} {q}" for q, n in count.items()) or "nothing"
        lines = [f"asked: {asked}", f"numbers with an interval: {self.answered:.0%}"]
        return "\n".join([*lines, *(f"skipped: {why}" for why in self.skipped)])

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        rows = ""
        for a in self.asked:
            for line in a.answer.lines:
                numbers = (number(line.value), interval(line.interval))
                cells = (a.question, a.configuration, a.task, line.name, *numbers, line.text)
                rows += f"<tr>{''.join(f'<td>{escape(c)}</td>' for c in cells)}</tr>"
        names = ("question", "of", "task", "", "value", "95 % interval", "")
        head = "".join(f"<th>{n}</th>" for n in names)
        skipped = "".join(f"<li>skipped: {escape(why)}</li>" for why in self.skipped)
        return f"<table><tr>{head}</tr>{rows}</table><ul>{skipped}</ul>"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What the questions are asked with: the arguments of ``ask``, and kappas found before."""

    frame: pd.DataFrame
    n_boot: int
    times: float = 10.0
    together: bool = True
    only: Collection[str] | None = None
    transfers: dict[str, TransferEfficiency] = dataclasses.field(default_factory=dict)

    def transfer(self, c: Configuration) -> TransferEfficiency:
        """Transfer exponents of a configuration, fitted once."""
        if c.name not in self.transfers:
            self.transfers[c.name] = transfer_efficiency(c, together=self.together)
        return self.transfers[c.name]

    def cost(self, c: Configuration) -> pd.DataFrame:
        """What the runs of a configuration cost: ``N, D, C`` (FLOPs) and ``family``.

        C is what was spent by the step whose loss the law has, as everywhere in the analysis.
        """
        kind = (self.frame["protocol"] == HELD_OUT) & (self.frame["split"] == "test")
        own = self.frame["trial"].isin(c.fit.rows["trial"]) & (self.frame["metric"] == "loss")
        return self.frame[kind & own].drop_duplicates("trial")[["N", "D", "C", "family"]]


Given = Iterable[tuple[str, Question]]  # by task


def _largest(c: Configuration) -> dict[str, float]:
    return {axis: c.fit.ranges[axis][1] for axis in AXES}


def _splits(c: Configuration, a: Asking) -> Given:
    cost = a.cost(c)
    yield TRAINED_ON, allocation_split(c.fit, cost, kind=c.kind)
    for t in c.tasks:
        yield t.task, allocation_split(t.fit, cost, kind=c.kind)


def _laws(of: Sequence[Configuration]) -> dict[str, dict[str, Any]]:
    return {c.name: {t.task: t.fit for t in c.tasks} for c in of}


def _ratios(one: Configuration, other: Configuration, a: Asking) -> Given:
    yield "", loss_ratio(one, other)
    if unseen := [n for n in shared_tasks(one, other) if s1.unseen(n)]:
        yield "", loss_ratio(one, other, names=unseen, kind="unseen tasks")


def _crossings(one: Configuration, other: Configuration, a: Asking) -> Given:
    names = (one.name, other.name)
    for task in shared_tasks(one, other):
        first, second = one.task(task).fit, other.task(task).fit
        at = _common(one, other, task)
        yield task, crossover(first, second, "N", names=names, D=at["D"])
        yield task, crossover(first, second, "D", names=names, N=at["N"])


def _parities(one: Configuration, other: Configuration, a: Asking) -> Given:
    names = (one.name, other.name)
    for task in shared_tasks(one, other):
        first, second = one.task(task).fit, other.task(task).fit
        yield task, parity(first, second, "N", at=_common(one, other, task), names=names)


def _common(one: Configuration, other: Configuration, task: str) -> dict[str, float]:
    """The largest N and D that both were measured at on a task."""
    fits = [c.task(task).fit for c in (one, other)]
    return {axis: min(f.ranges[axis][1] for f in fits) for axis in AXES}


# The registry: a question is a file of this folder and a row of one of these tables.
OF_ONE: dict[str, Callable[[Configuration, Asking], Given]] = {
    "bottleneck": lambda c, a: [(TRAINED_ON, bottleneck(c.fit))],
    "reduction": lambda c, a: [(TRAINED_ON, reduction(c.fit, axis, a.times)) for axis in AXES],
    "extent": lambda c, a: [(TRAINED_ON, extent(c.fit, **_largest(c)))],
    "data_needed": lambda c, a: [(TRAINED_ON, data_needed(c.fit, _largest(c)["N"], TOLERANCE))],
    "collapse": lambda c, a: [(TRAINED_ON, collapse(c.fit))],
    "allocation_split": _splits,
}
OF_TASKS: dict[str, Callable[[Configuration, Asking], Given]] = {
    "mean_allocation": lambda c, a: [("", mean_allocation(c))],
    "transfer_efficiency": lambda c, a: [("", a.transfer(c))],
}
OF_SEVERAL: dict[str, Callable[[Sequence[Configuration], Asking], Given]] = {
    "efficiency": lambda of, a: [("", efficiency(_laws(of), axis, a.times)) for axis in AXES],
    "lowest_loss": lambda of, a: [("", lowest_loss(of))],
}
OF_PAIRS: dict[str, Callable[[Configuration, Configuration, Asking], Given]] = {
    "loss_ratio": _ratios,
    "compare_transfer": lambda one, other, a: [
        ("", compare_transfer(a.transfer(one), a.transfer(other)))
    ],
    "crossover": _crossings,
    "parity": _parities,
}
OF_STUDY: dict[str, Callable[[Asking], Given]] = {
    "transferred": lambda a: [("", transferred(a.frame, n_boot=a.n_boot))]
}


QUESTIONS = (*OF_ONE, *OF_TASKS, *OF_SEVERAL, *OF_PAIRS, *OF_STUDY)


def ask(
    frame: pd.DataFrame,
    *,
    n_boot: int = 1000,
    times: float = 10.0,
    together: bool = True,
    only: Collection[str] | None = None,
) -> Answers:
    """Ask everything of a study, of every configuration and every pair of them.

    The laws are fitted once, as for ``python -m analysis.findings``, and serve all questions.
    Configurations are compared on the losses of tasks that neither was trained on, since in
    distribution each paradigm has its own.

    Args:
        frame: from ``load``.
        n_boot: refits of every law.
        times: by which an axis is scaled, above 1.
        together: whether transfer exponents are fitted together with both floors as well, which
            takes four times as long.
        only: names of questions to ask; None for all.

    Raises:
        ValueError: not the frame of a study, or a question that there is not.
    """
    if not isinstance(frame, pd.DataFrame):
        raise ValueError(f"ask takes the frame of a study, load({str(frame)!r}), not the path")
    if unknown := [name for name in only or () if name not in QUESTIONS]:
        raise ValueError(f"no question {unknown[0]!r}; there are: {', '.join(QUESTIONS)}")
    fitted, notes = configurations(frame, n_boot)
    asking = Asking(frame=frame, n_boot=n_boot, times=times, together=together, only=only)
    return asked_of(fitted, notes, asking)


def asked_of(fitted: Sequence[Configuration], notes: Iterable[str], asking: Asking) -> Answers:
    """``ask`` of configurations that were fitted before, with the notes on what was left out."""
    asked: list[Asked] = []
    skipped = list(notes)

    def keep(question: str, who: str, of: Callable[[], Given]) -> None:
        """The answers to a question, or a note on why there are none."""
        if asking.only and question not in asking.only:
            return
        try:
            asked.extend(
                Asked(question=question, configuration=who, task=task, answer=answer)
                for task, answer in of()
            )
        except ValueError as error:
            skipped.append(f"{question} of {who}: {error}")

    for c in fitted:
        for question, of in {**OF_ONE, **(OF_TASKS if c.tasks else {})}.items():
            keep(question, c.name, partial(of, c, asking))
        if not c.tasks:
            skipped.append(f"{c.title}: no other task was probed")
    same = [c for c in fitted if c.comparable]
    if len(same) > 1:
        every = " and ".join(c.name for c in same)
        for question, of_all in OF_SEVERAL.items():
            keep(question, every, partial(of_all, same, asking))
    elif fitted:
        skipped.append("no comparison: one configuration only that may be compared")
    for one, other in combinations(same, 2):
        for question, of_two in OF_PAIRS.items():
            if question == "compare_transfer" and not (one.tasks and other.tasks):
                continue
            both = f"{one.name} and {other.name}"
            keep(question, both, partial(of_two, one, other, asking))
    for question, of_study in OF_STUDY.items():
        if (asking.frame["stage"] == STAGE).any():
            keep(question, STAGE, partial(of_study, asking))
        elif not asking.only or question in asking.only:
            skipped.append(f"{question}: the study has no stage {STAGE}")
    return Answers(asked=tuple(asked), skipped=tuple(skipped), configurations=tuple(fitted))
