"""Records -> the *trials* and *evaluations* tables, as Parquet."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scaling.record import (
    BOOLEANS,
    EVALUATION_COLUMNS,
    FLOATS,
    FULL_COLUMNS,
    INTEGERS,
    INTERVAL_COLUMNS,
    TRIAL_COLUMNS,
    read_record,
    write_atomically,
    write_json,
)

TABLES = ("trials.parquet", "evaluations.parquet")

CONFIG_COLUMNS = ("label_set",)  # of *trials*, from the configuration; empty where it says nothing

Row = dict[str, Any]


def trial_rows(study: str, records: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Rows of *trials*: one per training record; None where an older one lacks a column."""
    none = dict.fromkeys(FULL_COLUMNS)
    return [
        {"study": study, **none, **r["trial"]}
        | {column: r["config"].get(column, "") for column in CONFIG_COLUMNS}
        for r in records
        if r["kind"] == "training"
    ]


def evaluation_rows(records: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Rows of *evaluations*: curves of trainings, and values of evaluations.

    Where a row has no interval, ``low`` and ``high`` are None.
    """
    none = dict.fromkeys(INTERVAL_COLUMNS)
    rows = []
    for record in records:
        training = record["kind"] == "training"
        trial = record["id"] if training else record["trial"]
        for row in record["curve" if training else "values"]:
            rows.append({"evaluation": record["id"], "trial": trial, **none, **row})
    return rows


def write_tables(runs: Path, study: str, ids: Sequence[str]) -> None:
    """Write both tables, and last ``compacted.json``: the ids they hold, and their digests.

    Args:
        runs: the live store.
        study: name of the study, a column of *trials*.
        ids: sorted ids of the records.

    Raises:
        OSError: a table could not be written; the old one is left.
    """
    records = [read_record(runs / "records" / f"{name}.json") for name in ids]
    (runs / "compacted.json").unlink(missing_ok=True)
    trial_columns = (*TRIAL_COLUMNS, *CONFIG_COLUMNS, *FULL_COLUMNS)
    tables = {
        "trials.parquet": _parquet(trial_columns, trial_rows(study, records)),
        "evaluations.parquet": _parquet(
            (*EVALUATION_COLUMNS, *INTERVAL_COLUMNS), evaluation_rows(records)
        ),
    }
    for name, data in tables.items():
        write_atomically(runs / name, data)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in tables.items()}
    held = {"schema": 1, "study": study, "ids": list(ids), "sha256": digests}
    write_json(runs / "compacted.json", held)


def tables_hold(runs: Path, study: str, ids: Sequence[str]) -> bool:
    """Whether both tables are there as they were written, and hold the records of these ids.

    Args:
        runs: the live store.
        study: name of the study.
        ids: sorted ids of the records.
    """
    try:
        held = json.loads((runs / "compacted.json").read_bytes())
        if held["study"] != study or held["ids"] != list(ids):
            return False
        return all(
            hashlib.sha256((runs / name).read_bytes()).hexdigest() == held["sha256"][name]
            for name in TABLES
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _parquet(columns: Sequence[str], rows: list[Row]) -> bytes:
    """Rows as the bytes of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def kind(column: str) -> Any:
        if column in INTEGERS:
            return pa.int64()
        if column in FLOATS:
            return pa.float64()
        return pa.bool_() if column in BOOLEANS else pa.string()

    schema = pa.schema([(column, kind(column)) for column in columns])
    arrays = [pa.array([row[c] for row in rows], type=kind(c)) for c in columns]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), buffer)
    return buffer.getvalue()
