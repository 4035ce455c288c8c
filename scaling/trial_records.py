"""The records of a trial, from what it was and what came of it."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from scaling.identity import Evaluation, Training
from scaling.record import SCHEMA

Record = dict[str, Any]


def training_record(
    training: Training,
    trial: Mapping[str, Any],
    *,
    params: Mapping[str, int],
    curve: Sequence[Mapping[str, Any]],
    error: BaseException | None = None,
    notes: Sequence[str] = (),
) -> Record:
    """The record of a training.

    Args:
        training: what was run.
        trial: its *trials* row, ``run_columns`` with the results filled in.
        params: parameters by group.
        curve: rows of the *evaluations* table.
        error: what ended it, for a failed one.
        notes: sentences about the run that its user should read.
    """
    from scaling.provenance import provenance

    record = {
        "kind": "training",
        "schema": SCHEMA,
        "id": training.id,
        "config": training.to_dict(),
        "trial": dict(trial),
        "params": dict(params),
        "curve": list(curve),
        "error": describe_error(error) if error else None,
        "provenance": provenance(),
    }
    return record | ({"notes": list(notes)} if notes else {})


def evaluation_record(
    evaluation: Evaluation,
    status: str,
    values: Sequence[Mapping[str, Any]],
    error: BaseException | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> Record:
    """The record of an evaluation with its ``values``, rows of the *evaluations* table.

    Args:
        evaluation: what was measured.
        status: that of the training, or ``failed``.
        values: rows.
        error: what ended it, for a failed one.
        thresholds: class -> log-odds from which it was predicted, where there are any.
    """
    from scaling.provenance import provenance

    return {
        "kind": "evaluation",
        "schema": SCHEMA,
        "id": evaluation.id,
        "trial": evaluation.training,
        "status": status,
        "config": evaluation.to_dict(),
        "values": list(values),
        "error": describe_error(error) if error else None,
        "provenance": provenance(),
        **({"thresholds": dict(thresholds)} if thresholds else {}),
    }


def failed_training(training: Training, error: BaseException) -> Record:
    """The record of a training that raised, with the traceback kept."""
    from scaling.provenance import run_columns

    row = run_columns(training) | {"status": "failed"}
    return training_record(training, row, params={}, curve=[], error=error)


def failed_evaluation(evaluation: Evaluation, error: BaseException) -> Record:
    """The record of an evaluation that raised, with the traceback kept."""
    return evaluation_record(evaluation, "failed", [], error)


def describe_error(error: BaseException) -> dict[str, str]:
    """Type, message and traceback of an exception, as a record keeps them."""
    text = "".join(traceback.format_exception(error))
    return {"type": type(error).__name__, "message": str(error), "traceback": text}
