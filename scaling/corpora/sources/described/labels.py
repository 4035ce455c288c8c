"""The labels of a user's own table: columns of 0 and 1, or one column that lists classes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal

from scaling.corpora.errors import CorpusError
from scaling.corpora.sources.described.keys import check_keys, text_of, texts
from scaling.corpora.sources.read.columns import flag

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


def resolve(labels: Labels, where: Path, sets: LabelSets) -> tuple[tuple[str, ...], list[str]]:
    """Fill in the label sets of a table.

    Args:
        labels: how they are written.
        where: the table, for messages.
        sets: the mappings become {"": indices of the positive classes}, or stay empty where
            the label is missing.

    Returns:
        The classes in label order, and what is wrong with cells.
    """
    problems = []
    if labels.separator is None:
        classes = labels.columns
    elif labels.classes is not None:
        classes = labels.classes
    else:
        found = {name for (cell,) in sets for name in _names(cell, labels.separator)}
        classes = tuple(sorted(found))
    for cells, (line, positives) in sets.items():
        try:
            indices = _positives(cells, labels, classes)
        except ValueError as error:
            problems.append(f"{where}:{line}: {error}")
            continue
        if indices is not None:
            positives[""] = indices
    if not classes:
        problems.append(f"{where}: column {labels.columns[0]!r} holds no label")
    return classes, problems


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
