"""What ``python -m analysis.fit`` writes: one page, figures, and a LaTeX table of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analysis.figures import base as figures
from analysis.figures import fits
from analysis.report import render
from analysis.report.fit_answers import SetAnswer, held_text, optimum_texts, prediction_texts
from analysis.runs.read import Runs
from analysis.text import number
from scaling.records.files import write_whole

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
)
MARK = "python -m analysis.fit"  # of pages that may be replaced
_HEAD = 2000  # bytes of a page that hold its mark
_GREEK = {"alpha", "beta", "gamma", "delta", "kappa"}


def check_folder(folder: Path) -> None:
    """Refuse a folder whose ``report.html`` is another's, such as that of a study.

    Raises:
        ValueError: the page has no mark of this command.
    """
    page = folder / "report.html"
    if page.is_file() and f'content="{MARK}"'.encode() not in page.read_bytes()[:_HEAD]:
        raise ValueError(
            f"{page} was not written by {MARK} and is not replaced: give another folder (--out), "
            "or move the page"
        )


def write_all(runs: Runs, answers: Sequence[SetAnswer], folder: Path) -> list[Path]:
    """Write ``report.html``, ``parameters.tex`` and the figures as PNG; returns the paths.

    Args:
        runs: that were read.
        answers: one for each data set.
        folder: is made where it is missing.

    Raises:
        OSError: a file cannot be written.
        ValueError: the folder holds the report of another command.
    """
    check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)  # before figures are drawn for nothing
    written: dict[Path, bytes] = {}
    parts = []
    for i, answer in enumerate(answers):
        part, pictures = _part(answer, i)
        parts.append(part)
        suffix = f"-{_slug(answer.name) or i + 1}" if len(answers) > 1 else ""
        for name, picture in pictures.items():
            path = folder / f"{name}{suffix}.png"
            if path in written:  # two names that differ in punctuation alone
                path = folder / f"{name}{suffix}-{i + 1}.png"
            written[path] = figures.png(picture)
    written[folder / "parameters.tex"] = latex_table(answers).encode()
    written[folder / "report.html"] = _page(runs, answers, parts).encode()
    for path, data in written.items():
        write_whole(path, data)
    return list(written)


def _slug(name: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in name).split()).lower()[:80]


def _part(answer: SetAnswer, index: int) -> tuple[dict[str, Any], dict[str, figures.Picture]]:
    """What the page shows of one data set, and its figures."""
    pictures: dict[str, figures.Picture] = {}
    found: dict[str, Any] = {
        "answer": answer,
        "estimates": answer.fit.card().table,
        "filled": "",
        "figure": "",
        "predictions": [],
        "held": "",
        "optima": [],
        "allocation": "",
        "certificate": [],
    }
    if not answer.fit.ok:
        return found, pictures
    pictures["fit"] = fits.curves(answer.fit)
    found |= {
        "filled": _filled(answer),
        "figure": figures.svg(pictures["fit"], f"fit{index}"),
        "certificate": answer.fit.evidence,
    }
    if answer.predictions is not None:
        found["predictions"] = prediction_texts(answer)
    if held := answer.held_out():
        found["held"] = held_text(held)
    if answer.optimum is not None:
        pictures["allocation"] = answer.optimum.plot()
        found["optima"] = optimum_texts(answer)
        found["allocation"] = figures.svg(pictures["allocation"], f"allocation{index}")
    return found, pictures


def _filled(answer: SetAnswer) -> str:
    """The formula with its values behind it."""
    values = ", ".join(f"{k} = {number(v, 4)}" for k, v in answer.fit.params.items())
    return f"{answer.fit.law.formula}: {values}"


def _page(runs: Runs, answers: Sequence[SetAnswer], parts: list[dict[str, Any]]) -> str:
    title = Path(runs.name).name or "Runs"
    return render(
        "fit.html.j2", title=title, mark=MARK, runs=runs, law=answers[0].fit.law, parts=parts
    )


def latex_table(answers: Sequence[SetAnswer]) -> str:
    """Parameters with 95 % intervals, one row for each data set; needs booktabs and amsmath."""
    law = answers[0].fit.law
    names = " & ".join(f"${_symbol(p.name)}$" for p in law.parameters)
    lines = [
        rf"% {law.formula}; {law.source}. Intervals are 95 \%.",
        r"\begin{tabular}{l" + "r" * (len(law.parameters) + 2) + "}",
        r"\toprule",
        rf"Data & Runs & {names} & $R^2$ \\",
        r"\midrule",
    ]
    for answer in answers:
        fit = answer.fit
        name = (answer.name or "all").translate(_LATEX)
        cells = [
            rf"$\underset{{{_latex_interval(r['interval'])}}}{{{_latex_number(r['value'])}}}$"
            if fit.ok
            else "--"
            for r in fit.card().table
        ]
        r2 = f"${number(fit.r2, 4)}$" if fit.ok else "--"
        lines.append(" & ".join([name, str(len(fit.rows)), *cells, r2]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _symbol(name: str) -> str:
    """A parameter's name as LaTeX: ``R_D`` as R_{D}, ``alpha`` as the Greek letter."""
    first, _, below = name.partition("_")
    symbol = f"\\{first}" if first in _GREEK else first
    return f"{symbol}_{{{below}}}" if below else symbol


def _latex_number(text: str) -> str:
    mantissa, e, power = text.replace(",", r"{,}").partition("e")
    return rf"{mantissa} \cdot 10^{{{power}}}" if e else mantissa.replace("–", "-")


def _latex_interval(text: str) -> str:
    if not text.startswith("["):
        return ""
    low, high = text[1:-1].split(", ")
    return f"[{_latex_number(low)}, {_latex_number(high)}]"
