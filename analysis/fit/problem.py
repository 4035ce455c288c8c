"""A law bound to data: what every refit shares, and the scale its residuals are measured on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from analysis.fit.losses import Loss, Penalty, penalty
from analysis.fit.solver import REFIT, Solution, minimise
from analysis.laws import BoolArray, FloatArray, Law

DEVIANCE = 1e-5
_LEAST = 1e-9  # of the lift: a response of a resample below all that were measured
_DEEPEST = 1e3  # lifts below 0 that a floor may reach where responses have any sign
REFIT_STEPS = 200  # a refit that needs more goes along a valley without an end
Limits = Mapping[str, tuple[float, float]]
Residual = Literal["log", "linear", "log_excess"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A change of variable of the response, and of the law with it.

    Attributes:
        name: ``log`` (relative errors, the default of the literature), ``linear`` (errors in the
            unit of the response), or ``log_excess`` (relative errors of what lies above
            ``floor``, as in loss-to-loss laws with known floors).
        floor: response that ``log_excess`` takes off, 0 otherwise.
    """

    name: Residual = "log"
    floor: float = 0.0

    def forward(self, response: FloatArray) -> FloatArray:
        """Response to residual scale; -inf or NaN where it lies at or below the floor."""
        if self.name == "linear":
            return response
        with np.errstate(invalid="ignore", divide="ignore"):
            logs: FloatArray = np.log(response - self.floor)
        return logs

    def inverse(self, value: FloatArray) -> FloatArray:
        """Residual scale to response."""
        if self.name == "linear":
            return value
        return np.asarray(np.exp(value) + self.floor)

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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A law bound to data.

    Attributes:
        x: scales (n, K).
        loss: responses (n,), such as losses in nats.
        runs: index of the run of each point (n,), from 0.
        delta: Huber's delta, on the scale of the residuals; or what ``own`` is smoothed over.
        own: a loss of one's own, None for Huber's.
        pool: runs that resamples are drawn for, of which these are a part: where each run of
            these stands in it (an index), and how many it holds. None for these runs alone.
        scale: on which residuals are measured.
        weights: of the points (n,), inverse variances up to a factor; None for 1.
        limits: natural bounds by parameter, within the law's own; equal ends hold it fixed.
        prior: mean and standard deviation of a normal prior by parameter, in its free form.
        unit: standard deviation of a residual that the prior is weighed against.
        centring: centre that free parameters refer to, where not that of ``x``.
    """

    law: Law
    x: FloatArray
    loss: FloatArray
    runs: npt.NDArray[np.intp]
    delta: float
    own: Loss | None = None
    pool: tuple[npt.NDArray[np.intp], int] | None = None
    scale: Scale = LOG
    weights: FloatArray | None = None
    limits: Limits = dataclasses.field(default_factory=dict)
    prior: Limits = dataclasses.field(default_factory=dict)
    unit: float = 1.0
    centring: FloatArray | None = None

    @property
    def centre(self) -> FloatArray:
        """Centre of the scales."""
        return self.law.centre(self.x) if self.centring is None else self.centring

    @property
    def target(self) -> FloatArray:
        """Responses on the scale of the residuals (n,)."""
        return self.scale.forward(self.loss)

    @property
    def penalty(self) -> Penalty:
        """The loss of a residual (fitted less measured)."""
        return penalty(self.own, np.full(len(self.loss), self.delta))

    @property
    def typical(self) -> float:
        """Mean size of a response; the median of a metric that is mostly 0 would be 0."""
        return float(np.mean(np.abs(self.loss)))

    @property
    def lift(self) -> float:
        """What is added to responses of any sign for the bounds and guesses of an additive law.

        These expect positive responses; a law that is its floor and more takes both up together.
        """
        if self.scale.name != "linear" or not self.law.additive_floor or self.loss.min() > 0:
            return 0.0
        return float(np.ptp(self.loss) - self.loss.min())

    @property
    def fixed(self) -> tuple[str, ...]:
        """Parameters held at a value."""
        return tuple(name for name, (low, high) in self.limits.items() if low == high)

    @property
    def point_weights(self) -> FloatArray:
        """Weights of the points (n,), 1 where none were given."""
        return np.ones(len(self.loss)) if self.weights is None else self.weights

    @property
    def varied(self) -> int:
        """How many parameters are fitted."""
        return len(self.law.parameters) - len(self.fixed)

    @property
    def dof(self) -> int:
        """Runs less fitted parameters, at least 1."""
        return max(1, int(self.runs.max()) + 1 - self.varied)

    @property
    def drawn(self) -> tuple[npt.NDArray[np.intp], int]:
        """Where each point's run stands among the runs drawn (n,), and how many are drawn."""
        if self.pool is None:
            return self.runs, int(self.runs.max()) + 1
        return self.pool[0][self.runs], self.pool[1]

    def part(self, keep: BoolArray, **changes: object) -> Problem:
        """The same problem for the points that ``keep`` (n,) marks, alone."""
        own: dict[str, object] = {
            "x": self.x[keep],
            "loss": self.loss[keep],
            "runs": np.unique(self.runs[keep], return_inverse=True)[1],
            "weights": None if self.weights is None else self.weights[keep],
            "pool": None,
        }
        return dataclasses.replace(self, **{**own, **changes})  # type: ignore[arg-type]

    def model(self, free: FloatArray, x: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
        """Fitted values (R, n) and Jacobian (R, P, n) at ``x``, on the scale of the residuals."""
        at = self.x if x is None else x
        with np.errstate(all="ignore"):
            return self.scale.fitted(self.law, free, at, self.centre)

    def residual(self, free: FloatArray) -> FloatArray:
        """Measured less fitted (n,), on the scale of the residuals, for ``free`` (1, P)."""
        return np.asarray(self.target - self.model(free)[0][0])

    def bounds(self, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Free bounds (..., P) for responses (..., n), with the limits of this problem."""
        lift = self.lift
        seen = np.maximum(loss + lift, _LEAST * lift) if lift else loss
        lower, upper = (np.array(b) for b in self.law.bounds(self.x, seen))
        if lift and self.law.floor is not None:
            place = self.law.names.index(self.law.floor)
            lower[..., place], upper[..., place] = -_DEEPEST * lift, upper[..., place] - lift
        for name, ends in self.limits.items():
            index = self.law.names.index(name)
            low, high = (self._free(name, v) for v in ends)
            if low == high:
                lower[..., index] = upper[..., index] = low
            elif name == self.law.floor and self.scale.name == "linear":
                lower[..., index] = low
                upper[..., index] = high if np.isfinite(high) else upper[..., index]
            else:
                lower[..., index] = np.maximum(lower[..., index], low)
                upper[..., index] = np.maximum(np.minimum(upper[..., index], high), low)
        return lower, upper

    def starts(self, most: int | None = None) -> FloatArray:
        """Free starting points (S, P) within the bounds."""
        lower, upper = self.bounds(self.loss)
        with np.errstate(all="ignore"):  # a guess may overflow; it is brought within the bounds
            theta = self.law.guess(self.x, self.loss + self.lift)
            if self.lift and self.law.floor is not None:
                theta[:, self.law.names.index(self.law.floor)] -= self.lift
            free = self.law.to_free(theta, self.centre)
        return np.clip(np.nan_to_num(free[:most]), lower, upper)

    def solve(
        self,
        starts: FloatArray,
        *,
        target: FloatArray | None = None,
        weights: FloatArray | None = None,
        lower: FloatArray | None = None,
        upper: FloatArray | None = None,
        delta: float | None = None,
        **control: float,
    ) -> Solution:
        """Minimise from free ``starts`` (R, P), with other targets, weights or bounds."""
        at = self.target if target is None else target
        low, high = self.bounds(self.scale.inverse(at))
        own = self.point_weights
        each: FloatArray | None = own * weights if weights is not None else self.weights
        size = np.full(len(self.loss), self.delta if delta is None else delta)
        centre, count = self.centre, len(self.prior)
        if count:
            at, size = _longer(at, count, 0.0), _longer(size, count, np.inf)
            each = _longer(own if each is None else each, count, 1.0)

        def model(free: FloatArray, _: object) -> tuple[FloatArray, FloatArray]:
            f, jac = self.scale.fitted(self.law, free, self.x, centre)
            return self._with_prior(free, f, jac) if count else (f, jac)

        return minimise(
            model,
            starts,
            at,
            low if lower is None else lower,
            high if upper is None else upper,
            delta=size,
            loss=self.own,
            weights=each,
            **control,  # type: ignore[arg-type]
        )

    def refit(self, starts: FloatArray, **changes: Any) -> Solution:
        """``solve`` to the precision that uncertainty needs.

        A refit has converged when its deviance can fall by 1e-5 at most, which moves its
        parameters by less than a hundredth of their standard errors, however flat the valley.
        """
        decrement = DEVIANCE / max(1, len(self.loss))
        control = {"iterations": REFIT_STEPS} | changes
        return self.solve(starts, tolerance=REFIT, decrement=decrement, **control)

    def bounds_of(self, keep: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Free bounds (K, P) that the points ``keep`` (K, n) allow, each row of them alone."""
        first = keep.argmax(axis=1)
        return self.bounds(np.where(keep, self.loss, self.loss[first][:, None]))

    def optima(self, keep: BoolArray, starts: FloatArray, *, refit: bool = False) -> Solution:
        """Optima for the points that each row of ``keep`` (K, n) marks, within its own bounds.

        From free ``starts`` (S, P), to the last digits or as ``refit`` does.
        """
        each = len(starts)
        lower, upper = (np.repeat(b, each, axis=0) for b in self.bounds_of(keep))
        return (self.refit if refit else self.solve)(
            np.clip(np.tile(starts, (len(keep), 1)), lower, upper),
            weights=np.repeat(keep, each, axis=0).astype(np.float64),
            lower=lower,
            upper=upper,
        ).best_of(each)

    def _with_prior(
        self, free: FloatArray, f: FloatArray, jac: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """One more residual for each prior: its distance in standard deviations, in units."""
        own = np.empty((len(free), len(self.prior)))
        slope = np.zeros((*free.shape, len(self.prior)))
        for j, (name, (mean, sd)) in enumerate(self.prior.items()):
            index = self.law.names.index(name)
            own[:, j] = self.unit * (free[:, index] - self._free(name, mean)) / sd
            slope[:, index, j] = self.unit / sd
        return np.concatenate([f, own], axis=1), np.concatenate([jac, slope], axis=2)

    def _free(self, name: str, value: float) -> float:
        """Free form of a natural value of a parameter that has one by itself."""
        form = self.law.parameters[self.law.names.index(name)].form
        return float(np.log(max(value, np.finfo(float).tiny))) if form == "log" else value


def _longer(values: FloatArray, count: int, filler: float) -> FloatArray:
    """``values`` (..., n) with ``count`` more columns."""
    more = np.full((*values.shape[:-1], count), filler)
    return np.concatenate([values, more], axis=-1)
