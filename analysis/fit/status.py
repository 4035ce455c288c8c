"""What is known of an optimum: its status and the evidence for it."""

from __future__ import annotations

import dataclasses
import enum
import math


class Status(enum.StrEnum):
    """Whether the optimum can be used."""

    CONVERGED = "converged"
    AT_BOUND = "at bound"
    NOT_CONVERGED = "not converged"
    UNIDENTIFIABLE = "unidentifiable"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Evidence that the optimum is one.

    Attributes:
        objective: sum of Huber terms at the optimum.
        delta: Huber's delta, in log loss; infinite for least squares.
        starts: starting points tried.
        agreed: share of them that reached the same objective (relative 1e-6).
        gradient: largest cosine between the residuals and a free column of the Jacobian.
        condition: condition number of the scaled Jacobian in the free parameters.
        bounds_hit: parameters on a bound.
        vanished: nuisance parameters that the data put at 0, which is no bound.
        flat: parameters that may move, alone or against each other, without moving the fit at all.
    """

    objective: float
    delta: float
    starts: int
    agreed: float
    gradient: float
    condition: float
    bounds_hit: tuple[str, ...]
    vanished: tuple[str, ...] = ()
    flat: tuple[str, ...] = ()

    @classmethod
    def none(cls, delta: float, starts: int) -> Certificate:
        """Where there is no optimum, after ``starts`` attempts."""
        nan = math.nan
        return cls(
            objective=nan, delta=delta, starts=starts, agreed=nan, gradient=nan, condition=nan,
            bounds_hit=(),
        )  # fmt: skip
