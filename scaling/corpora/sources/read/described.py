"""The user's own data: ``dataset.json`` says what the table beside the signals means.

Every row of the table is one record. Which of the two formats reads the signals is up to
``arrays`` and ``wfdb_folder``; what a user writes is in docs/own-data.md.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from scaling.corpora.errors import CorpusError, RowProblems
from scaling.corpora.sources.read.listed import Entry, check_entries
from scaling.corpora.sources.read.tables import flag, inside, patient_number, read_columns, years
from scaling.records.names import nearest

FILE = "dataset.json"
TASK = ""
_COMMON = ("table", "columns", "labels")
_COLUMNS = ("record", "patient", "split", "age", "sex")
_SPLITS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
_SEXES = {"female": "female", "f": "female", "male": "male", "m": "male", "": None}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A ``dataset.json`` that was checked.

    Attributes:
        file: its path.
        table: path of the CSV.
        columns: what -> name of the column.
        labels: how labels are written.
        own: the other keys, which the format checks.
    """

    file: Path
    table: Path
    columns: dict[str, str]
    labels: Labels
    own: dict[str, Any]

    def error(self, key: str, problem: str) -> CorpusError:
        """What is wrong with one key."""
        return CorpusError(f"{self.file}: {key!r} {problem}")

    def remarks(self) -> tuple[str, ...]:
        """What the quality report should say."""
        alone = self.columns["patient"] == self.columns["record"]
        hashed = "split" not in self.columns
        return (
            "every record counts as another patient" if alone else "",
            "no split of its own: patients are split 8:1:1 by a hash of their id" if hashed else "",
        )


def read_description(root: Path | None, own: Sequence[str], place: str) -> Description:
    """Read and check the ``dataset.json`` of a folder.

    Args:
        root: the folder.
        own: further keys that the format knows.
        place: the further column it knows.

    Raises:
        CorpusError: names the key, and the nearest known one where it is unknown.
    """
    if root is None or not root.is_dir():
        raise CorpusError(f"{root}: no such folder")
    file = root / FILE
    value = _read_json(file)
    check_keys(file, "", value, (*_COMMON, *own))
    if absent := [key for key in _COMMON if key not in value]:
        raise CorpusError(f"{file}: {absent[0]!r} is missing; see docs/own-data.md")
    try:
        table = root / inside(text_of(file, "table", value["table"]))
    except CorpusError as error:
        raise CorpusError(f"{file}: 'table': {error}") from None
    columns = object_of(file, "columns", value["columns"])
    check_keys(file, "columns.", columns, (*_COLUMNS, place))
    for key in ("record", "patient"):
        if key not in columns:
            hint = "; name the record's column where every record is another patient"
            raise CorpusError(
                f"{file}: 'columns.{key}' is missing{hint if key == 'patient' else ''}"
            )
    return Description(
        file=file,
        table=table,
        columns={key: text_of(file, f"columns.{key}", name) for key, name in columns.items()},
        labels=parse_labels(file, object_of(file, "labels", value["labels"])),
        own={key: value[key] for key in own if key in value},
    )


