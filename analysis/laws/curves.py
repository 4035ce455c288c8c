"""Curves of one scale: laws of D from a power law to a broken one, and the frontier of compute."""

from __future__ import annotations

import dataclasses
import itertools
from typing import final

import numpy as np

from analysis.laws.base import (
    EXPONENT,
    FloatArray,
    Law,
    WithJacobian,
    amplitude,
    bounded,
    bounds_from,
    exponent,
    factor,
    irreducible,
    log_size,
    positive,
    unpack,
)
from analysis.laws.power_laws import ProductLaw, power
from analysis.laws.variable_projection import best_and_spread, floor_and_amplitude

_STEEPEST = 4.0  # largest exponent
_SMALLEST = 0.01  # of a term beside E, which otherwise cannot be told from E
_VANISHED = 20.0  # a term e^-20 of the smallest loss has vanished
_LARGE = 7.0  # log of 1,000: an amplitude at the centre beyond that is no learning curve
_TENFOLD = float(np.log(10.0))  # M4: of the largest loss to the plateau, and of alpha about 1
_NEWTON = 40
_WIDTH = (0.1, 4.0)  # of a break, in log D
_EXPONENTS = np.geomspace(0.05, 3.0, 12)
_OFFSETS = np.geomspace(1e-3, 1e3, 13)  # of compute, by the centre of the data
_REACH = np.log(1e6)  # of the offset, beyond the data


def softplus(v: FloatArray) -> FloatArray:
    """log(1 + e^v) without overflow."""
    return np.asarray(np.logaddexp(0.0, v))


def logistic(v: FloatArray) -> FloatArray:
    """1 / (1 + e^-v), the derivative of ``softplus``."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * v)))


def softplus_and_logistic(v: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both at once, from one exponential."""
    small = np.exp(-np.abs(v))
    part = 1.0 / (1.0 + small)
    return np.maximum(v, 0.0) + np.log1p(small), np.where(v >= 0.0, part, small * part)


@final
class PowerLaw(ProductLaw):
    """L(D) = B / D^beta.

    The simplest rival of every curve in D, M1 in Eq. 1 of the source.
    """

    name = "power_law"
    formula = "L(D) = B / D^beta"
    source = "Alabdulmohsin et al. 2022 (arXiv 2209.06640), M1"
    axes = ("D",)
    held = ("N",)
    signs = (-1,)
    parameters = (factor("B", "loss carried back to D = 1", "nats"), power("beta", "exponent of D"))


@final
class M3(Law):
    """L(D) = b * (1 / D + g)^c.

    Falls as a power law while D is below 1 / g and levels off at b g^c.
    Free parameters are the log of the loss at the centre of the data, log g and c.
    """

    name = "m3"
    formula = "L(D) = b * (1 / D + g)^c"
    source = "Alabdulmohsin et al. 2022 (arXiv 2209.06640), M3"
    axes = ("D",)
    held = ("N",)
    floor = None
    parameters = (
        factor("b", "loss carried to 1 / D + g = 1", "nats"),
        positive("g", "inverse of the data beyond which more changes little", "1/records"),
        bounded("c", "exponent of D", (0.0, _STEEPEST), exponent=True),
    )

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Loss in nats; see ``Law.value``."""
        size, shift, slope = unpack(theta)
        return np.asarray(size * (1.0 / x[:, 0] + shift) ** slope)

    def _carried(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        carried: FloatArray = softplus(free[..., 1:2] + centre[0]) - centre[0]
        return free[..., 2:] * carried

    def log_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Log loss and its derivative; see ``Law.log_value``."""
        u = np.log(x[:, 0]) - centre[0]
        size, shift, slope = unpack(free)
        shift = shift + centre[0]
        k = np.logaddexp(-u, shift) - softplus(shift)
        by_shift = slope * (logistic(shift + u) - logistic(shift))
        return size + slope * k, np.stack([np.ones_like(k), by_shift, k], axis=1)

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """1 / g from the smallest D (all floor) to a thousand times the largest (none)."""
        return bounds_from(
            loss,
            (np.log(loss.min(axis=-1)) - _LARGE, np.log(loss.max(axis=-1)) + _LARGE),
            (-np.log(x[:, 0].max()) - _LARGE, -np.log(x[:, 0].min())),
            (0.0, _STEEPEST),
        )

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """A grid of g; the level and c by least squares of log loss."""
        centre = self.centre(x)
        u, log_loss = np.log(x[:, 0]) - centre[0], np.log(loss)
        shift = -u.max() + np.array([-6.0, -3.0, -2.0, -1.0, 0.0, 1.0])
        k = np.logaddexp(-u, shift[:, None]) - softplus(shift[:, None])
        centred = k - k.mean(axis=1, keepdims=True)
        size = np.maximum((centred**2).sum(axis=1), 1e-300)
        slope = np.clip((centred * log_loss).sum(axis=1) / size, 0.02, _STEEPEST)
        free = np.stack(
            [log_loss.mean() - slope * k.mean(axis=1), shift - centre[0], slope], axis=1
        )
        return self._inside(free, x, loss)


