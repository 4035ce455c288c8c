"""Which parameters a formula is linear in, and starting points that make use of it.

A formula f(x; a, q) = f0(x; q) + sum_i a_i g_i(x; q) is linear in its amplitudes and its floor: for
given q they follow from least squares, so that only q is to be searched (variable projection,
Golub & Pereyra 1973). Nothing but code is known of the formula, so this is found out by trying it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.laws.base import FloatArray

Formula = Callable[[FloatArray, FloatArray], FloatArray]  # (..., P), (n, K) -> (..., n)

_SAME = 1e-9
_VISIBLE = 1e-3  # of the rest of the formula: a term that can be judged
_SIZES = 10.0 ** np.arange(0.0, 91.0, 6.0)
_TRIED = np.array([[1.7, 0.6, 1.2, 0.8, 1.5, 0.9], [0.7, 1.9, 0.5, 1.4, 1.1, 1.6]])
_MOST = 6  # linear parameters
_SIGNS = 4  # positive ones whose supports are tried


def linear_parameters(
    formula: Formula, draws: FloatArray, x: FloatArray, candidates: Sequence[int]
) -> list[int]:
    """Which of ``candidates`` the formula is jointly linear in.

    Args:
        formula: to be tried.
        draws: values of all parameters (T, P), for those that are not linear.
        x: scales (n, K), a few.
        candidates: places of parameters, in the order in which they are taken.
    """
    found: list[int] = []
    for place in candidates:
        with np.errstate(all="ignore"):
            if len(found) < _MOST and all(_affine(formula, d, x, [*found, place]) for d in draws):
                found.append(place)
    return found


def _affine(formula: Formula, draw: FloatArray, x: FloatArray, places: list[int]) -> bool:
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
        got = formula(moved, x)
        room = np.abs(rest) + np.abs(factors[:, None] * table).sum(axis=0)
        if not (np.abs(got - rest - factors @ table) <= _SAME * room).all():
            return False
    return True


def units(
    formula: Callable[..., npt.NDArray[Any]],
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
    found: npt.NDArray[Any] = value[..., :-1, :] - value[..., -1:, :]
    return found


def projected(
    formula: Formula,
    theta: FloatArray,
    x: FloatArray,
    response: FloatArray,
    weight: FloatArray,
    linear: Sequence[int],
    positive: Sequence[int],
) -> FloatArray:
    """Parameters ``theta`` (S, P) with the linear ones from weighted least squares.

    Args:
        formula: of the law.
        theta: parameters; the values of linear ones do not matter.
        x: scales (n, K).
        response: measured (n,).
        weight: of the points (n,).
        linear: places of the linear parameters.
        positive: those of them that must not be negative.
    """
    base = theta.copy()
    base[:, list(linear)] = 0.0
    table = units(formula, theta, x, linear, linear) * weight
    right = (response - formula(base, x)) * weight
    good = np.asarray(np.isfinite(table).all(axis=(1, 2)) & np.isfinite(right).all(axis=1))
    table, right = np.where(good[:, None, None], table, 0.0), np.where(good[:, None], right, 0.0)
    size = np.maximum(np.sqrt((table**2).sum(axis=2)), 1e-300)
    table = table / size[:, :, None]
    gram, moment = table @ table.transpose(0, 2, 1), np.einsum("sln,sn->sl", table, right)
    signed = [i for i, place in enumerate(linear) if place in positive][:_SIGNS]
    best, least = np.zeros_like(moment), np.full(len(theta), np.inf)
    for dropped in itertools.chain.from_iterable(
        itertools.combinations(signed, k) for k in range(len(signed) + 1)
    ):
        keep = [i for i in range(len(linear)) if i not in dropped]
        found = np.zeros_like(moment)
        if keep:
            matrix = gram[:, keep][:, :, keep] + 1e-13 * np.eye(len(keep))
            found[:, keep] = np.linalg.solve(matrix, moment[:, keep, None])[..., 0]
        misfit = -(found * moment).sum(axis=1)
        allowed = np.asarray(np.all(found[:, signed] >= 0, axis=1))
        better = allowed & (misfit < least)
        least[better], best[better] = misfit[better], found[better]
    base[:, list(linear)] = best / size
    return base
