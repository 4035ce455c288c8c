"""The methods of a study compared: from the predictions it kept, on the same patients and draws.

For each task and protocol: every metric of every method with its interval, and what it is more or
less than that of a baseline, or of any other that is asked for.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.compare.comparison import ResampleOptions
from analysis.compare.evaluations import evaluations_on_test, folds_of
from analysis.compare.methods import Method, methods_of, units_of
from analysis.compare.paired import (
    MARGIN,
    Measured,
    Runs,
    difference,
    margin_of,
    measure_methods,
    read_run,
)
from analysis.studies.load import study as load_study
from scaling.records.layout import live_store
from scaling.records.multilabel import METRICS
from scaling.records.names import suggest
from scaling.records.patients import Estimate
from scaling.records.tables import ResultsError

SCHEMA = 1
Pair = tuple[str, str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is wanted of a study."""

    metrics: tuple[str, ...]
    baseline: str | None
    pairs: tuple[Pair, ...]
    margin: float
    options: ResampleOptions

    def pairs_among(self, names: Sequence[str]) -> list[Pair]:
        """Each method against the baseline, and then the pairs, as far as they are there."""
        against = [(name, self.baseline) for name in names if name != self.baseline]
        wanted = [*against, *self.pairs] if self.baseline else [*self.pairs]
        return [(a, b) for a, b in wanted if b is not None and {a, b} <= set(names)]


def compare_methods(
    folder: str | Path,
    *,
    baseline: str | None = None,
    pairs: Sequence[Pair] = (),
    metrics: Sequence[str] | None = None,
    task: str | None = None,
    protocol: str | None = None,
    margin: float = MARGIN,
    resamples: int | None = None,
    seed: int | None = None,
) -> dict[str, Any]:
    """All methods of a study, from the predictions in its live store, as plain JSON values.

    Args:
        folder: a results folder, such as ``results/liteheart-virtual``.
        baseline: name of the method that all others are compared with; None for none.
        pairs: names of two methods each, the first to be compared with the second.
        metrics: of ``scaling.records.multilabel.METRICS``; None for all.
        task: only this task, without a fold; None for all.
        protocol: only this protocol; None for all.
        margin: largest difference that counts as none, a share of the range of a metric.
        resamples: of the patients and draws; None for 2,000.
        seed: of the resamples; None for 0.

    Returns:
        ``study``, ``resamples``, ``seed``, ``margin``, ``baseline``, ``metrics``, ``comparisons``
        and ``notes``. Of each task and protocol: ``task``, ``protocol``, ``records``, ``patients``,
        ``folds``, ``classes``; ``methods``, each with ``name``, ``settings``, ``values`` (metric ->
        ``value``, ``se``, ``low``, ``high``) and ``by_unit`` (draw or seed -> metric -> value);
        and ``differences``, each with ``method``, ``against`` and ``values`` (metric -> the same,
        and ``verdict`` and ``margin``). What is not known is None.

    Raises:
        ResultsError: the folder cannot be read, holds no predictions, has no such method or
            metric, a method lacks a fold or was not tested on the records of the others.
    """
    folder = Path(folder)
    study, store = load_study(folder), live_store(folder).predictions
    given = {k: v for k, v in (("resamples", resamples), ("seed", seed)) if v is not None}
    asked = _Asked(
        metrics=_known_metrics(metrics), baseline=baseline, pairs=tuple(pairs), margin=margin,
        options=ResampleOptions(**given),
    )  # fmt: skip
    methods = methods_of(study.frame, evaluations_on_test(study.frame))
    methods, notes = _with_predictions(methods, store)
    _check_names([m.name for m in methods], asked)
    comparisons = [
        _one_task(methods, name, way, store, asked, notes)
        for name, way in _tasks(methods, task, protocol, store)
    ]
    return {
        "schema": SCHEMA, "study": study.name, "resamples": asked.options.resamples,
        "seed": asked.options.seed, "margin": margin, "baseline": baseline,
        "metrics": list(asked.metrics), "comparisons": comparisons, "notes": notes,
    }  # fmt: skip


