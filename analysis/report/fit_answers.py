"""What is said of a file of runs, as text, as JSON, and as a page with figures and a LaTeX table.

There is one fit for each data set, with its predictions and its optimum.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.compute.allocation import Allocation, allocate
from analysis.compute.cost import ComputeModel, compute_model
from analysis.compute.rows import AllocationError
from analysis.fit.fit import fit_law
from analysis.fit.result import Fit
from analysis.report import render
from analysis.runs.read import Runs
from analysis.text import count, interval, json_object, number
from scaling.records.files import write_whole

REFITS = 1000  # of all data sets of a file together
MARK = "python -m analysis.fit"  # of pages that may be replaced
_FEWEST = 100  # of one of them
_COST_REFITS = 200
_OUTSIDE = "lies outside those measured"  # of an allocation's warnings; each line says how far
_HEAD = 2000  # bytes of a page that hold its mark
_GREEK = {"alpha", "beta", "gamma", "delta", "kappa"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAnswer:
    """What is said of one data set."""

    name: str  # of the data set; empty where the file has one
    fit: Fit  # the law
    # at the points asked for, see ``Fit.predict``; None where there are none
    predictions: pd.DataFrame | None = None
    # rows held out by the file, with the prediction of each; None where there are none
    held: pd.DataFrame | None = None
    # of the budgets asked for; None where ``reason`` says why, or none was asked for
    optimum: Allocation | None = None
    cost: str = ""  # what training is taken to cost, in a sentence
    reason: str = ""  # why there is no optimum; empty when there is one

    def held_out(self) -> dict[str, float]:
        """Rows held out, mean and largest absolute relative error, rows within their interval."""
        if self.held is None:
            return {}
        own = self.held[self.fit.law.response]
        error = (self.held["predicted"] / own - 1).abs()
        found = {"rows": len(own), "error": float(error.mean()), "worst": float(error.max())}
        if self.held["new_low"].notna().all():
            found["within"] = int(own.between(self.held["new_low"], self.held["new_high"]).sum())
        return found

    def held_text(self) -> str:
        """One line on the rows held out; empty where there are none."""
        if not (held := self.held_out()):
            return ""
        rows, error = int(held["rows"]), number(100 * held["error"], 2)
        text = f"held out: {rows} row{'s' * (rows > 1)}, error {error} %"
        if rows > 1:
            text += f" on average, {number(100 * held['worst'], 2)} % at most"
        if "within" in held:
            text += f"; {held['within']:.0f} within their 95 % interval"
        return text

    def prediction_texts(self) -> list[str]:
        """One line for each point asked for."""
        law, lines = self.fit.law, []
        for row in [] if self.predictions is None else self.predictions.to_dict("records"):
            at = ", ".join(
                f"{a} = {count(row[a]) if a != 'C' else number(row[a])}" for a in law.axes
            )
            text = f"at {at}: {law.response} {number(row[law.response], 4)}"
            if row["mean_low"] == row["mean_low"]:
                low, high, new_low, new_high = (
                    number(row[k], 4) for k in ("mean_low", "mean_high", "new_low", "new_high")
                )
                text += f", 95 % [{low}, {high}] of the curve, [{new_low}, {new_high}] of a new run"
            if row["beyond"] > 1 + 1e-9:
                text += f"; {number(row['beyond'])} times beyond the runs"
                if row["untested"]:
                    text += ", where the interval extrapolates the error of the law as well"
            lines.append(text)
        return lines

    def optimum_texts(self) -> list[str]:
        """One line for each budget asked for."""
        lines = []
        for row in [] if self.optimum is None else self.optimum.table.to_dict("records"):
            values = []
            for name, show in (("N", count), ("D", count), ("loss", lambda v: number(v, 4))):
                text = f"{name} = {show(row[name])}"
                if row[f"{name}_low"] == row[f"{name}_low"]:
                    text += f" [{show(row[f'{name}_low'])}, {show(row[f'{name}_high'])}]"
                values.append(text)
            text = f"C = {number(row['C'])}: {', '.join(values)}"
            beyond = {axis: row[f"beyond_{axis}"] for axis in ("N", "D", "C")}
            far = [f"{axis} {number(ratio)}" for axis, ratio in beyond.items() if ratio > 1.005]
            text += f"; times beyond the runs: {', '.join(far)}" if far else ""
            if row["untested"]:
                text += ": the interval extrapolates the error of the law as well"
            lines.append(text)
        return lines


def refits_of(runs: Runs) -> int:
    """Refits of each data set where none are asked for."""
    return max(_FEWEST, REFITS // len(runs.sets))


def answers_of(
    runs: Runs,
    law: str,
    points: Sequence[dict[str, float]] = (),
    budgets: Sequence[float] = (),
    *,
    refits: int,
    seed: int = 0,
) -> list[SetAnswer]:
    """The answer of every data set; several are fitted side by side where the system can fork.

    Args:
        runs: from ``read_runs``.
        law: its name, as ``runs`` were read for.
        points: where to predict, value by axis.
        budgets: compute (FLOPs) whose optimal N and D are wanted.
        refits: of each data set.
        seed: of the refits.

    Raises:
        ValueError: rows that the law cannot be fitted to, with their place in the file.
    """
    jobs = [(runs, name, law, points, budgets, refits, seed) for name in runs.sets]
    workers = _workers(len(jobs))
    if workers < 2:
        return [_answer(*job) for job in jobs]
    from concurrent.futures import ProcessPoolExecutor

    with warnings.catch_warnings():
        # Forking beside idle BLAS threads is safe: they hold no lock between calls.
        warnings.simplefilter("ignore", DeprecationWarning)
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            return list(pool.map(_answer, *zip(*jobs, strict=True)))


def _workers(jobs: int) -> int:
    """Processes worth starting."""
    forks = "fork" in multiprocessing.get_all_start_methods() and sys.platform != "darwin"
    return min(4, jobs, len(os.sched_getaffinity(0))) if forks and jobs > 2 else 1


def _answer(
    runs: Runs,
    name: str,
    law: str,
    points: Sequence[dict[str, float]],
    budgets: Sequence[float],
    refits: int,
    seed: int,
) -> SetAnswer:
    rows = runs.sets[name]
    fitted = rows if law == "frontier" else rows.drop(columns="C", errors="ignore")
    try:
        fit = fit_law(fitted, law, n_boot=refits, seed=seed)
    except ValueError as error:
        raise ValueError(runs.in_file(str(error), rows)) from None
    fit = replace(fit, labels=runs.labels, notes=())
    answer = SetAnswer(name=name, fit=fit)
    if not fit.ok:
        return answer
    _ = fit.intervals, fit.warnings  # here, beside other data sets, and not when shown
    if points:
        at = [fit.predicted(fit.scales(p)) for p in points]
        answer = replace(answer, predictions=pd.concat(at, ignore_index=True))
    if name in runs.held:
        own = runs.held[name].reset_index(drop=True)
        found = fit.predicted(fit.scales({a: own[a] for a in fit.law.axes}))
        new = found[["new_low", "new_high", "beyond"]]
        answer = replace(answer, held=own.assign(predicted=found[fit.law.response]).join(new))
    if not budgets:
        return answer
    try:
        cost, text = _cost(runs, rows)
        return replace(answer, optimum=allocate(fit, cost, list(budgets), seed=seed), cost=text)
    except AllocationError as error:
        return replace(answer, reason=str(error))


def _cost(runs: Runs, rows: pd.DataFrame) -> tuple[ComputeModel, str]:
    """C = k N^m D^q of the file's column of compute, else C = 6 N D."""
    why = ""
    if "C" in rows and {"N", "D"} <= set(rows.columns):
        known = rows[["N", "D", "C"]].dropna()
        try:
            found = compute_model(known, n_boot=_COST_REFITS)
            return found, (
                f"C ~ N^{number(found.m)} D^{number(found.q)}, fitted to column "
                f"{runs.chosen['C'].column}"
            )
        except AllocationError as error:
            why = f" (column {runs.chosen['C'].column} cannot be used: {error})"
    if runs.unscaled:
        raise AllocationError(
            f"C = 6 N D needs {' and '.join(runs.unscaled)} in units of one: --map "
            f"'{runs.unscaled[0]}={runs.chosen[runs.unscaled[0]].column}*1e6' says the unit, "
            "*1 that it is a count"
        )
    return ComputeModel.standard(), f"C = 6 N D, as of a transformer on D tokens{why}"


