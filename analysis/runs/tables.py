"""Tables of runs: their cells, and the numbers in them.

A table keeps its cells as they were and where each row stood, so that what cannot be read is
named by file, line and column. Numbers are read when a column is wanted: with decimal commas,
separators of thousands, and the suffixes K, M, B and T of counts.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.laws import FloatArray

MISSING = {"", "-", "--", "na", "n/a", "nan", "none", "null", "<na>", "missing", "?", "#n/a"}
MAGNITUDES = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")
_POINTS = re.compile(r"[+-]?\d{1,3}(\.\d{3})+(,\d*)?")
_DOUBTFUL = re.compile(r"[+-]?\d{1,3},\d{3}")  # a decimal comma, or thousands
_SPACED = re.compile(r"(?<=\d)[\s\u00a0\u202f'\u2019_](?=\d{3}(\D|$))")
_SUFFIXED = re.compile(r"(.*\d\.?)\s*([kKmMbBgGtT])")


class RunsError(ValueError):
    """Runs that cannot be read; the message names the file, line, column and what to change."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of cells."""

    name: str  # of the file, for messages; empty for a frame
    cells: Mapping[str, Sequence[Any]]  # by column, as text or as they were typed
    places: Sequence[str]  # where each row stands, such as ``line 7``
    comma: bool = False  # whether a comma is the decimal mark
    notes: tuple[str, ...] = ()  # how it was read, where that is not a matter of course

    @property
    def columns(self) -> list[str]:
        """Headers, in their order."""
        return list(self.cells)

    def error(self, text: str) -> RunsError:
        """An error that names the file."""
        return RunsError(f"{self.name}: {text}" if self.name else text)

    def texts(self, column: str) -> list[str]:
        """The cells as text, empty where missing."""
        texts = ("" if is_missing(v) else str(v).strip() for v in self.cells[column])
        return ["" if v.lower() in MISSING else v for v in texts]

    def numbers(self, column: str) -> tuple[FloatArray, list[int]]:
        """The cells as numbers (n,), NaN where missing, and the rows that hold other text."""
        values = np.full(len(self.places), np.nan)
        other = []
        for i, cell in enumerate(self.cells[column]):
            try:
                values[i] = number_of(cell, comma=self.comma)
            except ValueError:
                other.append(i)
        return values, other

    def doubtful(self, column: str) -> str:
        """A cell such as 4,430 where all cells look so and commas separate thousands, or empty."""
        cells = [v for v in self.texts(column) if v]
        sure = self.comma or any(not _DOUBTFUL.fullmatch(v) for v in cells)
        return "" if sure or not cells else cells[0]

    def suffixed(self, column: str) -> npt.NDArray[np.bool_]:
        """Whether each cell (n,) says its own magnitude, as 125M does."""
        cells = self.cells[column]
        suffixed = (isinstance(v, str) and bool(_SUFFIXED.fullmatch(v.strip())) for v in cells)
        return np.array(list(suffixed), dtype=np.bool_)

    def rows(self, keep: Sequence[int]) -> Table:
        """Some of the rows."""
        return dataclasses.replace(
            self,
            cells={k: [v[i] for i in keep] for k, v in self.cells.items()},
            places=[self.places[i] for i in keep],
        )


def is_missing(cell: Any) -> bool:
    """Whether a cell as it was typed holds nothing."""
    return cell is None or cell is pd.NA or (isinstance(cell, float) and math.isnan(cell))


def number_of(cell: Any, *, comma: bool = False) -> float:
    """A cell as a number; NaN where it is missing.

    Args:
        cell: text or a number: 1e9, 1,5 (with ``comma``), 1,000,000, 1 000 000, 125M, 1.3B.
        comma: whether a comma is the decimal mark.

    Raises:
        ValueError: any other text or object.
    """
    if is_missing(cell):
        return math.nan
    if isinstance(cell, (bool, np.bool_, np.ndarray)):
        raise ValueError(cell)
    if not isinstance(cell, str):
        try:
            return float(cell)
        except TypeError:  # an object of JSON, a date
            raise ValueError(cell) from None
    if not comma:
        try:
            return float(cell)
        except ValueError:
            pass
    text, factor = cell.strip(), 1.0
    if text.lower() in MISSING:
        return math.nan
    if match := _SUFFIXED.fullmatch(text):
        text, factor = match[1], MAGNITUDES[match[2].lower()]
    text = _SPACED.sub("", text)
    if comma and text.count(",") <= 1:
        if _POINTS.fullmatch(text):
            text = text.replace(".", "")
        text = text.replace(",", ".")
    elif THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    return factor * float(text)


def frame_table(frame: pd.DataFrame, name: str = "") -> Table:
    """A frame as a table; rows are counted from 0, as everywhere in ``analysis``."""
    return Table(
        name=name,
        cells={str(c): list(frame[c]) for c in frame.columns},
        places=[f"row {i}" for i in range(len(frame))],
    )