@final
class M4(Law):
    """(L - E) / (L0 - L)^alpha = b / D^c.

    L falls from the plateau L0 (chance) to the floor E. With z = (L - E) / (L0 - E) and
    w = log(z / (1 - z)) the law reads w + (alpha - 1) log(1 + e^w) = t, where t is linear in
    log D. The left side rises and is convex for alpha > 1, concave for alpha < 1, so Newton's
    method from t (t < 0) or t / alpha converges from one side, always.
    Free parameters are E, log L0, the log of the term at the centre of the data, c, log alpha.
    """

    name = "m4"
    formula = "(L - E) / (L0 - L)^alpha = b / D^c"
    source = "Alabdulmohsin et al. 2022 (arXiv 2209.06640), M4"
    axes = ("D",)
    held = ("N",)
    parameters = (
        irreducible("loss left at unlimited D"),
        positive("L0", "plateau at little data", "nats"),
        factor("b", "left side carried back to D = 1"),
        bounded("c", "exponent of D", (_SMALLEST, _STEEPEST), exponent=True),
        positive("alpha", "how slowly the plateau is left", within=(0.1, 10.0)),
    )

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Loss in nats; see ``Law.value``."""
        floor, top, size, slope, alpha = unpack(theta)
        span = top - floor
        t = np.log(size) - slope * np.log(x[:, 0]) + (alpha - 1.0) * np.log(span)
        return np.asarray(floor + span * logistic(_logit(t, alpha)))

    def _carried(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        span = log_size(np.exp(free[..., 1:2]) - free[..., :1])
        return np.asarray(np.exp(free[..., 4:]) * span - free[..., 3:4] * centre[0])

    def log_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Log loss and its derivative; see ``Law.log_value``."""
        u = np.log(x[:, 0]) - centre[0]
        floor, log_top, size, slope, log_alpha = unpack(free)
        alpha, top = np.exp(log_alpha), np.exp(log_top)
        span = np.maximum(top - floor, 1e-12 * top)
        w = _logit(size - slope * u - np.log(span), alpha)
        z = logistic(w)
        loss = floor + span * z
        by_t = span * z * (1.0 - z) / (1.0 + (alpha - 1.0) * z)
        jac = [
            1.0 - z + by_t / span,
            top * (z - by_t / span),
            by_t,
            -by_t * u,
            -by_t * alpha * softplus(w),
        ]
        return np.log(loss), np.stack(jac, axis=1) / loss[:, None, :]

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """E in [0, smallest loss), a plateau above the data and at most ten times as high."""
        smallest, largest = loss.min(axis=-1), loss.max(axis=-1)
        return bounds_from(
            loss,
            (0.0, smallest * (1 - 1e-6)),
            (np.log(largest) + 1e-6, np.log(largest) + _TENFOLD),
            (np.log(smallest) - _VANISHED, np.log(largest) + 3 * _LARGE),
            (_SMALLEST, _STEEPEST),
            (-_TENFOLD, _TENFOLD),
        )

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """E, L0 and alpha on a grid; the rest is linear in log D."""
        free = []
        u = np.log(x[:, 0]) - self.centre(x)[0]
        columns = np.column_stack([np.ones(len(u)), -u])
        for share, rise, alpha in itertools.product((0.0, 0.7), (0.02, 0.5), (0.3, 1.0, 3.0)):
            floor, log_top = share * loss.min(), np.log(loss.max()) + rise
            span = np.exp(log_top) - floor
            z = (loss - floor) / span
            target = np.log(z) - alpha * np.log1p(-z)
            size, slope = np.linalg.lstsq(columns, target, rcond=None)[0]
            slope = np.clip(slope, 0.02, _STEEPEST)
            free.append([floor, log_top, size + np.log(span), slope, np.log(alpha)])
        return self._inside(np.array(free), x, loss)


