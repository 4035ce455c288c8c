"""What is said of a file of runs: one fit for each data set, its predictions, its optimum."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from analysis.compute.allocation import Allocation, allocate
from analysis.compute.cost import ComputeModel, compute_model
from analysis.compute.rows import AllocationError
from analysis.fit.fit import fit_law
from analysis.fit.result import Fit
from analysis.runs.read import Runs
from analysis.text import count, interval, jsonable, number

REFITS = 1000  # of all data sets of a file together
_FEWEST = 100  # of one of them
_COST_REFITS = 200
_OUTSIDE = "lies outside those measured"  # of an allocation's warnings; each line says how far


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAnswer:
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
    runs: Runs,
    name: str,
    law: str,
    points: Sequence[dict[str, float]],
    budgets: Sequence[float],
    refits: int,
    seed: int,
) -> SetAnswer:
    rows = runs.sets[name]
    try:
        fit = fit_law(
            rows.drop(columns="C") if "C" in rows and law != "frontier" else rows,
            law,
            n_boot=refits,
            seed=seed,
        )
    except ValueError as error:
        raise ValueError(runs.in_file(str(error), rows)) from None
    fit = replace(fit, labels=runs.labels, notes=())
    predictions = held = optimum = None
    cost = reason = ""
    if fit.ok:
        _ = fit.intervals, fit.warnings  # here, beside other data sets, and not when shown
        if points:
            predictions = pd.concat(
                [fit.predicted(fit.scales(p)) for p in points], ignore_index=True
            )
        if name in runs.held:
            own = runs.held[name].reset_index(drop=True)
            found = fit.predicted(fit.scales({a: own[a] for a in fit.law.axes}))
            new = found[["new_low", "new_high", "beyond"]]
            held = own.assign(predicted=found[fit.law.response]).join(new)
        if budgets:
            optimum, cost, reason = _optimum(runs, rows, fit, budgets, seed)
    return SetAnswer(
        name=name,
        fit=fit,
        predictions=predictions,
        held=held,
        optimum=optimum,
        cost=cost,
        reason=reason,
    )


def _optimum(
    runs: Runs, rows: pd.DataFrame, fit: Fit, budgets: Sequence[float], seed: int
) -> tuple[Allocation | None, str, str]:
    """The optimum, what training is taken to cost, and why there is none."""
    try:
        cost, text = _cost(runs, rows)
        return allocate(fit, cost, list(budgets), seed=seed), text, ""
    except AllocationError as error:
        return None, "", str(error)


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
    found: dict[str, Any] = jsonable(
        {
            "file": runs.name,
            "columns": {
                r: {"column": c.column, "factor": c.factor} for r, c in runs.chosen.items()
            },
            "took": runs.took,
            "warnings": runs.warnings,
            "sets": [
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
        }
    )
    return found


def text_of(runs: Runs, answers: Sequence[SetAnswer], refits: int) -> str:
    """What was taken, then each fit with what it predicts."""
    lines = [str(runs)]
    if not refits:
        lines.append("--n-boot 0 makes no refits: predictions and optima have no intervals")
    elif len(answers) > 1:
        lines.append(f"refits: {refits} of each data set (--n-boot {REFITS} for closer intervals)")
    for answer in answers:
        lines += ["", *(_brief(answer) if len(answers) > 1 else [answer.fit.summary()])]
        lines += _said(answer)
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
    lines = []
    if held := answer.held_out():
        lines.append(f"  {held_text(held)}")
    if answer.predictions is not None:
        lines += [f"  {text}" for text in prediction_texts(answer)]
    if answer.optimum is not None:
        a = answer.optimum
        lines.append(f"  optimum under {answer.cost}:")
        lines += [f"    {text}" for text in optimum_texts(answer)]
        lines.append(
            f"    N* ~ C^{number(a.a)} {interval(a.counted.a_interval)}, "
            f"D* ~ C^{number(a.b)} {interval(a.counted.b_interval)}"
        )
        lines += [f"    warning: {w}" for w in a.warnings if _OUTSIDE not in w]
    elif answer.reason:
        lines.append(f"  no optimum: {answer.reason}")
    return lines


def held_text(held: dict[str, float]) -> str:
    """One line on the rows held out."""
    rows, error = int(held["rows"]), number(100 * held["error"], 2)
    text = f"held out: {rows} row{'s' * (rows > 1)}, error {error} %"
    if rows > 1:
        text += f" on average, {number(100 * held['worst'], 2)} % at most"
    if "within" in held:
        text += f"; {held['within']:.0f} within their 95 % interval"
    return text


def prediction_texts(answer: SetAnswer) -> list[str]:
    """One line for each point asked for."""
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
            if row["untested"]:
                text += ", where the interval extrapolates the error of the law as well"
        lines.append(text)
    return lines


def optimum_texts(answer: SetAnswer) -> list[str]:
    """One line for each budget asked for."""
    assert answer.optimum is not None
    lines = []
    for row in answer.optimum.table.to_dict("records"):
        text = f"C = {number(row['C'])}: "
        for name, show in (("N", count), ("D", count), ("loss", lambda v: number(v, 4))):
            text += f"{name} = {show(row[name])}"
            if row[f"{name}_low"] == row[f"{name}_low"]:
                text += f" [{show(row[f'{name}_low'])}, {show(row[f'{name}_high'])}]"
            text += ", " if name != "loss" else ""
        far = [
            f"{axis} {number(row[f'beyond_{axis}'])}"
            for axis in ("N", "D", "C")
            if row[f"beyond_{axis}"] > 1.005
        ]
        text += f"; times beyond the runs: {', '.join(far)}" if far else ""
        if row["untested"]:
            text += ": the interval extrapolates the error of the law as well"
        lines.append(text)
    return lines
