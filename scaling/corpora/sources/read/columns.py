"""Read some columns of a long or wide CSV, row by row, and the values its cells hold.

``tables.read_table`` makes a dictionary of every row; for hundreds of thousands of rows, or
for tables of two thousand columns, this reader picks the cells that are needed.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from scaling.corpora.errors import CorpusError
from scaling.corpora.sources.read.tables import csv_rows

_FLAGS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}


def read_columns(
    path: Path, needed: Sequence[str], optional: Sequence[str] = (), what: str = ""
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Line number and cells of every row of a CSV; blank lines are passed over.

    Args:
        path: a UTF-8 file, with or without a byte-order mark, with a header line.
        needed: columns that must be there; their cells come first.
        optional: columns that may be absent, whose cells are then "".
        what: what to say when the file is absent.

    Raises:
        CorpusError: see ``tables.csv_rows``.
    """
    rows = csv_rows(path, needed, what)
    _, header = next(rows)
    at = [header.index(name) if name in header else -1 for name in (*needed, *optional)]
    for line, row in rows:
        yield line, tuple([row[i] if i >= 0 else "" for i in at])


def table_digest(path: Path) -> bytes:
    """SHA-256 of a table's bytes, for ``tables.fingerprint``, in little memory.

    Raises:
        CorpusError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error})") from None


def whole(text: str) -> int:
    """A whole number of at most 18 digits that is not negative; ``12.0`` is one.

    Raises:
        ValueError: it is not.
    """
    number = text.strip().removesuffix(".0")
    if not number.isdecimal() or len(number) > 18:
        raise ValueError(f"{text!r} is not a whole number")
    return int(number)


def flag(text: str) -> bool:
    """A cell that says yes or no: 1, 0, True, False in any case.

    Raises:
        ValueError: it says neither.
    """
    value = _FLAGS.get(text.strip().lower())
    if value is None:
        raise ValueError(f"{text!r} is neither 0, 1, True nor False")
    return value


@functools.lru_cache(maxsize=1024)
def years(text: str) -> float | None:
    """An age; None where the cell is empty. Millions of rows share the few values there are.

    Raises:
        ValueError: it is no number, or not that of an age.
    """
    if not text.strip() or text.strip().lower() == "nan":
        return None
    value = float(text)
    if not (math.isfinite(value) and 0 <= value <= 130):
        raise ValueError(f"age {text!r} is not one in years")
    return value