def _logit(t: FloatArray, alpha: FloatArray) -> FloatArray:
    """The logit w with w + (alpha - 1) log(1 + e^w) = t; alpha > 0 broadcasts against t."""
    w = np.where(t < 0.0, t, t / alpha)
    for _ in range(_NEWTON):
        log_sum, slope = softplus_and_logistic(w)
        step = (w + (alpha - 1.0) * log_sum - t) / (1.0 + (alpha - 1.0) * slope)
        w = w - step
        if np.abs(step).max() <= 1e-12:
            break
    return w


@final
class BrokenPowerLaw(Law):
    """L(D) = E + b / D^c0 * (1 + (D / d)^(1 / f))^(-c1 * f).

    The excess falls with exponent c0 before the break at d and c0 + c1 after it; f is the width
    of the break in log D. Free parameters are E, the log of the term at the centre of the data,
    c0, c1, log d and log f. It is the law of the source with one break.
    """

    name = "bnsl"
    additive_floor = True
    formula = "L(D) = E + b / D^c0 * (1 + (D / d)^(1 / f))^(-c1 * f)"
    source = "Caballero et al. 2023 (arXiv 2210.14891), Eq. 1"
    axes = ("D",)
    held = ("N",)
    parameters = (
        irreducible("loss left at unlimited D"),
        factor("b", "excess loss before the break, carried back to D = 1", "nats"),
        bounded("c0", "exponent before it", (0.0, _STEEPEST)),
        bounded("c1", "what the break adds", (-_STEEPEST, _STEEPEST)),
        positive("d", "data at the break", "records"),
        positive("f", "width of the break in log D", within=_WIDTH),
    )

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Loss in nats; see ``Law.value``."""
        floor, size, before, added, place, width = unpack(theta)
        log_x = np.log(x[:, 0])
        beyond = width * softplus((log_x - np.log(place)) / width)
        return np.asarray(floor + size * np.exp(-before * log_x - added * beyond))

    def _carried(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        before, added, place, log_width = (free[..., i, None] for i in range(2, 6))
        width = np.exp(log_width)
        beyond = width * softplus((centre[0] - place) / width)  # log D past the break, smoothed
        return np.asarray(-(before * centre[0] + added * beyond))

    def linear_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Loss, of any sign, and its derivative; see ``Law.linear_value``."""
        u = np.log(x[:, 0]) - centre[0]
        floor, size, before, added, place, log_width = unpack(free)
        width, at = np.exp(log_width), place - centre[0]
        inner, middle = (u - at) / width, -at / width
        k = width * (softplus(inner) - softplus(middle))
        here, there = logistic(inner), logistic(middle)
        term = np.exp(np.clip(size - before * u - added * k, -700.0, 300.0))
        loss = floor + term
        jac = [
            np.ones_like(loss),
            term,
            -term * u,
            -term * k,
            term * added * (here - there),
            -term * added * (k - here * (u - at) - there * at),
        ]
        return loss, np.stack(jac, axis=1)

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """E in [0, smallest loss); the break lies within the data."""
        smallest, largest = loss.min(axis=-1), loss.max(axis=-1)
        return bounds_from(
            loss,
            (0.0, smallest * (1 - 1e-6)),
            (np.log(smallest) - _VANISHED, np.log(largest) + _LARGE),
            (_SMALLEST, _STEEPEST),
            (-_STEEPEST, _STEEPEST),
            (np.log(x[:, 0].min()), np.log(x[:, 0].max())),
            np.log(_WIDTH),
        )

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """Slopes and the break on a grid; E and the amplitude are linear."""
        centre = self.centre(x)
        u = np.log(x[:, 0]) - centre[0]
        place = u.min() + np.array([0.15, 0.4, 0.7]) * (u.max() - u.min())
        slopes = np.array([[0.05, 0.5], [0.05, 1.5], [0.5, -0.3], [0.3, 0.3]])
        slope = np.repeat(slopes, len(place), axis=0)
        at, width = np.tile(place, len(slopes))[:, None], 0.5
        k = width * (softplus((u - at) / width) - softplus(-at / width))
        floor, size = _floor_and_log_amplitude(np.exp(-slope[:, :1] * u - slope[:, 1:] * k), loss)
        free = np.column_stack(
            [floor, size, slope, at + centre[0], np.full(len(at), np.log(width))]
        )
        return self._inside(free, x, loss)


