"""What laws of one-dimensional curves share."""

from __future__ import annotations

import numpy as np

from analysis.laws.base import FloatArray, Law

STEEPEST = 4.0  # largest exponent
SMALLEST = 0.01  # of a term beside E, which otherwise cannot be told from E
VANISHED = 20.0  # a term e^-20 of the smallest loss has vanished
LARGE = 7.0  # log of 1,000: an amplitude at the centre beyond that is no learning curve


class CurveLaw(Law):
    """A law of the loss in D alone, centred on the mean of log D."""

    axes = ("D",)
    held = ("N",)

    def centre(self, x: FloatArray) -> FloatArray:
        """Mean of log D (1,)."""
        return np.array([np.log(x[:, 0]).mean()])


def softplus(v: FloatArray) -> FloatArray:
    """log(1 + e^v) without overflow."""
    value: FloatArray = np.logaddexp(0.0, v)
    return value


def rate(v: FloatArray) -> FloatArray:
    """Derivative of ``softplus``: 1 / (1 + e^-v)."""
    value: FloatArray = 0.5 * (1.0 + np.tanh(0.5 * v))
    return value


def softplus_and_rate(v: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both at once, from one exponential."""
    small = np.exp(-np.abs(v))
    part = 1.0 / (1.0 + small)
    return np.maximum(v, 0.0) + np.log1p(small), np.where(v >= 0.0, part, small * part)


def linear_start(shape: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
    """E in [0, smallest loss) and log amplitude (S,) for shapes (S, n), by relative errors."""
    w, v = 1.0 / loss**2, 1.0 / loss
    ss, sg, gg = w.sum(), (w * shape).sum(axis=1), (w * shape * shape).sum(axis=1)
    sy, gy = v.sum(), (v * shape).sum(axis=1)
    floor = (sy * gg - sg * gy) / np.maximum(ss * gg - sg**2, 1e-300)
    floor = np.clip(floor, 0.0, 0.95 * loss.min())
    amplitude = (gy - floor * sg) / np.maximum(gg, 1e-300)
    return floor, np.log(np.maximum(amplitude, 1e-3 * loss.min()))
