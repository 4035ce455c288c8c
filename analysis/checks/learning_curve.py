"""Extrapolate a one-dimensional learning curve by averaging laws, windows and origins.

No law fits all curves, and early points (a plateau at chance) mislead most. So every law is
fitted to several windows of the curve, each forecast is rehearsed at earlier origins over the
same horizon, and the forecasts are averaged in log loss with weights inverse to the squared
errors of their rehearsals (Bates & Granger 1969, "The combination of forecasts"). Nothing beyond
the points given is looked at. On the 46 public curves of Alabdulmohsin et al. 2022 it predicts
better than each of the laws alone, see ``docs/learning-curves.md``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.fit.problem import Problem
from analysis.laws import BoolArray, FloatArray, Law, get
from analysis.runs.read import named_columns
from analysis.studies.fit_rows import Data, fit_rows
from analysis.text import holding
from scaling.records.names import HELD_OUT

LAWS = ("d_law", "m3", "m4")
WINDOWS = (0.0, 0.2, 0.4, 0.6)  # share of the range of log D left out at the low end
ORIGINS = (1.0, 1.5, 2.0)  # where rehearsals start, in horizons before the last point
WIDTH = 4.0  # half width in errors and spreads; 1.7 to 4.2 by the domain left out
_SPARE = 1  # points beyond the number of parameters that a fit needs
_ITERATIONS = 60  # what has not converged by then is along a flat direction


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One law on one window.

    Attributes:
        window: share of the range of log D left out at the low end.
        log_loss: forecast (m,).
        errors: mean squared log error of the rehearsal at each origin, NaN where there was none.
        rehearsed: log errors of the points of all rehearsals, by origin.
    """

    law: str
    window: float
    log_loss: FloatArray
    errors: FloatArray
    rehearsed: tuple[FloatArray, ...]
    weight: float
    converged: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A curve carried on.

    Attributes:
        table: ``D``, ``loss``, ``low``, ``high`` (95 % interval of a new point), one row for
            each D asked for. The interval is the rehearsals' error and the candidates' spread
            in quadrature, times a constant chosen by leaving out one domain at a time.
        candidates: what was averaged, the heaviest first.
        error: rms log error of the same average in its rehearsals; NaN where there was none.
        warnings: what a reader must know first.
    """

    table: pd.DataFrame
    candidates: tuple[Candidate, ...]
    error: float
    warnings: tuple[str, ...]

    def weights(self) -> pd.DataFrame:
        """Law, window, weight and rehearsal error (rms, log) of each candidate."""
        table = pd.DataFrame([(c.law, c.window, c.weight) for c in self.candidates])
        errors = pd.DataFrame([c.errors for c in self.candidates])
        table.columns = pd.Index(["law", "window", "weight"])
        return table.assign(error=np.sqrt(errors.mean(axis=1)))

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{w}</li>" for w in self.warnings)
        return f"<ul>{notes}</ul>{self.table.to_html(index=False)}{self.weights().to_html()}"


def extrapolate(
    data: Data, D: npt.ArrayLike, laws: Sequence[str | Law] = LAWS, *, response: str = "loss"
) -> Forecast:
    """Predict the loss at data sizes beyond those measured.

    Args:
        data: columns ``D`` (or another scale of that name) and the response, positive and lower
            is better; exact repeats of a row count once. Where a column ``N`` varies, the rows at
            its largest value are used.
        D: where to predict (m,); the largest must lie beyond the data.
        laws: of the one axis D.
        response: column of the response.

    Raises:
        ValueError: no such columns, values that are not positive, no D beyond the data, or a law
            of other axes.
    """
    chosen = [get(law) if isinstance(law, str) else law for law in laws]
    if wrong := [law.name for law in chosen if law.axes != ("D",)]:
        raise ValueError(f"a learning curve has the one axis D: {', '.join(wrong)} has others")
    given = named_columns(data, ("D", response))
    if missing := [c for c in ("D", response) if c not in given]:
        there = ", ".join(map(str, given.columns)) or "none"
        raise ValueError(
            f"a learning curve needs columns D and {response}, not found: {', '.join(missing)}; "
            f"there are: {there}"
        )
    given, warnings = _one_size(given)
    own = {"D": given["D"], "loss": given[response]}
    frame, _, _ = fit_rows(own, get("d_law"), None, HELD_OUT)
    frame = frame[["D", "loss"]].drop_duplicates().sort_values("D", kind="stable")
    x, loss = frame["D"].to_numpy(), frame["loss"].to_numpy()
    at = np.atleast_1d(np.asarray(D, dtype=np.float64))
    if not (np.isfinite(at).all() and (at > 0).all() and at.max() > x.max()):
        raise ValueError(f"D must be positive with one beyond the data ({x.max():,.0f})")
    found = [c for law in chosen for c in _rehearse(law, x, loss, at)]
    if not found:
        found = [_straight(x, loss, at)]
        warnings.append(f"{len(x)} points are too few for any law: a straight line in logs")
    found = _weighed(found)
    if not any(np.isfinite(c.errors).any() for c in found):
        warnings.append("no rehearsal was possible over this horizon: equal weights")
    return _forecast(found, at, warnings)


def _one_size(given: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Rows of the largest model where there are several, which a warning then says."""
    if "N" not in given or given["N"].nunique() < 2:
        return given, []
    largest = given["N"].max()
    said = f"N varies: the runs at the largest, {largest:,.0f}, are used"
    return given[given["N"] == largest], [said]


