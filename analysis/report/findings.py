"""Our exponents beside the findings of S1: all numbers, and the page of Markdown."""

from __future__ import annotations

import collections
import dataclasses
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.fit.result import Fit
from analysis.fit.sampled import Sampled
from analysis.published import s1
from analysis.questions.additive import AXES
from analysis.questions.allocation import MeanAllocation, mean_allocation
from analysis.questions.answer import R2_SMALLEST, SHARE_OF_TASKS
from analysis.questions.claims import RULE, SATURATED, Claim, Verdict, s1_claims
from analysis.questions.configurations import By, Configuration, TaskFit, configurations
from analysis.questions.exponents import mean_exponent
from analysis.questions.limits import Bottleneck, bottleneck
from analysis.questions.overfitting import gap_cells
from analysis.questions.transfer import TransferEfficiency, transfer_efficiency
from analysis.report import render
from analysis.studies.groups import with_names
from analysis.studies.load import Study, study
from analysis.studies.rows import pooled
from analysis.text import Interval, count, interval, json_object, number
from scaling.records.names import LOSSES, UNITS
from scaling.records.tables import ResultsError

SCHEMA = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """A study beside S1."""

    study: Study  # as it was read, its folds pooled
    configurations: tuple[Configuration, ...]  # with their fits
    claims: tuple[Claim, ...]  # in the order of S1's findings
    gaps: pd.DataFrame  # train-validation gap by cell
    notes: tuple[str, ...]  # what was left out

    @property
    def virtual(self) -> bool:
        """Whether everything trained on is made of virtual patients."""
        return all(str(c.key["corpus"]).startswith("virtual/") for c in self.configurations)

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain JSON values."""
        claims = [
            {
                **{field.name: getattr(c, field.name) for field in dataclasses.fields(c)},
                "verdict": c.verdict,
                "why_unknown": c.why_unknown,
            }
            for c in self.claims
        ]
        return json_object(
            schema=SCHEMA,
            study=self.study.name,
            claims=claims,
            configurations={c.name: Summary.of(c).numbers() for c in self.configurations},
            notes=self.notes,
        )

    def to_json(self) -> str:
        """``to_dict`` as text."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False)


