"""What a loss on the task trained on is worth on another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, final

import numpy as np

from analysis.laws.base import BoolArray, FloatArray, Law, Parameter
from analysis.laws.power import EXPONENT

_VANISHED = 1e-9
_EXPONENTS = np.geomspace(0.05, 3.0, 10)
_FLOORS = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98)


@final
class LossToLoss(Law):
    """L_ood = E_ood + K * (L_id - E_id)^kappa.

    L_id is the loss on the task trained on, L_ood on another; kappa = 1 passes excess loss on in
    proportion, less diminishes it. Pairs alone hardly determine both floors and kappa: take the
    floors from joint fits (``analysis.transfer``) or hold them, with their standard errors if
    known. Without, intervals also hold a fit that frees E_id: the pairs tell one floor, given the
    other.
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
        Parameter(
            name="E_ood", lower=0.0, upper=np.inf, unit="nats",
            meaning="loss on the other task that no scale removes",
        ),
        Parameter(
            name="K", lower=0.0, upper=np.inf, unit="nats", positive=True, form="centred",
            meaning="excess loss on the other task at an excess of 1 nat",
        ),
        Parameter(
            name="kappa", lower=EXPONENT[0], upper=EXPONENT[1], unit="",
            meaning="transfer exponent",
        ),
        Parameter(
            name="E_id", lower=0.0, upper=np.inf, unit="nats",
            meaning="loss on the task trained on that no scale removes",
        ),
    )  # fmt: skip

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Loss on the other task in nats; E_ood, its limit, at losses at or below E_id."""
        theta = np.asarray(theta, dtype=np.float64)
        floor, size, kappa, below = (theta[..., i, None] for i in range(4))
        excess = np.maximum(x[:, 0] - below, 0.0)
        found: FloatArray = floor + size * excess**kappa
        return found

    def valueless(self, theta: FloatArray, x: FloatArray) -> tuple[BoolArray, str]:
        """Losses at or below E_id; see ``Law.valueless``."""
        below = float(theta[3])
        why = f"L_id is at or below E_id = {below:.6g}: the law has no value there"
        return x[:, 0] <= below, why

    def centre(self, x: FloatArray) -> FloatArray:
        """Geometric mean of the loss trained on (1,), in nats."""
        return np.array([np.exp(np.log(x[:, 0]).mean())])

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """E_ood, log term at the centre, kappa, E_id."""
        free = np.array(theta, dtype=np.float64)
        size = np.log(np.maximum(free[..., 1], np.finfo(float).tiny))
        free[..., 1] = size + free[..., 2] * _log_excess(centre[0], free[..., 3])
        return free

    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Inverse of ``to_free``."""
        theta = np.array(free, dtype=np.float64)
        theta[..., 1] = np.exp(
            theta[..., 1] - theta[..., 2] * _log_excess(centre[0], theta[..., 3])
        )
        return theta

    def linear_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Loss, of any sign, and its derivative; see ``Law.linear_value``."""
        floor, size, kappa, below = (free[:, i, None] for i in range(4))
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
        shape = (*smallest.shape, 4)
        lower, upper = np.empty(shape), np.empty(shape)
        lower[..., 0], upper[..., 0] = 0.0, smallest * (1 - 1e-9)
        lower[..., 1], upper[..., 1] = np.log(_VANISHED * smallest), np.log(1e3 * largest)
        lower[..., 2], upper[..., 2] = EXPONENT
        lower[..., 3], upper[..., 3] = 0.0, x[:, 0].min() * (1 - 1e-9)
        return lower, upper

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """E_ood and the term by least squares for kappa and E_id on a grid."""
        centre, found = self.centre(x), []
        for below in x[:, 0].min() * np.array(_FLOORS):
            offset = _log_excess(x[:, 0], below) - _log_excess(centre[0], below)
            for kappa in _EXPONENTS:
                term = np.exp(kappa * offset)
                columns = np.column_stack([np.ones(len(x)), term]) / loss[:, None]
                floor, size = np.linalg.lstsq(columns, np.ones(len(x)), rcond=None)[0]
                if floor <= 0 or size <= 0:
                    floor, size = 0.0, float((term / loss).sum() / ((term / loss) ** 2).sum())
                misfit = float(((columns @ [floor, size] - 1.0) ** 2).sum())
                found.append((misfit, (floor, np.log(size), kappa, below)))
        found.sort(key=lambda pair: pair[0])
        chosen = [*range(12), *np.linspace(12, len(found) - 1, 8).astype(int)]
        starts = np.array([found[i][1] for i in chosen])
        return self.to_natural(np.clip(starts, *self.bounds(x, loss)), centre)


def _log_excess(loss: FloatArray | float, floor: FloatArray | float) -> FloatArray:
    found: FloatArray = np.log(np.maximum(loss - floor, 1e-12 * np.asarray(loss)))
    return found
