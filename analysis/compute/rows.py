"""Runs that a compute allocation is read from: their columns checked, and what C varies with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.laws import FloatArray
from analysis.studies.fit_rows import Data

SAME = 0.01  # log C that varies by less than this is one value
_OFF_CURVE = 0.1  # log C further than this from any smooth curve in N is no function of N
MEASURE = (
    "train each size to several budgets, or on several numbers of records, so that C varies at "
    "fixed N"
)


class AllocationError(ValueError):
    """A compute allocation that the runs cannot show; the message says what to measure."""


def positive_columns(
    data: Data, columns: Sequence[str], optional: Sequence[str] = (), kept: Sequence[str] = ()
) -> pd.DataFrame:
    """The columns asked for, as positive finite floats.

    Args:
        data: a frame or a mapping of columns.
        columns: that must be there.
        optional: that may be absent.
        kept: that may be absent and are handed on as they are.

    Raises:
        ValueError: no rows, a missing column, or a value that is not positive and finite (the
            message names the row).
    """
    frame = data if isinstance(data, pd.DataFrame) else pd.DataFrame(dict(data))
    if missing := [c for c in columns if c not in frame.columns]:
        raise ValueError(f"missing column {', '.join(missing)}")
    if frame.empty:
        raise ValueError("no rows")
    numbers = [c for c in (*columns, *optional) if c in frame.columns]
    rows = frame[[*numbers, *(c for c in kept if c in frame.columns)]].reset_index(drop=True)
    for column in numbers:
        values = rows[column].to_numpy(dtype=np.float64, na_value=np.nan)
        bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if bad.size:
            raise ValueError(
                f"row {bad[0]}: {column} is {values[bad[0]]}, not a positive finite number "
                f"({bad.size} such rows)"
            )
        rows[column] = values
    return rows


def positive_budgets(C: npt.ArrayLike, name: str = "C") -> FloatArray:
    """Compute C, scalar or (m,), as (m,) FLOPs.

    Raises:
        ValueError: one of them, called ``name``, is not positive and finite.
    """
    budgets = np.atleast_1d(np.asarray(C, dtype=np.float64))
    if not (np.isfinite(budgets).all() and (budgets > 0).all()):
        raise ValueError(f"{name} must be positive and finite")
    return budgets


def distinct(values: npt.ArrayLike) -> int:
    """How many distinct values there are, to nine digits of the logarithm."""
    return len(np.unique(np.round(np.log(np.asarray(values, dtype=np.float64)), 9)))


def times_outside(values: pd.Series[float], ends: tuple[float, float]) -> pd.Series[float]:
    """How many times each value (m,) lies outside the range ``ends``; 1 within."""
    low, high = ends
    return pd.Series(np.maximum(values / high, low / values)).clip(lower=1.0)


def spread_at_fixed_size(
    N: FloatArray, C: FloatArray, D: FloatArray | None = None
) -> tuple[float, bool]:
    """How far log C spreads about its value for a size, and whether C varies at fixed N.

    Sizes with runs of several D decide (standard deviation within a size over ``SAME``). Where
    there are none, as in isoFLOP grids whose every size is new, C varies if it lies off every
    quadratic of log N.

    Args:
        N: sizes (n,).
        C: compute (n,), FLOPs.
        D: records (n,), if known.
    """
    frame = pd.DataFrame({"N": N, "log_C": np.log(C), "D": 0.0 if D is None else D})
    by = frame.groupby("N")
    within = frame["log_C"] - by["log_C"].transform("mean")
    several = by["D"].transform("nunique") > 1
    if D is not None and several.any():
        rows = frame[several]
        spare = len(rows) - rows["N"].nunique()
        spread = float(np.sqrt((within[several] ** 2).sum() / spare))
        return spread, spread > SAME
    spare = len(frame) - frame["N"].nunique()
    inside = float(np.sqrt((within**2).sum() / spare)) if spare else 0.0
    outside = _off_quadratic(np.log(N), frame["log_C"].to_numpy(dtype=np.float64))
    return max(inside, outside), inside > SAME or outside > _OFF_CURVE


def refuse_function_of_size(N: FloatArray, C: FloatArray, D: FloatArray | None = None) -> None:
    """Refuse runs whose C does not vary at fixed N (see ``spread_at_fixed_size``).

    Raises:
        AllocationError: C is a function of N alone.
    """
    spread, varies = spread_at_fixed_size(N, C, D)
    if not varies:
        raise AllocationError(
            f"C is a function of N alone (log C spreads by {spread:.2g} at fixed N): {MEASURE}"
        )


def _off_quadratic(x: FloatArray, y: FloatArray) -> float:
    """Standard deviation of y (n,) about its quadratic in x (n,); 0 when none is left over."""
    degree = min(2, len(np.unique(x)) - 1)
    if len(x) <= degree + 1:
        return 0.0
    basis = np.vander(x - x.mean(), degree + 1)
    residual = y - basis @ np.linalg.lstsq(basis, y, rcond=None)[0]
    return float(np.sqrt((residual**2).sum() / (len(x) - degree - 1)))


def pareto(rows: Data, columns: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which rows are not dominated (the Pareto front), all columns to be minimised.

    A row is dominated when another is at most as large in every column and smaller in one; of
    equal rows all or none are kept.

    Args:
        rows: a frame or a mapping of columns of n numbers each.
        columns: those compared, such as ``("C", "loss")``.

    Returns:
        A mask (n,).

    Raises:
        ValueError: no columns, a missing one, or a NaN, which compares with nothing.
    """
    if not columns:
        raise ValueError("no columns to compare")
    if missing := [c for c in columns if c not in rows]:
        raise ValueError(f"missing column {', '.join(missing)}")
    values: FloatArray = np.stack([np.asarray(rows[c], dtype=np.float64) for c in columns], axis=1)
    if np.isnan(values).any():
        column = columns[int(np.isnan(values).any(axis=0).argmax())]
        raise ValueError(f"{column} holds NaN, which cannot be compared")
    ordered, place = np.unique(values, axis=0, return_inverse=True)
    kept = np.zeros(len(ordered), dtype=np.bool_)
    front = ordered[:0]
    for i, row in enumerate(ordered):  # sorted, so only earlier rows can dominate
        if not (front <= row).all(axis=1).any():
            kept[i] = True
            front = ordered[kept]
    mask: npt.NDArray[np.bool_] = kept[np.ravel(place)]
    return mask
