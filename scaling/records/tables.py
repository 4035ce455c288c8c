"""Tables of records on disk: written as Parquet, read as typed frames of pandas."""

from __future__ import annotations

import dataclasses
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
from scaling.records.schema import KINDS, TABLES, Column

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Row = dict[str, Any]
Columns = Mapping[str, str]  # name -> dtype of pandas
_NONE: Columns = MappingProxyType({})


@dataclasses.dataclass(frozen=True, slots=True)
class Compacted:
    """What ``compacted.json`` says: the records that both tables hold, and their digests."""

    study: str  # name of the study
    ids: frozenset[str]  # of the records
    digests: Mapping[str, str]  # SHA-256 of each file

    @classmethod
    def read(cls, live: LiveStore) -> Compacted | None:
        """What is said there; None where nothing is that can be understood."""
        try:
            said = json.loads(live.compacted.read_bytes())
            ids, digests = said["ids"], said["sha256"]
            if isinstance(ids, list) and isinstance(digests, dict):
                return cls(str(said["study"]), frozenset(map(str, ids)), digests)
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    def table(self, live: LiveStore, name: str) -> bytes | None:
        """A table as it was written; None where it is lost or has changed since."""
        path = live.table(name)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        return data if hashlib.sha256(data).hexdigest() == self.digests.get(path.name) else None


def write_tables(
    live: LiveStore, study: str, ids: Sequence[str], held: Compacted | None = None
) -> None:
    """Write both tables, and last ``compacted.json``: the ids they hold, and their digests.

    Rows of records that the old tables hold are kept as they are: only new records are read.

    Args:
        live: the live store.
        study: name of the study, a column of *trials*.
        ids: sorted ids of the records.
        held: what the old tables hold that has not changed since; without it all are read.

    Raises:
        OSError: a table could not be written; the old one is left.
    """
    old = _old_rows(live, study, set(ids), held)
    there = held.ids if held is not None and old else frozenset[str]()
    records = [read_record(live.record(name)) for name in ids if name not in there]
    rows = {
        "trials": [trial_row(r, study) for r in records if r["kind"] == "training"],
        "evaluations": [row for record in records for row in evaluation_rows(record)],
    }
    live.compacted.unlink(missing_ok=True)
    digests = {}
    for name, table in TABLES.items():
        data = _parquet(table, rows[name], old.get(name))
        write_whole(live.table(name), data)
        digests[live.table(name).name] = hashlib.sha256(data).hexdigest()
    write_json(live.compacted, {"schema": 1, "study": study, "ids": list(ids), "sha256": digests})


def tables_hold(live: LiveStore, study: str, ids: Sequence[str]) -> bool:
    """Whether both tables are there as they were written, and hold the records of these ids."""
    said = Compacted.read(live)
    if said is None or said.study != study or said.ids != frozenset(ids):
        return False
    return all(said.table(live, name) is not None for name in TABLES)


def _old_rows(
    live: LiveStore, study: str, ids: set[str], held: Compacted | None
) -> dict[str, pa.Table]:
    """Rows of the tables there are, of these records; empty where not all can be believed."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    found: dict[str, pa.Table] = {}
    if held is None or held.study != study:
        return found
    for name, columns in TABLES.items():
        data = held.table(live, name)
        table = None if data is None else pq.read_table(io.BytesIO(data))
        if table is None or not table.schema.equals(_schema(columns)):
            return {}  # lost, damaged, or of a version that had other columns
        wanted = pa.array(sorted(ids & held.ids), pa.string())
        found[name] = table.filter(pc.is_in(table[RECORD_ID[name]], value_set=wanted))
    return found


RECORD_ID = {"trials": "trial", "evaluations": "evaluation"}  # column with the id of the record


def _schema(columns: Sequence[Column]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(c.name, pa.type_for_alias(KINDS[c.kind].arrow)) for c in columns])


def _parquet(columns: Sequence[Column], rows: Sequence[Row], old: pa.Table | None) -> bytes:
    """Rows as the bytes of a Parquet file, with those of an old table, by id of their record."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    schema = _schema(columns)
    arrays = [pa.array([row[c.name] for row in rows], type=schema.field(c.name).type)
              for c in columns]  # fmt: skip
    table = pa.Table.from_arrays(arrays, schema=schema)
    if old is not None:
        name = next(RECORD_ID[key] for key in TABLES if TABLES[key] is columns)
        both = pa.concat_tables([old, table]).combine_chunks()
        # Stable: the rows of a record stay in their order.
        table = both.take(pc.sort_indices(both, sort_keys=[(name, "ascending")]))
    buffer = io.BytesIO()
    pq.write_table(table.combine_chunks(), buffer)
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
    path: Path, frame: pd.DataFrame, columns: Columns, optional: Columns = _NONE
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