def numbers(runs: Runs, answers: Iterable[SetAnswer]) -> dict[str, Any]:
    """Everything, as plain JSON values."""
    return json_object(
        file=runs.name,
        columns={r: {"column": c.column, "factor": c.factor} for r, c in runs.chosen.items()},
        took=runs.took,
        warnings=runs.warnings,
        sets=[
            {
                "name": a.name,
                "fit": a.fit.to_dict(),
                "predictions": a.predictions,
                "held_out": a.held_out(),
                "optimum": None if a.optimum is None else a.optimum.to_dict(),
                "cost": a.cost,
                "no_optimum": a.reason,
            }
            for a in answers
        ],
    )


def text_of(runs: Runs, answers: Sequence[SetAnswer], refits: int) -> str:
    """What was taken, then each fit with what it predicts."""
    lines = [str(runs)]
    if not refits:
        lines.append("--n-boot 0 makes no refits: predictions and optima have no intervals")
    elif len(answers) > 1:
        lines.append(f"refits: {refits} of each data set (--n-boot {REFITS} for closer intervals)")
    for answer in answers:
        lines += ["", *(_brief(answer) if len(answers) > 1 else [answer.fit.summary()])]
        lines += [f"  {line}" for line in _said(answer)]
    return "\n".join(lines)


