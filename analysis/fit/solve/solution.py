"""What the solver found, and the loss it minimises."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IndexArray = npt.NDArray[np.intp]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """What the solver found, for R problems of P parameters.

    Attributes:
        free: parameters (R, P).
        objective: sum of Huber terms (R,).
        gradient: largest cosine between the residuals and a column of the Jacobian, over the
            parameters not held at a bound (R,); 0 at an optimum.
        converged: the steps became negligible (R,).
    """

    free: FloatArray
    objective: FloatArray
    gradient: FloatArray
    converged: BoolArray

    @classmethod
    def none(cls, parameters: int) -> Solution:
        """No problems."""
        return cls(
            free=np.empty((0, parameters)), objective=np.empty(0), gradient=np.empty(0),
            converged=np.empty(0, dtype=bool),
        )  # fmt: skip

    def best(self) -> Solution:
        """The best of all problems, as a solution of one (R = 1)."""
        return self.best_of(len(self.objective))

    def best_of(self, starts: int) -> Solution:
        """Keep the best of each ``starts`` consecutive problems."""
        objective = self.objective.reshape(-1, starts)
        return self.at(np.arange(len(objective)) * starts + objective.argmin(axis=1))

    def at(self, index: IndexArray | BoolArray) -> Solution:
        """The problems at ``index``."""
        return Solution(
            free=self.free[index],
            objective=self.objective[index],
            gradient=self.gradient[index],
            converged=self.converged[index],
        )

    def replaced(self, rows: BoolArray, other: Solution) -> Solution:
        """With the problems that ``rows`` (R,) marks taken from ``other``."""
        found = {f.name: getattr(self, f.name).copy() for f in dataclasses.fields(self)}
        for name, values in found.items():
            values[rows] = getattr(other, name)
        return Solution(**found)


def huber(residual: FloatArray, delta: float | FloatArray) -> FloatArray:
    """Huber's loss: r^2 / 2 within ``delta``, linear beyond; ``inf`` gives least squares."""
    size = np.abs(residual)
    inner = np.minimum(size, delta)
    value: FloatArray = inner * (size - 0.5 * inner)
    return value
