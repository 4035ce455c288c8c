"""Records: what a training or an evaluation leaves behind, checked, read and written.

A record is one JSON object in one file named after its id, and is complete or absent.
``docs/records.md`` lists every key and column.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scaling.records.files import write_json
from scaling.records.names import STATUSES
from scaling.records.schema import EVALUATIONS, INTERVAL, KINDS, SCHEMA, TRIALS, Column, Kind, names

PARAMETER_GROUPS = ("backbone", "head", "embedding", "codebook")
AUXILIARY = "auxiliary"  # a part of a model in training that is neither kept nor counted
KEYS = {
    "training": ("kind", "schema", "id", "config", "trial", "params", "curve", "error",
                 "provenance"),
    "evaluation": ("kind", "schema", "id", "trial", "status", "config", "values", "error",
                   "provenance"),
}  # fmt: skip
OPTIONAL_KEYS = {
    "training": ("notes",),  # sentences about a run that its user should read
    "evaluation": ("thresholds",),  # class -> log-odds from which a trained head predicts it
}
OBJECT, LIST = (Mapping, "an object"), ((list, tuple), "a list")
FORMS: dict[str, tuple[Any, str]] = {
    "id": (str, "text"),
    "config": OBJECT,
    "params": OBJECT,
    "curve": LIST,
    "status": (str, "text"),
    "values": LIST,
    "error": (Mapping | None, "an object or null"),
    "provenance": OBJECT,
    "notes": LIST,
    "thresholds": OBJECT,
}
Row = dict[str, Any]
LARGEST = 2**63  # what a column of integers cannot hold


class RecordError(ValueError):
    """A record that breaks the schema; the message names the record and the key."""


def validate(record: Mapping[str, Any]) -> None:
    """Check a training or evaluation record against the schema.

    Raises:
        RecordError: names the record, the key and what is wrong with it.
    """
    if not isinstance(record, Mapping):
        raise RecordError("not a record: a JSON object is expected")
    name = record["id"] if isinstance(record.get("id"), str) else "record"
    kind = record.get("kind")
    if kind not in ("training", "evaluation"):
        raise RecordError(f"{name}: kind is {kind!r}, not 'training' or 'evaluation'")
    if record.get("schema") != SCHEMA:
        raise RecordError(f"{name}: schema {record.get('schema')!r}, this version reads {SCHEMA}")
    _same_keys(name, record, KEYS[kind], OPTIONAL_KEYS[kind])
    _formed(name, record, FORMS | {"trial": OBJECT if kind == "training" else (str, "text")})
    if kind == "training":
        _check_trial(name, record["trial"], record["params"])
    if (status := status_of(record)) not in STATUSES:
        raise RecordError(f"{name}: status {status!r} is none of {', '.join(STATUSES)}")
    for i, row in enumerate(record["curve" if kind == "training" else "values"]):
        _check_row(f"{name}[{i}]", row, EVALUATIONS, intervals=kind == "evaluation")
        if len({key in row for key in INTERVAL}) > 1:
            raise RecordError(f"{name}[{i}]: an interval has both low and high")


def status_of(record: Mapping[str, Any]) -> str:
    """Status of a validated training or evaluation record, one of ``STATUSES``."""
    row = record["trial"] if record["kind"] == "training" else record
    return str(row["status"])


def _formed(name: str, record: Mapping[str, Any], forms: Mapping[str, tuple[Any, str]]) -> None:
    """Each key holds what it must: text, an object or a list."""
    for key, (form, words) in forms.items():
        if key in record and not isinstance(record[key], form):
            raise RecordError(f"{name}.{key}: {record[key]!r} is not {words}")


def _check_trial(name: str, trial: Mapping[str, Any], params: Mapping[str, Any]) -> None:
    """The *trials* row of a training, and its parameters by group."""
    _check_row(f"{name}.trial", trial, TRIALS)
    for group, count in params.items():
        if not _is_integer(count):
            raise RecordError(f"{name}.params.{group}: {count!r} is not a whole number")
    total = sum(params.get(group, 0) for group in PARAMETER_GROUPS)
    if params and total != trial["params_total"]:
        raise RecordError(f"{name}.params: groups sum to {total}, not params_total")


def _check_row(name: str, row: Any, table: tuple[Column, ...], *, intervals: bool = True) -> None:
    """A row of a table: its columns, and what they hold where they are not empty."""
    if not isinstance(row, Mapping):
        raise RecordError(f"{name}: {row!r} is not an object")
    optional = names(table, "optional")
    _same_keys(name, row, names(table, "row"), optional if intervals else ())
    for column in table:
        value = row.get(column.name)
        if value is not None and not _fits(column.kind, value):
            raise RecordError(f"{name}.{column.name}: {value!r} is not {KINDS[column.kind].words}")


def _fits(kind: Kind, value: object) -> bool:
    """Whether a column of this kind can hold ``value``."""
    if kind in ("integer", "count"):
        return _is_integer(value)
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, bool if kind == "flag" else str)


def _is_integer(value: object) -> bool:
    """Whether a value can stand in a column of integers; NaN is written as an empty cell."""
    if isinstance(value, float):
        return not math.isfinite(value) or (value.is_integer() and abs(value) < LARGEST)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGEST


def _same_keys(
    name: str, value: Mapping[str, Any], expected: tuple[str, ...], optional: tuple[str, ...]
) -> None:
    wanted, present = set(expected), set(value) - set(optional)
    if missing := sorted(wanted - present):
        raise RecordError(f"{name}: missing {', '.join(missing)}")
    if extra := sorted(present - wanted):
        raise RecordError(f"{name}: unknown {', '.join(extra)}")


def write_record(folder: Path, record: Mapping[str, Any]) -> Path:
    """Validate and write ``record`` as ``folder/<id>.json``; returns the path.

    Raises:
        RecordError: the record breaks the schema.
        OSError: it could not be written; nothing half-written is left.
    """
    validate(record)
    path = folder / f"{record['id']}.json"
    write_json(path, record)
    return path


def read_record(path: Path) -> dict[str, Any]:
    """Read and validate one record.

    Raises:
        RecordError: names the file and what is wrong with it, its name included.
        OSError: it is not there, or may not be read.
    """
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
    except IsADirectoryError:
        raise RecordError(f"{path}: a folder, not a record") from None
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: not JSON ({error})") from None
    try:
        validate(record)
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from None
    if record["id"] != path.stem:
        raise RecordError(f"{path}: its id is {record['id']!r}, which is not its name")
    return record


def trial_row(record: Mapping[str, Any], study: str) -> Row:
    """The *trials* row of a training record; None, or empty, where an older one lacks a column."""
    row = {"study": study} | dict.fromkeys(names(TRIALS, "optional")) | record["trial"]
    config = record["config"]
    return dict(row) | {name: _as_text(config.get(name, "")) for name in names(TRIALS, "config")}


def _as_text(setting: str | list[list[Any]]) -> str:
    """A setting of a configuration as a column holds it: pairs of a name and a value as JSON."""
    if isinstance(setting, str):
        return setting
    return json.dumps(dict(setting), sort_keys=True) if setting else ""


def evaluation_rows(record: Mapping[str, Any]) -> list[Row]:
    """Rows of *evaluations*: the curve of a training, or the values of an evaluation.

    Where a row has no interval, ``low`` and ``high`` are None.
    """
    training = record["kind"] == "training"
    ids = {"evaluation": record["id"], "trial": record["id"] if training else record["trial"]}
    none = dict.fromkeys(INTERVAL)
    return [ids | none | row for row in record["curve" if training else "values"]]


def read_plan(path: Path) -> dict[str, Any]:
    """A ``study.json``, checked: what was planned when the study last ran.

    Raises:
        RecordError: names the file and what is wrong with it.
        OSError: it is not there, or may not be read.
    """
    try:
        plan = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: not JSON ({error})") from None
    if not isinstance(plan, dict) or not {"study", "stages"} <= set(plan):
        raise RecordError(f"{path}: needs keys study and stages")
    if plan.get("schema") != SCHEMA:
        raise RecordError(f"{path}: schema {plan.get('schema')!r}, this version reads {SCHEMA}")
    stages = plan["stages"]
    for stage in stages if isinstance(stages, list) else [None]:
        if not isinstance(stage, dict) or not {"stage", "trials", "evaluations"} <= set(stage):
            raise RecordError(f"{path}: a stage needs keys stage, trials and evaluations")
    return dict(plan)
