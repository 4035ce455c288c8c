"""``python -m analysis.fit runs.csv``: a law of anyone's runs, and what it says of larger ones."""

from __future__ import annotations

import argparse
import json
import re
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from analysis.allocation import Allocation, ComputeModel
    from analysis.result import Fit
    from analysis.runs import Runs

REFITS = 1000  # of all data sets of a file together
_FEWEST = 100  # of one of them
_COST_REFITS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is said of one data set.

    Attributes:
        name: of the data set; empty where the file has one.
        fit: the law.
        predictions: at the points asked for, see ``Fit.predict``.
        held: rows held out by the file, with the prediction of each; None where there are none.
        optimum: of the budgets asked for; None where ``reason`` says why, or none was asked for.
        cost: what training is taken to cost, in a sentence.
        reason: why there is no optimum; empty when there is one.
    """

    name: str
    fit: Fit
    predictions: pd.DataFrame | None
    held: pd.DataFrame | None
    optimum: Allocation | None
    cost: str
    reason: str

    def held_out(self) -> dict[str, float]:
        """Rows held out, mean and largest absolute relative error, rows within their interval."""
        if self.held is None:
            return {}
        error = (self.held["predicted"] / self.held[self.fit.law.response] - 1).abs()
        found = {"rows": len(self.held), "error": float(error.mean()), "worst": float(error.max())}
        if self.held["new_low"].notna().all():
            own = self.held[self.fit.law.response]
            found["within"] = int(own.between(self.held["new_low"], self.held["new_high"]).sum())
        return found


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="python -m analysis.fit",
        description="Fit a scaling law to a table of runs: N, D and the loss, found by name.",
        epilog="Exit codes: 0, and 2 for a file or argument that cannot be used.",
    )
    add = found.add_argument
    add("runs", type=Path, help="CSV, TSV, JSON lines, Excel or parquet file")
    add("--law", default="chinchilla", help="which law (default: chinchilla; see docs/laws.md)")
    add(
        "--map",
        action="append",
        default=[],
        metavar="N=COLUMN,...",
        help="columns by role, such as N=params,loss=val_loss; N=params*1e6 multiplies",
    )
    add(
        "--by",
        action="append",
        metavar="COLUMN",
        help="column that sets data sets apart (repeat for more; 'none' fits all rows as one)",
    )
    add("--where", action="append", default=[], metavar="COLUMN=VALUE", help="rows to keep")
    add(
        "--at",
        action="append",
        default=[],
        metavar="N=..,D=..",
        help="predict there; repeat for more points (7B and 1e9 are understood)",
    )
    add(
        "--compute",
        action="append",
        default=[],
        metavar="FLOPS",
        help="optimal N and D at this compute; repeat for more",
    )
    add("--out", type=Path, metavar="DIR", help="write report.html, figures and parameters.tex")
    add("--json", action="store_true", help="print all numbers instead of text")
    add("--seed", type=int, default=0, help="of the refits (default: 0)")
    add(
        "--n-boot",
        type=int,
        metavar="N",
        help=f"refits of each data set (default: {REFITS}, shared by several data sets)",
    )
    return found  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, or 2 for bad input, which is named on stderr."""
    options = parser().parse_args(arguments)
    if options.n_boot is not None and options.n_boot < 0:
        parser().error("--n-boot must not be negative")
    if options.runs.is_dir():
        return _failed(
            f"{options.runs} is a folder; python -m analysis.report {options.runs} reads a study"
        )
    try:
        return _run(options)
    except ValueError as error:
        return _failed(str(error))
    except OSError as error:
        return _failed(f"{error.filename or 'output'}: {error.strerror}")


def _failed(text: str) -> int:
    print(f"error: {text}", file=sys.stderr)  # noqa: T201
    return 2


