"""Derivatives of a formula that is given as code only.

A complex step, Im f(x + ih) / h, has no subtraction and so no rounding error (Squire & Trapp
1998, SIAM Review 40, 110-112), but needs a formula that is analytic: ``abs`` and ``real`` are
not, and some functions refuse complex numbers. ``is_analytic`` finds out by comparison.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.laws.base import FloatArray

Formula = Callable[[npt.NDArray[Any], FloatArray], npt.NDArray[Any]]

_COMPLEX = 1e-20  # of the size of a parameter
_REAL = 1e-3
_SAME = 1e-6  # two step sizes agree: the formula is smooth there
_WRONG = 1e-4
_EPS = 2.3e-16
_NOISE = 30.0  # rounding errors that a difference of five values may hold
# Five equally spaced points, fourth order (Fornberg 1988): about, right and left of the point.
_OFFSETS = np.array([[-2, -1, 0, 1, 2], [0, 1, 2, 3, 4], [-4, -3, -2, -1, 0]], dtype=np.float64)
_WEIGHTS = np.array([[1, -8, 0, 8, -1], [-25, 48, -36, 16, -3], [3, -16, 36, -48, 25]]) / 12.0


def complex_step(
    formula: Formula, theta: FloatArray, x: FloatArray, size: FloatArray
) -> FloatArray:
    """Derivative of ``formula`` by complex steps.

    Args:
        formula: parameters (..., P) and scales (n, K) -> values (..., n).
        theta: parameters (R, P).
        x: scales (n, K).
        size: what is small for each parameter (R, P), positive.

    Returns:
        Derivative (R, P, n).
    """
    count = theta.shape[1]
    step = _COMPLEX * size
    moved = theta[:, None, :] + 1j * step[:, None, :] * np.eye(count)
    with np.errstate(all="ignore"):
        found: FloatArray = formula(moved, x).imag / step[:, :, None]
    return found


def differences(
    formula: Formula, theta: FloatArray, x: FloatArray, size: FloatArray, step: float = _REAL
) -> FloatArray:
    """Derivative by differences of fourth order; see ``complex_step``.

    They are central, and one-sided where the formula has no value on the other side.
    """
    count = theta.shape[1]
    width = step * size
    found = np.full((*theta.shape, x.shape[0]), np.nan)
    for offsets, weights in zip(_OFFSETS, _WEIGHTS, strict=True):
        missing = ~np.isfinite(found)
        if not missing.any():
            break
        shift = offsets[:, None, None, None] * width[:, None, :] * np.eye(count)
        with np.errstate(all="ignore"):
            values = formula(theta[:, None, :] + shift, x)
            slope = np.tensordot(weights, values, axes=(0, 0)) / width[:, :, None]
        found = np.where(missing, slope, found)
    return found


def is_analytic(
    formula: Formula, theta: FloatArray, x: FloatArray, size: FloatArray
) -> bool | None:
    """Whether complex steps give the derivative at ``theta`` (R, P); None if nothing can be told.

    They are compared with differences wherever those of two step sizes agree with one another.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            exact = complex_step(formula, theta, x, size)
        except (TypeError, np.exceptions.ComplexWarning):
            return False
    coarse, fine = (differences(formula, theta, x, size, s) for s in (_REAL, 0.5 * _REAL))
    with np.errstate(all="ignore"):
        scale = np.abs(fine).max(axis=2, keepdims=True, initial=0.0, where=np.isfinite(fine))
        smooth = np.abs(coarse - fine) <= _SAME * scale
        # what rounding of the values alone does to a difference, of whatever size it is
        level = np.abs(formula(theta, x)).max(
            axis=1, initial=0.0, where=np.isfinite(fine).all(axis=1)
        )
        rounding = _EPS * level[:, None, None] / (0.5 * _REAL * size[:, :, None])
        wrong = smooth & ~(np.abs(exact - fine) <= _WRONG * scale + _NOISE * rounding)
        told = smooth & (scale > _NOISE * rounding / _WRONG)
    return None if not told.any() else not wrong.any()