def _fit(
    law: Law, x: FloatArray, loss: FloatArray, masks: BoolArray
) -> tuple[FloatArray, BoolArray, FloatArray]:
    """Best free parameters (M, P) for each of the masks (M, n), if converged, and the centre."""
    problem = Problem(law=law, x=x[:, None], loss=loss, runs=np.arange(len(x)), delta=math.inf)
    starts, lower, upper = [], [], []
    for mask in masks:
        ends = law.bounds(x[mask, None], loss[mask])
        free = law.to_free(law.guess(x[mask, None], loss[mask]), problem.centre)
        starts.append(np.clip(free, *ends))
        lower.append(np.broadcast_to(ends[0], free.shape))
        upper.append(np.broadcast_to(ends[1], free.shape))
    each = max(len(s) for s in starts)
    starts, lower, upper = (
        [np.resize(p, (each, p.shape[1])) for p in parts] for parts in (starts, lower, upper)
    )
    best = problem.solve(
        np.concatenate(starts),
        weights=np.repeat(masks.astype(np.float64), each, axis=0),
        lower=np.concatenate(lower),
        upper=np.concatenate(upper),
        iterations=_ITERATIONS,
    ).best_of(each)
    return best.free, best.converged, problem.centre


def _mask(log_x: FloatArray, origin: float, window: float) -> BoolArray:
    """Points up to the origin, less the first ``window`` of the range of log D they span."""
    inside: BoolArray = log_x <= origin + 1e-9
    if not inside.any():
        return inside
    low, high = log_x[inside].min(), log_x[inside].max()
    return np.asarray(inside & (log_x >= low + window * (high - low) - 1e-9))


def _rehearse(law: Law, x: FloatArray, loss: FloatArray, at: FloatArray) -> list[Candidate]:
    """Forecast and rehearsals on every window that has enough points."""
    log_x, end = np.log(x), float(np.log(x).max())
    horizon = float(np.log(at).max()) - end
    jobs = [(o, w) for w in WINDOWS for o in (0.0, *ORIGINS)]
    masks = {(o, w): _mask(log_x, end - o * horizon, w) for o, w in jobs}
    enough = [j for j in jobs if masks[j].sum() >= len(law.parameters) + _SPARE]
    if not enough:
        return []
    free, converged, centre = _fit(law, x, loss, np.array([masks[j] for j in enough]))
    value = law.log_value(free, np.concatenate([x, at])[:, None], centre)[0]
    row, candidates = {j: i for i, j in enumerate(enough)}, []
    for window in [w for w in WINDOWS if (0.0, w) in row]:
        errors, parts = np.full(len(ORIGINS), np.nan), []
        for k, origin in enumerate(ORIGINS):
            begin = end - origin * horizon
            test = (log_x > begin + 1e-9) & (log_x <= begin + horizon + 1e-9)
            part = np.full(int(test.sum()), np.nan)
            if (origin, window) in row and test.any():
                part = (value[row[origin, window], : len(x)] - np.log(loss))[test]
                errors[k] = float(np.mean(part**2))
            parts.append(part)
        i = row[0.0, window]
        candidates.append(
            Candidate(
                law=law.name,
                window=window,
                log_loss=value[i, len(x) :],
                errors=errors,
                rehearsed=tuple(parts),
                weight=math.nan,
                converged=bool(converged[i]),
            )
        )
    return candidates


def _straight(x: FloatArray, loss: FloatArray, at: FloatArray) -> Candidate:
    """A line in logs, or a constant through a single point."""
    several = len(np.unique(x)) > 1
    slope, level = np.polyfit(np.log(x), np.log(loss), 1) if several else (0.0, np.log(loss[0]))
    return Candidate(
        law="power_law",
        window=0.0,
        log_loss=level + slope * np.log(at),
        errors=np.full(len(ORIGINS), np.nan),
        rehearsed=(),
        weight=1.0,
        converged=True,
    )


def _weighed(candidates: list[Candidate]) -> list[Candidate]:
    """With weights: inverse to the mean over origins of squared errors, summing to one.

    A candidate without a fit at an origin gets the largest error of the others there.
    """
    errors = np.array([c.errors for c in candidates])
    errors = errors[:, ~np.isnan(errors).all(axis=0)]
    weights = np.full(len(candidates), 1.0 / len(candidates))
    if errors.shape[1]:
        filled = np.where(np.isnan(errors), np.nanmax(errors, axis=0), errors)
        weights = 1.0 / (filled.mean(axis=1) + 1e-14)
    weights = weights / weights.sum()
    return [
        dataclasses.replace(c, weight=float(w)) for c, w in zip(candidates, weights, strict=True)
    ]


def _forecast(candidates: list[Candidate], at: FloatArray, warnings: list[str]) -> Forecast:
    log_loss = np.sum([c.weight * c.log_loss for c in candidates], axis=0)
    error = _rehearsed_error(candidates)
    spread = np.sqrt(np.sum([c.weight * (c.log_loss - log_loss) ** 2 for c in candidates], axis=0))
    half, loss = WIDTH * np.hypot(error, spread), np.exp(log_loss)
    low, high = holding(loss, np.exp(log_loss - half), np.exp(log_loss + half))
    table = pd.DataFrame({"D": at, "loss": loss, "low": low, "high": high})
    return Forecast(
        table=table,
        candidates=tuple(sorted(candidates, key=lambda c: -c.weight)),
        error=error,
        warnings=tuple(warnings),
    )


def _rehearsed_error(candidates: list[Candidate]) -> float:
    """Rms log error of the same average where it was rehearsed."""
    squares = []
    for k in range(len(ORIGINS)):
        able = [c for c in candidates if k < len(c.rehearsed) and np.isfinite(c.errors[k])]
        if able:
            total = sum(c.weight for c in able)
            mean = sum(c.weight / total * c.rehearsed[k] for c in able)
            squares.append(float(np.mean(np.square(mean))))
    return math.sqrt(float(np.mean(squares))) if squares else math.nan
