"""Files of tables as people have them: CSV of any dialect, JSON, Excel with sheets, parquet."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.runs.tables import THOUSANDS, RunsError, Table, frame_table, is_missing, number_of

_DELIMITERS = ";\t|,"  # a comma last: where another splits as well, commas are decimal
_SNIFFED = 50  # lines that the delimiter is judged by
_TITLES = 10  # lines of one cell above a header, at most
_UNREAD = {
    **dict.fromkeys((".zip", ".bz2", ".xz", ".zst", ".7z", ".rar", ".tar", ".tgz"),
                    "unpack it and give the file of runs in it"),
    **dict.fromkeys((".xls", ".xlsb", ".ods"), "save the sheet of runs as .xlsx or CSV"),
}  # fmt: skip
_COMMA = re.compile(r"[+-]?\d+,\d*([eE][+-]?\d+)?")
_POINT = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")


def read_table(path: Path, check: Callable[[Table], object] | None = None) -> Table:
    """The table in a file, by its extension: .parquet, .jsonl, .json, .xlsx, otherwise text.

    Args:
        path: of the file; text may be packed, as in runs.csv.gz.
        check: of what makes a table one of runs, for a file of several; raises ``RunsError``.

    Raises:
        RunsError: no such file, no rows, or a file that is no table.
    """
    if path.is_dir():
        raise RunsError(f"{path}: a folder; give a file of runs, such as runs.csv")
    kind, notes = path.suffix.lower(), list[str]()
    if advice := _UNREAD.get(kind):
        raise RunsError(f"{path}: {kind} is not read; {advice}")
    try:
        if kind in (".parquet", ".pq"):
            return _typed(path, pd.read_parquet(path), "row")
        if kind in (".xlsx", ".xlsm"):
            sheets = pd.read_excel(path, sheet_name=None, header=None, dtype=object)
            return _excel(path, {str(k): v for k, v in sheets.items()}, check)
        data = path.read_bytes()
        if kind == ".gz":
            kind, data, notes = Path(path.stem).suffix.lower(), gzip.decompress(data), ["unpacked"]
    except FileNotFoundError:
        raise RunsError(f"{path}: no such file") from None
    except RunsError:
        raise
    except (OSError, EOFError, zlib.error, ValueError, KeyError, ImportError) as error:
        raise RunsError(f"{path}: cannot be read ({error})") from None
    text, encoding = _decoded(path, data)
    notes += encoding
    if not text.strip():
        raise RunsError(f"{path}: the file is empty")
    if kind in (".jsonl", ".ndjson", ".json"):
        return _json(path, text, notes)
    return _delimited(path, text, notes)


def _excel(
    path: Path, sheets: Mapping[str, pd.DataFrame], check: Callable[[Table], object] | None
) -> Table:
    """The first sheet that holds runs; the others are named."""
    refused = {}
    for name, frame in sheets.items():
        word = f"sheet {name}, row" if len(sheets) > 1 else "row"
        try:
            table = _sheet(path, frame, word)
            if check is not None and len(sheets) > 1:
                check(table)
        except RunsError as error:
            refused[name] = str(error).removeprefix(str(path)).lstrip(":, ")
            continue
        others = [s for s in sheets if s != name]
        note = [f"sheet {name} is read; not read: {', '.join(others)}"] if others else []
        return dataclasses.replace(table, notes=(*note, *table.notes))
    if len(refused) == 1:
        why = next(iter(refused.values()))
        raise RunsError(f"{path}{', ' if why.startswith('row ') else ': '}{why}")
    said = "; ".join(f"sheet {k}: {v.removeprefix(f'sheet {k}, ')}" for k, v in refused.items())
    raise RunsError(f"{path}: no sheet holds runs: {said}")


def _sheet(path: Path, frame: pd.DataFrame, word: str) -> Table:
    """A sheet as a table; rows of one cell above its header are a title."""
    rows = [[None if is_missing(v) else v for v in row] for row in frame.to_numpy(dtype=object)]
    records = [
        (i, row)
        for i, row in enumerate(rows, start=1)
        if not all(_blank(v) for v in row) and not str(row[0]).lstrip().startswith("#")
    ]
    wide = [sum(not _blank(v) for v in row) > 1 for _, row in records]
    start = wide.index(True) if True in wide else 0
    titles = [str(next(v for v in row if not _blank(v))) for _, row in records[:start]]
    return _table(path, word, records[start:], "", [f"title skipped: {t}" for t in titles])


def _blank(cell: Any) -> bool:
    return cell is None or not str(cell).strip()


def _typed(path: Path, frame: pd.DataFrame, word: str, first: int = 1) -> Table:
    if frame.empty:
        raise RunsError(f"{path}: holds no rows")
    table = frame_table(frame, str(path))
    return dataclasses.replace(table, places=[f"{word} {i + first}" for i in range(len(frame))])


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
    """JSON lines, a list of objects, or one object of columns as pandas writes it."""
    try:
        whole = json.loads(text)
    except ValueError as error:
        if text.lstrip().startswith("["):
            raise RunsError(f"{path}: not JSON ({error})") from None
        whole = None
    rows: list[Any]
    if whole is None:
        places, rows = _json_lines(path, text)
    else:
        table = _json_columns(path, whole) if isinstance(whole, dict) else [whole]
        rows = whole if isinstance(whole, list) else table
        places = [f"record {i + 1}" for i in range(len(rows))]
    for place, row in zip(places, rows, strict=True):
        if not isinstance(row, dict):
            raise RunsError(f'{path}, {place}: not an object such as {{"N": 1e6, "loss": 3.2}}')
    if not rows:
        raise RunsError(f"{path}: holds no rows")
    columns = list(dict.fromkeys(k for row in rows for k in row))
    cells = {c: [row.get(c) for row in rows] for c in columns}
    return Table(name=str(path), cells=cells, places=places, notes=tuple(notes))


def _json_lines(path: Path, text: str) -> tuple[list[str], list[Any]]:
    """Place and object of each line."""
    places, rows = [], []
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
    return places, rows


def _json_columns(path: Path, whole: dict[str, Any]) -> list[Any]:
    """Rows of one object: of ``orient`` columns, index, split or table of pandas, or one row."""
    names, data, parts = whole.get("columns"), whole.get("data"), list(whole.values())
    if isinstance(names, list) and isinstance(data, list):
        header = [str(c) for c in names]
        _check_doubled(str(path), header)
        if not all(isinstance(row, list) and len(row) == len(header) for row in data):
            raise RunsError(f"{path}: each row of data has to be a list of {len(header)} cells")
        return [dict(zip(header, row, strict=True)) for row in data]
    if isinstance(data, list) and data and all(isinstance(row, dict) for row in data):
        return data
    if parts and all(isinstance(v, dict) for v in parts):
        labels = list(dict.fromkeys(k for part in parts for k in part))
        if all(k.isdigit() for k in whole) and not all(k.isdigit() for k in labels):
            return parts  # rows by their number
        return [{column: cells.get(k) for column, cells in whole.items()} for k in labels]
    if parts and all(isinstance(v, list) and len(v) == len(parts[0]) for v in parts):
        return [dict(zip(whole, row, strict=True)) for row in zip(*parts, strict=True)]
    return [whole]


def _delimited(path: Path, text: str, notes: list[str]) -> Table:
    lines = text.splitlines(keepends=True)
    skipped, titles = _above_header(lines)
    delimiter = _delimiter(lines[skipped:])
    notes = [*notes, *(f"title skipped: {t}" for t in titles)]
    if name := {";": "semicolons", "\t": "tabs", "|": "bars"}.get(delimiter):
        notes.append(f"columns separated by {name}")
    return _table(path, "line", _records(lines, skipped, delimiter), delimiter, notes)


def _above_header(lines: list[str]) -> tuple[int, list[str]]:
    """Number of lines above the header, and the titles among them.

    They are blank lines, comments, Excel's ``sep=;``, and lines of one cell above one of several
    names.
    """
    skipped, titles, start = 0, list[str](), None
    while skipped < len(lines) and len(titles) <= _TITLES:
        line = lines[skipped]
        cells = [v for v in re.split(r"[;\t|,]", line) if v.strip()]
        if not _no_header(line):
            start = skipped if start is None else start
            if len(cells) > 1:
                words = [w for w in re.split(r"[;\t|,\s]+", line) if w]
                if titles and not any(_is_number(w) for w in words):
                    return skipped, titles
                break
            titles.append(cells[0].strip() if cells else "")
        skipped += 1
    return len(lines) if start is None else start, []


def _is_number(text: str) -> bool:
    try:
        number_of(text, comma=True)
    except ValueError:
        return False
    return True


def _table(
    path: Path, word: str, records: list[tuple[int, list[Any]]], delimiter: str, notes: list[str]
) -> Table:
    """Header and rows as a table.

    Args:
        path: of the file.
        word: of places, such as ``line``.
        records: number and cells of each row that is not blank, the header first.
        delimiter: of text, else empty.
        notes: how it was read so far.
    """
    if not records:
        raise RunsError(f"{path}: holds no table")
    (first, names), body = records[0], records[1:]
    header = ["" if _blank(h) else str(h).strip() for h in names]
    _check_header(f"{path}, {word} {first}", header)
    if not body:
        raise RunsError(f"{path}: a header and no rows")
    width = len(header)
    for place, row in body:
        if len(row) > width and any(not _blank(v) for v in row[width:]):
            raise RunsError(
                f"{path}, {word} {place}: {len(row)} cells under {width} headers; are decimal "
                "commas between commas? Separate columns by ; or quote the cells"
            )
        row.extend([""] * (width - len(row)))
    cells = {
        h or f"column {j + 1}": [row[j] for _, row in body]
        for j, h in enumerate(header)
        if h or any(not _blank(row[j]) for _, row in body)
    }
    comma = _decimal_comma(cells, delimiter)
    said = (*notes, "decimal commas") if comma else tuple(notes)
    places = [f"{word} {place}" for place, _ in body]
    return Table(name=str(path), cells=cells, places=places, comma=comma, notes=said)


def _no_header(line: str) -> bool:
    text = line.strip()
    return not text or text.startswith("#") or text.lower().startswith("sep=")


def _records(lines: list[str], skipped: int, delimiter: str) -> list[tuple[int, list[str]]]:
    """Line number and cells of each record that is not blank or a comment."""
    records = []
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
            records.append((place, row))
    return records


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


def _check_header(place: str, header: list[str]) -> None:
    _check_doubled(place, header)
    if all(_is_number(h) for h in header if h):
        raise RunsError(
            f"{place}: holds numbers, not names of columns: add a first line such as N,D,loss"
        )


def _check_doubled(place: str, header: list[str]) -> None:
    doubled = [h for h, n in Counter(h for h in header if h).items() if n > 1]
    if doubled:
        raise RunsError(f"{place}: two columns are called {doubled[0]!r}: rename one")


def _decimal_comma(cells: Mapping[str, Sequence[Any]], delimiter: str) -> bool:
    """Whether a comma is the decimal mark.

    ``1,5`` and ``0,125`` say so. ``1,234`` alone may be either: where no commas separate columns,
    it is a decimal comma in a column of losses, which are no thousands, and elsewhere where no
    number has a decimal point; otherwise it separates thousands.
    """
    doubtful = losses = points = False
    for name, column in cells.items():
        loss = "loss" in name.lower() or "entropy" in name.lower()
        for text in (cell.strip() for cell in column if isinstance(cell, str)):
            points = points or bool(_POINT.fullmatch(text))
            if "," not in text or not _COMMA.fullmatch(text):
                continue
            if not THOUSANDS.fullmatch(text) or text.lstrip("+-").startswith("0"):
                return True
            doubtful, losses = True, losses or loss
    return delimiter != "," and (losses or (doubtful and not points))
