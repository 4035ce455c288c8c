"""How a law is to be fitted, checked before anything is computed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from analysis.fit.losses import Loss
from analysis.fit.problem import Residual
from analysis.laws import Law

Variant = Literal["plain", "bounded", "regularised"]
VARIANTS: tuple[Variant, ...] = ("plain", "bounded", "regularised")
PUBLISHED = (0.05, 1.0)  # exponents of published laws lie within
PRIOR = (0.4, 0.4)  # mean and standard deviation of an exponent: weak, wider than PUBLISHED
_FIRST_DELTA = 1e-3
_SMALLEST = 1e-6  # typical response that linear residuals are taken of


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FitOptions:
    """Arguments of ``fit_law`` that a refit repeats; see there."""

    loss: str | Loss
    delta: float | None
    residual: Residual
    fixed: Mapping[str, float]
    limits: Mapping[str, tuple[float, float]]
    variant: Variant
    weights: str | None
    n_boot: int
    seed: int
    pool: tuple[str, ...] | None
    fixed_errors: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @classmethod
    def checked(
        cls,
        law: Law,
        *,
        residual: Residual | None,
        fixed: Mapping[str, float | tuple[float, float]] | None,
        limits: Mapping[str, tuple[float, float]] | None,
        pool: Sequence[str] | None,
        **others: Any,
    ) -> FitOptions:
        """Arguments of ``fit_law`` for ``law``.

        Raises:
            ValueError: an unknown word, parameter or bound, with what is allowed.
        """
        values, errors = _held(fixed or {})
        options = cls(
            residual=residual or law.residual,
            fixed=values,
            fixed_errors=errors,
            limits=dict(limits or {}),
            pool=None if pool is None else tuple(pool),
            **others,
        )
        options._check(law)
        return options

    def _check(self, law: Law) -> None:
        if isinstance(self.loss, Loss):
            self.loss.check()
        elif self.loss not in ("huber", "least_squares"):
            raise ValueError(
                f"loss {self.loss!r} is neither 'huber' nor 'least_squares', "
                "nor an analysis.fit.losses.Loss"
            )
        if self.delta is not None and not self.delta > 0:
            raise ValueError(f"delta must be positive, not {self.delta}")
        if self.residual not in ("log", "linear", "log_excess"):
            raise ValueError(f"residual {self.residual!r} is none of 'log', 'linear', 'log_excess'")
        if self.variant not in VARIANTS:
            raise ValueError(f"variant {self.variant!r} is none of {', '.join(VARIANTS)}")
        if self.n_boot < 0:
            raise ValueError(f"n_boot must not be negative, not {self.n_boot}")
        for name, ends in {**self.limits, **{k: (v, v) for k, v in self.fixed.items()}}.items():
            _check_parameter(law, name, ends, linear=self.residual == "linear")
        if self.residual == "log_excess" and law.floor in self.fixed_errors:
            raise ValueError(
                f"residual 'log_excess' takes {law.floor} off: hold it without an error, or choose "
                "residual='log'"
            )
        if self.residual == "log_excess" and (law.floor is None or law.floor not in self.fixed):
            raise ValueError(
                "residual 'log_excess' needs a fixed floor, such as fixed={'E': 0.1}: "
                f"{law.name} has {'none' if law.floor is None else law.floor}"
            )

    @property
    def chooses_delta(self) -> bool:
        """Whether delta comes from the residuals."""
        return self.loss != "least_squares" and self.delta is None

    @property
    def own(self) -> Loss | None:
        """The loss of one's own, if any."""
        return self.loss if isinstance(self.loss, Loss) else None

    @property
    def first_delta(self) -> float:
        """Delta to begin with."""
        if self.loss == "least_squares":
            return math.inf
        return self.delta or _FIRST_DELTA

    def floor(self, law: Law) -> float:
        """Response that the scale of the residuals takes off."""
        if self.residual != "log_excess" or law.floor is None:
            return 0.0
        return self.fixed[law.floor]

    def all_limits(self, law: Law) -> dict[str, tuple[float, float]]:
        """Bounds by parameter: the variant's, the user's, and fixed values."""
        bounded = dict.fromkeys(law.exponents if self.variant == "bounded" else (), PUBLISHED)
        return {**bounded, **self.limits, **{k: (v, v) for k, v in self.fixed.items()}}

    def prior(self, law: Law) -> dict[str, tuple[float, float]]:
        """Mean and standard deviation by parameter, for the regularised variant."""
        if self.variant != "regularised":
            return {}
        return {name: PRIOR for name in law.exponents if name not in self.fixed}

    def check_floor(self, law: Law, frame: pd.DataFrame) -> None:
        """Refuse losses at or below a floor that is held, or the lower limit of one that is not.

        Raises:
            ValueError: naming the row; or, for linear residuals, responses so small that their
                squares cannot be told from rounding errors.
        """
        typical = float(np.mean(np.abs(frame[law.response])))
        if self.residual == "linear" and typical < _SMALLEST:
            raise ValueError(
                f"{law.response} is about {typical:.1e}: linear residuals need a unit in which it "
                "is of the order of 1"
            )
        limits = self.all_limits(law)
        if law.floor is None or law.floor not in limits or self.residual == "linear":
            return
        floor = limits[law.floor][0]
        bad = np.flatnonzero(frame[law.response].to_numpy() <= floor)
        if bad.size:
            row = frame.iloc[int(bad[0])]
            raise ValueError(
                f"{row['trial']}: {law.response} {row[law.response]:.6g} is not above "
                f"{law.floor} = {floor:.6g} ({bad.size} such row{'s' * (bad.size > 1)}): "
                "leave them out or lower the floor"
            )


def _held(
    fixed: Mapping[str, float | tuple[float, float]],
) -> tuple[dict[str, float], dict[str, float]]:
    """Values that parameters are held at, and the standard errors of those that have one."""
    values: dict[str, float] = {}
    errors: dict[str, float] = {}
    for name, given in fixed.items():
        if isinstance(given, (tuple, list)):
            if len(given) != 2 or not (math.isfinite(given[1]) and given[1] > 0):
                raise ValueError(
                    f"fixed {name} is {given}: give a value, or a value and its standard error, "
                    "which is positive"
                )
            values[name], errors[name] = float(given[0]), float(given[1])
        else:
            values[name] = float(given)
    return values, errors


def _check_parameter(law: Law, name: str, ends: tuple[float, float], *, linear: bool) -> None:
    if name not in law.names:
        raise ValueError(f"{law.name} has no parameter {name!r}: {', '.join(law.names)}")
    parameter = law.parameters[law.names.index(name)]
    low, high = ends
    if not (math.isfinite(low) and low <= high):
        raise ValueError(f"bounds of {name} must be finite and in order, not {ends}")
    floor = name == law.floor and law.additive_floor
    if linear and floor:
        return
    if low < parameter.lower or (high > parameter.upper and math.isfinite(high)):
        why = ": residual='linear' takes floors of any sign" if floor and low < 0 else ""
        raise ValueError(
            f"{name} = {low if low == high else ends} lies outside "
            f"[{parameter.lower}, {parameter.upper}]{why}"
        )
