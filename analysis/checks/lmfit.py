"""A fit once more by lmfit: the same objective, another program, and its tools.

lmfit minimises sums of squares, so Huber's loss is given to it as weights: those of iteratively
reweighted least squares at our optimum, for which both have the same optimum (Huber 1981,
section 7.8). Positive parameters, whose sizes span decades, move in their logarithm; the
parameter of the formula is an expression of it.
"""

from __future__ import annotations

import dataclasses
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from analysis.fit.result import Fit
from analysis.laws import FloatArray
from analysis.text import Interval

AGREES = 1e-4
_FAR = 1e10  # residual where the law has no value
_LOG = "log_"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SecondOpinion:
    """What lmfit makes of a fit.

    Attributes:
        minimizer: ``lmfit.Minimizer``.
        result: ``lmfit.minimizer.MinimizerResult``.
        held: parameters at a bound of our optimum, which lmfit holds there: its change of
            variable has no slope at a bound.
    """

    fit: Fit
    minimizer: Any
    result: Any
    held: tuple[str, ...]

    @property
    def params(self) -> dict[str, float]:
        """Natural parameters by name, as lmfit finds them."""
        return {n: float(self.result.params[_valid(n)].value) for n in self.fit.law.names}

    @property
    def errors(self) -> dict[str, float]:
        """Standard errors by name, for weights taken as known; NaN where lmfit gives none."""
        errors = {}
        for p in self.fit.law.parameters:
            name = _valid(p.name)
            own = self.result.params[f"{_LOG}{name}" if p.positive else name].stderr
            scale = self.params[p.name] if p.positive else 1.0
            errors[p.name] = math.nan if own is None else float(own) * scale
        return errors

    @cached_property
    def differences(self) -> dict[str, float]:
        """Relative differences of lmfit's answer from ours, by parameter and of ``objective``.

        A parameter less than its standard error is compared with that.
        """
        relative = {}
        for name, ours in self.fit.params.items():
            size = max(abs(ours), np.nan_to_num(self.fit.errors[name]), 1e-300)
            relative[name] = abs(self.params[name] - ours) / size
        ours, theirs = (_objective(self.fit, p) for p in (self.fit.params, self.params))
        relative["objective"] = abs(theirs - ours) / max(ours, 1e-20)
        return relative

    @property
    def agreement(self) -> float:
        """Largest relative difference from our parameters and objective."""
        return max(self.differences.values())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Where lmfit disagrees, or could not do all it was asked."""
        said = [
            f"lmfit: {name} differs by {value:.1e}"
            for name, value in self.differences.items()
            if not value <= AGREES
        ]
        if not self.result.success:
            said.append(f"lmfit: {self.result.message}")
        if self.held:
            said.append(f"held at a bound, where lmfit has no slope: {', '.join(self.held)}")
        return tuple(said)

    def report(self) -> str:
        """The report lmfit writes."""
        from lmfit import fit_report

        with _quiet():
            return str(fit_report(self.result))

    def profiles(
        self, names: Sequence[str] | None = None, sigma: Sequence[float] = (1.0, 2.0)
    ) -> pd.DataFrame:
        """Intervals from ``lmfit.conf_interval``: an F test along each parameter.

        Args:
            names: parameters; None for all that are fitted.
            sigma: standard deviations, or levels where less than 1 (0.95).

        Returns:
            One row per parameter and level: ``name``, ``sigma``, ``value``, ``low``, ``high``
            (infinite where the test never refuses, NaN where lmfit fails), ``reason``.

        Raises:
            ValueError: a name that is no fitted parameter, or a level that is not positive.
        """
        free = [n for n in self.fit.law.names if n not in (*self.fit.problem.fixed, *self.held)]
        if bad := [n for n in names or () if n not in free]:
            raise ValueError(f"{bad[0]} is not fitted: {', '.join(free)} are")
        if not sigma or not all(s > 0 for s in sigma):
            raise ValueError(f"sigma must be positive, not {tuple(sigma)}")
        rows = [row for name in names or free for row in self._profile(name, sorted(sigma))]
        return pd.DataFrame(rows, columns=["name", "sigma", "value", "low", "high", "reason"])

    def _profile(self, name: str, sigma: list[float]) -> list[tuple[Any, ...]]:
        from lmfit import conf_interval
        from lmfit.minimizer import MinimizerException

        value, positive = self.params[name], f"{_LOG}{_valid(name)}" in self.result.params
        key = f"{_LOG}{_valid(name)}" if positive else _valid(name)
        with _quiet() as caught:
            try:
                levels = conf_interval(self.minimizer, self.result, [key], sigma)[key]
            except (MinimizerException, ValueError, ArithmeticError, IndexError) as error:
                reason = " ".join(str(error).split()) or type(error).__name__
                return [(name, s, value, math.nan, math.nan, reason) for s in sigma]
        reason = "; ".join(dict.fromkeys(str(w.message) for w in caught))
        ends = np.array([end for _, end in levels])
        if positive:
            with np.errstate(over="ignore"):
                ends = np.exp(ends)
        middle, rows = len(ends) // 2, []
        for k, s in enumerate(sigma, start=1):
            side = [ends[i] if 0 <= i < len(ends) else math.nan for i in (middle - k, middle + k)]
            own = Interval(low=float(side[0]), high=float(side[1])).holding(value)
            rows.append((name, s, value, own.low, own.high, reason))
        return rows


def to_lmfit(fit: Fit) -> SecondOpinion:
    """The same law, data, residuals, weights, bounds and held parameters in lmfit.

    It starts from our optimum.

    Raises:
        ValueError: a fit without parameters.
    """
    if not fit.ok:
        raise ValueError(f"the fit has no parameters to check: {'; '.join(fit.remarks)}")
    with _quiet():
        from lmfit import Minimizer

        params, held = _parameters(fit)
        control = {**dict.fromkeys(("ftol", "xtol", "gtol"), 1e-14), "max_nfev": 20_000}
        minimizer = Minimizer(_residuals, params, fcn_args=(fit, _root_weights(fit)), **control)
        result = minimizer.minimize(method="leastsq")
    return SecondOpinion(fit=fit, minimizer=minimizer, result=result, held=held)


def _parameters(fit: Fit) -> tuple[Any, tuple[str, ...]]:
    """Parameters for lmfit, and the names of those held because they lie at a bound."""
    from lmfit import Parameters

    params, held = Parameters(), (*fit.certificate.bounds_hit, *fit.certificate.vanished)
    lower, upper = fit.problem.bounds(fit.problem.loss)
    for i, p in enumerate(fit.law.parameters):
        name, value = _valid(p.name), fit.params[p.name]
        vary = p.name not in (*held, *fit.problem.fixed)
        bounded = vary and not (p.positive and p.form == "centred")
        ends = {"min": float(lower[i]), "max": float(upper[i])} if bounded else {}
        if not p.positive:
            params.add(name, value=value, vary=vary, **ends)
            continue
        log_value = math.log(max(value, np.finfo(float).tiny))
        params.add(f"{_LOG}{name}", value=log_value, vary=vary, **ends)
        params.add(name, expr=f"exp({_LOG}{name})")
    return params, held


def _residuals(params: Any, fit: Fit, root: FloatArray) -> FloatArray:
    """Weighted residuals (n,), then those of a prior, at lmfit's parameters."""
    theta = {n: float(params[_valid(n)].value) for n in fit.law.names}
    residual = np.concatenate([root * _errors(fit, theta), _prior(fit, theta)])
    return np.asarray(np.nan_to_num(residual, nan=_FAR, posinf=_FAR, neginf=-_FAR))


