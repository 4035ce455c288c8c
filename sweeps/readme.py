"""The README of a published study, from the numbers that ``analysis.report --json`` prints."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scaling.corpora.catalogue import SOURCES
from scaling.numerics import NUMERICS

FILES = """## Files

| file | what |
|---|---|
| `trials.csv` | one row per trial; columns in `docs/records.md` |
| `evaluations.csv` | one row per measured value |
| `study.json` | the resolved grid and the ids of its trials and evaluations |
| `ladder.json` | parameters, MACs and seconds per step of each model size |
| `corpora.json` | records, classes and, where it is known, the Bayes loss |
| `provenance.json` | library versions of the trials, by commit and device |
"""
FIGURES = (  # then the linear probes
    "loss", "residuals", "uncertainty", "allocation", "envelope", "approaches", "transfer",
)  # fmt: skip
Numbers = Mapping[str, Any]


def readme(
    study: Numbers,
    numbers: Numbers,
    figures: Sequence[str],
    *,
    findings: bool = False,
    comparison: str = "",
    provenance: Sequence[Numbers] = (),
    corpora: Iterable[str] = (),
) -> str:
    """The text of a published study's README.

    Args:
        study: content of ``study.json``.
        numbers: what ``python -m analysis.report <folder> --json`` prints.
        figures: file names in ``figures/`` that are shown.
        findings: whether ``findings.md`` was written.
        comparison: what ``python -m analysis.compare <folder>`` prints, if it was run.
        provenance: content of ``provenance.json``.
        corpora: names in ``corpora.json``.
    """
    found = "What holds of S1's findings, with intervals: [findings.md](findings.md)."
    aged = made_by_older(provenance, corpora)
    blocks = [
        [f"# {study['study']}", "", _about(study, numbers), ""],
        [aged, ""] if aged else [],
        [found, ""] if findings else [],
        _facts(study, numbers),
        _warnings(numbers),
        _compared(study, comparison),
        *(_group(group) for group in numbers["groups"] if _fitted(group)),
        _models(numbers["models"]),
        _figures(figures),
    ]
    return "\n".join([*(line for block in blocks for line in block), FILES])


def made_by_older(provenance: Sequence[Numbers], corpora: Iterable[str]) -> str:
    """A line that names what has other numbers by now than in these trials; empty for nothing.

    Args:
        provenance: content of ``provenance.json``.
        corpora: names in ``corpora.json``; sources that are not among them do not matter.
    """
    used, known = (
        {f"corpora.{re.split('[/:@]', n)[0]}" for n in names} for names in (corpora, SOURCES)
    )
    others = known - used
    before: dict[str, int] = {}
    for entry in provenance:
        for module, version in entry["numerics"].items():
            before[module] = min(version, before.get(module, version))
    changed = [
        f"{module} {version} (now {NUMERICS[module]})"
        for module, version in sorted(before.items())
        if version != NUMERICS.get(module, version) and module not in others
    ]
    if not changed:
        return ""
    return (
        f"**Made by older versions** of {', '.join(changed)}: run again, it trains all anew and "
        "gives other numbers."
    )


def _about(study: Numbers, numbers: Numbers) -> str:
    plan, corpus = numbers["plan"], study["grid"]["corpus"]
    signals = f"{corpus['fs_hz']} Hz, {corpus['window_s']:g} s"
    n = _axis("N", [s["N"] for s in plan["sizes"]], "backbone parameters")
    d = _axis("D", plan["data"], "unique training records")
    titles = [group["title"] for group in numbers["groups"]]
    if any(_fitted(group) for group in numbers["groups"]):
        return (
            f"How the held-out loss of {' and '.join(titles)} ({signals}) falls with {n} and {d}."
        )
    models = ", ".join(dict.fromkeys(title.partition(" (")[0] for title in titles)) or "Models"
    return f"{models} ({signals}), at {n} and {d}: too few of one kind to fit laws to."


def _fitted(group: Numbers) -> bool:
    law = group["laws"].get("chinchilla")
    return bool(law and law["params"])


def _axis(name: str, values: Sequence[int], meaning: str) -> str:
    if len(values) < 2:
        return f"{name} ({', '.join(f'{v:,}' for v in values)} {meaning})"
    return f"{name} ({len(values)} values, {min(values):,} to {max(values):,} {meaning})"


def _facts(study: Numbers, numbers: Numbers) -> list[str]:
    plan, origin = numbers["plan"], numbers["provenance"]
    counts = ", ".join(f"{n} {status}" for status, n in plan["counts"].items() if n)
    dirty = origin["dirty_trials"]
    versions = ", ".join(f"{name} {version}" for name, version in origin["versions"].items())
    rows = {
        "run it again": _command(study["study"]),
        "look at it": f"`python -m analysis.report results/{study['study']}`",
        "commit": ", ".join(f"`{c}`" for c in origin["trial_commits"])
        + (f" ({dirty} trials with uncommitted changes)" if dirty else ""),
        "trials": f"{sum(plan['counts'].values())} of {plan['planned']} planned: {counts}",
        "training": f"{plan['flops']:.3g} FLOPs and {plan['trial_seconds'] / 60:.1f} minutes "
        f"in all, on {' and '.join(origin['devices']) or 'no device'}",
        "versions": versions,
    }
    return ["| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows.items() if v), ""]


def _command(study: str) -> str:
    """How to run it, when its grid is one of this project's."""
    for path in (Path("grid.yaml"), *sorted(Path("sweeps/grids").glob("*.yaml"))):
        wanted = re.compile(rf"^study:\s*{re.escape(study)}\s*(#.*)?$", re.MULTILINE)
        if path.exists() and wanted.search(path.read_text(encoding="utf-8")):
            return f"`python -m sweeps.run {shlex.quote(str(path))}`"
    return ""


