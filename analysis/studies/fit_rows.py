"""The rows a law is fitted to, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeGuard

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.laws import Law
from analysis.studies.clusters import run_column, trajectories
from analysis.studies.rows import law_rows, remarks

Data = pd.DataFrame | Mapping[str, npt.ArrayLike]
_STUDY = {"trial", "status", "corpus", "task", "split", "metric", "protocol", "value"}
_ROUND = 0.8  # share of values
_FEWEST = 3  # values that make a series
_EVEN = 1.3  # ratios of a series differ by so much at most, as in 1, 2, 5, 10
_RECORDS, _PARAMETERS = 1e6, 1e9  # beyond which N are no records, and D no parameters
_SIZES = (1e-75, 1e75)  # squares, and products of two squares, stay finite


def fit_rows(
    data: Data,
    law: Law,
    task: str | None,
    protocol: str,
    weights: str | None = None,
    *,
    linear: bool = False,
    pooled: bool = False,
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Rows with ``trial`` and the axes of the law, and warnings and notes on what was left out.

    Args:
        data: see ``fit_law``.
        law: whose axes and response are needed.
        task: of the law rows of a study.
        protocol: of the law rows of a study.
        weights: column of weights, if any.
        linear: whether residuals are linear, which lets responses have any sign where the law can.
        pooled: whether resamples are drawn for a pool of trials, which leaves trials as given.

    Raises:
        ValueError: no rows, a missing column, or a value that is not positive and finite (not
            finite, where the law takes any sign), or of a size that cannot be squared.
    """
    warnings: list[str] = []
    notes: list[str] = []
    if is_study(data):
        rows = law_rows(data, task=task, protocol=protocol)
        warnings, notes = remarks(data, rows)
        frame = rows.rename(columns={"value": "loss"})
        frame = frame.assign(S=frame["steps"].astype(float) * frame["batch"].astype(float))
    else:
        frame = pd.DataFrame(dict(data))
    extra = () if weights is None else (weights,)
    needed = (*law.axes, law.response, *extra)
    if missing := [c for c in needed if c not in frame.columns]:
        raise ValueError(f"{law.name} needs columns {', '.join(missing)}: {law.formula}")
    if frame.empty:
        raise ValueError("no rows to fit")
    if "trial" not in frame.columns and (column := run_column(frame, law)):
        frame = frame.assign(trial=frame[column].astype(str))
        notes.append(f"{frame['trial'].nunique()} runs, by column {column}")
    given = frame
    wanted = ("trial", *law.axes, *law.held, law.response, *extra)
    keep = [c for c in dict.fromkeys(wanted) if c in frame.columns]
    frame = frame[keep].reset_index(drop=True)
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
    warnings += trajectories(given, law)
    if law.proportion:
        _check_share(frame[law.response], law.response)
    if "trial" not in frame.columns:
        frame.insert(0, "trial", [f"row {i}" for i in range(len(frame))])
    scales = [c for c in keep if c not in ("trial", weights)]
    warnings += _copies_said(frame, scales, law.response, pooled=pooled)
    return frame, warnings + swapped(frame), notes


def _copies_said(
    frame: pd.DataFrame, columns: list[str], response: str, *, pooled: bool
) -> list[str]:
    """Warnings on rows that repeat the ``columns`` of another: whether they count as independent.

    Copies are one run, but trials of a pool stay as given: there only copies in one trial are.
    """
    copied = frame.duplicated(columns)
    alone = copied & ~frame.duplicated([*columns, "trial"]) if pooled else copied & False
    said = []
    for many, counts in ((int((copied & ~alone).sum()), False), (int(alone.sum()), True)):
        if many:
            plural, they = ("s repeat", "they") if many > 1 else (" repeats", "it")
            verb = "do" if many > 1 else "does"
            end = f"{they} {verb} not count as independent"
            if counts:
                end = (
                    f"with a pool every trial counts as independent, and intervals are too narrow: "
                    f"give {'copies' if many > 1 else 'the copy'} the trial of the original"
                )
            said.append(
                f"{many} row{plural} the scales and the {response} of another exactly: {end}"
            )
    return said


def is_study(data: object) -> TypeGuard[pd.DataFrame]:
    """Whether data are the frame of ``load``; a column ``metric`` alone does not make them one."""
    return isinstance(data, pd.DataFrame) and set(data.columns) >= _STUDY


def _check_share(values: pd.Series[float], name: str) -> None:
    """Refuse a proportion above 1, such as one in per cent."""
    bad = np.flatnonzero((values < 0) | (values > 1))
    if bad.size:
        raise ValueError(
            f"row {bad[0]}: {name} is {values.iloc[bad[0]]:g}, not a share between 0 and 1 "
            f"({bad.size} such row{'s' * (bad.size > 1)}): divide per cents by 100"
        )


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

    Numbers of records are chosen, often each some times the one before (256, 512, 1,024), and
    those of parameters come out (24,936). So N that are such a series beside D that are whole but
    not round are suspicious. Not so nominal sizes (70M, 160M, 410M), which are no series, tokens
    by the billion, which need not be round, or numbers in other units, which are not whole.

    No training sees fewer samples than it has distinct records, unless it ends within the first
    epoch; where S holds fewer different values than D as well, they are suspicious.
    """
    said: list[str] = []
    positive = frame[[c for c in ("N", "D", "S") if c in frame.columns]]
    if not bool((positive > 0).all(axis=None)):
        return said
    columns = {c: frame[c].unique() for c in ("N", "D", "S") if c in frame.columns}
    if {"N", "D"} <= set(columns) and _chosen(columns["N"]) and _counted(columns["D"]):
        said.append(
            "N holds a series of round numbers, as numbers of records are, and D does not: are the "
            "columns swapped?"
        )
    fewer = {"D", "S"} <= set(columns) and len(columns["S"]) < len(columns["D"])
    if fewer and bool((frame["S"] < frame["D"]).mean() > 0.5):
        said.append("S (samples seen) lies below D (unique records): are the columns swapped?")
    return said


def _chosen(values: npt.NDArray[np.float64]) -> bool:
    """Whether values are a series of round numbers below a million, each some times the last."""
    there = _is_round(values)
    if there.mean() < _ROUND or there.sum() < _FEWEST or values.max() >= _RECORDS:
        return False
    ratio = np.diff(np.log(np.sort(values[there])))
    return bool(np.ptp(ratio) <= np.log(_EVEN))


def _counted(values: npt.NDArray[np.float64]) -> bool:
    """Whether values are whole, not round, and of the size of models on fewer records."""
    whole = bool((values == np.round(values)).all()) and float(values.max()) < _PARAMETERS
    return whole and float(_is_round(values).mean()) <= 1 - _ROUND


def _is_round(values: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether each value is whole, with one or two digits before zeros, or 2^k to 2^k * 15."""
    value = np.asarray(values, dtype=np.float64)
    with np.errstate(all="ignore"):  # a scale of 0 is no round number
        digits = value / 10.0 ** (np.floor(np.log10(value)) - 1)
        binary = value / 2.0 ** np.maximum(np.floor(np.log2(value)) - 3, 0)
        whole = [np.abs(v - np.round(v)) < 1e-9 for v in (value, digits, binary)]
    rounded: npt.NDArray[np.bool_] = whole[0] & (whole[1] | (whole[2] & (value >= 64)))
    return rounded


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