def _known_metrics(metrics: Sequence[str] | None) -> tuple[str, ...]:
    for name in metrics or ():
        if name not in METRICS:
            raise ResultsError(f"no metric {name!r}; {suggest(name, METRICS)}")
    return tuple(dict.fromkeys(metrics)) if metrics else tuple(METRICS)


def _with_predictions(methods: Sequence[Method], store: Path) -> tuple[list[Method], list[str]]:
    """Methods with the tasks and protocols that they kept any predictions of; notes on others."""
    kept = {path.stem for path in store.glob("*.npz")}
    found, notes = [], []
    for method in methods:
        rows = method.rows
        there = rows.groupby(["task", "protocol"])["evaluation"].transform(
            lambda ids: bool(set(ids) & kept)
        )
        if there.any():
            found.append(dataclasses.replace(method, rows=rows[there.astype(bool)]))
        else:
            notes.append(f"left out: {method.name}: it kept no predictions")
    if not found:
        raise ResultsError(
            f"{store}: no predictions: run the study with `predictions: true` in its stage "
            "(published tables do not hold predictions)"
        )
    return found, notes


def _check_names(names: Sequence[str], asked: _Asked) -> None:
    wanted = [asked.baseline] if asked.baseline else []
    for name in [*wanted, *(name for pair in asked.pairs for name in pair)]:
        if name not in names:
            raise ResultsError(f"no method {name!r}; {suggest(name, names)}")


def _tasks(
    methods: Sequence[Method], task: str | None, protocol: str | None, store: Path
) -> list[Pair]:
    """Tasks and protocols that there are predictions of, as far as they are wanted."""
    rows = pd.concat([m.rows[["task", "protocol"]] for m in methods]).drop_duplicates()
    there = sorted((str(t), str(p)) for t, p in rows.itertuples(index=False))
    found = [(t, p) for t, p in there if task in (None, t) and protocol in (None, p)]
    if not found:
        asked = "/".join(filter(None, (task, protocol)))
        listed = ", ".join("/".join(pair) for pair in there)
        raise ResultsError(f"{store}: no predictions of {asked}; there are {listed}")
    return found


def _one_task(
    methods: Sequence[Method], task: str, protocol: str, store: Path, asked: _Asked,
    notes: list[str],
) -> dict[str, Any]:  # fmt: skip
    """All methods on one task, under one protocol."""
    parts = [
        (m, m.rows[(m.rows["task"] == task) & (m.rows["protocol"] == protocol)]) for m in methods
    ]
    parts = [(method, rows) for method, rows in parts if len(rows)]
    folds = folds_of(pd.concat([rows for _, rows in parts]), task)
    all_runs = [_runs(method.name, rows, folds, store) for method, rows in parts]
    measured = measure_methods(all_runs, asked.metrics, asked.options)
    where = f"{task} ({protocol})"
    notes += _notes(all_runs, where)
    wanted = asked.pairs_among(list(measured))
    if asked.baseline is not None and asked.baseline not in measured:
        notes.append(f"{where}: {asked.baseline} has no predictions there to compare with")
    tested = next(iter(all_runs[0].units.values()))[0].predictions
    margins = {m: margin_of(m, asked.margin, len(tested.classes)) for m in asked.metrics}
    return {
        "task": task, "protocol": protocol, "records": len(tested.record),
        "patients": len(set(tested.patient.tolist())), "folds": list(folds),
        "classes": list(tested.classes),
        "methods": [_method(method, measured[method.name], asked.metrics) for method, _ in parts],
        "differences": [
            {"method": a, "against": b, "values": _differences(measured[a], measured[b], margins)}
            for a, b in wanted
        ],
    }  # fmt: skip


