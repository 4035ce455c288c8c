"""The columns of the tables, their dtypes, and how files of them are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

TRIAL_COLUMNS: dict[str, str] = {
    "study": "string", "stage": "string", "trial": "string", "parents": "string",
    "family": "string", "size": "string", "paradigm": "string", "objective": "string",
    "corpus": "string", "preprocessing": "string", "recipe": "string",
    "labels_fraction": "float64", "num_labels": "Int64", "leads": "Int64", "N": "Int64",
    "params_total": "Int64", "D": "Int64", "patients": "Int64", "lr": "float64",
    "batch": "Int64", "seed": "Int64", "status": "string", "steps": "Int64", "C": "float64",
    "macs": "float64", "started": "string", "duration_s": "float64", "device": "string",
    "commit": "string", "dirty": "boolean",
}  # fmt: skip
EVALUATION_COLUMNS: dict[str, str] = {
    "evaluation": "string", "trial": "string", "step": "Int64", "C": "float64", "task": "string",
    "split": "string", "metric": "string", "protocol": "string", "value": "float64",
    "n": "Int64", "value_se": "float64",
}  # fmt: skip
OPTIONAL_COLUMNS = {"low": "float64", "high": "float64"}  # 95 % interval; not in older tables
OPTIONAL_TRIAL_COLUMNS = {  # empty in older tables
    "label_set": "string", "macs_full": "float64", "C_full": "float64",
}  # fmt: skip
_NONE: Mapping[str, str] = MappingProxyType({})


class ResultsError(ValueError):
    """A results folder that cannot be read; the message names the file and what is wrong."""


def read_csv(
    path: Path, columns: Mapping[str, str], optional: Mapping[str, str] = _NONE
) -> pd.DataFrame:
    """A CSV table; see ``typed``."""
    try:
        text = pd.read_csv(path, dtype="string", keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path}: cannot be read ({error})") from None
    return typed(path, text, columns, optional)


def read_parquet(
    path: Path, columns: Mapping[str, str], optional: Mapping[str, str] = _NONE
) -> pd.DataFrame:
    """A parquet table; see ``typed``."""
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path}: cannot be read ({error})") from None
    return typed(path, table, columns, optional)


def typed(
    path: Path,
    frame: pd.DataFrame,
    columns: Mapping[str, str],
    optional: Mapping[str, str] = _NONE,
) -> pd.DataFrame:
    """The columns of the contract, in order and with their dtypes; optional ones may be absent."""
    if missing := [c for c in columns if c not in frame.columns]:
        raise ResultsError(f"{path}: missing column {', '.join(missing)}")
    frame = frame.assign(**{c: None for c in optional if c not in frame.columns})
    found: dict[str, Any] = {}
    for name, kind in {**columns, **optional}.items():
        column: Any = frame[name]
        try:
            if kind == "string":
                found[name] = column.astype("string").fillna("")
            elif kind == "boolean":
                found[name] = column.map(_boolean).astype("boolean")
            else:
                found[name] = pd.to_numeric(column).astype("float64").astype(kind)
        except (ValueError, TypeError) as error:
            raise ResultsError(f"{path}: column {name}: {error}") from None
    return pd.DataFrame(found)


def _boolean(value: object) -> bool | None:
    if value is None or value is pd.NA or value != value:  # noqa: PLR0124 (NaN)
        return None
    return str(value).lower() == "true"
