"""What a job leaves behind: the schema of records, their status, and how they are written.

A record is one JSON object in one file named after its id, and is complete or absent:
it is written to a temporary name, synced and moved into place. Losses are in nats, C in
floating-point operations, durations in seconds. ``docs/records.md`` lists every column.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

SCHEMA = 1
STATUSES = ("done", "failed", "diverged", "budget_limited")
FINISHED = ("done", "diverged", "budget_limited")  # a failed trial is run again
PARAMETER_GROUPS = ("backbone", "head", "embedding", "codebook")

TRIAL_COLUMNS = (
    "study", "stage", "trial", "parents", "family", "size", "paradigm", "objective", "corpus",
    "preprocessing", "recipe", "labels_fraction", "num_labels", "leads", "N", "params_total", "D",
    "patients", "lr", "batch", "seed", "status", "steps", "C", "macs", "started", "duration_s",
    "device", "commit", "dirty",
)  # fmt: skip
EVALUATION_COLUMNS = (
    "evaluation", "trial", "step", "C", "task", "split", "metric", "protocol", "value", "n",
    "value_se",
)  # fmt: skip
FULL_COLUMNS = ("macs_full", "C_full")  # as the field counts; rows of older trials lack them
INTERVAL_COLUMNS = ("low", "high")  # 95 % interval; rows without one leave them out
INTEGERS = {
    "num_labels", "leads", "N", "params_total", "D", "patients", "batch", "seed", "steps", "macs",
    "macs_full", "step", "n",
}  # fmt: skip
FLOATS = {"labels_fraction", "lr", "C", "C_full", "duration_s", "value", "value_se"}
FLOATS |= {*INTERVAL_COLUMNS}
BOOLEANS = {"dirty"}  # columns that are in none of the three hold text; any may be empty
ARTEFACT_COLUMNS = (
    "artefact", "trial", "bits", "sparsity", "bytes", "cr_formula", "latency_ms",
    "latency_device", "peak_mb", "value",
)  # fmt: skip
TRAINING_KEYS = (
    "kind",
    "schema",
    "id",
    "config",
    "trial",
    "params",
    "curve",
    "error",
    "provenance",
)
EVALUATION_KEYS = (
    "kind",
    "schema",
    "id",
    "trial",
    "status",
    "config",
    "values",
    "error",
    "provenance",
)
VALUE_KEYS = EVALUATION_COLUMNS[2:]
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
    expected = TRAINING_KEYS if kind == "training" else EVALUATION_KEYS
    _same_keys(name, record, expected, OPTIONAL_KEYS[kind])
    _formed(name, record, FORMS | {"trial": OBJECT if kind == "training" else (str, "text")})
    if kind == "training":
        _check_trial(name, record["trial"], record["params"])
    if (status := status_of(record)) not in STATUSES:
        raise RecordError(f"{name}: status {status!r} is none of {', '.join(STATUSES)}")
    for i, row in enumerate(record["curve" if kind == "training" else "values"]):
        optional = () if kind == "training" else INTERVAL_COLUMNS
        _check_row(f"{name}[{i}]", row, VALUE_KEYS, optional)
        if len({key in row for key in INTERVAL_COLUMNS}) > 1:
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
    _check_row(f"{name}.trial", trial, TRIAL_COLUMNS[1:], FULL_COLUMNS)
    for group, count in params.items():
        if not _is_integer(count):
            raise RecordError(f"{name}.params.{group}: {count!r} is not a whole number")
    total = sum(params.get(group, 0) for group in PARAMETER_GROUPS)
    if params and total != trial["params_total"]:
        raise RecordError(f"{name}.params: groups sum to {total}, not params_total")


def _check_row(name: str, row: Any, expected: Iterable[str], optional: Iterable[str] = ()) -> None:
    """A row of a table: its columns, and what they hold where they are not empty."""
    if not isinstance(row, Mapping):
        raise RecordError(f"{name}: {row!r} is not an object")
    _same_keys(name, row, expected, optional)
    for column, value in row.items():
        if value is not None and (kind := _misfit(column, value)):
            raise RecordError(f"{name}.{column}: {value!r} is not {kind}")


def _misfit(column: str, value: object) -> str:
    """What a column holds when ``value`` is none of that; else empty."""
    if column in INTEGERS:
        return "" if _is_integer(value) else "a whole number"
    if column in FLOATS:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return "" if number else "a number"
    if column in BOOLEANS:
        return "" if isinstance(value, bool) else "true or false"
    return "" if isinstance(value, str) else "text"


def _is_integer(value: object) -> bool:
    """Whether a value can stand in a column of integers; NaN is written as an empty cell."""
    if isinstance(value, float):
        return not math.isfinite(value) or (value.is_integer() and abs(value) < LARGEST)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGEST


def _same_keys(
    name: str, value: Mapping[str, Any], expected: Iterable[str], optional: Iterable[str] = ()
) -> None:
    wanted, present = set(expected), set(value) - set(optional)
    if missing := sorted(wanted - present):
        raise RecordError(f"{name}: missing {', '.join(missing)}")
    if extra := sorted(present - wanted):
        raise RecordError(f"{name}: unknown {', '.join(extra)}")


def without_nan(value: Any) -> Any:
    """Replace NaN and infinities by None, which is what JSON can hold."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {k: without_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(v) for v in value]
    return value


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` completely or not at all (temporary name, fsync, replace).

    Raises:
        OSError: no space, no permission; it names ``path``, the temporary file is removed and
            an older file at ``path`` is left as it was.
    """
    try:
        _write_and_replace(path, data)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None


def _write_and_replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), 0o644)  # mkstemp lets only its owner read
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically; NaN becomes null."""
    text = json.dumps(without_nan(value), indent=1, allow_nan=False)
    write_atomically(path, text.encode())


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
