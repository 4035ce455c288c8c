"""Tables printed in the papers, as typed frames, and checks of what the papers derive from them.

Sources, units, columns and losses of each table are in ``analysis.published.registry``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.published.registry import TABLES, Table
from scaling.records.tables import typed

__all__ = ["TABLES", "Table", "names", "printed_aggregates", "suspected_bounds", "table"]

REPEATS = 3  # a printed minimum this frequent is a bound rather than a coincidence
_S2_OWN = "LiteHeart"
_FOLDER = Path(__file__).parent
_NOTES = {
    ("s2_e3", "smallest margin"): "the text says 6.7 % to 10.71 % over the best other method; the "
    "table's smallest margin is on Chapman (51.17 - 46.86, over PSM)",
    ("s2_e3", "largest margin"): "the text says 6.7 % to 10.71 % over the best other method; the "
    "table's largest margin is on SMU (56.79 - 49.43, over PKT), and 10.71 is the margin over no "
    "method on any data set",
    ("s1_s9", "mean of s1_s9_ptbxl"): "S.9's ptbxl is the four-digit mean rounded again",
}


def names() -> list[str]:
    """Names of all tables, for ``table``."""
    return list(TABLES)


def table(name: str) -> pd.DataFrame:
    """A printed table in tidy long form.

    Args:
        name: one of ``names()``.

    Returns:
        One row per printed number, in the order printed; columns and dtypes are those of
        ``TABLES[name]``, and ``attrs`` holds ``paper``, ``number`` and ``units``.

    Raises:
        ValueError: unknown name; the message lists the names.
    """
    about = _about(name)
    frame = typed(_path(name), _as_printed(name), about.dtypes)
    frame.attrs.update(paper=about.paper, number=about.number, units=about.units)
    return frame


def printed_aggregates() -> pd.DataFrame:
    """Every mean, deviation and margin a paper prints, beside the same from the table's rows.

    Returns:
        ``table``, ``row`` (configuration or method), ``quantity``, ``aggregate``, ``printed``,
        ``recomputed``, ``unit_last_digit`` (of ``printed``), ``reproduced_by`` (for a deviation
        ``ddof=0`` is the population's, ``ddof=1`` the sample's, and ``ddof=0 or 1`` when the
        digits do not tell; empty if nothing does), ``agrees`` and ``note``. ``agrees`` is true
        when the two differ by at most half a unit in the last printed digit plus what rounding
        the table's own digits can add.
    """
    found = []
    for row in [*_stated(), *_ptbxl_restated()]:
        tries = _recompute(row)
        fits = [t for t in tries if abs(t.value - row.printed) <= row.unit / 2 + t.slack + 1e-9]
        how = " or ".join(t.how for t in fits).replace("or ddof=", "or ")
        found.append({
            "table": row.table, "row": row.row, "quantity": row.quantity,
            "aggregate": row.statistic, "printed": row.printed,
            "recomputed": (fits or tries)[0].value, "unit_last_digit": row.unit,
            "reproduced_by": how, "agrees": bool(fits),
            "note": _NOTES.get((row.table, row.statistic), ""),
        })  # fmt: skip
    return pd.DataFrame(found)


def suspected_bounds() -> pd.DataFrame:
    """Printed estimates that look like a bound of their fits rather than an estimate.

    The rule: among all values of one fitted quantity of a table (over tasks and configurations,
    which share the bounds of the fit), the smallest one is printed at least ``REPEATS`` times.

    Returns:
        One row per such value: ``table``, ``row`` (the task), ``configuration`` (such as
        ``resnet-sl``), ``quantity``, ``value`` and ``times`` (how often it is printed).
    """
    found = []
    for about in TABLES.values():
        if not about.fitted:
            continue
        frame = table(about.name)
        for quantity in about.fitted:
            values = frame[frame["quantity"] == quantity]
            lowest = values[values["value"] == values["value"].min()]
            if len(lowest) >= REPEATS:
                found.append(
                    pd.DataFrame({
                        "table": about.name, "row": lowest["task"],
                        "configuration": lowest["architecture"] + "-" + lowest["paradigm"],
                        "quantity": quantity, "value": lowest["value"], "times": len(lowest),
                    })
                )  # fmt: skip
    return pd.concat(found, ignore_index=True)


@dataclass(frozen=True)
class _Stated:
    """An aggregate as printed; ``unit`` is one in its last digit."""

    table: str
    row: str
    quantity: str
    statistic: str
    printed: float
    unit: float


@dataclass(frozen=True)
class _Try:
    """What one convention makes of the rows; rounding of these moves it by ``slack`` at most."""

    how: str
    value: float
    slack: float


def _path(name: str) -> Path:
    return _FOLDER / f"{name}.csv"


def _about(name: str) -> Table:
    if name not in TABLES:
        raise ValueError(f"no published table {name!r}; there are {', '.join(TABLES)}")
    return TABLES[name]


@cache
def _as_printed(name: str) -> pd.DataFrame:
    """The file's text: only it has the printed digits, 0.320 rather than 0.32."""
    return pd.read_csv(_path(name), dtype="string", keep_default_na=False, na_values=[""])