def _run(options: argparse.Namespace) -> int:
    from analysis.laws import get
    from analysis.runs import read_runs

    law = get(options.law)
    points = [_point(text, law.axes) for text in options.at]
    budgets = [_number(text, "--compute") for part in options.compute for text in part.split(",")]
    by = None if options.by is None else [c for c in options.by if c != "none"]
    where = dict(_pair(text, "--where") for text in options.where)
    columns = dict(pair for text in options.map for pair in _mapped(text))
    runs = read_runs(options.runs, law, columns=columns, by=by, where=where)
    refits = options.n_boot
    if refits is None:
        refits = max(_FEWEST, REFITS // len(runs.sets))
    answers = _answers(runs, options.law, points, budgets, refits, options.seed)
    if not any(a.fit.ok for a in answers):
        print(runs)  # noqa: T201
        why = "; ".join(dict.fromkeys(w for a in answers for w in a.fit.warnings))
        return _failed(f"{runs.name}: no law can be fitted: {why}")
    if options.json:
        print(json.dumps(numbers(runs, answers), indent=1, allow_nan=False))  # noqa: T201
    else:
        print(text_of(runs, answers, refits))  # noqa: T201
    if options.out is not None:
        from analysis.report.fitted import write_all

        for path in write_all(runs, answers, options.out):
            print(f"{path}: written", file=sys.stderr)  # noqa: T201
    return 0


def _number(text: str, option: str) -> float:
    from analysis.run_tables import number_of

    try:
        found = number_of(text)
    except ValueError:
        found = float("nan")
    if not 0 < found < float("inf"):
        raise ValueError(f"{option}: {text!r} is not a positive number such as 1e21")
    return found


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ValueError(f"{option}: {text!r} is not NAME=VALUE")
    return name.strip(), value.strip()


def _mapped(text: str) -> list[tuple[str, str]]:
    """Roles and columns; a comma that no role follows belongs to a column's name."""
    return [_pair(part, "--map") for part in re.split(r",(?=\s*\w+\s*=)", text)]


def _point(text: str, axes: Sequence[str]) -> dict[str, float]:
    pairs = dict(_pair(part, "--at") for part in text.split(","))
    if set(pairs) != set(axes):
        raise ValueError(f"--at {text}: give {', '.join(f'{a}=..' for a in axes)}")
    return {name: _number(value, f"--at {name}") for name, value in pairs.items()}


def _answers(
    runs: Runs, law: str, points: Sequence[dict[str, float]], budgets: Sequence[float],
    refits: int, seed: int,
) -> list[Answer]:  # fmt: skip
    """The answer of every data set; several are fitted side by side where the system can fork."""
    jobs = [(runs, name, law, points, budgets, refits, seed) for name in runs.sets]
    workers = _workers(len(jobs))
    if workers < 2:
        return [_answer(*job) for job in jobs]
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    with warnings.catch_warnings():
        # Forking beside idle BLAS threads is safe: they hold no lock between calls.
        warnings.simplefilter("ignore", DeprecationWarning)
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            return list(pool.map(_answer, *zip(*jobs, strict=True)))


def _workers(jobs: int) -> int:
    """Processes worth starting."""
    import multiprocessing
    import os

    if (
        jobs < 3
        or "fork" not in multiprocessing.get_all_start_methods()
        or sys.platform == "darwin"
    ):
        return 1
    return min(4, jobs, len(os.sched_getaffinity(0)))


def _answer(
    runs: Runs, name: str, law: str, points: Sequence[dict[str, float]],
    budgets: Sequence[float], refits: int, seed: int,
) -> Answer:  # fmt: skip
    import pandas as pd

    from analysis.fit import fit_law

    rows = runs.sets[name]
    try:
        fit = fit_law(rows.drop(columns="C") if "C" in rows and law != "frontier" else rows, law,
                      n_boot=refits, seed=seed)  # fmt: skip
    except ValueError as error:
        raise ValueError(runs.in_file(str(error), rows)) from None
    fit = replace(fit, labels=runs.labels, notes=())
    predictions = held = optimum = None
    cost = reason = ""
    if fit.ok:
        _ = fit.intervals
        if points:
            predictions = pd.concat([fit.predict(**p) for p in points], ignore_index=True)
        if name in runs.held:
            own = runs.held[name].reset_index(drop=True)
            found = fit.predict(**{a: own[a] for a in fit.law.axes})
            new = found[["new_low", "new_high", "beyond"]]
            held = own.assign(predicted=found[fit.law.response]).join(new)
        if budgets:
            optimum, cost, reason = _optimum(runs, rows, fit, budgets, seed)
    return Answer(name=name, fit=fit, predictions=predictions, held=held, optimum=optimum,
                  cost=cost, reason=reason)  # fmt: skip


def _optimum(
    runs: Runs, rows: pd.DataFrame, fit: Fit, budgets: Sequence[float], seed: int
) -> tuple[Allocation | None, str, str]:
    """The optimum, what training is taken to cost, and why there is none."""
    from analysis.allocation import AllocationError, allocate

    try:
        cost, text = _cost(runs, rows)
        return allocate(fit, cost, list(budgets), seed=seed), text, ""
    except AllocationError as error:
        return None, "", str(error)


def _cost(runs: Runs, rows: pd.DataFrame) -> tuple[ComputeModel, str]:
    """C = k N^m D^q of the file's column of compute, else C = 6 N D."""
    from analysis.allocation import AllocationError, ComputeModel, compute_model
    from analysis.tables import number

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
            f"'{runs.unscaled[0]}={runs.chosen[runs.unscaled[0]].column}*1e6' says the unit"
        )
    return ComputeModel.standard(), f"C = 6 N D, as of a transformer on D tokens{why}"