def _runs(name: str, rows: pd.DataFrame, folds: tuple[int, ...], store: Path) -> Runs:
    """What a method predicted; a training of it that lacks a fold is named."""
    units = units_of(rows)
    return Runs(
        name=name,
        units={
            unit: [read_run(part, folds, store, f"{name}, {unit}") for part in trainings]
            for unit, trainings in units.items()
        },
    )


def _notes(all_runs: Sequence[Runs], where: str) -> list[str]:
    """What the intervals of some methods do not hold, or hold apart."""
    alone = [runs.name for runs in all_runs if len(runs.units) == 1]
    notes = []
    if alone:
        notes.append(
            f"{where}: one draw or seed of {', '.join(alone)}: the intervals say nothing of what "
            "another one would give"
        )
    if len({frozenset(runs.units) for runs in all_runs}) > 1:
        notes.append(
            f"{where}: not all methods have the same draws or seeds; a difference between two that "
            "have not has them drawn apart"
        )
    return notes


def _method(method: Method, measured: Measured, metrics: Sequence[str]) -> dict[str, Any]:
    return {
        "name": method.name,
        "settings": dict(method.settings),
        "values": {m: _plain(Estimate.of(measured.of(m))) for m in metrics},
        "by_unit": {
            unit: {m: _finite(float(v[0])) for m, v in values.items()}
            for unit, values in measured.units.items()
        },
    }


def _differences(
    ours: Measured, theirs: Measured, margins: dict[str, float]
) -> dict[str, dict[str, Any]]:
    found = {}
    for metric, margin in margins.items():
        one = difference(ours, theirs, metric, margin)
        found[metric] = _plain(one.estimate) | {"verdict": one.verdict, "margin": margin}
    return found


def _plain(estimate: Estimate) -> dict[str, Any]:
    return {key: _finite(value) for key, value in dataclasses.asdict(estimate).items()}


def _finite(value: float) -> float | None:
    """As JSON, which has no NaN."""
    return None if math.isnan(value) else value


def methods_as_text(numbers: dict[str, Any]) -> str:
    """The comparisons as text: a block for each task and protocol, in it one for each metric."""
    lines = [
        f"{numbers['study']}: 95 % intervals of {numbers['resamples']} resamples of the patients, "
        "and of draws or seeds where there are several"
    ]
    for one in numbers["comparisons"]:
        lines += ["", f"{one['task']} ({one['protocol']}): {one['records']} records of "
                  f"{one['patients']} patients, each tested once"]  # fmt: skip
        for metric in numbers["metrics"]:
            lines += _metric_lines(one, metric, numbers["baseline"])
    if not any(one["differences"] for one in numbers["comparisons"]):
        lines += ["", "no differences: name a method as the baseline"]
    return "\n".join([*lines, *(["", *numbers["notes"]] if numbers["notes"] else [])])


def _metric_lines(one: dict[str, Any], metric: str, baseline: str | None) -> list[str]:
    """A metric of each method, with what it is more than the baseline, and then of pairs."""
    better = "higher" if METRICS[metric] else "lower"
    against = {(d["method"], d["against"]): d["values"][metric] for d in one["differences"]}
    than = f", less {baseline}" if any(b == baseline for _, b in against) else ""
    lines = [f"  {metric} ({better} is better){than}"]
    width = max(len(m["name"]) for m in one["methods"])
    for method in one["methods"]:
        name = method["name"]
        line = f"    {name:{width}}  {_interval(method['values'][metric])}"
        if found := against.get((name, baseline or "")):
            line += f"  {_interval(found, '+')} {found['verdict']}"
        lines.append(line)
    for (name, other), found in against.items():
        if other != baseline:
            lines.append(f"    {name} less {other}: {_interval(found, '+')} {found['verdict']}")
    return lines


def _interval(value: dict[str, Any], sign: str = "") -> str:
    def told(number: float | None) -> str:
        return "-" if number is None else f"{number:{sign}.4f}"

    return f"{told(value['value'])} [{told(value['low'])}, {told(value['high'])}]"
