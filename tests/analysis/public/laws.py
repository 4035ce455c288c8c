"""Public scaling-law data with published answers: ``../shared/laws``, see its README."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd


def answers(shared: Path, task: str) -> Any:
    """Source, procedure and published numbers of a task."""
    return json.loads((shared / "laws" / f"{task}.json").read_text())


def rows(shared: Path, file: str) -> pd.DataFrame:
    """Data of a task."""
    return pd.read_csv(shared / "laws" / f"{file}.csv")


def extrapolations(shared: Path) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Name, runs to fit and larger runs to predict, of the nine N-D tasks."""
    for task, part in rows(shared, "nd_extrapolation").groupby("task"):
        yield str(task), part[part["split"] == "fit"], part[part["split"] == "holdout"]
