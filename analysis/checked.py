"""The rows a law is fitted to, checked."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.laws import Law

Data = pd.DataFrame | Mapping[str, npt.ArrayLike]
_ROUND = 0.8
_SIZES = (1e-75, 1e75)  # squares, and products of two squares, stay finite


def checked_rows(
    data: Data,
    law: Law,
    task: str | None,
    protocol: str,
    weights: str | None = None,
    *,
    linear: bool = False,
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Rows with ``trial`` and the axes of the law, and warnings and notes on what was left out.

    Args:
        data: see ``fit_law``.
        law: whose axes and response are needed.
        task: of the law rows of a study.
        protocol: of the law rows of a study.
        weights: column of weights, if any.
        linear: whether residuals are linear, which lets responses have any sign where the law can.

    Raises:
        ValueError: no rows, a missing column, or a value that is not positive and finite (not
            finite, where the law takes any sign), or of a size that cannot be squared.
    """
    warnings: list[str] = []
    notes: list[str] = []
    if isinstance(data, pd.DataFrame) and "metric" in data.columns:
        from analysis.selection import law_rows

        rows = law_rows(data, task=task, protocol=protocol)
        warnings, notes = list(rows.attrs["warnings"]), list(rows.attrs["notes"])
        frame = rows.rename(columns={"value": "loss"})
        frame = frame.assign(S=frame["steps"].astype(float) * frame["batch"].astype(float))
    else:
        frame = pd.DataFrame(dict(data))
    extra = () if weights is None else (weights,)
    needed = (*law.axes, law.response, *extra)
    if missing := [c for c in needed if c not in frame.columns]:
        raise ValueError(f"{law.name} needs columns {', '.join(missing)}: {law.formula}")
    wanted = ("trial", *law.axes, *law.held, law.response, *extra)
    keep = [c for c in dict.fromkeys(wanted) if c in frame.columns]
    frame = frame[keep].reset_index(drop=True)
    if frame.empty:
        raise ValueError("no rows to fit")
    for column in [c for c in keep if c != "trial"]:
        signed = column in law.axes and law.signed_axes
        why = ""
        if column == law.response:
            able = law.signed_response or law.additive_floor
            signed = linear and able
            if able and not linear:
                why = "; residual='linear' takes responses of any sign"
            elif linear and not able:
                why = f"; {law.name} is positive"
        frame[column] = _numbers(frame[column], column, signed=signed, why=why)
    if "trial" not in frame.columns:
        frame.insert(0, "trial", [f"row {i}" for i in range(len(frame))])
    if doubled := int(frame.drop(columns="trial").duplicated().sum()):
        plural = "s repeat" if doubled > 1 else " repeats"
        warnings.append(f"{doubled} row{plural} the scales and the loss of another exactly")
    return frame, warnings + swapped(frame), notes


def _numbers(
    column: pd.Series[float], name: str, *, signed: bool = False, why: str = ""
) -> npt.NDArray[np.float64]:
    """Finite values, positive unless ``signed``."""
    try:
        values: npt.NDArray[np.float64] = np.asarray(
            column.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64
        )
    except (TypeError, ValueError):
        raise ValueError(f"column {name} holds values that are not numbers") from None
    bad = np.flatnonzero(~(np.isfinite(values) & (signed | (values > 0))))
    if bad.size:
        hint = why if np.isfinite(values[bad[0]]) else ""
        raise ValueError(
            f"row {bad[0]}: {name} is {values[bad[0]]}, not a {'' if signed else 'positive '}"
            f"finite number ({bad.size} such row{'s' * (bad.size > 1)}){hint}"
        )
    size = np.abs(values)
    bad = np.flatnonzero(((size < _SIZES[0]) & (size > 0)) | (size > _SIZES[1]))
    if bad.size:
        raise ValueError(
            f"row {bad[0]}: {name} is {values[bad[0]]}, beyond {_SIZES[0]:g} to {_SIZES[1]:g}: "
            "choose another unit"
        )
    return values


def swapped(frame: pd.DataFrame) -> list[str]:
    """Warnings where two columns look exchanged.

    Numbers of records are chosen (256, 2,000) and those of parameters come out (24,936), so
    round values of N beside D that are not round are suspicious; and no training sees fewer
    samples than it has distinct records.
    """
    found = []
    if {"N", "D"} <= set(frame.columns) and bool((frame[["N", "D"]] > 0).all(axis=None)):
        share = {axis: float(_is_round(frame[axis].unique()).mean()) for axis in ("N", "D")}
        if share["N"] >= _ROUND and share["D"] <= 1 - _ROUND:
            found.append("N holds round numbers and D does not: are the columns swapped?")
    if {"D", "S"} <= set(frame.columns) and bool((frame["S"] < frame["D"]).mean() > 0.5):
        found.append("S (samples seen) lies below D (unique records): are the columns swapped?")
    return found


def _is_round(values: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether each value is whole, with one or two digits before zeros, or 2^k to 2^k * 15."""
    value = np.asarray(values, dtype=np.float64)
    digits = value / 10.0 ** (np.floor(np.log10(value)) - 1)
    binary = value / 2.0 ** np.maximum(np.floor(np.log2(value)) - 3, 0)
    whole = [np.abs(v - np.round(v)) < 1e-9 for v in (value, digits, binary)]
    found: npt.NDArray[np.bool_] = whole[0] & (whole[1] | (whole[2] & (value >= 64)))
    return found


def at_largest(
    frame: pd.DataFrame, law: Law, notes: list[str]
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Rows at the largest value of an axis the law holds, among those with most scales."""
    at: dict[str, float] = {}
    for other in [c for c in law.held if c in frame.columns]:
        counts = frame.groupby(other)[law.axes[0]].nunique()
        at[other] = float(counts[counts == counts.max()].index.max())
        if len(counts) > 1:
            notes.append(f"{law.name}: runs at {other} = {at[other]:,.0f} only")
        frame = frame[frame[other] == at[other]].reset_index(drop=True)
    return frame, at
