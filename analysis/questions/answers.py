"""All questions of S1, asked of one study."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from html import escape
from itertools import combinations
from typing import final

import pandas as pd

from analysis.questions.allocation import allocation_split
from analysis.questions.answer import Question
from analysis.questions.comparing import compare_transfer
from analysis.questions.crossing import crossover
from analysis.questions.effective_data import transferred
from analysis.questions.evidence.additive import AXES
from analysis.questions.evidence.configurations import Configuration, configurations, shared_tasks
from analysis.questions.excess import reduction
from analysis.questions.exponents import efficiency
from analysis.questions.overfitting import collapse, data_needed, extent
from analysis.questions.reaching import parity
from analysis.questions.transfer import TransferEfficiency, transfer_efficiency
from analysis.questions.transfer_runs import STAGE
from analysis.text.numbers import interval, number

TOLERANCE = 0.1  # extent of overfitting, S1's example
TRAINED_ON = "task trained on"
_COLUMNS = ("question", "configuration", "task")


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One answer and what it is of.

    Attributes:
        question: name of the function that gives it.
        configuration: one, or two.
        task: whose loss; "" for several.
        answer: the result.
    """

    question: str
    configuration: str
    task: str
    answer: Question


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
        columns = [*_COLUMNS, "name", "value", "low", "high", "words", "reason", "warnings"]
        return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(
            columns=columns
        )  # fmt: skip

    @property
    def answered(self) -> float:
        """Share of the numbers that have a value and an interval."""
        table = self.table()
        return float((table["reason"] == "").mean()) if len(table) else 0.0

    def markdown(self) -> str:
        """Every number in a table of Markdown, then what was skipped."""
        head = "| question | of | task | | value | 95 % interval | |\n|---|---|---|---|---|---|---|"
        lines = [head, *("| " + " | ".join(cells) + " |" for cells in self._cells())]
        return "\n".join([*lines, "", *(f"- skipped: {why}" for why in self.skipped)])

    def _cells(self) -> Iterator[tuple[str, ...]]:
        for asked in self.asked:
            for line in asked.answer.lines:
                yield (
                    asked.question, asked.configuration, asked.task, line.name,
                    number(line.value), interval(line.interval), line.text,
                )  # fmt: skip

    def summary(self) -> str:
        """What was asked and how much of it has an answer."""
        count = {q: len(self.of(q)) for q in dict.fromkeys(a.question for a in self.asked)}
        asked = ", ".join(f"{n} {q}" for q, n in count.items()) or "nothing"
        lines = [f"asked: {asked}", f"numbers with an interval: {self.answered:.0%}"]
        return "\n".join([*lines, *(f"skipped: {why}" for why in self.skipped)])

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(c)}</td>" for c in cells) + "</tr>"
            for cells in self._cells()
        )
        names = ("question", "of", "task", "", "value", "95 % interval", "")
        head = "".join(f"<th>{n}</th>" for n in names)
        skipped = "".join(f"<li>skipped: {escape(why)}</li>" for why in self.skipped)
        return f"<table><tr>{head}</tr>{rows}</table><ul>{skipped}</ul>"


def ask(
    frame: pd.DataFrame, *, n_boot: int = 1000, times: float = 10.0, together: bool = True
) -> Answers:
    """Ask everything of a study, of every configuration and every pair of them.

    The laws are fitted once, as ``analysis.findings`` does, and serve all questions.
    Configurations are compared on the losses of tasks that neither was trained on, since in
    distribution each paradigm has its own.

    Args:
        frame: from ``load``.
        n_boot: refits of every law.
        times: by which an axis is scaled, above 1.
        together: whether transfer exponents are fitted together with both floors as well.

    Raises:
        ValueError: not the frame of a study.
    """
    if not isinstance(frame, pd.DataFrame):
        raise ValueError(f"ask takes the frame of a study, load({str(frame)!r}), not the path")
    found, notes = configurations(frame, n_boot)
    skipped = list(notes)
    asked = [a for c in found for a in _alone(c, frame, times, together, skipped)]
    same = [c for c in found if c.alike]
    if len(same) > 1:
        asked += _compared(same, times, asked)
    elif found:
        skipped.append("no comparison: one configuration only that may be compared")
    if (frame["stage"] == STAGE).any():
        asked += _kept(lambda: Asked(
            question="transferred", configuration=STAGE, task="",
            answer=transferred(frame, n_boot=n_boot),
        ), "transferred", skipped)  # fmt: skip
    else:
        skipped.append(f"transferred: the study has no stage {STAGE}")
    return Answers(asked=tuple(asked), skipped=tuple(skipped), configurations=tuple(found))


