"""Predict a cell from the others, and compare."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.fit.certificate import Status
from analysis.fit.result import Fit
from analysis.text import Interval, json_object


def _of_mean(row: pd.Series[Any], fit: Fit, runs: int) -> Interval:
    """Prediction interval of the mean of ``runs`` new runs, from a row of ``predict``.

    On the scale of the residuals the interval of one run is that of the curve and a run's scatter
    in quadrature; the scatter of a mean is smaller by the root of ``runs``.
    """
    scale = fit.problem.scale
    names = [fit.law.response, "mean_low", "new_low", "mean_high", "new_high"]
    centre, *values = scale.forward(row[names].to_numpy(dtype=np.float64))
    ends = []
    for (curve, one), sign in zip((values[:2], values[2:]), (-1.0, 1.0), strict=True):
        own = (curve - centre) ** 2
        half = math.sqrt(own + max((one - centre) ** 2 - own, 0.0) / runs)
        ends.append(float(scale.inverse(centre + sign * half)))
    return Interval(low=ends[0], high=ends[1]).holding(float(row[fit.law.response]))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Holdout:
    """A cell predicted by a fit that never saw it.

    Attributes:
        cell: scales of the cell left out.
        losses: losses of its runs, in nats (the law's response, in its unit).
        predicted: what is predicted by the fit to the other cells.
        interval: 95 % prediction interval of the mean of as many new runs there.
        covered: whether the mean of the runs lies within; None where no fit was possible.
        relative_error: predicted over measured (mean of the runs), less 1.
        status: of the fit to the other cells.
    """

    cell: dict[str, float]
    losses: tuple[float, ...]
    predicted: float
    interval: Interval
    covered: bool | None
    relative_error: float
    status: Status

    def to_dict(self) -> dict[str, Any]:
        """All numbers, as plain JSON values."""
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return json_object(**{**own, "status": str(self.status)})


def hold_out(fit: Fit, cell: Mapping[str, float]) -> Holdout:
    """Refit without the runs at ``cell`` and predict it; see ``Fit.holdout``."""
    x = fit.scales(cell)
    inside = np.isclose(fit.problem.x, x[0], rtol=1e-9).all(axis=1)
    if not inside.any() or inside.all():
        raise ValueError(f"{'no' if not inside.any() else 'every'} run is at {cell}")
    rest = fit.refit(~inside)
    row = rest.predicted(x).iloc[0]
    losses = tuple(float(v) for v in fit.problem.loss[inside])
    scale, predicted = fit.problem.scale, float(row[fit.law.response])
    mean = float(scale.inverse(scale.forward(fit.problem.loss[inside]).mean()))
    known = rest.ok and bool(np.isfinite(row[["mean_low", "new_low"]].to_numpy(float)).all())
    apart = len(np.unique(fit.problem.runs[inside]))
    interval = _of_mean(row, rest, apart) if known else Interval(low=math.nan, high=math.nan)
    return Holdout(
        cell={axis: float(cell[axis]) for axis in fit.law.axes},
        losses=losses,
        predicted=predicted,
        interval=interval,
        covered=interval.covers(mean) if known else None,
        relative_error=predicted / mean - 1,
        status=rest.status,
    )


def leave_out_largest(fit: Fit) -> Holdout:
    """Leave out the cell with the largest N and D and predict it from the others.

    It is the cell of the largest D among the runs of the largest N.

    Raises:
        ValueError: the fit has one cell only.
    """
    x = fit.problem.x
    order = np.lexsort(x.T[::-1])
    return hold_out(fit, dict(zip(fit.law.axes, (float(v) for v in x[order[-1]]), strict=True)))
