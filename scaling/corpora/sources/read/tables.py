"""Read the CSV tables and list the files of a dataset, with errors that name file and line.

``read_table`` makes a dictionary of every row; for hundreds of thousands of rows, or for tables of
two thousand columns, ``read_columns`` picks the cells that are needed.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from scaling.corpora.errors import CorpusError

_LARGEST_CELL = 2**24


def existing(root: Path | None, source: str) -> Path:
    """The folder of a source.

    Raises:
        CorpusError: none is given, or it is not there.
    """
    if root is None or not root.is_dir():
        raise CorpusError(f"{source} is not at {root}: no such folder")
    return root


def csv_rows(path: Path, needed: Iterable[str], what: str = "") -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of the header and of every row; blank lines are passed over.

    Args:
        path: a UTF-8 file, with or without a byte-order mark, with a header line.
        needed: columns that must be there.
        what: what to say when the file is absent, such as "PTB-XL needs a.csv and b.csv".

    Raises:
        CorpusError: the file is absent, not text, lacks a needed column or has it twice, holds
            zero bytes or a quotation that does not end, or has a row of another length than
            its header.
    """
    csv.field_size_limit(_LARGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(_without_holes(file), strict=True)
            header = next(reader, [])
            if absent := [name for name in needed if name not in header]:
                raise CorpusError(f"{path}: column {', '.join(absent)} is missing")
            if twice := [name for name in needed if header.count(name) > 1]:
                raise CorpusError(f"{path}: column {', '.join(twice)} is there twice")
            yield reader.line_num, header
            for row in reader:
                if row and len(row) != len(header):
                    raise CorpusError(
                        f"{path}:{reader.line_num}: {len(row)} cells, but the header has "
                        f"{len(header)}: the table is truncated or damaged; download it again"
                    )
                if row:
                    yield reader.line_num, row
    except FileNotFoundError:
        raise CorpusError(f"{path}: no such file{'; ' + what if what else ''}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path}: cannot be read ({error})") from None


def _without_holes(lines: Iterable[str]) -> Iterator[str]:
    """The lines; a file that was not written to its end has zero bytes where text should be."""
    for line in lines:
        if "\0" in line:
            raise csv.Error("a line holds zero bytes: damaged; download it again")
        yield line


def read_table(
    path: Path, needed: Iterable[str], what: str = ""
) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a CSV as dictionaries, each with its ``file:line``; see ``csv_rows``."""
    rows = csv_rows(path, needed, what)
    _, header = next(rows)
    for line, row in rows:
        yield f"{path}:{line}", dict(zip(header, row, strict=True))


def inside(text: str) -> PurePosixPath:
    """A relative path from a table, if it stays below the root.

    Raises:
        CorpusError: absolute, empty, or climbs out by ``..``.
    """
    path = PurePosixPath(text.replace("\\", "/"))
    if not path.parts or path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise CorpusError(f"{text!r} is not a path below the root")
    return path


def file_sizes(folder: Path, root: Path, suffixes: tuple[str, ...]) -> dict[str, int]:
    """Path below ``root`` -> bytes of every file under ``folder`` with one of the suffixes.

    Sorted by path. Links are not followed out of the tree.
    """
    sizes: dict[str, int] = {}
    pending = [folder] if folder.is_dir() else []
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path))
                elif entry.name.endswith(suffixes) and entry.is_file():
                    relative = Path(entry.path).relative_to(root).as_posix()
                    sizes[relative] = entry.stat().st_size
    return dict(sorted(sizes.items()))


def fingerprint(tables: Iterable[bytes], sizes: Mapping[str, int], extra: bytes = b"") -> str:
    """Content id of a source: its tables' bytes, its files' paths and sizes, and ``extra``."""
    digest = hashlib.sha256()
    for table in tables:
        digest.update(table)
    digest.update("".join(f"{path} {sizes[path]}\n" for path in sorted(sizes)).encode())
    digest.update(extra)
    return "f" + digest.hexdigest()[:16]


def patient_number(text: str) -> int:
    """A patient id as a non-negative 63-bit integer: digits keep their value, others are hashed.

    Raises:
        CorpusError: the id is empty.
    """
    text = text.strip()
    if not text:
        raise CorpusError("the patient id is empty")
    if text.removesuffix(".0").isdecimal():
        number = int(text.removesuffix(".0"))
        if number < 2**62:
            return number
    return (1 << 62) | (int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 2)


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
