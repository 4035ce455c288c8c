"""The findings as Markdown: verdicts first, then what they rest on."""

from __future__ import annotations

import collections
import re
from collections.abc import Iterable, Mapping, Sequence

from analysis.questions.claims.claim import RULE, Claim, Verdict
from analysis.questions.claims.limits import SATURATED
from analysis.questions.evidence.configurations import Configuration
from analysis.questions.evidence.trust import R2_SMALLEST, SHARE_OF_TASKS
from analysis.report.findings.content import S1_SAYS, TITLES, Findings
from analysis.report.findings.law_tables import distribution, gaps, other_tasks, table
from analysis.text.numbers import interval, number
from scaling.records.names import LOSSES

_VIRTUAL = (
    "**These are virtual patients and models of laptop size, not CODE and models of up to "
    "hundreds of millions of parameters.** A claim that does not hold here is not refuted there; "
    "one that holds here is not confirmed there."
)
_REAL = (
    "**These are our records and sizes, not CODE and models of up to hundreds of millions of "
    "parameters.** A claim that does not hold here is not refuted there."
)
_METHOD = (
    "Intervals are 95 %, from refits to resampled runs. They hold the noise of the runs, not the "
    "choice of the law; the test records, shared by all runs, are not resampled. "
    + RULE
    + f" A law needs an R² of {R2_SMALLEST:g} and every term used away from its bounds; a mean "
    f"over tasks needs laws on {100 * SHARE_OF_TASKS:.0f} % of them. An axis counts as saturated "
    f"where {100 * SATURATED:.0f} % of what it can give, from its smallest value on, is used up; "
    "how much is used up grows with the range of an axis, and S1 judges by eye. Were the "
    "quantity of a claim exactly at its line, a verdict would come out in about one of twenty "
    "studies, half of them on each side; further from the line a wrong one is rarer. The verdicts "
    "are not independent: they share laws and runs."
)


def markdown(findings: Findings, captions: Mapping[str, str] | None = None) -> str:
    """The page.

    Args:
        findings: what it says.
        captions: of figures, by path relative to the page.
    """
    found = findings.configurations
    lines = [
        f"# Findings of {findings.study.name}", "",
        'Our numbers beside the findings of S1, "How Do Electrocardiogram Models Scale?". '
        + (_VIRTUAL if findings.virtual else _REAL), "",
        *_verdicts(findings.claims),
        "## How to read this", "", _METHOD, "",
        *_units(found),
        *_runs(found),
        *[line for key in TITLES for line in _finding(findings, key)],
        *distribution(found),
        *other_tasks(found),
        *gaps(findings.gaps),
        *_pictures(captions or {}),
        *(["## Left out and noted", "", *(f"- {n}" for n in findings.notes), ""]
          if findings.notes else []),
    ]  # fmt: skip
    return "\n".join(lines).rstrip() + "\n"


def _verdicts(claims: Sequence[Claim]) -> list[str]:
    """The short table."""
    verdicts = [c.verdict for c in claims]
    counts = "; ".join(f"{verdict}: {verdicts.count(verdict)}" for verdict in Verdict)
    head = ("", "claim of S1", "here", "value", "95 % interval", "line")
    rows = (
        (c.finding, c.claim, f"**{c.verdict}**", number(c.estimate), interval(c.interval), _line(c))
        for c in claims
    )
    return ["## Verdicts", "", f"{_count(len(claims), 'claim')} ({counts}).", "",
            *table(head, rows), ""]  # fmt: skip


def _count(value: int, word: str) -> str:
    return f"{value} {word}{'s' * (value != 1)}"


def _line(c: Claim) -> str:
    return f"{'>' if c.side == 'above' else '<'} {c.line:g}"


def _units(found: Iterable[Configuration]) -> list[str]:
    named = ", ".join(
        f"{c.name}: {LOSSES.get(str(c.key['objective']), str(c.key['objective']))}" for c in found
    )
    return [
        f"In distribution each paradigm has its own loss ({named}): exponents and shares can be "
        "compared between paradigms, in-distribution losses cannot. Losses on other tasks are all "
        "binary cross-entropy of linear probes and can be compared.", "",
    ]  # fmt: skip


def _runs(found: Sequence[Configuration]) -> list[str]:
    """Trials by status, and what the fits warn of."""
    head = ("configuration", "trials", "warnings of the law in distribution", "of laws on tasks")
    rows = []
    for c in found:
        statuses = ", ".join(f"{n} {status}" for status, n in c.statuses.items())
        own = {_kind(w) for w in c.fit.warnings}
        kinds = [{_kind(w) for w in t.fit.warnings} - own for t in c.tasks]
        warned = collections.Counter(kind for found_in in kinds for kind in sorted(found_in))
        texts = [f"{kind} ({n} of {len(c.tasks)})" for kind, n in warned.most_common()]
        rows.append((c.title, statuses, "; ".join(c.fit.warnings) or "none",
                     "; ".join(texts) or "no others"))  # fmt: skip
    return ["## Runs and warnings", "", *table(head, rows), ""]


def _kind(warning: str) -> str:
    """A warning without its numbers, so that those of several tasks can be counted."""
    return re.sub(r"^\d+ ", "some ", re.sub(r" \([^)]*\)", "", warning))


def _finding(findings: Findings, key: str) -> list[str]:
    claims = [c for c in findings.claims if c.finding == key]
    lines = [f"## {key}. {TITLES[key]}", "", f"S1: {S1_SAYS[key]}", ""]
    if not claims:
        return [*lines, "Nothing was measured here about this.", ""]
    head = ("claim", "S1", "measured here", "value", "95 % interval", "line", "")
    return [*lines, *table(head, (_claim(c) for c in claims)), ""]


def _claim(c: Claim) -> tuple[str, ...]:
    measured = f"{c.measured} ({c.note})" if c.note else c.measured
    why = f": {c.why_unknown}" if c.verdict is Verdict.UNKNOWN else ""
    return (
        c.claim, c.printed or "–", measured, number(c.estimate), interval(c.interval), _line(c),
        f"**{c.verdict}**{why}",
    )  # fmt: skip


def _pictures(captions: Mapping[str, str]) -> list[str]:
    lines = ["## Figures", ""] if captions else []
    for path, caption in captions.items():
        name = path.rsplit("/", 1)[-1].removesuffix(".png")
        lines += [f"![{name}]({path})", "", f"*{caption}*", ""]
    return lines