def study_findings(folder: str | Path, n_boot: int = 1000) -> Findings:
    """Load a study, fit its laws and judge the claims of S1.

    Raises:
        ResultsError: the folder cannot be read or holds no pretraining with a law.
    """
    read = study(folder)
    read = dataclasses.replace(read, frame=pooled(read.frame))
    fitted, notes = configurations(read.frame, n_boot)
    if not fitted:
        raise ResultsError(f"{folder}: no pretrained models with a held-out loss: no law to fit")
    by: By = {c.kind: c for c in fitted}
    for c in fitted:
        if not c.fit.ok:
            notes.append(f"{c.name}: no joint law in distribution ({'; '.join(c.fit.warnings)})")
    if read.counts["failed"] or read.counts["diverged"]:
        notes.append(
            f"{read.counts['failed']} trials failed and {read.counts['diverged']} diverged"
        )
    if read.missing:
        notes.append(f"{read.missing} of {read.planned} planned trials have not run yet")
    return Findings(
        study=read,
        configurations=tuple(fitted),
        claims=tuple(s1_claims(by)),
        gaps=gap_cells(read.frame),
        notes=tuple(notes),
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What the questions say of one configuration; exponents are means over tasks, by axis."""

    configuration: Configuration
    limits: Bottleneck
    exponents: Mapping[str, Sampled]
    transfer: TransferEfficiency
    allocation: MeanAllocation

    @classmethod
    def of(cls, c: Configuration) -> Summary:
        """Asks them."""
        none = TransferEfficiency(name=c.name, kind=c.kind, tasks=(), warnings=())
        return cls(
            configuration=c,
            limits=bottleneck(c.fit),
            exponents={axis: mean_exponent(c, axis) for axis in AXES},
            transfer=transfer_efficiency(c, together=False) if c.tasks else none,
            allocation=mean_allocation(c),
        )

    def numbers(self) -> dict[str, Any]:
        """All of them, by name."""
        c, gains = self.configuration, self.limits.gains
        sampled = {
            "mean_alpha": self.exponents["N"],
            "mean_beta": self.exponents["D"],
            "mean_kappa": self.transfer.mean("fixed", doubtful=True),
            "mean_kappa_free": self.transfer.mean("free", doubtful=True),
            "to_data": self.allocation.share,
            "to_data_macs": self.allocation.with_macs,
        }
        return {
            "key": {k: None if pd.isna(v) else str(v) for k, v in c.key.items()},
            "in_distribution": c.fit.to_dict(),
            "data_share": _estimate(self.limits.data_share),
            "used_up": {
                a: {"estimate": g.gone, "interval": g.gone_interval} for a, g in gains.items()
            },
            **{name: _estimate(value) for name, value in sampled.items()},
            "macs_exponent": c.compute.macs,
            "compute_exponent_of_data": c.compute.data,
            "alike": c.comparable,
            "statuses": c.statuses,
            "tasks": {t.task: _task_numbers(t) for t in c.tasks},
        }

    def law_row(self) -> tuple[str, ...]:
        """The joint law in distribution, as cells of a table."""
        c, limits = self.configuration, self.limits
        quality = (_status(c.fit), number(c.fit.r2), number(c.fit.r2_log_excess))
        parameters = (_parameter(c.fit, p) for p in ("E", "alpha", "beta"))
        used_up = (_text(g.gone, g.gone_interval) for g in limits.gains.values())
        runs, share = str(len(c.fit.residuals)), _sampled(limits.data_share)
        return (c.name, runs, *quality, *parameters, share, *used_up)

    def task_rows(self) -> list[tuple[str, ...]]:
        """Laws on other tasks as cells of a table, then their means."""
        c, printed = self.configuration, s1.KAPPA.get(self.configuration.kind)

        def kappas(doubtful: bool) -> Iterator[str]:
            for way in ("fixed", "free"):
                yield _sampled(self.transfer.mean(way, doubtful=doubtful))

        means = [_sampled(self.exponents[axis]) for axis in AXES]
        return [
            *(_task_row(t, c) for t in c.tasks),
            ("**mean of those used**", *[""] * 4, *means, *kappas(False), "", ""),
            ("**mean of all**", *[""] * 6, *kappas(True), f"{printed:.3f}" if printed else "", ""),
        ]

    def compute_text(self) -> str:
        """Where marginal compute goes, in a sentence."""
        compute, with_macs = self.allocation.compute, self.allocation.with_macs
        doubt = f" Not a measured frontier: {compute.doubt}." if compute.doubt else ""
        return (
            f"Marginal compute to data, mean over tasks: alpha / (alpha + beta) = "
            f"{_sampled(self.allocation.share)}; alpha / (alpha + m beta) = "
            f"{_sampled(with_macs)}, with MACs ~ N^m and m = {number(compute.macs)}.{doubt}"
        )


def _estimate(value: Sampled) -> dict[str, Any]:
    return {"estimate": value.point, "interval": value.interval}


def _task_numbers(task: TaskFit) -> dict[str, Any]:
    return {
        "law": task.fit.to_dict(),
        "identified": {axis: task.identified(axis) for axis in AXES},
        "doubt": task.doubt,
        "transfer": task.numbers(),
    }


def markdown(findings: Findings, captions: Mapping[str, str] | None = None) -> str:
    """The page: verdicts first, then what they rest on.

    Args:
        findings: what it says.
        captions: of figures, by path relative to the page.
    """
    claims, every = findings.claims, [Summary.of(c) for c in findings.configurations]
    verdicts = [c.verdict for c in claims]
    claim_rows: dict[str, list[tuple[str, ...]]] = {}
    for c in claims:
        claim_rows.setdefault(c.finding, []).append(_claim_row(c))
    kinds = {c.name: str(c.key["objective"]) for c in findings.configurations}
    page = render(
        "findings.md.j2",
        study=findings.study.name,
        folder=shlex.quote(str(findings.study.folder)),
        virtual=findings.virtual,
        claims=claims,
        verdicts={verdict: verdicts.count(verdict) for verdict in Verdict},
        verdict_rows=[
            (c.finding, c.claim, f"**{c.verdict}**", *_value(c), _line(c)) for c in claims
        ],
        rule=RULE,
        r2_smallest=f"{R2_SMALLEST:g}",
        share_of_tasks=f"{100 * SHARE_OF_TASKS:.0f}",
        saturated=f"{100 * SATURATED:.0f}",
        objectives=", ".join(f"{name}: {LOSSES.get(k, k)}" for name, k in kinds.items()),
        run_rows=[_run_row(c) for c in findings.configurations],
        claim_rows=claim_rows,
        law_rows=[s.law_row() for s in every],
        others=[
            {"name": s.configuration.name, "rows": s.task_rows(), "compute": s.compute_text()}
            for s in every
            if s.configuration.tasks
        ],
        gaps=_gaps(findings.gaps),
        captions=captions or {},
        notes=findings.notes,
    )
    return page.rstrip() + "\n"


def _value(c: Claim) -> tuple[str, str]:
    return number(c.estimate), interval(c.interval)


def _line(c: Claim) -> str:
    return f"{'>' if c.side == 'above' else '<'} {c.line:g}"


def _run_row(c: Configuration) -> tuple[str, ...]:
    """Trials by status, and what the fits warn of."""
    statuses = ", ".join(f"{n} {status}" for status, n in c.statuses.items())
    own = {_kind(w) for w in c.fit.warnings}
    of_tasks = [{_kind(w) for w in t.fit.warnings} - own for t in c.tasks]
    warned = collections.Counter(kind for kinds in of_tasks for kind in sorted(kinds))
    texts = [f"{kind} ({n} of {len(c.tasks)})" for kind, n in warned.most_common()]
    return (c.title, statuses, "; ".join(c.fit.warnings) or "none", "; ".join(texts) or "no others")


def _kind(warning: str) -> str:
    """A warning without its numbers, so that those of several tasks can be counted."""
    return re.sub(r"^\d+ ", "some ", re.sub(r" \([^)]*\)", "", warning))


def _claim_row(c: Claim) -> tuple[str, ...]:
    measured = f"{c.measured} ({c.note})" if c.note else c.measured
    why = f": {c.why_unknown}" if c.verdict is Verdict.UNKNOWN else ""
    return (c.claim, c.printed or "–", measured, *_value(c), _line(c), f"**{c.verdict}**{why}")


def _task_row(task: TaskFit, c: Configuration) -> tuple[str, ...]:
    fit, transfer = task.fit, task.transfer
    printed = s1.kappa(task.task).get(c.kind)
    theirs = f"{printed:.3f}" if printed is not None else "–"
    if not fit.ok:
        return (task.task, "not fitted: " + "; ".join(fit.warnings), *[""] * 7, theirs, "")
    exponents = [
        _text(fit.params[p], fit.intervals[p], doubtful=not task.identified(axis))
        for p, axis in (("alpha", "N"), ("beta", "D"))
    ]
    both = (transfer.kappa, transfer.kappa_free) if transfer else ()
    kappas = [_text(k.point, k.interval, doubtful=bool(task.doubt)) for k in both] or ["–", "–"]
    quality = (_status(fit), number(fit.r2), number(fit.r2_log_excess))
    return (task.task, *quality, _parameter(fit, "E"), *exponents, *kappas, theirs, task.doubt)


def _status(fit: Fit) -> str:
    """Status of a fit, with what is at a bound."""
    hit = ", ".join(fit.certificate.bounds_hit)
    return f"{fit.status}: {hit}" if hit else str(fit.status)


def _parameter(fit: Fit, name: str) -> str:
    at_bound = name in fit.certificate.bounds_hit
    return _text(fit.params[name], fit.intervals[name], doubtful=at_bound)


def _sampled(value: Sampled) -> str:
    return _text(value.point, value.interval)


def _text(value: float, ends: Interval, *, doubtful: bool = False) -> str:
    """Estimate and interval; in brackets where no verdict rests on it."""
    spread = interval(ends)
    text = number(value) if spread == "–" else f"{number(value)} {spread}"
    return f"({text})" if doubtful else text


def _gaps(cells: pd.DataFrame) -> list[tuple[str, list[str], list[tuple[str, ...]]]]:
    """Train-validation gaps: title, head and rows of a table for each configuration."""
    if cells.empty:
        return []
    tables = []
    for name, part in with_names(cells).groupby("name", sort=True):
        objective = str(part["objective"].iloc[0])
        wide = part.pivot_table(index="N", columns="D", values="gap", aggfunc="mean")
        rows = [
            (count(float(n)), *(number(float(v)) for v in row))
            for n, row in zip(wide.index, wide.to_numpy(), strict=True)
        ]
        unit = f"{LOSSES.get(objective, objective)}, {UNITS.get(objective, 'nats')}"
        head = ["N", *(f"D = {count(float(d))}" for d in wide.columns)]
        tables.append((f"{name} ({unit})", head, rows))
    return tables
