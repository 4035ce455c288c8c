"""The scale on which residuals are measured: log loss, the loss itself, or log excess loss."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from analysis.laws import FloatArray, Law

Name = Literal["log", "linear", "log_excess"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A change of variable of the response, and of the law with it.

    Attributes:
        name: ``log`` (relative errors, the default of the literature), ``linear`` (errors in the
            unit of the response), or ``log_excess`` (relative errors of what lies above
            ``floor``, as in loss-to-loss laws with known floors).
        floor: response that ``log_excess`` takes off, 0 otherwise.
    """

    name: Name = "log"
    floor: float = 0.0

    def forward(self, response: FloatArray) -> FloatArray:
        """Response to residual scale; -inf or NaN where it lies at or below the floor."""
        if self.name == "linear":
            return response
        with np.errstate(invalid="ignore", divide="ignore"):
            found: FloatArray = np.log(response - self.floor)
        return found

    def inverse(self, value: FloatArray) -> FloatArray:
        """Residual scale to response."""
        if self.name == "linear":
            return value
        found: FloatArray = np.exp(value) + self.floor
        return found

    def fitted(
        self, law: Law, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Values (R, n) and Jacobian (R, P, n) of ``law`` at ``x`` (n, K), on this scale."""
        if self.name == "linear":
            return law.linear_value(free, x, centre)
        log_f, jac = law.log_value(free, x, centre)
        if self.name == "log":
            return log_f, jac
        f = np.exp(log_f)
        excess = np.maximum(f - self.floor, 1e-300)
        return np.log(excess), jac * (f / excess)[:, None, :]

    @property
    def relative(self) -> bool:
        """Whether a residual is a share, to be read in per cent."""
        return self.name != "linear"


LOG = Scale()
