"""Loss-to-loss prediction: what a loss on the task trained on is worth on another."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import ClassVar, final

import numpy as np

from analysis.laws.base import (
    EXPONENT,
    BoolArray,
    FloatArray,
    Law,
    WithJacobian,
    bounded,
    bounds_from,
    irreducible,
    positive,
    unpack,
)
from analysis.laws.variable_projection import best_and_spread, floor_and_amplitude

_VANISHED = 1e-9
_EXPONENTS = np.geomspace(0.05, 3.0, 10)
_FLOORS = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98)


@final
class LossToLoss(Law):
    """L_ood = E_ood + K * (L_id - E_id)^kappa.

    L_id is the loss on the task trained on, L_ood on another; kappa = 1 passes excess loss on in
    proportion, less diminishes it. Pairs alone hardly determine both floors and kappa: take the
    floors from joint fits (``analysis.transfer.loss_to_loss``) or hold them, with their standard
    errors if known. Without, intervals also hold a fit that frees E_id: the pairs tell one floor,
    given the other.
    Free parameters are E_ood, the log of the term at the centre of the data, kappa, E_id.
    Source: S1, Eq. 4, after Brandfonbrener et al. 2024 (arXiv 2411.12925), Eq. 2.
    """

    name = "loss_to_loss"
    additive_floor = True
    formula = "L_ood = E_ood + K * (L_id - E_id)^kappa"
    source = "S1, Eq. 4; Brandfonbrener et al. 2024 (arXiv 2411.12925), Eq. 2"
    axes = ("L_id",)
    response = "L_ood"
    rises = ("L_id",)
    descends = ("L_id",)
    floor = "E_ood"
    borrowed = ("E_id", "E_ood")
    needed: ClassVar[Mapping[str, int]] = {"L_id": 4}
    parameters = (
        irreducible("loss on the other task that no scale removes", "E_ood"),
        positive(
            "K", "excess loss on the other task at an excess of 1 nat", "nats", form="centred"
        ),
        bounded("kappa", "transfer exponent", EXPONENT),
        irreducible("loss on the task trained on that no scale removes", "E_id"),
    )

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Loss on the other task in nats; E_ood, its limit, at losses at or below E_id."""
        floor, size, kappa, below = unpack(theta)
        excess = np.maximum(x[:, 0] - below, 0.0)
        loss: FloatArray = floor + size * excess**kappa
        return loss

    def valueless(self, theta: FloatArray, x: FloatArray) -> tuple[BoolArray, str]:
        """Losses at or below E_id; see ``Law.valueless``."""
        below = float(theta[3])
        why = f"L_id is at or below E_id = {below:.6g}: the law has no value there"
        return x[:, 0] <= below, why

    def centre(self, x: FloatArray) -> FloatArray:
        """Geometric mean of the loss trained on (1,), in nats."""
        return np.array([np.exp(np.log(x[:, 0]).mean())])

    def _carried(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """See ``Law._carried``."""
        return free[..., 2:3] * _log_excess(centre[0], free[..., 3:])

    def linear_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Loss, of any sign, and its derivative; see ``Law.linear_value``."""
        floor, size, kappa, below = unpack(free)
        excess = np.maximum(x[:, 0] - below, 1e-12 * x[:, 0])
        middle = np.maximum(centre[0] - below, 1e-12 * centre[0])
        offset = np.log(excess / middle)
        term = np.exp(size + kappa * offset)
        loss = floor + term
        moved = kappa * (1.0 / middle - 1.0 / excess)
        jac = [np.ones_like(loss), term, term * offset, term * moved]
        return loss, np.stack(jac, axis=1)

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Floors in [0, smallest loss), terms from vanishing to 1,000 times the largest."""
        smallest, largest = loss.min(axis=-1), loss.max(axis=-1)
        return bounds_from(
            loss,
            (0.0, smallest * (1 - 1e-9)),
            (np.log(_VANISHED * smallest), np.log(1e3 * largest)),
            EXPONENT,
            (0.0, x[:, 0].min() * (1 - 1e-9)),
        )

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """E_ood and the term by least squares for kappa and E_id on a grid."""
        centre, free, misfit = self.centre(x)[0], [], []
        for below, kappa in itertools.product(x[:, 0].min() * np.array(_FLOORS), _EXPONENTS):
            offset = _log_excess(x[:, 0], below) - _log_excess(centre, below)
            term = np.exp(kappa * offset)
            floor, size = floor_and_amplitude(term, loss)
            columns = np.column_stack([np.ones(len(x)), term]) / loss[:, None]
            misfit.append(((columns @ [floor, size] - 1.0) ** 2).sum())
            free.append([floor, np.log(size), kappa, below])
        return self._inside(np.array(free)[best_and_spread(misfit, 12, 8)], x, loss)


def _log_excess(loss: FloatArray | float, floor: FloatArray | float) -> FloatArray:
    """Log of loss less floor; of a trifle of the loss where it is at or below the floor."""
    log: FloatArray = np.log(np.maximum(loss - floor, 1e-12 * np.asarray(loss)))
    return log
