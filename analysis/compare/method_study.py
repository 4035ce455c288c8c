"""The methods of a study compared: from the predictions it kept, on the same patients and draws.

For each task and protocol: every metric of every method with its interval; what it is more or less
than that of a baseline, or of any other that is asked for; and how much of the gap from the
baseline to a ceiling or a teacher it closes. Where none is named, blocks of methods have roles by
how they were trained (``roles``), and the same is said of each block by itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.compare.blocks import (
    block_numbers,
    differences_of,
    finite,
    plain_estimate,
    shares_of,
)
from analysis.compare.comparison import ResampleOptions
from analysis.compare.evaluations import evaluations_on_test, folds_of
from analysis.compare.methods import Method, methods_of, units_of
from analysis.compare.paired import (
    MARGIN,
    Measured,
    Runs,
    margin_of,
    measure_methods,
    read_run,
)
from analysis.compare.published import read_methods
from analysis.compare.roles import BASELINE, CEILING, TEACHER, Block, blocks_of
from analysis.studies.load import study as load_study
from scaling.records.layout import METHODS_COMPARED, live_store
from scaling.records.multilabel import METRICS
from scaling.records.names import suggest
from scaling.records.patients import Estimate
from scaling.records.tables import ResultsError

SCHEMA = 1
Pair = tuple[str, str]
_ROLES = (BASELINE, CEILING, TEACHER)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is wanted of a study."""

    metrics: tuple[str, ...]
    roles: Mapping[str, str]  # baseline, ceiling and teacher, as far as they are named
    pairs: tuple[Pair, ...]
    margin: float
    options: ResampleOptions

    @property
    def names(self) -> list[str]:
        """All methods that are named."""
        return [*self.roles.values(), *(name for pair in self.pairs for name in pair)]

    def pairs_among(self, names: Sequence[str]) -> list[Pair]:
        """Each method against the baseline, and then the pairs, as far as they are there."""
        base = self.roles.get(BASELINE)
        wanted = [(name, base) for name in names if name != base] if base else []
        return [(a, b) for a, b in [*wanted, *self.pairs] if {a, b} <= set(names)]

    def completed(self, blocks: Sequence[Block]) -> _Asked:
        """With the roles that are not named as the one block has them that those named are of."""
        each = [{role: method.name for role, method in b.roles.items()} for b in blocks]
        own = [r for r in each if self.roles and set(self.roles.values()) <= set(r.values())]
        known = {k: own[0][k] for k in _ROLES if k in own[0]} if len(own) == 1 else {}
        return dataclasses.replace(self, roles=known | dict(self.roles))


def compare_methods(
    folder: str | Path,
    *,
    baseline: str | None = None,
    ceiling: str | None = None,
    teacher: str | None = None,
    pairs: Sequence[Pair] = (),
    metrics: Sequence[str] | None = None,
    task: str | None = None,
    protocol: str | None = None,
    margin: float | None = None,
    resamples: int | None = None,
    seed: int | None = None,
) -> dict[str, Any]:
    """All methods of a study as plain JSON values: from its predictions, or as was published.

    Args:
        folder: a results folder, such as ``results/liteheart-virtual``.
        baseline: name of the method that all others are compared with.
        ceiling: name of the method that the gap from the baseline leads to.
        teacher: likewise. Where one of the three is named, the others are those of the one block
            of students that it has a role in; where none is, each block has its own.
        pairs: names of two methods each, the first to be compared with the second.
        metrics: of ``scaling.records.multilabel.METRICS``; None for all.
        task: only this task, without a fold; None for all.
        protocol: only this protocol; None for all.
        margin: largest difference that counts as none, a share of the range of a metric; None
            for ``MARGIN``.
        resamples: of the patients and draws; None for 2,000.
        seed: of the resamples; None for 0.

    Returns:
        ``study``, ``resamples``, ``seed``, ``margin``, ``metrics``, ``comparisons``, ``notes`` and
        ``published``: the file that they were read from, None where they were computed. Of each
        task and protocol: ``task``, ``protocol``, ``records``, ``patients``, ``folds``,
        ``classes``; ``methods``, each with ``name``, ``settings``, ``values`` (metric -> ``value``,
        ``se``, ``low``, ``high``) and ``by_unit`` (draw or seed -> metric -> value); ``roles``
        that were named, with ``differences`` (``blocks.differences_of``) from the baseline and of
        pairs, and ``shares`` (``blocks.shares_of``); and ``blocks`` (``blocks.block_numbers``),
        none where methods were named or none has a role. What is not known is None.

    Raises:
        ResultsError: the folder cannot be read, holds neither predictions nor a published
            comparison, has no such method or metric, a gap has no baseline, a method lacks a fold
            or was not tested on the records of the others; or what was published is of other
            resamples or names.
    """
    folder = Path(folder)
    study, store = load_study(folder), live_store(folder).predictions
    named = dict(zip(_ROLES, (baseline, ceiling, teacher), strict=True))
    roles = {role: name for role, name in named.items() if name is not None}
    given = {k: v for k, v in (("resamples", resamples), ("seed", seed)) if v is not None}
    if not any(store.glob("*.npz")) and (folder / METHODS_COMPARED).exists():
        wanted = given | ({} if margin is None else {"margin": margin})
        return read_methods(
            folder / METHODS_COMPARED, study.name, SCHEMA, wanted,
            named=[*roles.values(), *(name for pair in pairs for name in pair)],
            metrics=_known_metrics(metrics) if metrics else None, task=task, protocol=protocol,
        )  # fmt: skip
    asked = _Asked(
        metrics=_known_metrics(metrics), roles=roles, pairs=tuple(pairs),
        margin=MARGIN if margin is None else margin, options=ResampleOptions(**given),
    )  # fmt: skip
    methods = methods_of(study.frame, evaluations_on_test(study.frame))
    methods, notes = _with_predictions(methods, store, asked.names)
    _check_names([m.name for m in methods], asked)
    comparisons = [
        _one_task(methods, name, way, store, asked, notes)
        for name, way in _tasks(methods, task, protocol, store)
    ]
    return {
        "schema": SCHEMA, "study": study.name, "resamples": asked.options.resamples,
        "seed": asked.options.seed, "margin": asked.margin, "metrics": list(asked.metrics),
        "comparisons": comparisons, "notes": notes, "published": None,
    }  # fmt: skip


