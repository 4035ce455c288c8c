"""Tables printed in the papers, as typed frames.

The numbers are the CSV files of this folder, one per table, with the digits as printed; what each
table is stands in ``tables.toml``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from scaling.records.tables import typed

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Table:
    """One printed table.

    Attributes:
        paper: short name and title.
        number: as printed in the paper.
        caption: as printed where our text has it, else what the table shows.
        units: of the values.
        notes: what our text lost, and what is odd about the numbers.
        dtypes: pandas dtype by column, in the order of the file.
        meaning: what the columns are that do not speak for themselves.
    """

    paper: str
    number: str
    caption: str
    units: str
    notes: str
    dtypes: Mapping[str, str]
    meaning: Mapping[str, str] = field(default_factory=dict)


def _described() -> Mapping[str, Table]:
    about = tomllib.loads((_FOLDER / "tables.toml").read_text(encoding="utf-8"))
    papers = about["papers"]
    return MappingProxyType({
        name: Table(**{**fields, "paper": papers.get(fields["paper"], fields["paper"])})
        for name, fields in about["tables"].items()
    })  # fmt: skip


TABLES = _described()  # by name, which is that of the CSV file


@cache
def as_printed(name: str) -> pd.DataFrame:
    """A table as text: only that has the printed digits, 0.320 rather than 0.32."""
    path = _FOLDER / f"{name}.csv"
    return pd.read_csv(path, dtype="string", keep_default_na=False, na_values=[""])


def table(name: str) -> pd.DataFrame:
    """A printed table in tidy long form.

    Returns:
        One row per printed number, in the order printed; columns and dtypes are those of
        ``TABLES[name]``, and ``attrs`` holds ``paper``, ``number`` and ``units``.

    Raises:
        ValueError: no such table; the message lists the names.
    """
    if name not in TABLES:
        raise ValueError(f"no published table {name!r}; there are {', '.join(TABLES)}")
    about = TABLES[name]
    frame = typed(_FOLDER / f"{name}.csv", as_printed(name), about.dtypes)
    frame.attrs.update(paper=about.paper, number=about.number, units=about.units)
    return frame
