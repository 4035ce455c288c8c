"""The README of a published study, from the numbers that ``analysis.report --json`` prints."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from scaling.corpora.catalogue import SOURCES
from scaling.numerics import NUMERICS

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
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sweeps", "."),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    environment.filters |= {"number": number, "interval": interval, "cell": _cell}
    return environment.get_template("readme.md.j2").render(
        study=study,
        about=_about(study, numbers),
        aged=made_by_older(provenance, corpora),
        findings=findings,
        facts=_facts(study, numbers).items(),
        warnings=_warnings(numbers),
        comparison=comparison,
        fitted=[group for group in numbers["groups"] if _fitted(group)],
        models=numbers["models"],
        figures=sorted(figures, key=_place),
    )


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


def _facts(study: Numbers, numbers: Numbers) -> dict[str, str]:
    """What was run, how to run it again, and what it took."""
    plan, origin = numbers["plan"], numbers["provenance"]
    counts = ", ".join(f"{n} {status}" for status, n in plan["counts"].items() if n)
    dirty = origin["dirty_trials"]
    versions = ", ".join(f"{name} {version}" for name, version in origin["versions"].items())
    return {
        "run it again": _command(study["study"]),
        "look at it": f"`python -m analysis.report results/{study['study']}`",
        "commit": ", ".join(f"`{c}`" for c in origin["trial_commits"])
        + (f" ({dirty} trials with uncommitted changes)" if dirty else ""),
        "trials": f"{sum(plan['counts'].values())} of {plan['planned']} planned: {counts}",
        "training": f"{plan['flops']:.3g} FLOPs and {plan['trial_seconds'] / 60:.1f} minutes "
        f"in all, on {' and '.join(origin['devices']) or 'no device'}",
        "versions": versions,
    }


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
    return warnings


def _place(figure: str) -> tuple[int, str]:
    places = [i for i, known in enumerate(FIGURES) if known in figure]
    return (places[0] if places and "probe" not in figure else len(FIGURES), figure)


def _cell(axes: Numbers) -> str:
    return ", ".join(f"{axis} = {value:,.0f}" for axis, value in axes.items())


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