def numbers(runs: Runs, answers: Iterable[Answer]) -> dict[str, Any]:
    """Everything, as plain JSON values."""
    from analysis.shown import jsonable

    found: dict[str, Any] = jsonable({
        "file": runs.name,
        "columns": {r: {"column": c.column, "factor": c.factor} for r, c in runs.chosen.items()},
        "took": runs.took,
        "warnings": runs.warnings,
        "sets": [
            {
                "name": a.name, "fit": a.fit.to_dict(), "predictions": a.predictions,
                "held_out": a.held_out(),
                "optimum": None if a.optimum is None else a.optimum.to_dict(),
                "cost": a.cost, "no_optimum": a.reason,
            }
            for a in answers
        ],
    })  # fmt: skip
    return found


def text_of(runs: Runs, answers: Sequence[Answer], refits: int) -> str:
    """What was taken, then each fit with what it predicts."""
    lines = [str(runs)]
    if len(answers) > 1:
        lines.append(f"refits: {refits} of each data set (--n-boot {REFITS} for closer intervals)")
    for answer in answers:
        lines += ["", *(_brief(answer) if len(answers) > 1 else [answer.fit.summary()])]
        lines += _said(answer)
    return "\n".join(lines)


def _brief(answer: Answer) -> list[str]:
    """A fit in a few lines."""
    from analysis.tables import estimates, number

    fit = answer.fit
    lines = [f"{answer.name}: {len(fit.rows)} rows, {fit.status}, R² {number(fit.r2, 4)}"]
    lines += [f"  warning: {w}" for w in fit.warnings]
    if fit.ok:
        cells = [f"{r['name']} = {r['value']} {r['interval']}" for r in estimates(fit)]
        lines.append("  " + "  ".join(cells))
    return lines


def _said(answer: Answer) -> list[str]:
    """Held-out rows, predictions and optima, as text."""
    from analysis.tables import number

    lines = []
    if held := answer.held_out():
        lines.append(f"  {held_text(held)}")
    if answer.predictions is not None:
        lines += [f"  {text}" for text in prediction_texts(answer)]
    if answer.optimum is not None:
        a = answer.optimum
        lines.append(f"  optimum under {answer.cost}:")
        lines += [f"    {text}" for text in optimum_texts(answer)]
        lines.append(f"    N* ~ C^{number(a.a)} {_ends(a.counted.a_interval)}, "
                     f"D* ~ C^{number(a.b)} {_ends(a.counted.b_interval)}")  # fmt: skip
        lines += [f"    warning: {w}" for w in a.warnings if w not in answer.fit.warnings]
    elif answer.reason:
        lines.append(f"  no optimum: {answer.reason}")
    return lines


def _ends(value: Any) -> str:
    from analysis.tables import interval

    return interval(value)


def held_text(held: dict[str, float]) -> str:
    """One line on the rows held out."""
    text = (
        f"held out: {held['rows']:.0f} rows, error {100 * held['error']:.2g} % on average, "
        f"{100 * held['worst']:.2g} % at most"
    )
    if "within" in held:
        text += f"; {held['within']:.0f} within their 95 % interval"
    return text


def prediction_texts(answer: Answer) -> list[str]:
    """One line for each point asked for."""
    from analysis.tables import count, number

    assert answer.predictions is not None
    fit, lines = answer.fit, []
    for row in answer.predictions.to_dict("records"):
        at = ", ".join(
            f"{a} = {count(row[a]) if a != 'C' else number(row[a])}" for a in fit.law.axes
        )
        text = f"at {at}: {fit.law.response} {number(row[fit.law.response], 4)}"
        if row["mean_low"] == row["mean_low"]:
            text += (
                f", 95 % [{number(row['mean_low'], 4)}, {number(row['mean_high'], 4)}] of the "
                f"curve, [{number(row['new_low'], 4)}, {number(row['new_high'], 4)}] of a new run"
            )
        if row["beyond"] > 1 + 1e-9:
            text += f"; {number(row['beyond'])} times beyond the runs"
        lines.append(text)
    return lines


def optimum_texts(answer: Answer) -> list[str]:
    """One line for each budget asked for."""
    from analysis.tables import count, number

    assert answer.optimum is not None
    lines = []
    for row in answer.optimum.table.to_dict("records"):
        text = f"C = {number(row['C'])}: "
        for name, show in (("N", count), ("D", count), ("loss", lambda v: number(v, 4))):
            text += f"{name} = {show(row[name])}"
            if row[f"{name}_low"] == row[f"{name}_low"]:
                text += f" [{show(row[f'{name}_low'])}, {show(row[f'{name}_high'])}]"
            text += ", " if name != "loss" else ""
        lines.append(text)
    return lines
