"""What Approaches 1 and 2 share: N* and D* as power laws of C."""

from __future__ import annotations

import math
from abc import ABC

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.compute.rows import AllocationError
from analysis.fit.intervals import Interval
from analysis.fit.loglog import LogLine
from analysis.fit.sampled import UNKNOWN
from analysis.text.card import Estimate, Shown
from analysis.text.fits import number


class Lines(Shown, ABC):
    """Power laws N*(C) = k C^a and D*(C) = k' C^b, either of which may be missing.

    Attributes:
        N_line: N*(C), or None (see ``reason``).
        D_line: D*(C), or None.
        reason: why there is no N*(C); empty when there is one.
        warnings: what a reader must know first.
    """

    __slots__ = ()
    N_line: LogLine | None
    D_line: LogLine | None
    reason: str
    warnings: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether there is a power law N*(C)."""
        return self.N_line is not None

    @property
    def a(self) -> float:
        """Exponent of N*(C); NaN when ``reason`` says why there is none."""
        return self.N_line.exponent if self.N_line else math.nan

    @property
    def a_interval(self) -> Interval:
        """95 % interval of ``a``."""
        return self.N_line.interval if self.N_line else UNKNOWN

    @property
    def b(self) -> float:
        """Exponent of D*(C); NaN when ``reason`` or ``warnings`` say why there is none."""
        return self.D_line.exponent if self.D_line else math.nan

    @property
    def b_interval(self) -> Interval:
        """95 % interval of ``b``."""
        return self.D_line.interval if self.D_line else UNKNOWN

    def predict(self, C: npt.ArrayLike) -> pd.DataFrame:
        """Compute-optimal N and D.

        Args:
            C: compute, FLOPs, scalar or (m,).

        Returns:
            One row per C: ``C``, ``N``, ``N_low``, ``N_high``, ``D``, ``D_low``, ``D_high`` (95 %
            intervals of the lines; no D where there is no such line), ``beyond`` (how many times
            C lies outside the budgets used; 1 within).

        Raises:
            AllocationError: there is no power law (see ``reason``).
            ValueError: a C that is not positive and finite.
        """
        if self.N_line is None:
            raise AllocationError(self.reason)
        frame = pd.DataFrame({"C": np.atleast_1d(np.asarray(C, dtype=np.float64))})
        for axis, line in (("N", self.N_line), ("D", self.D_line)):
            if line is not None:
                frame[axis], frame[f"{axis}_low"], frame[f"{axis}_high"] = line.predict(frame["C"])
        low, high = self.N_line.ends
        outside = np.maximum(frame["C"] / high, low / frame["C"])
        return frame.assign(beyond=np.maximum(outside, 1.0))

    def estimates(self) -> tuple[Estimate, ...]:
        """The exponents there are, with their coefficients."""
        lines = (("a", "N* ~ C^a", self.N_line), ("b", "D* ~ C^b", self.D_line))
        return tuple(
            Estimate(
                name=name,
                value=line.exponent,
                interval=line.interval,
                meaning=f"{meaning}, coefficient {number(line.coefficient, 4)}",
            )
            for name, meaning, line in lines
            if line is not None
        )

    def numbers(self) -> dict[str, object]:
        """Exponents, coefficients, reason and warnings."""
        return {
            "a": self.a, "a_interval": self.a_interval,
            "N_coefficient": self.N_line.coefficient if self.N_line else None,
            "b": self.b, "b_interval": self.b_interval,
            "D_coefficient": self.D_line.coefficient if self.D_line else None,
            "reason": self.reason, "warnings": self.warnings,
        }  # fmt: skip

    def shown_warnings(self) -> tuple[str, ...]:
        """The reason, if any, before the warnings."""
        return (*((self.reason,) if self.reason else ()), *self.warnings)
