"""Which rows are one draw of the error: checkpoints of a run, copies, cells whose seeds agree.

Intervals count clusters, not rows. Rows of one run are a cluster when a column names the run;
exact copies always are; and rows at identical scales are when they miss the law together, which
the test for lack of fit shows (Fisher 1922; Draper & Smith 1998, section 2.1): between-cell misfit
against within-cell scatter. Seeds then tell how one seed differs from another and not how far
their cell lies off the law (Moulton 1990, on units that share an error of their group).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.laws import FloatArray, Law

RUN = ("trial", "run", "run_id", "run_name", "trial_id", "id")  # a value is a run
MODEL = ("name", "model", "model_name", "model_id", "checkpoint_of")  # where nothing better is
DOUBT = 0.05  # probability of the lack of fit, were rows independent, below which cells count
_TRAJECTORY = 5  # rows of one N and D from which they look like checkpoints of one run
_STEADY = 0.9  # share of the steps along such a course that go one way
_ROUNDING = 1e-10  # residuals below are rounding errors

IndexArray = npt.NDArray[np.intp]


def run_column(frame: pd.DataFrame, law: Law) -> str | None:
    """Column that says which rows are of one run; None where there is none, or it cannot be one.

    A column of runs is taken where it names more of them than the law has parameters and does not
    restart (``restarts``). A column of models is taken where rows of a model can be checkpoints as
    well: it is no other name for N, and rows repeat it.

    Args:
        frame: rows as given, with all their columns.
        law: to be fitted.
    """
    if "trial" in frame.columns:
        return "trial"
    taken = {*law.axes, law.response}
    known = {str(c).lower(): str(c) for c in frame.columns if c not in taken}
    for name in (*RUN, *MODEL):
        column = known.get(name)
        if column is None or frame[column].isna().any():
            continue
        groups = frame[column].nunique()
        if groups <= len(law.parameters) or (name in MODEL and groups == len(frame)):
            continue
        if restarts(frame, column, law):
            continue
        if name in RUN or not _names_size(frame, column, law):
            return column
    return None


def restarts(frame: pd.DataFrame, column: str, law: Law) -> str | None:
    """Scale that differs within a value of ``column``, which is then no run; None where none does.

    A run has one N, and one D where the law tells the samples seen from it. Along a course only
    samples, compute or losses move. So numbers that begin again in every cell count repeats.
    """
    still = ["N", *(["D"] if {"D", "S"} <= set(law.axes) else [])]
    sizes = frame.groupby(column, sort=False)
    for axis in still:
        if axis in frame.columns and bool((sizes[axis].transform("nunique") > 1).any()):
            return axis
    return None


def _names_size(frame: pd.DataFrame, column: str, law: Law) -> bool:
    """Whether a column of models is another name for the axis N."""
    if "N" not in law.axes or "N" not in frame.columns:
        return False
    pairs = len(frame[[column, "N"]].drop_duplicates())
    return bool(pairs == frame[column].nunique() == frame["N"].nunique())


def trajectories(frame: pd.DataFrame, law: Law) -> list[str]:
    """A warning where rows look like checkpoints of runs that no column names, or of too few.

    Without a column they are many rows of one N and D, one after the other, along which the other
    axis of the law only rises or only falls.

    Args:
        frame: rows as given, with all their columns; the axes are numbers.
        law: to be fitted.
    """
    if run_column(frame, law) is not None:
        return []
    if said := _no_names(frame, law):
        return said
    moving = [a for a in law.axes if a not in ("N", "D")]
    if not moving or not {"N", "D"} <= set(frame.columns):
        return []
    cell = frame.groupby(["N", "D"], sort=False, dropna=False).ngroup().to_numpy()
    cells, blocks = int(cell.max()) + 1, int((np.diff(cell) != 0).sum()) + 1
    if blocks != cells or len(cell) < _TRAJECTORY * cells:
        return []
    step = np.diff(frame[moving[-1]].to_numpy(dtype=np.float64))[np.diff(cell) == 0]
    if max((step > 0).mean(), (step < 0).mean()) < _STEADY:
        return []
    return [
        f"{len(cell)} rows hold {cells} pair{'s' * (cells > 1)} of N and D, each along a course of "
        f"{moving[-1]}: if they are checkpoints, name their runs in a column trial, or intervals "
        "are too narrow"
    ]


def _no_names(frame: pd.DataFrame, law: Law) -> list[str]:
    """A warning where a column looks as if it named runs, and does not."""
    named = [str(c) for c in frame.columns if str(c).lower() in RUN]
    if not named:
        return []
    if axis := restarts(frame, named[0], law):
        return [
            f"column {named[0]} holds several {axis} under one value: it counts repeats and names "
            "no runs; rows count as independent; name the runs of checkpoints in a column trial"
        ]
    if frame[named[0]].nunique() < len(frame):
        return [
            f"column {named[0]} names {frame[named[0]].nunique()} runs for {len(law.parameters)} "
            "parameters: rows count as independent, and intervals are too narrow where they are not"
        ]
    return []


def joined_clusters(runs: IndexArray, with_: IndexArray) -> IndexArray:
    """Smallest clusters (n,) that hold together both what ``runs`` and what ``with_`` does."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = int(runs.max()) + 1
    pairs = (np.ones(len(runs)), (runs, count + with_))
    size = count + int(with_.max()) + 1
    label = connected_components(coo_array(pairs, shape=(size, size)), directed=False)[1]
    clusters, _ = pd.factorize(label[runs])
    return np.asarray(clusters, dtype=np.intp)


def copies(x: FloatArray, response: FloatArray) -> IndexArray:
    """Number (n,) of each row among those that differ in a scale or in the response."""
    rows = np.column_stack([x, response])
    return np.asarray(np.unique(rows, axis=0, return_inverse=True)[1].ravel(), dtype=np.intp)


def cells(
    x: FloatArray, response: FloatArray, runs: IndexArray, residual: FloatArray, varied: int
) -> tuple[IndexArray, list[str]]:
    """Clusters (n,) of rows that hold the cells together where they miss the law together.

    Args:
        x: scales (n, K).
        response: measured (n,).
        runs: cluster of each row (n,) so far, copies in one.
        residual: measured less fitted (n,), each times the root of its weight, clipped where the
            loss is linear.
        varied: parameters fitted.

    Returns:
        The clusters, and a warning where cells are.
    """
    first = np.unique(copies(x, response), return_index=True)[1]
    if not _together(x[first], residual[first], varied):
        return runs, []
    cell = np.asarray(np.unique(x, axis=0, return_inverse=True)[1].ravel(), dtype=np.intp)
    clusters = joined_clusters(runs, cell)
    before, after = int(runs.max()) + 1, int(clusters.max()) + 1
    if before == after:
        return runs, []
    return clusters, [
        f"rows at identical scales miss the law together: {after} clusters, not {before} rows, "
        "count as independent"
    ]


def _together(x: FloatArray, residual: FloatArray, varied: int) -> bool:
    """Whether cells miss the law by more than the scatter of their rows explains."""
    from scipy.special import fdtrc

    cell, count = np.unique(x, axis=0, return_inverse=True, return_counts=True)[1:]
    cell = cell.ravel()
    between, within = len(count) - varied, len(x) - len(count)
    if between < 1 or within < 1:
        return False
    mean = np.bincount(cell, residual) / count
    lack = float((count * mean**2).sum()) / between
    pure = float(((residual - mean[cell]) ** 2).sum()) / within
    if lack <= _ROUNDING**2:
        return False
    return float(fdtrc(between, within, lack / max(pure, 1e-300))) < DOUBT
