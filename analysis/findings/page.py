"""The findings as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from analysis.findings.claims import RULE, Claim, Quantity, Verdict
from analysis.findings.configurations import Configuration, TaskFit
from analysis.findings.content import S1_SAYS, TITLES, Findings
from analysis.findings.generalisation import mean_kappa
from analysis.findings.scaling import data_share, mean_exponent, mean_to_data, used_up
from analysis.tables import LOSSES, count, interval, number

_INTRO = (
    'Our numbers beside the findings of S1, "How Do Electrocardiogram Models Scale?". Intervals '
    "are 95 %, from refits to resampled runs; they hold the noise of the runs, not the choice of "
    "the law, and the test records shared by all runs are not resampled. " + RULE
)
_VIRTUAL = (
    "**These are virtual patients and models of laptop size, not CODE and models of up to "
    "hundreds of millions of parameters.** A claim that does not hold here is not refuted there; "
    "one that holds here is not confirmed there."
)
_REAL = (
    "**These are our records and sizes, not CODE and models of up to hundreds of millions of "
    "parameters.** A claim that does not hold here is not refuted there."
)


def markdown(findings: Findings, pictures: Sequence[str] = ()) -> str:
    """The page.

    Args:
        findings: what it says.
        pictures: paths of figures, relative to the page.
    """
    study = findings.frame.attrs["study"]
    verdicts = [c.verdict for c in findings.claims]
    counts = "; ".join(f"{verdict}: {verdicts.count(verdict)}" for verdict in Verdict)
    lines = [
        f"# Findings of {study}", "", _INTRO, "",
        _VIRTUAL if findings.virtual else _REAL, "",
        f"{len(verdicts)} claims ({counts}). About one true claim in forty would be called "
        "false by chance, and one false claim in forty true.", "",
        *_units(findings.configurations),
        *[line for key in TITLES for line in _finding(findings, key)],
        *_distribution(findings.configurations),
        *_tasks(findings.configurations),
        *_gaps(findings),
        *[f"![{p.rsplit('/', 1)[-1].removesuffix('.png')}]({p})\n" for p in pictures],
        *(["## Left out", "", *(f"- {n}" for n in findings.notes), ""] if findings.notes else []),
    ]  # fmt: skip
    return "\n".join(lines).rstrip() + "\n"


def _units(found: Iterable[Configuration]) -> list[str]:
    named = ", ".join(
        f"{c.name}: {LOSSES.get(str(c.key['objective']), str(c.key['objective']))}" for c in found
    )
    return [
        f"In distribution each paradigm has its own loss ({named}): exponents and shares can be "
        "compared between paradigms, in-distribution losses cannot. Losses on other tasks are all "
        "binary cross-entropy of linear probes and can be compared.", "",
    ]  # fmt: skip


def _finding(findings: Findings, key: str) -> list[str]:
    claims = [c for c in findings.claims if c.finding == key]
    lines = [f"## {key}. {TITLES[key]}", "", f"S1: {S1_SAYS[key]}", ""]
    if not claims:
        return [*lines, "Nothing was measured here about this.", ""]
    head = ("claim", "S1", "measured here", "value", "95 % interval", "line", "")
    return [*lines, *table(head, (_claim(c) for c in claims)), ""]


def _claim(c: Claim) -> tuple[str, ...]:
    measured = f"{c.measured} ({c.note})" if c.note else c.measured
    line = f"{'>' if c.side == 'above' else '<'} {c.line:g}"
    return (
        c.claim, c.printed or "–", measured, number(c.estimate), interval(c.interval), line,
        f"**{c.verdict}**",
    )  # fmt: skip


def _distribution(found: Iterable[Configuration]) -> list[str]:
    head = ("configuration", "runs", "R²", "E", "alpha", "beta", "data's share at the largest "
            "cell", "used up, N", "used up, D")  # fmt: skip
    rows = [
        (
            c.name, str(len(c.fit.residuals)), number(c.fit.r2),
            *(_value(c.fit.params[p], interval(c.fit.intervals[p]))
              for p in ("E", "alpha", "beta")),
            *(_quantity(q) for q in (data_share(c.fit), used_up(c.fit, "N"), used_up(c.fit, "D"))),
        )
        for c in found
    ]  # fmt: skip
    return [
        "## Joint laws in distribution", "",
        "`L(N, D) = E + A / N^alpha + B / D^beta`. *Used up*: share of all that more N (or D) can "
        "give, from the smallest on, that the largest has given; near 1 the loss has stopped "
        "falling along it.", "",
        *table(head, rows), "",
    ]  # fmt: skip


def _tasks(found: Iterable[Configuration]) -> list[str]:
    lines = [
        "## Laws on other tasks", "",
        "Joint laws of the probes' test losses, and loss-to-loss laws "
        "`L_ood - E_ood = K (L_id - E_id)^kappa` with both floors from the joint laws (S1, Eq. 4) "
        "or with E_ood fitted to the pairs. An exponent that a law does not determine (it or its "
        "term ran to a bound) is in brackets and left out of means; kappa at a bound of the search "
        "is in brackets and stays in.", "",
    ]  # fmt: skip
    head = ("task", "R²", "E", "alpha", "beta", "kappa", "kappa, E_ood fitted")
    for c in found:
        if not c.tasks:
            continue
        summary = (
            "**mean**", "", "", _quantity(mean_exponent(c, "alpha")),
            _quantity(mean_exponent(c, "beta")), _quantity(mean_kappa(c)),
            _quantity(mean_kappa(c, free=True)),
        )  # fmt: skip
        share = _quantity(mean_to_data(c))
        lines += [
            f"### {c.name}", "", *table(head, [*(_task(t) for t in c.tasks), summary]), "",
            f"Marginal compute to data, alpha / (alpha + beta), mean over tasks: {share}.", "",
        ]  # fmt: skip
    return lines


def _task(found: TaskFit) -> tuple[str, ...]:
    fit, transfer = found.fit, found.transfer
    if not fit.ok:
        return (found.task, "not fitted: " + "; ".join(fit.warnings), *[""] * 5)
    exponents = [
        _value(fit.params[p], interval(fit.intervals[p]), doubtful=not found.identified(axis))
        for p, axis in (("alpha", "N"), ("beta", "D"))
    ]
    kappas = ("–", "–")
    if transfer:
        kappas = (
            _value(transfer.kappa, interval(transfer.interval), doubtful=transfer.at_bound),
            _value(transfer.kappa_free, interval(transfer.interval_free)),
        )
    floor = _value(fit.params["E"], interval(fit.intervals["E"]))
    return (found.task, number(fit.r2), floor, *exponents, *kappas)


def _gaps(findings: Findings) -> list[str]:
    if findings.gaps.empty:
        return []
    lines = [
        "## Train-validation gap", "",
        "Validation loss less the loss on records trained on, at the best validation step, in "
        "nats of each objective; means over seeds.", "",
    ]  # fmt: skip
    for key, part in findings.gaps.groupby(["stage", "family", "paradigm"], sort=True):
        stage, family, paradigm = (str(k) for k in key)
        wide = part.pivot_table(index="N", columns="D", values="gap", aggfunc="mean")
        name = f"{family}-{paradigm.upper()}" + ("" if stage == "pretrain" else f", {stage}")
        head = ("N", *(f"D = {count(float(d))}" for d in wide.columns))
        rows = [
            (count(float(n)), *(number(float(v)) for v in row))
            for n, row in zip(wide.index, wide.to_numpy(), strict=True)
        ]
        lines += [f"### {name}", "", *table(head, rows), ""]
    return lines


def _quantity(value: Quantity) -> str:
    return _value(value.estimate, interval(value.interval))


def _value(estimate: float, spread: str, *, doubtful: bool = False) -> str:
    text = number(estimate) if spread == "–" else f"{number(estimate)} {spread}"
    return f"({text})" if doubtful else text


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