def _unit(digits: str) -> float:
    return 10.0 ** -len(digits.partition(".")[2])


def _stated() -> Iterator[_Stated]:
    for row in _as_printed("aggregates").to_dict("records"):
        digits = str(row["value"])
        yield _Stated(
            str(row["table"]), str(row["row"]), str(row["quantity"]), str(row["statistic"]),
            float(digits), _unit(digits),
        )  # fmt: skip


def _ptbxl_restated() -> Iterator[_Stated]:
    """S.9's PTB-XL column, which is itself a mean of the table after it."""
    frame = _as_printed("s1_s9")
    for row in frame[frame["task"] == "ptbxl"].to_dict("records"):
        digits = str(row["auroc"])
        yield _Stated(
            "s1_s9", str(row["method"]), "auroc", "mean of s1_s9_ptbxl", float(digits),
            _unit(digits),
        )  # fmt: skip


def _recompute(row: _Stated) -> list[_Try]:
    """The aggregate by each convention that could have made it, the usual one first."""
    if row.statistic.endswith("margin"):
        return [_margin(row)]
    digits = _rows(row)
    values = digits.astype("float64").to_numpy()
    # Rows are off by half a unit at most; a deviation is a seminorm, so moves by no more than
    # that of an error of half a unit in every row.
    half = max(map(_unit, digits)) / 2
    if row.statistic != "sd":
        return [_Try("mean", float(values.mean()), half)]
    n = len(values)
    return [
        _Try(f"ddof={ddof}", float(np.std(values, ddof=ddof)), half * (n / (n - ddof)) ** 0.5)
        for ddof in (0, 1)
    ]


def _rows(row: _Stated) -> pd.Series[str]:
    """Digits of the rows that an aggregate is over."""
    if row.table == "s1_s7":
        frame = _as_printed("s1_s7")
        kind = frame["architecture"] + "-" + frame["paradigm"]
        return frame.loc[(kind == row.row) & (frame["quantity"] == row.quantity), "value"]
    if row.table == "s1_s9" and row.statistic == "mean":
        frame = _as_printed("s1_s9")
        return frame.loc[frame["method"] == row.row, "auroc"]
    frame = _as_printed("s1_s9_ptbxl")
    return frame.loc[(frame["method"] == row.row) & (frame["metric"] == row.quantity), "value"]


def _margin(row: _Stated) -> _Try:
    """S2's own method less the best other one, by data set."""
    frame = table(row.table)
    wide = frame[frame["metric"] == row.quantity].pivot_table(
        index="dataset", columns="method", values="mean"
    )
    margins = wide[_S2_OWN] - wide.drop(columns=_S2_OWN).max(axis=1)
    value = margins.max() if row.statistic == "largest margin" else margins.min()
    half = max(map(_unit, _as_printed(row.table)["mean"])) / 2
    return _Try(f"{_S2_OWN} less the best other method", float(value), 2 * half)
