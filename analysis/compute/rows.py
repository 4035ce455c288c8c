"""Rows that a compute allocation is read from, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.laws import FloatArray

Data = pd.DataFrame | Mapping[str, npt.ArrayLike]

SAME = 0.01  # log C that varies by less than this is one value
_OFF_CURVE = 0.1  # log C further than this from any smooth curve in N is no function of N
MEASURE = (
    "train each size to several budgets, or on several numbers of records, so that C varies at "
    "fixed N"
)


class AllocationError(ValueError):
    """A compute allocation that the runs cannot show; the message says what to measure."""


def checked(
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
    found = frame[[*numbers, *(c for c in kept if c in frame.columns)]].reset_index(drop=True)
    for column in numbers:
        values = found[column].to_numpy(dtype=np.float64, na_value=np.nan)
        bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if bad.size:
            raise ValueError(
                f"row {bad[0]}: {column} is {values[bad[0]]}, not a positive finite number "
                f"({bad.size} such rows)"
            )
        found[column] = values
    return found


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


def _off_quadratic(x: FloatArray, y: FloatArray) -> float:
    """Standard deviation of y (n,) about its quadratic in x (n,); 0 when none is left over."""
    degree = min(2, len(np.unique(x)) - 1)
    if len(x) <= degree + 1:
        return 0.0
    basis = np.vander(x - x.mean(), degree + 1)
    residual = y - basis @ np.linalg.lstsq(basis, y, rcond=None)[0]
    return float(np.sqrt((residual**2).sum() / (len(x) - degree - 1)))
