"""The contract of a law: a plain function, named bounded parameters and a guess."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A named, bounded parameter of a law.

    Attributes:
        name: as in the formula.
        lower: smallest value allowed.
        upper: largest value allowed; for an irreducible loss the smallest loss seen, if lower.
        unit: unit of the value, empty for a pure number.
        meaning: what it is, in a few words.
        positive: spread like a scale, so that intervals are formed in its logarithm.
    """

    name: str
    lower: float
    upper: float
    unit: str
    meaning: str
    positive: bool = False


class Law(ABC):
    """How loss depends on scale.

    Natural parameters ``theta`` are those of the formula. Free parameters are what the
    solver moves: amplitudes as logarithms at the centre of the data, which takes the
    condition number of a typical problem from 1e11 to about 10. Arrays of parameters have
    shape (..., P) for P parameters, scales ``x`` have shape (n, K) for K axes, and losses
    shape (..., n), in nats.

    Attributes:
        name: what ``fit_law`` calls it.
        formula: in plain text.
        source: where the formula comes from.
        axes: columns of the scales, such as ``("N", "D")``.
        parameters: in the order of ``theta``.
    """

    name: ClassVar[str]
    formula: ClassVar[str]
    source: ClassVar[str]
    axes: ClassVar[tuple[str, ...]]
    parameters: ClassVar[tuple[Parameter, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """Parameter names, in the order of ``theta``."""
        return tuple(p.name for p in self.parameters)

    @abstractmethod
    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Loss at ``x`` (n, K) for natural parameters (..., P); shape (..., n), in nats."""

    @abstractmethod
    def jacobian(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Derivative of ``value`` by the natural parameters; shape (..., n, P)."""

    @abstractmethod
    def centre(self, x: FloatArray) -> FloatArray:
        """Centre of the data that the free parameters refer to; shape (K,)."""

    @abstractmethod
    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """Free parameters of natural ones; shape (..., P)."""

    @abstractmethod
    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Natural parameters of free ones; inverts ``to_free``."""

    @abstractmethod
    def log_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Log loss (R, n) and its derivative by the free parameters (R, n, P)."""

    @abstractmethod
    def bounds(self, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Lower and upper free bounds for data with these losses (..., n); shape (..., P)."""

    @abstractmethod
    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """Natural starting points (S, P), the most promising first, all within the bounds."""

    @abstractmethod
    def problems(self, x: FloatArray) -> list[str]:
        """Why the parameters cannot be told apart from data at ``x``; empty when they can."""
