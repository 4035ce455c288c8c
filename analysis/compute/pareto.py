"""Rows that no other row beats in every column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from analysis.compute.rows import Data
from analysis.laws import FloatArray


def pareto(rows: Data, columns: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which rows are not dominated, all columns to be minimised.

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
    distinct, index = np.unique(values, axis=0, return_inverse=True)
    kept = np.zeros(len(distinct), dtype=np.bool_)
    front = distinct[:0]
    for i, row in enumerate(distinct):  # sorted, so only earlier rows can dominate
        if not (front <= row).all(axis=1).any():
            kept[i] = True
            front = distinct[kept]
    mask: npt.NDArray[np.bool_] = kept[np.ravel(index)]
    return mask
