"""Files of tables as people have them: CSV of any dialect, JSON, Excel with sheets, parquet."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.run_tables import THOUSANDS, RunsError, Table, frame_table, number_of

_DELIMITERS = ";\t|,"  # a comma last: where another splits as well, commas are decimal
_SNIFFED = 50  # lines that the delimiter is judged by
_COMMA = re.compile(r"[+-]?\d+,\d*([eE][+-]?\d+)?")
_POINT = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")


def read_table(path: Path) -> Table:
    """The table in a file, by its extension: .parquet, .jsonl, .json, .xlsx, otherwise text.

    Raises:
        RunsError: no such file, no rows, or a file that is no table.
    """
    if path.is_dir():
        raise RunsError(f"{path}: a folder; give a file of runs, such as runs.csv")
    kind = path.suffix.lower()
    try:
        if kind in (".parquet", ".pq"):
            return _typed(path, pd.read_parquet(path), "row")
        if kind in (".xlsx", ".xlsm"):
            return _typed(path, pd.read_excel(path, dtype=object), "row", first=2)
        data = path.read_bytes()
    except FileNotFoundError:
        raise RunsError(f"{path}: no such file") from None
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise RunsError(f"{path}: cannot be read ({error})") from None
    text, notes = _decoded(path, data)
    if not text.strip():
        raise RunsError(f"{path}: the file is empty")
    if kind in (".jsonl", ".ndjson", ".json"):
        return _json(path, text, notes)
    return _delimited(path, text, notes)


def _typed(path: Path, frame: pd.DataFrame, word: str, first: int = 1) -> Table:
    if frame.empty:
        raise RunsError(f"{path}: holds no rows")
    found = frame_table(frame, str(path))
    return dataclasses.replace(found, places=[f"{word} {i + first}" for i in range(len(frame))])


def _decoded(path: Path, data: bytes) -> tuple[str, list[str]]:
    """The text of a file: UTF-8 or UTF-16 with or without a byte-order mark, else Windows-1252."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        kind = "utf-16"
    elif b"\0" in data[:4096]:  # ASCII in UTF-16 has a zero in every other byte
        kind = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    else:
        kind = "utf-8-sig"
    for encoding in (kind, "cp1252"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        return text, [] if encoding == "utf-8-sig" else [f"read as {encoding.upper()}"]
    raise RunsError(
        f"{path}: is not text; give a CSV, TSV, JSON-lines, Excel or parquet file by its extension"
    )


def _json(path: Path, text: str, notes: list[str]) -> Table:
    """JSON lines, or one list of objects."""
    places: list[str] = []
    rows: list[Any] = []
    if text.lstrip().startswith("["):
        try:
            rows = json.loads(text)
        except ValueError as error:
            raise RunsError(f"{path}: not JSON ({error})") from None
        places = [f"record {i + 1}" for i in range(len(rows))]
    else:
        for i, line in enumerate(text.splitlines(), start=1):
            if not line.strip():
                continue
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise RunsError(
                    f"{path}, line {i}: not JSON ({error}); each line holds one object"
                ) from None
            places.append(f"line {i}")
    for place, row in zip(places, rows, strict=True):
        if not isinstance(row, dict):
            raise RunsError(f'{path}, {place}: not an object such as {{"N": 1e6, "loss": 3.2}}')
    if not rows:
        raise RunsError(f"{path}: holds no rows")
    columns = list(dict.fromkeys(k for row in rows for k in row))
    cells = {c: [row.get(c) for row in rows] for c in columns}
    return Table(name=str(path), cells=cells, places=places, notes=tuple(notes))


def _delimited(path: Path, text: str, notes: list[str]) -> Table:
    lines = text.splitlines(keepends=True)
    skipped = 0
    while skipped < len(lines) and _no_header(lines[skipped]):
        skipped += 1  # blank lines, comments, and Excel's ``sep=;``
    delimiter = _delimiter(lines[skipped:])
    records = list(_records(lines, skipped, delimiter))
    if not records:
        raise RunsError(f"{path}: holds no table")
    (first, header), body = records[0], records[1:]
    header = [h.strip() for h in header]
    _check_header(path, first, header)
    if not body:
        raise RunsError(f"{path}: a header and no rows")
    width = len(header)
    for place, row in body:
        if len(row) > width and any(v.strip() for v in row[width:]):
            raise RunsError(
                f"{path}, line {place}: {len(row)} cells under {width} headers; are decimal commas "
                "between commas? Separate columns by ; or quote the cells"
            )
        row.extend([""] * (width - len(row)))
    cells = {
        h or f"column {j + 1}": [row[j] for _, row in body]
        for j, h in enumerate(header)
        if h or any(row[j].strip() for _, row in body)
    }
    comma = _decimal_comma(cells, delimiter)
    if delimiter in ";\t|":
        name = {";": "semicolons", "\t": "tabs", "|": "bars"}[delimiter]
        notes = [*notes, f"columns separated by {name}"]
    if comma:
        notes = [*notes, "decimal commas"]
    places = [f"line {place}" for place, _ in body]
    return Table(name=str(path), cells=cells, places=places, comma=comma, notes=tuple(notes))


def _no_header(line: str) -> bool:
    text = line.strip()
    return not text or text.startswith("#") or text.lower().startswith("sep=")


def _records(lines: list[str], skipped: int, delimiter: str) -> list[tuple[int, list[str]]]:
    """Line number and cells of each record that is not blank or a comment."""
    found = []
    if delimiter == " ":
        rows = ((i, line.split()) for i, line in enumerate(lines[skipped:], start=skipped + 1))
        return [(i, row) for i, row in rows if row and not row[0].startswith("#")]
    reader = csv.reader(
        io.StringIO("".join(lines[skipped:]), newline=""),
        delimiter=delimiter,
        skipinitialspace=True,
    )
    before = 0
    for row in reader:
        place, before = skipped + before + 1, reader.line_num
        if any(v.strip() for v in row) and not row[0].lstrip().startswith("#"):
            found.append((place, row))
    return found


def _delimiter(lines: list[str]) -> str:
    """The delimiter that splits header and rows into the same number of cells, the most."""
    sample = [line for line in lines[:_SNIFFED] if line.strip()]
    best, score = "", (0.0, 0)
    for delimiter in _DELIMITERS:
        counts = [len(row) for row in csv.reader(sample, delimiter=delimiter)]
        if not counts or counts[0] < 2:
            continue
        agree = sum(c == counts[0] for c in counts) / len(counts)
        if (round(agree, 1), counts[0]) > score:
            best, score = delimiter, (round(agree, 1), counts[0])
    if best:
        return best
    words = Counter(len(line.split()) for line in sample)
    return " " if sample and len(words) == 1 and max(words) > 1 else ","


def _check_header(path: Path, line: int, header: list[str]) -> None:
    doubled = [h for h, n in Counter(h for h in header if h).items() if n > 1]
    if doubled:
        raise RunsError(f"{path}, line {line}: two columns are called {doubled[0]!r}: rename one")
    try:
        [number_of(h, comma=True) for h in header if h]
    except ValueError:
        return
    raise RunsError(
        f"{path}, line {line}: holds numbers, not names of columns: add a first line such as "
        "N,D,loss"
    )


def _decimal_comma(cells: Mapping[str, Sequence[str]], delimiter: str) -> bool:
    """Whether a comma is the decimal mark.

    ``1,5`` and ``0,125`` say so. ``1,234`` alone may be either: where no commas separate columns,
    it is a decimal comma in a column of losses, which are no thousands, and elsewhere where no
    number has a decimal point; otherwise it separates thousands.
    """
    doubtful = losses = points = False
    for name, column in cells.items():
        loss = "loss" in name.lower() or "entropy" in name.lower()
        for cell in column:
            text = cell.strip()
            points = points or bool(_POINT.fullmatch(text))
            if "," not in text or not _COMMA.fullmatch(text):
                continue
            if not THOUSANDS.fullmatch(text) or text.lstrip("+-").startswith("0"):
                return True
            doubtful, losses = True, losses or loss
    return delimiter != "," and (losses or (doubtful and not points))
