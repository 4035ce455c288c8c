"""Small evaluations, and how to look at what they found."""

from __future__ import annotations

import dataclasses
from typing import Any

from scaling.evaluation.evaluator import evaluate_all
from scaling.identity import CorpusSpec, Evaluation, Training
from scaling.records.record import validate
from scaling.workspace import Workspace
from tests.scaling.training.trials import BASIC, SUPERVISED

# Of the classes of ``flags`` one has no positive record.
OTHER = CorpusSpec(source="virtual/echonext", window_s=2.5, records=32, validation=16, test=16)

Record = dict[str, Any]


def probe(task: str = "flags", training: Training = SUPERVISED, **changes: Any) -> Evaluation:
    """A linear probe on the second corpus."""
    one = Evaluation(training=training.id, corpus=OTHER, task=task, protocol="linear-probe")
    return dataclasses.replace(one, **changes)


def held_out(training: Training = SUPERVISED, **changes: Any) -> Evaluation:
    """The trained head on its own corpus."""
    one = Evaluation(training=training.id, corpus=BASIC, task="", protocol="held-out")
    return dataclasses.replace(one, **changes)


def evaluate(
    place: Workspace, *evaluations: Evaluation, training: Training = SUPERVISED
) -> list[Record]:
    """Valid records in the order of ``evaluations``."""
    found = {record["id"]: record for record in evaluate_all(evaluations, training, place)}
    for record in found.values():
        validate(record)
    assert len(found) == len(evaluations)
    return [found[evaluation.id] for evaluation in evaluations]


def value(record: Record, **wanted: Any) -> Any:
    """The value of the one row that matches."""
    assert record["error"] is None, record["error"]["traceback"]
    rows = [r for r in record["values"] if all(r[k] == v for k, v in wanted.items())]
    assert len(rows) == 1, (wanted, rows)
    return rows[0]["value"]


def measured(record: Record) -> set[tuple[str, str, str]]:
    """(protocol, split, metric) of every row."""
    assert record["error"] is None, record["error"]["traceback"]
    return {(r["protocol"], r["split"], r["metric"]) for r in record["values"]}
