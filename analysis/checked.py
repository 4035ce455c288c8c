"""The rows a law is fitted to, checked."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.laws import Law

Data = pd.DataFrame | Mapping[str, npt.ArrayLike]


def checked_rows(
    data: Data, law: Law, task: str | None, protocol: str
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Rows with ``trial`` and the axes of the law, and warnings and notes on what was left out.

    Raises:
        ValueError: no rows, a missing column, or a loss or scale that is not positive and finite.
    """
    warnings: list[str] = []
    notes: list[str] = []
    if isinstance(data, pd.DataFrame) and "metric" in data.columns:
        from analysis.selection import law_rows

        rows = law_rows(data, task=task, protocol=protocol)
        warnings, notes = list(rows.attrs["warnings"]), list(rows.attrs["notes"])
        frame = rows.rename(columns={"value": "loss"})[["trial", "N", "D", "loss"]]
    else:
        frame = pd.DataFrame(dict(data))
    if missing := [c for c in (*law.axes, "loss") if c not in frame.columns]:
        raise ValueError(f"{law.name} needs columns {', '.join(missing)}: {law.formula}")
    keep = [c for c in ("trial", "N", "D", "loss") if c in frame.columns]
    frame = frame[keep].reset_index(drop=True)
    if frame.empty:
        raise ValueError("no rows to fit")
    for column in [c for c in keep if c != "trial"]:
        values = frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
        bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if bad.size:
            raise ValueError(
                f"row {bad[0]}: {column} is {values[bad[0]]}, not a positive finite number "
                f"({bad.size} such rows)"
            )
        frame[column] = values
    if "trial" not in frame.columns:
        frame.insert(0, "trial", [f"row {i}" for i in range(len(frame))])
    if doubled := int(frame.drop(columns="trial").duplicated().sum()):
        warnings.append(f"{doubled} rows repeat the scales and the loss of another exactly")
    return frame, warnings, notes


def at_largest(
    frame: pd.DataFrame, law: Law, notes: list[str]
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Rows at the largest value of an axis the law lacks, among those with most scales."""
    at: dict[str, float] = {}
    for other in [c for c in ("N", "D") if c in frame.columns and c not in law.axes]:
        counts = frame.groupby(other)[law.axes[0]].nunique()
        at[other] = float(counts[counts == counts.max()].index.max())
        if len(counts) > 1:
            notes.append(f"{law.name}: runs at {other} = {at[other]:,.0f} only")
        frame = frame[frame[other] == at[other]].reset_index(drop=True)
    return frame, at