def _read_json(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        value = json.loads(text, object_pairs_hook=_unique)
    except FileNotFoundError:
        raise CorpusError(f"{file}: no such file; docs/own-data.md says how to write one") from None
    except json.JSONDecodeError as error:
        raise CorpusError(f"{file}:{error.lineno}:{error.colno}: {error.msg}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CorpusError(f"{file}: cannot be read ({error})") from None
    if not isinstance(value, dict):
        raise CorpusError(f"{file}: is not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, none of whose keys hides another."""
    value: dict[str, Any] = {}
    for key, item in pairs:
        if key in value:
            raise ValueError(f"the key {key!r} appears twice")
        value[key] = item
    return value


def read_entries(
    description: Description, place: str, locate: Callable[[str, str, int], object]
) -> tuple[list[Entry], dict[str, tuple[str, ...]], int]:
    """Entries of the table, classes of the one task, and rows whose signal is not there.

    Args:
        description: of the dataset.
        place: the format's own column.
        locate: (record, cell of that column or "", number of the row from 0) -> what the
            format's reader needs, None where the signal is not there. May raise ValueError.

    Raises:
        CorpusError: the first ten rows that make no sense, each with its line; a patient in
            two splits, a record twice.
    """
    # Records with the same labels share one mapping, filled in once the classes are known.
    sets: LabelSets = {}
    entries: list[Entry] = []
    problems = RowProblems()
    labels = description.labels
    absent = 0
    for number, (line, cells) in enumerate(_rows(description, place)):
        with problems.at(description.table, line):
            where = locate(cells["record"], cells[place], number)
            key = tuple([cells[f"label:{name}"] for name in labels.columns])
            positives = sets.setdefault(key, (line, {}))[1]
            entry = _entry(cells, where, positives, "split" in description.columns)
            if where is None:
                absent += 1
            else:
                entries.append(entry)
    classes = _fill_in_labels(labels, description.table, sets, problems)
    check_entries(entries, problems, str(description.table))
    return entries, {TASK: classes}, absent


def _rows(description: Description, place: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Line and cells of every row, by what they mean; labels by the names of their columns."""
    columns, labels = description.columns, description.labels.columns
    names = [*columns.values(), *labels]
    keys = [*columns, *(f"label:{name}" for name in labels)]
    blank = dict.fromkeys((*_COLUMNS, place), "")
    what = f"{FILE} names it as the table"
    for line, cells in read_columns(description.table, names, what=what):
        yield line, blank | dict(zip(keys, (cell.strip() for cell in cells), strict=True))


def _entry(
    cells: Mapping[str, str], where: object, labels: dict[str, tuple[int, ...]], own_split: bool
) -> Entry:
    from scaling.corpora.format.splits import hashed_split

    if not cells["record"]:
        raise ValueError("the record id is empty")
    patient = patient_number(cells["patient"])
    split, sex = cells["split"].lower(), cells["sex"].lower()
    if own_split and split not in _SPLITS:
        raise ValueError(f"split {cells['split']!r} is not train, validation or test")
    if sex not in _SEXES:
        raise ValueError(f"sex {cells['sex']!r} is not female or male; write it so, or leave it")
    return Entry(
        record=cells["record"],
        patient=patient,
        split=_SPLITS[split] if own_split else hashed_split(patient),
        labels=labels,
        where=where,
        age=years(cells["age"]),
        sex=_SEXES[sex],
    )


_KEYS = ("columns", "column", "separator", "classes", "empty")

# Cells of the label columns -> first line that has them, and task -> indices of the positives.
LabelSets = dict[tuple[str, ...], tuple[int, dict[str, tuple[int, ...]]]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """How the labels are written.

    Attributes:
        columns: the columns that hold them.
        separator: between the classes of a cell; None where each column is a class, 0 or 1.
        classes: names in label order; None takes those that occur, sorted.
        empty: what an empty cell means; a column of 0 and 1 has no label there.
    """

    columns: tuple[str, ...]
    separator: str | None = None
    classes: tuple[str, ...] | None = None
    empty: Literal["negative", "missing"] | None = "missing"


def parse_labels(file: Path, value: dict[str, Any]) -> Labels:
    """The key ``labels`` of a ``dataset.json``; CorpusError names what is wrong with it."""
    check_keys(file, "labels.", value, _KEYS)
    if "columns" in value and len(value) == 1:
        return Labels(columns=texts(file, "labels.columns", value["columns"]))
    if "columns" in value or "column" not in value or "separator" not in value:
        raise CorpusError(
            f"{file}: 'labels' needs either 'columns' (each 0 or 1) or 'column' and 'separator'"
        )
    if value.get("empty") not in (None, "negative", "missing"):
        raise CorpusError(f"{file}: 'labels.empty' is {value['empty']!r}: negative or missing")
    classes = value.get("classes")
    return Labels(
        columns=(text_of(file, "labels.column", value["column"]),),
        separator=text_of(file, "labels.separator", value["separator"]),
        classes=None if classes is None else texts(file, "labels.classes", classes),
        empty=value.get("empty"),
    )


def _fill_in_labels(
    labels: Labels, table: Path, sets: LabelSets, problems: RowProblems
) -> tuple[str, ...]:
    """The classes in label order.

    The mappings of ``sets`` become {"": indices of the positive classes}, or stay empty where the
    label is missing.
    """
    if labels.separator is None:
        classes = labels.columns
    elif labels.classes is not None:
        classes = labels.classes
    else:
        names = {name for (cell,) in sets for name in _names(cell, labels.separator)}
        classes = tuple(sorted(names))
    for cells, (line, positives) in sets.items():
        with problems.at(table, line):
            if (indices := _positives(cells, labels, classes)) is not None:
                positives[""] = indices
    if not classes:
        problems.append(f"{table}: column {labels.columns[0]!r} holds no label")
    return classes


def _names(cell: str, separator: str) -> list[str]:
    return [name.strip() for name in cell.split(separator) if name.strip()]


def _positives(
    cells: tuple[str, ...], labels: Labels, classes: tuple[str, ...]
) -> tuple[int, ...] | None:
    """Indices of the positive classes; None where the label is missing."""
    if labels.separator is None:
        if not all(cells):
            return None
        return tuple(i for i, cell in enumerate(cells) if flag(cell))
    names = _names(cells[0], labels.separator)
    if not names and labels.empty is None:
        raise ValueError(
            f"column {labels.columns[0]!r} has empty cells: say in 'labels.empty' of dataset.json "
            "whether that is 'negative' (none of the classes) or 'missing'"
        )
    if unknown := [name for name in names if name not in classes]:
        raise ValueError(f"label {unknown[0]!r} is not among the classes of dataset.json")
    if not names and labels.empty == "missing":
        return None
    return tuple(sorted({classes.index(name) for name in names}))


def check_keys(file: Path, prefix: str, value: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise CorpusError for a key that nobody reads; the message suggests the nearest."""
    for key in value:
        if key not in known:
            hint = "; ".join(filter(None, (", ".join(known), nearest(key, known))))
            raise CorpusError(f"{file}: unknown key {prefix + key!r}; there is {hint}")


def text_of(file: Path, key: str, value: object) -> str:
    """A text that is not empty, or CorpusError."""
    if not isinstance(value, str) or not value:
        raise CorpusError(f"{file}: {key!r} is {value!r}, not a text")
    return value


def object_of(file: Path, key: str, value: object) -> dict[str, Any]:
    """An object, or CorpusError."""
    if not isinstance(value, dict):
        raise CorpusError(f"{file}: {key!r} is {value!r}, not an object")
    return value


def texts(file: Path, key: str, value: object) -> tuple[str, ...]:
    """A list of different texts that is not empty.

    Raises:
        CorpusError: it is something else.
    """
    if not isinstance(value, list) or not value:
        raise CorpusError(f"{file}: {key!r} is {value!r}, not a list of texts")
    items = tuple(text_of(file, key, item) for item in value)
    if len(set(items)) < len(items):
        raise CorpusError(f"{file}: {key!r} names one twice")
    return items