def _brief(answer: SetAnswer) -> list[str]:
    """A fit in a few lines."""
    fit = answer.fit
    lines = [f"{answer.name}: {len(fit.rows)} rows, {fit.status}, R² {number(fit.r2, 4)}"]
    lines += [f"  warning: {w}" for w in fit.warnings]
    if fit.ok:
        cells = [f"{r['name']} = {r['value']} {r['interval']}" for r in fit.card().table]
        lines.append("  " + "  ".join(cells))
    return lines


def _said(answer: SetAnswer) -> list[str]:
    """Held-out rows, predictions and optima, as text."""
    held = answer.held_text()
    lines = [*([held] if held else []), *answer.prediction_texts()]
    if (a := answer.optimum) is not None:
        lines += [f"optimum under {answer.cost}:", *(f"  {t}" for t in answer.optimum_texts())]
        lines.append(
            f"  N* ~ C^{number(a.a)} {interval(a.counted.a_interval)}, "
            f"D* ~ C^{number(a.b)} {interval(a.counted.b_interval)}"
        )
        lines += [f"  warning: {w}" for w in a.warnings if _OUTSIDE not in w]
    elif answer.reason:
        lines.append(f"no optimum: {answer.reason}")
    return lines


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
    from analysis.figures import base as figures

    check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)  # before figures are drawn for nothing
    written: dict[Path, bytes] = {}
    parts = []
    for i, answer in enumerate(answers):
        pictures = {"fit": answer.fit.plot()} if answer.fit.ok else {}
        if answer.optimum is not None:
            pictures["allocation"] = answer.optimum.plot()
        svg = {name: figures.svg(picture, f"{name}{i}") for name, picture in pictures.items()}
        parts.append({"answer": answer, "fit": answer.fit, "figures": svg})
        suffix = f"-{_slug(answer.name) or i + 1}" if len(answers) > 1 else ""
        for name, picture in pictures.items():
            path = folder / f"{name}{suffix}.png"
            if path in written:  # two names that differ in punctuation alone
                path = folder / f"{name}{suffix}-{i + 1}.png"
            written[path] = figures.png(picture)
    written[folder / "parameters.tex"] = latex_table(answers).encode()
    title, law = Path(runs.name).name or "Runs", answers[0].fit.law
    page = render("fit.html.j2", title=title, mark=MARK, runs=runs, law=law, parts=parts)
    written[folder / "report.html"] = page.encode()
    for path, data in written.items():
        write_whole(path, data)
    return list(written)


def _slug(name: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in name).split()).lower()[:80]


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
        name = "".join(map(_latex_character, answer.name or "all"))
        cells = [
            rf"$\underset{{{_latex_interval(r['interval'])}}}{{{_latex_number(r['value'])}}}$"
            if fit.ok
            else "--"
            for r in fit.card().table
        ]
        r2 = f"${number(fit.r2, 4)}$" if fit.ok else "--"
        lines.append(" & ".join([name, str(len(fit.rows)), *cells, r2]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _latex_character(c: str) -> str:
    words = {"\\": "textbackslash", "~": "textasciitilde", "^": "textasciicircum"}
    return f"\\{words[c]}{{}}" if c in words else f"\\{c}" if c in "&%$#_{}" else c


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