def _warnings(numbers: Numbers) -> list[str]:
    groups = numbers["groups"]
    found: dict[str, list[str]] = {}
    for group in groups:
        own = group["warnings"]  # without a law they are its reasons, in one line
        for text in own if _fitted(group) or not own else ["; ".join(own)]:
            found.setdefault(text, []).append(group["title"])
    warnings = list(numbers["warnings"])
    for text, titles in found.items():
        who = " and ".join(titles) if len(titles) < 3 else f"{len(titles)} of {len(groups)} groups"
        warnings.append(f"{who}: {text}" if len(groups) > 1 else text)
    return ["## Warnings", "", *(f"- {w}" for w in warnings), ""] if warnings else []


def _compared(study: Numbers, comparison: str) -> list[str]:
    if not comparison:
        return []
    command = f"`python -m analysis.compare results/{study['study']}`"
    head = f"{command} prints this; all numbers are in `comparison.json`."
    return ["## On the same patients", "", head, "", "```text", comparison.strip(), "```", ""]


def _group(group: Numbers) -> list[str]:
    """The joint law of one group of runs, and what it was checked against."""
    law = group["laws"]["chinchilla"]
    return [
        f"## {group['title']}",
        "",
        f"`{law['formula']}` fitted to {law['points']} runs: status {law['status']}, "
        f"R² of the loss {number(law['r2'])}, of the log excess loss "
        f"{number(law['r2_log_excess'])}.",
        "",
        *_table(("parameter", "estimate", "95 % interval"), _estimates(law)),
        "",
        *(f"- {line}" for line in _checks(group)),
        "",
    ]


def _estimates(law: Numbers) -> Iterable[tuple[str, str, str]]:
    for name, value in law["params"].items():
        yield name, number(value), interval(law["intervals"].get(name))


def _checks(group: Numbers) -> Iterable[str]:
    if held := group["holdout"]:
        cell = ", ".join(f"{axis} = {value:,.0f}" for axis, value in held["cell"].items())
        yield (
            f"The largest cell ({cell}), left out of the fit: measured "
            f"{', '.join(number(loss) for loss in held['losses'])}, predicted "
            f"{number(held['predicted'])}; it lies **{'inside' if held['covered'] else 'outside'}"
            f"** its 95 % prediction interval, {interval(held['interval'])}."
        )
    if bayes := group["bayes"]:
        verdict = {True: "**covers**", False: "**does not cover**", None: "is unknown; it is not "
                   "compared with"}[bayes["covered"]]  # fmt: skip
        se = f" +- {bayes['se']:.1g} (standard error)" if bayes.get("se") else ""
        yield f"E's 95 % interval {verdict} the Bayes loss, {number(bayes['value'])}{se} nats."
    for name, exponent in (("n_law", "alpha"), ("d_law", "beta")):
        law = group["laws"].get(name)
        if law and law["params"]:
            at = ", ".join(f"{axis} = {value:,.0f}" for axis, value in law["at"].items())
            yield (
                f"Marginal `{law['formula']}` at {at}: {exponent} "
                f"{number(law['params'][exponent])} ({interval(law['intervals'][exponent])}), "
                f"status {law['status']}, R² {number(law['r2'])}, of the log excess loss "
                f"{number(law['r2_log_excess'])}."
            )


def _models(models: Sequence[Numbers]) -> list[str]:
    if not models:
        return []
    head = ("task", "protocol", "model", "N", "D", "seeds", "validation", "test", "95 % interval")
    rows = (
        (
            m["task"], m["protocol"], f"{m['family']} {m['size']} {m['paradigm']}", f"{m['N']:,}",
            f"{m['D']:,}", str(m["seeds"]), number(m["validation"]), number(m["test"]),
            interval((m["low"], m["high"])),
        )
        for m in models
    )  # fmt: skip
    return [
        "## Best models",
        "",
        "Macro-AUROC of the configuration that is best on validation; the mean over its seeds, "
        "with an interval over patients and seeds.",
        "",
        *_table(head, rows),
        "",
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def _figures(names: Sequence[str]) -> list[str]:
    def order(name: str) -> tuple[int, str]:
        places = [i for i, known in enumerate(FIGURES) if known in name]
        return (places[0] if places and "probe" not in name else len(FIGURES), name)

    links = [f"![{Path(n).stem}](figures/{n})\n" for n in sorted(names, key=order)]
    return ["## Figures", "", *links] if links else []


def number(value: float | None) -> str:
    """Four significant digits, whole from 1e4 to 1e6, with an exponent beyond; a dash for None."""
    if value is None:
        return "–"
    if 1e4 <= abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def interval(pair: Sequence[float | None] | None) -> str:
    """``low to high``; a dash when unknown."""
    if pair is None or None in pair:
        return "–"
    return " to ".join(number(value) for value in pair)