def _floor_and_log_amplitude(shape: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
    """E in [0, smallest loss) and log amplitude (S,) for shapes (S, n), by relative errors."""
    w, v = 1.0 / loss**2, 1.0 / loss
    ss, sg, gg = w.sum(), (w * shape).sum(axis=1), (w * shape * shape).sum(axis=1)
    sy, gy = v.sum(), (v * shape).sum(axis=1)
    floor = (sy * gg - sg * gy) / np.maximum(ss * gg - sg**2, 1e-300)
    floor = np.clip(floor, 0.0, 0.95 * loss.min())
    amplitude = (gy - floor * sg) / np.maximum(gg, 1e-300)
    return floor, np.log(np.maximum(amplitude, 1e-3 * loss.min()))


@final
class Frontier(Law):
    """L(C) = E + A / (C + C0)^gamma.

    C is training compute in FLOPs; the offset C0 holds the saturation at low compute. Free
    parameters are E, the log of the term at the centre of the data, log C0 and gamma.
    """

    name = "frontier"
    formula = "L(C) = E + A / (C + C0)^gamma"
    source = "S1, Appendix B.4; Zhai et al. 2022 (arXiv 2106.04560), Eq. 1"
    axes = ("C",)
    additive_floor = True
    parameters = (
        irreducible("loss left at unlimited compute"),
        amplitude("A", "C"),
        dataclasses.replace(
            positive("C0", "compute below which more of it changes little", "FLOPs"),
            vanished="the data show no saturation at low compute",
        ),
        exponent("gamma", "C"),
    )

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Loss in nats; see ``Law.value``."""
        floor, size, shift, slope = unpack(theta)
        return np.asarray(floor + size * np.exp(-slope * np.log(x[:, 0] + shift)))

    def _carried(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        return np.asarray(-free[..., 3:] * np.log(np.exp(centre[0]) + np.exp(free[..., 2:3])))

    def linear_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Loss, of any sign, and its derivative; see ``Law.linear_value``."""
        floor, size, log_shift, slope = unpack(free)
        shift, middle = np.exp(log_shift), np.exp(centre[0])
        offset = np.log((x[:, 0] + shift) / (middle + shift))
        term = np.exp(size - slope * offset)
        loss = floor + term
        moved = shift / (x[:, 0] + shift) - shift / (middle + shift)
        jac = [np.ones_like(loss), term, -term * slope * moved, -term * offset]
        return loss, np.stack(jac, axis=1)

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """E in [0, smallest loss), C0 within a million of the data, terms not vanishing."""
        smallest, largest = loss.min(axis=-1), loss.max(axis=-1)
        return bounds_from(
            loss,
            (0.0, smallest * (1 - 1e-9)),
            (np.log(1e-9 * smallest), np.log(1e3 * largest)),
            (np.log(x[:, 0].min()) - _REACH, np.log(x[:, 0].max()) + _REACH / 2),
            EXPONENT,
        )

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """E and the amplitude by least squares for C0 and gamma on a grid."""
        middle = np.exp(self.centre(x)[0])
        free, misfit = [], []
        for shift, slope in itertools.product(middle * _OFFSETS, _EXPONENTS):
            term = np.exp(-slope * np.log((x[:, 0] + shift) / (middle + shift)))
            floor, size = floor_and_amplitude(term, loss)
            misfit.append((((floor + size * term) / loss - 1.0) ** 2).sum())
            free.append([floor, np.log(size), np.log(shift), slope])
        return self._inside(np.array(free)[best_and_spread(misfit, 12, 12)], x, loss)
