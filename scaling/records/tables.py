"""Tables of records on disk: written as Parquet, read as typed frames of pandas."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from scaling.records.files import write_json, write_whole
from scaling.records.layout import LiveStore
from scaling.records.record import evaluation_rows, read_record, trial_row
from scaling.records.schema import ARROW, TABLES, Column

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
Columns = Mapping[str, str]  # name -> dtype of pandas
_NONE: Columns = MappingProxyType({})


def write_tables(live: LiveStore, study: str, ids: Sequence[str]) -> None:
    """Write both tables, and last ``compacted.json``: the ids they hold, and their digests.

    Args:
        live: the live store.
        study: name of the study, a column of *trials*.
        ids: sorted ids of the records.

    Raises:
        OSError: a table could not be written; the old one is left.
    """
    records = [read_record(live.record(name)) for name in ids]
    live.compacted.unlink(missing_ok=True)
    rows = {
        "trials": [trial_row(r, study) for r in records if r["kind"] == "training"],
        "evaluations": [row for record in records for row in evaluation_rows(record)],
    }
    digests = {}
    for name, table in TABLES.items():
        data = _parquet(table, rows[name])
        write_whole(live.table(name), data)
        digests[live.table(name).name] = hashlib.sha256(data).hexdigest()
    held = {"schema": 1, "study": study, "ids": list(ids), "sha256": digests}
    write_json(live.compacted, held)


def tables_hold(live: LiveStore, study: str, ids: Sequence[str]) -> bool:
    """Whether both tables are there as they were written, and hold the records of these ids.

    Args:
        live: the live store.
        study: name of the study.
        ids: sorted ids of the records.
    """
    try:
        held = json.loads(live.compacted.read_bytes())
        if held["study"] != study or held["ids"] != list(ids):
            return False
        return all(
            hashlib.sha256(live.table(name).read_bytes()).hexdigest()
            == held["sha256"][live.table(name).name]
            for name in TABLES
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _parquet(columns: Sequence[Column], rows: Sequence[Row]) -> bytes:
    """Rows as the bytes of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(c.name, pa.type_for_alias(ARROW[c.kind])) for c in columns])
    arrays = [pa.array([row[c.name] for row in rows], type=schema.field(c.name).type)
              for c in columns]  # fmt: skip
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), buffer)
    return buffer.getvalue()


class ResultsError(ValueError):
    """A results folder that cannot be read; the message names the file and what is wrong."""


def read_csv(path: Path, columns: Columns, optional: Columns = _NONE) -> pd.DataFrame:
    """A CSV table; see ``typed``."""
    import pandas as pd

    try:
        text = pd.read_csv(path, dtype="string", keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path}: cannot be read ({error})") from None
    return typed(path, text, columns, optional)


def read_parquet(path: Path, columns: Columns, optional: Columns = _NONE) -> pd.DataFrame:
    """A parquet table; see ``typed``."""
    import pandas as pd

    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path}: cannot be read ({error})") from None
    return typed(path, table, columns, optional)


def typed(
    path: Path,
    frame: pd.DataFrame,
    columns: Columns,
    optional: Columns = _NONE,
) -> pd.DataFrame:
    """The columns of the contract, in order and with their dtypes; optional ones may be absent."""
    import pandas as pd

    if missing := [c for c in columns if c not in frame.columns]:
        raise ResultsError(f"{path}: missing column {', '.join(missing)}")
    frame = frame.assign(**{c: None for c in optional if c not in frame.columns})
    typed_columns: dict[str, Any] = {}
    for name, kind in {**columns, **optional}.items():
        column: Any = frame[name]
        try:
            if kind == "string":
                typed_columns[name] = column.astype("string").fillna("")
            elif kind == "boolean":
                typed_columns[name] = column.map(_boolean).astype("boolean")
            else:
                typed_columns[name] = pd.to_numeric(column).astype("float64").astype(kind)
        except (ValueError, TypeError) as error:
            raise ResultsError(f"{path}: column {name}: {error}") from None
    return pd.DataFrame(typed_columns)


def _boolean(value: object) -> bool | None:
    import pandas as pd

    if value is None or value is pd.NA or value != value:  # noqa: PLR0124 (NaN)
        return None
    return str(value).lower() == "true"