def _kept(of: Callable[[], Asked], what: str, skipped: list[str]) -> list[Asked]:
    """The answer, or a note on why there is none."""
    try:
        return [of()]
    except ValueError as error:
        skipped.append(f"{what}: {error}")
        return []


def _alone(
    c: Configuration, frame: pd.DataFrame, times: float, together: bool, skipped: list[str]
) -> list[Asked]:
    """Questions of one configuration."""
    largest = {axis: c.fit.ranges[axis][1] for axis in AXES}
    cost = _cost(frame, c)
    found: list[tuple[str, str, Question]] = [
        *(("reduction", TRAINED_ON, reduction(c.fit, axis, times)) for axis in AXES),
        ("extent", TRAINED_ON, extent(c.fit, **largest)),
        ("data_needed", TRAINED_ON, data_needed(c.fit, largest["N"], TOLERANCE)),
        ("collapse", TRAINED_ON, collapse(c.fit)),
        ("allocation_split", TRAINED_ON, allocation_split(c.fit, cost, kind=c.kind)),
        *(("allocation_split", t.task, allocation_split(t.fit, cost, kind=c.kind))
          for t in c.tasks),
    ]  # fmt: skip
    if c.tasks:
        found.append(("transfer_efficiency", "", transfer_efficiency(c, together=together)))
    else:
        skipped.append(f"{c.title}: no other task was probed")
    return [
        Asked(question=q, configuration=c.name, task=task, answer=answer)
        for q, task, answer in found
    ]


def _cost(frame: pd.DataFrame, c: Configuration) -> pd.DataFrame:
    """What the runs of a configuration cost: ``N, D, C`` (FLOPs) and ``family``.

    C is what was spent by the step whose loss the law has, as everywhere in the analysis.
    """
    kind = (frame["protocol"] == "held-out") & (frame["split"] == "test")
    rows = frame[kind & (frame["metric"] == "loss") & frame["trial"].isin(c.fit.rows["trial"])]
    return rows.drop_duplicates("trial")[["N", "D", "C", "family"]]


def _compared(found: Sequence[Configuration], times: float, asked: list[Asked]) -> list[Asked]:
    """Questions of configurations side by side."""
    laws = {c.name: {t.task: t.fit for t in c.tasks} for c in found}
    every = " and ".join(laws)
    answers = [
        Asked(question="efficiency", configuration=every, task="",
              answer=efficiency(laws, axis, times)) for axis in AXES
    ]  # fmt: skip
    transfers = {a.configuration: a.answer for a in asked if a.question == "transfer_efficiency"}
    for one, other in combinations(found, 2):
        names = (one.name, other.name)
        both = " and ".join(names)
        first, second = (transfers.get(name) for name in names)
        if isinstance(first, TransferEfficiency) and isinstance(second, TransferEfficiency):
            answers.append(Asked(question="compare_transfer", configuration=both, task="",
                                 answer=compare_transfer(first, second)))  # fmt: skip
        for task in shared_tasks(one, other):
            a, b = one.task(task).fit, other.task(task).fit
            at: dict[str, float] = {axis: min(f.ranges[axis][1] for f in (a, b)) for axis in AXES}
            crossings = (
                crossover(a, b, "N", names=names, D=at["D"]),
                crossover(a, b, "D", names=names, N=at["N"]),
            )
            answers += [
                Asked(question="crossover", configuration=both, task=task, answer=answer)
                for answer in crossings
            ]
            answers.append(Asked(question="parity", configuration=both, task=task,
                                 answer=parity(a, b, "N", at=at, names=names)))  # fmt: skip
    return answers