def _errors(fit: Fit, params: dict[str, float]) -> FloatArray:
    """Fitted less measured (n,), on the scale of the residuals."""
    problem = fit.problem
    theta = np.array(list(params.values()))
    with np.errstate(all="ignore"):
        error: FloatArray = problem.scale.forward(fit.law.value(theta, problem.x)) - problem.target
    return error


def _prior(fit: Fit, params: dict[str, float]) -> FloatArray:
    """One residual for each exponent with a prior."""
    ends = fit.problem.prior.items()
    return np.array([fit.problem.unit * (params[n] - mean) / sd for n, (mean, sd) in ends])


def _root_weights(fit: Fit) -> FloatArray:
    """Square roots of weights (n,), with those of Huber's loss at our optimum."""
    error = _errors(fit, fit.params)
    robust = np.divide(
        fit.problem.penalty.score(error), error, out=np.ones_like(error), where=error != 0
    )
    return np.asarray(np.sqrt(robust * fit.problem.point_weights))


def _objective(fit: Fit, params: dict[str, float]) -> float:
    """Our objective, prior included, at ``params``."""
    terms = fit.problem.point_weights * fit.problem.penalty.value(_errors(fit, params))
    return float(terms.sum() + 0.5 * (_prior(fit, params) ** 2).sum())


def _valid(name: str) -> str:
    """A name that lmfit's expressions can hold: those of a composite law have dots."""
    return re.sub(r"\W", "_", name)


@contextmanager
def _quiet() -> Iterator[list[warnings.WarningMessage]]:
    """Collect warnings: lmfit warns where a covariance is singular, and says so in its result."""
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        yield caught