def _known_metrics(metrics: Sequence[str] | None) -> tuple[str, ...]:
    for name in metrics or ():
        if name not in METRICS:
            raise ResultsError(f"no metric {name!r}; {suggest(name, METRICS)}")
    return tuple(dict.fromkeys(metrics)) if metrics else tuple(METRICS)


def _with_predictions(
    methods: Sequence[Method], store: Path, asked: Sequence[str]
) -> tuple[list[Method], list[str]]:
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
        elif method.name in asked:
            raise ResultsError(
                f"{method.name}: it kept no predictions: run the study with `predictions: true` in "
                "its stage"
            )
        else:
            notes.append(f"left out: {method.name}: it kept no predictions")
    if not found:
        raise ResultsError(
            f"{store}: no predictions: run the study with `predictions: true` in its stage "
            "(published tables do not hold predictions)"
        )
    return found, notes


def _check_names(names: Sequence[str], asked: _Asked) -> None:
    for name in asked.names:
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
        dataclasses.replace(m, rows=rows)
        for m in methods
        if len(rows := m.rows[(m.rows["task"] == task) & (m.rows["protocol"] == protocol)])
    ]
    folds = folds_of(pd.concat([m.rows for m in parts]), task)
    blocks, where = blocks_of(parts), f"{task} ({protocol})"
    asked = asked.completed(blocks)
    notes += _notes_on_roles(asked, {m.name for m in parts}, where)
    all_runs = [_runs(m, folds, store) for m in parts]
    measured = measure_methods(all_runs, asked.metrics, asked.options)
    notes += _notes(all_runs, where)
    tested = next(iter(all_runs[0].units.values()))[0].predictions
    margins = {m: margin_of(m, asked.margin, len(tested.classes)) for m in asked.metrics}
    return {
        "task": task, "protocol": protocol, "records": len(tested.record),
        "patients": len(set(tested.patient.tolist())), "folds": list(folds),
        "classes": list(tested.classes),
        "methods": [_method(method, measured[method.name], asked.metrics) for method in parts],
        "roles": dict(asked.roles),
        "differences": differences_of(asked.pairs_among(list(measured)), measured, margins),
        "shares": shares_of(list(measured), asked.roles, measured, asked.metrics),
        "blocks": [] if asked.names else [block_numbers(b, measured, margins) for b in blocks],
    }  # fmt: skip


def _notes_on_roles(asked: _Asked, there: Set[str], where: str) -> list[str]:
    """Methods that were named and are not on this task.

    Raises:
        ResultsError: a gap without a baseline.
    """
    named = list(asked.roles.values())
    if there & set(named) and BASELINE not in asked.roles:
        raise ResultsError(
            f"{where}: a gap to {' and to '.join(named)} starts at a baseline, and which is not "
            "told by one block of students: name it too"
        )
    absent = [name for name in named if name not in there]
    return [f"{where}: {name} has no predictions there to compare with" for name in absent]


def _runs(method: Method, folds: tuple[int, ...], store: Path) -> Runs:
    """What a method predicted; a training of it that lacks a fold is named."""
    units = units_of(method.rows)
    return Runs(
        name=method.name,
        units={
            unit: [read_run(part, folds, store, f"{method.name}, {unit}") for part in trainings]
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
        "values": {m: plain_estimate(Estimate.of(measured.of(m))) for m in metrics},
        "by_unit": {
            unit: {m: finite(float(v[0])) for m, v in values.items()}
            for unit, values in measured.units.items()
        },
    }
