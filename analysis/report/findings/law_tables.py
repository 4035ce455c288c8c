"""Tables of the laws behind the findings, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from analysis.fit.result import Fit
from analysis.published import s1
from analysis.questions.claims.claim import Quantity
from analysis.questions.claims.generalisation import mean_kappa
from analysis.questions.claims.limits import data_share, used_up
from analysis.questions.claims.scaling import mean_exponent, mean_to_data
from analysis.questions.evidence.configurations import Configuration, TaskFit
from analysis.studies.groups import with_names
from analysis.text.numbers import count, interval, number
from scaling.records.names import LOSSES, UNITS


def distribution(found: Iterable[Configuration]) -> list[str]:
    """Joint laws in distribution."""
    head = ("configuration", "runs", "status", "R²", "R² of the log excess", "E", "alpha", "beta",
            "data's share at the largest cell", "used up, N", "used up, D")  # fmt: skip
    rows = [
        (
            c.name, str(len(c.fit.residuals)), _status(c.fit), number(c.fit.r2),
            number(c.fit.r2_log_excess),
            *(_value(c.fit.params[p], interval(c.fit.intervals[p]),
                     doubtful=p in c.fit.certificate.bounds_hit)
              for p in ("E", "alpha", "beta")),
            *(quantity(q) for q in (data_share(c.fit), used_up(c.fit, "N"), used_up(c.fit, "D"))),
        )
        for c in found
    ]  # fmt: skip
    return [
        "## Joint laws in distribution", "",
        "`L(N, D) = E + A / N^alpha + B / D^beta`. *Used up*: share of all that more N (or D) can "
        "give, from the smallest on, that the largest has given; near 1 the loss has stopped "
        "falling along it. At a bound of the search: in brackets. R² is of the loss, and is high "
        "where the range of the losses is wide; that of the log excess, log(L - E), says how well "
        "the terms of N and D are followed near E.", "",
        *table(head, rows), "",
    ]  # fmt: skip


def other_tasks(found: Iterable[Configuration]) -> list[str]:
    """Joint and loss-to-loss laws on other tasks, by configuration."""
    lines = [
        "## Laws on other tasks", "",
        "Joint laws of the probes' test losses, and loss-to-loss laws "
        "`L_ood - E_ood = K (L_id - E_id)^kappa` with both floors from the joint laws (S1, Eq. 4) "
        "or with E_ood fitted to the pairs. What no verdict rests on is in brackets, with the "
        "reason for kappa in the last column: exponents at a bound or of a law with a low R² are "
        "left out of means. The mean kappa over all tasks, bounds included, is S1's way. S1's "
        "kappas are those of Table S.7 for the task of the same name, on other data. Of the two "
        "shares of marginal compute the first is S1's, for C ~ N D, and is there to be compared "
        "with it; the second, with the MACs of these sizes, is what to plan with where every "
        "record is passed over equally often.", "",
    ]  # fmt: skip
    head = ("task", "status", "R²", "R² of the log excess", "E", "alpha", "beta", "kappa",
            "kappa, E_ood fitted", "kappa of S1", "kappa is not used because")  # fmt: skip
    for c in found:
        if not c.tasks:
            continue
        used = [t.task for t in c.tasks if not t.doubt]
        printed = s1.KAPPA.get(c.kind)
        means = [
            ("**mean of those used**", "", "", "", "", quantity(mean_exponent(c, "alpha")),
             quantity(mean_exponent(c, "beta")), quantity(mean_kappa(c, used)),
             quantity(mean_kappa(c, used, free=True)), "", ""),
            ("**mean of all**", "", "", "", "", "", "", quantity(mean_kappa(c)),
             quantity(mean_kappa(c, free=True)), f"{printed:.3f}" if printed else "", ""),
        ]  # fmt: skip
        macs = c.compute.macs
        lines += [
            f"### {c.name}", "", *table(head, [*(_task(t, c) for t in c.tasks), *means]), "",
            f"Marginal compute to data, mean over tasks: alpha / (alpha + beta) = "
            f"{quantity(mean_to_data(c))}; alpha / (alpha + m beta) = "
            f"{quantity(mean_to_data(c, macs))}, with MACs ~ N^m and m = {number(macs)}."
            + (f" Not a measured frontier: {c.compute.doubt}." if c.compute.doubt else ""), "",
        ]  # fmt: skip
    return lines


def _task(found: TaskFit, c: Configuration) -> tuple[str, ...]:
    fit, transfer = found.fit, found.transfer
    printed = s1.kappa(found.task).get(c.kind)
    theirs = f"{printed:.3f}" if printed is not None else "–"
    if not fit.ok:
        return (found.task, "not fitted: " + "; ".join(fit.warnings), *[""] * 7, theirs, "")
    exponents = [
        _value(fit.params[p], interval(fit.intervals[p]), doubtful=not found.identified(axis))
        for p, axis in (("alpha", "N"), ("beta", "D"))
    ]
    kappas = ["–", "–"]
    if transfer:
        kappas = [
            _value(value, interval(spread), doubtful=bool(found.doubt))
            for value, spread in ((transfer.kappa, transfer.interval),
                                  (transfer.kappa_free, transfer.interval_free))
        ]  # fmt: skip
    floor = _value(
        fit.params["E"], interval(fit.intervals["E"]), doubtful="E" in fit.certificate.bounds_hit
    )
    return (found.task, _status(fit), number(fit.r2), number(fit.r2_log_excess), floor, *exponents,
            *kappas, theirs, found.doubt)  # fmt: skip


def _status(fit: Fit) -> str:
    """Status of a fit, with what is at a bound."""
    hit = ", ".join(fit.certificate.bounds_hit)
    return f"{fit.status}: {hit}" if hit else str(fit.status)


def gaps(cells: pd.DataFrame) -> list[str]:
    """Train-validation gaps, one table for each configuration."""
    if cells.empty:
        return []
    lines = [
        "## Train-validation gap", "",
        "Validation loss less the loss on records trained on, at the best validation step; means "
        "over seeds and folds.", "",
    ]  # fmt: skip
    for name, part in with_names(cells).groupby("name", sort=True):
        objective = str(part["objective"].iloc[0])
        wide = part.pivot_table(index="N", columns="D", values="gap", aggfunc="mean")
        head = ("N", *(f"D = {count(float(d))}" for d in wide.columns))
        rows = [
            (count(float(n)), *(number(float(v)) for v in row))
            for n, row in zip(wide.index, wide.to_numpy(), strict=True)
        ]
        unit = f"{LOSSES.get(objective, objective)}, {UNITS.get(objective, 'nats')}"
        lines += [f"### {name} ({unit})", "", *table(head, rows), ""]
    return lines


def quantity(value: Quantity) -> str:
    """Estimate and interval."""
    return _value(value.estimate, interval(value.interval))


def _value(estimate: float, spread: str, *, doubtful: bool = False) -> str:
    text = number(estimate) if spread == "–" else f"{number(estimate)} {spread}"
    return f"({text})" if doubtful else text


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
