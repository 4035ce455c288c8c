"""Variable projection: starting points that search only what a law is not linear in.

A formula f(x; a, q) = f0(x; q) + sum_i a_i g_i(x; q) is linear in its amplitudes and its floor: for
given q they follow from least squares, so that only q is searched (Golub & Pereyra 1973), on a grid
or along a Sobol sequence. Of a formula that is code and nothing more, what it is linear in is found
out by trying.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.laws.base import FloatArray, Formula

# points (S, P) -> what is to be small (S,); infinite where there is no value
Misfit = Callable[[FloatArray], FloatArray]

_SAME = 1e-9
_VISIBLE = 1e-3  # of the rest of the formula: a term that can be judged
_SIZES = 10.0 ** np.arange(0.0, 91.0, 6.0)
_TRIED = np.array([[1.7, 0.6, 1.2, 0.8, 1.5, 0.9], [0.7, 1.9, 0.5, 1.4, 1.1, 1.6]])
_MOST = 6  # linear parameters
_SIGNS = 4  # positive ones whose supports are tried

_SOBOL = (5, 10)  # 2^6 points for one dimension, twice as many for each more, 2^10 at most
_ROUNDS, _KEPT, _DRAWN = 6, 32, 8
_EASY = 2  # dimensions up to which a sequence covers the box densely enough
_BEST, _SPREAD = 16, 8
_SHRINK = 0.5


def best_and_spread(misfit: npt.ArrayLike, best: int, spread: int) -> list[int]:
    """Which starting points (S,) to keep: the ``best``, in order, and ``spread`` of the others.

    The spread makes the share of starts that agree say something about the problem.
    """
    order = np.argsort(misfit, kind="stable")
    ranks = {*range(best), *np.linspace(best, len(order) - 1, spread).astype(int)}
    return [int(order[rank]) for rank in sorted(ranks) if 0 <= rank < len(order)]


def floor_and_amplitude(term: FloatArray, loss: FloatArray) -> tuple[float, float]:
    """The floor and size of a term (n,) with the least squared relative error, not negative."""
    columns = np.column_stack([1.0 / loss, term / loss])
    floor, size = np.linalg.lstsq(columns, np.ones(len(loss)), rcond=None)[0]
    if floor > 0 and size > 0:
        return float(floor), float(size)
    alone = term / loss
    return 0.0, max(float(alone.sum() / (alone**2).sum()), 1e-300)


def non_negative_least_squares(
    gram: FloatArray, right: FloatArray, total: float
) -> tuple[FloatArray, FloatArray]:
    """Non-negative least squares (S, m) and their misfit (S,), from normal equations."""
    count, size = right.shape
    best, lowest = np.zeros((count, size)), np.full(count, total)
    for support in itertools.chain.from_iterable(
        itertools.combinations(range(size), k) for k in range(1, size + 1)
    ):
        part = list(support)
        matrix = gram[:, part][:, :, part]
        ridge = 1e-13 * np.einsum("spp->sp", matrix).max(axis=1)
        solution = np.linalg.solve(
            matrix + ridge[:, None, None] * np.eye(len(part)), right[:, part, None]
        )[..., 0]
        misfit = total - (solution * right[:, part]).sum(axis=1)
        better = (solution >= 0).all(axis=1) & (misfit < lowest)
        lowest[better] = misfit[better]
        best[better] = 0.0
        best[np.ix_(better, part)] = solution[better]
    return best, lowest


def linear_parameters(
    formula: Formula, draws: FloatArray, x: FloatArray, candidates: Sequence[int]
) -> list[int]:
    """Which of the places ``candidates``, taken in their order, the formula is jointly linear in.

    It is tried at ``draws`` (T, P) of the parameters and a few scales ``x`` (n, K).
    """
    linear: list[int] = []
    for place in candidates:
        with np.errstate(all="ignore"):
            if len(linear) < _MOST and all(_affine(formula, d, x, [*linear, place]) for d in draws):
                linear.append(place)
    return linear


def _affine(formula: Formula, draw: FloatArray, x: FloatArray, places: list[int]) -> bool:
    """Whether changes of the parameters at ``places`` add up, in proportion to each."""
    base = draw.copy()
    base[places] = 0.0
    rest = formula(base, x)
    if not np.isfinite(rest).all():
        return False
    scale = np.abs(rest).max()
    sizes, terms = np.empty(len(places)), []
    for i, place in enumerate(places):
        one = np.repeat(base[None], len(_SIZES), axis=0)
        one[:, place] = _SIZES
        change = formula(one, x) - rest
        seen = np.isfinite(change).all(axis=1) & (np.abs(change).max(axis=1) > _VISIBLE * scale)
        if not seen.any():
            return False
        first = int(seen.argmax())
        sizes[i] = _SIZES[first]
        terms.append(change[first])
    table = np.array(terms)
    for factors in _TRIED[:, : len(places)]:
        moved = base.copy()
        moved[places] = factors * sizes
        value = formula(moved, x)
        room = np.abs(rest) + np.abs(factors[:, None] * table).sum(axis=0)
        if not (np.abs(value - rest - factors @ table) <= _SAME * room).all():
            return False
    return True


def unit_terms(
    formula: Formula,
    theta: npt.NDArray[Any],
    x: FloatArray,
    linear: Sequence[int],
    wanted: Sequence[int],
) -> npt.NDArray[Any]:
    """Terms (..., W, n) of an amplitude of 1 each for ``wanted``, all linear parameters else 0."""
    each = np.repeat(theta[..., None, :], len(wanted) + 1, axis=-2)
    each[..., list({*linear, *wanted})] = 0.0
    for row, place in enumerate(wanted):
        each[..., row, place] = 1.0
    value = formula(each, x)
    terms: npt.NDArray[Any] = value[..., :-1, :] - value[..., -1:, :]
    return terms


def projected(
    formula: Formula,
    theta: FloatArray,
    x: FloatArray,
    response: FloatArray,
    weight: FloatArray,
    linear: Sequence[int],
    positive: Sequence[int],
) -> FloatArray:
    """Parameters ``theta`` (S, P) with those at the places ``linear`` from least squares.

    Residuals of the ``response`` (n,) are multiplied by ``weight`` (n,); parameters at the places
    ``positive`` do not become negative.
    """
    base = theta.copy()
    base[:, list(linear)] = 0.0
    table = unit_terms(formula, theta, x, linear, linear) * weight
    right = (response - formula(base, x)) * weight
    finite = np.asarray(np.isfinite(table).all(axis=(1, 2)) & np.isfinite(right).all(axis=1))
    table = np.where(finite[:, None, None], table, 0.0)
    right = np.where(finite[:, None], right, 0.0)
    size = np.maximum(np.sqrt((table**2).sum(axis=2)), 1e-300)
    table = table / size[:, :, None]
    gram, moment = table @ table.transpose(0, 2, 1), np.einsum("sln,sn->sl", table, right)
    signed = [i for i, place in enumerate(linear) if place in positive][:_SIGNS]
    best, least = np.zeros_like(moment), np.full(len(theta), np.inf)
    for dropped in itertools.chain.from_iterable(
        itertools.combinations(signed, k) for k in range(len(signed) + 1)
    ):
        keep = [i for i in range(len(linear)) if i not in dropped]
        solution = np.zeros_like(moment)
        if keep:
            matrix = gram[:, keep][:, :, keep] + 1e-13 * np.eye(len(keep))
            solution[:, keep] = np.linalg.solve(matrix, moment[:, keep, None])[..., 0]
        misfit = -(solution * moment).sum(axis=1)
        allowed = np.asarray(np.all(solution[:, signed] >= 0, axis=1))
        better = allowed & (misfit < least)
        least[better], best[better] = misfit[better], solution[better]
    base[:, list(linear)] = best / size
    return base


def sobol_starts(misfit: Misfit, low: FloatArray, high: FloatArray) -> FloatArray:
    """Points (S, P) between ``low`` and ``high`` (P,), the best first.

    A scrambled Sobol sequence covers the box evenly (Sobol 1967; Owen 1998). Its best points are
    then improved by a few rounds of random steps, half as large each time, so that those given
    to the solver lie in a valley of the misfit rather than on its slopes. The rest are spread
    over the whole sequence, which makes the share of starts that agree say something.
    """
    from scipy.stats import qmc

    size = len(low)
    if not size:
        return np.zeros((_BEST, 0))
    power = min(_SOBOL[0] + size, _SOBOL[1])
    unit = qmc.Sobol(size, scramble=True, rng=0).random_base2(power)
    points = low + unit * (high - low)
    value = misfit(points)
    order = np.argsort(value, kind="stable")
    points, value = points[order], value[order]
    rest = points[np.linspace(_KEPT, len(points) - 1, _SPREAD).astype(int)]
    best, value = points[:_KEPT], value[:_KEPT]
    rng = np.random.default_rng(0)
    width = 0.25 * (high - low)
    for _ in range(_ROUNDS if size > _EASY else 0):
        step = rng.standard_normal((_DRAWN, *best.shape)) * width
        moved = np.clip(best + step, low, high).reshape(-1, len(low))
        values = np.concatenate([value[None], misfit(moved).reshape(_DRAWN, -1)])
        every = np.concatenate([best[None], moved.reshape(_DRAWN, *best.shape)])
        chosen, index = values.argmin(axis=0), np.arange(len(best))
        best, value = every[chosen, index], values[chosen, index]
        width = _SHRINK * width
    best = best[np.argsort(value, kind="stable")][:_BEST]
    return np.concatenate([best, rest])
