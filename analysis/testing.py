"""Checks that every law must pass; subclass ``LawContract`` and set ``law`` and ``truth``."""

from __future__ import annotations

import itertools
from typing import Any, ClassVar

import numpy as np
import pytest

from analysis.fit.certificate import Status
from analysis.fit.fit import fit_law
from analysis.fit.result import Fit
from analysis.laws import LAWS, FloatArray, Law
from analysis.laws.base import SCALES_NEEDED

SCALES: dict[str, FloatArray] = {
    "N": np.array([2e3, 8e3, 3e4, 1e5]),
    "D": np.array([256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0]),
    "S": np.array([1e3, 1e4, 1e5, 1e6]),
    "C": np.geomspace(1e12, 1e17, 12),
    "L_id": np.linspace(0.2, 1.5, 12),
    "loss": np.linspace(0.2, 1.5, 12),
}


class LawContract:
    """The battery: one subclass per law, collected by pytest.

    Attributes:
        law: the law under test.
        truth: natural parameters for which the loss lies roughly between 0.1 and 3 nats over
            ``SCALES``, away from every bound.
        recovered: relative error allowed without noise.
        agreed: share of the starts that must reach the optimum without noise.
    """

    law: ClassVar[Law]
    truth: ClassVar[tuple[float, ...]]
    recovered: ClassVar[float] = 1e-8
    agreed: ClassVar[float] = 0.5

    def grid(self) -> FloatArray:
        """Every combination of the scales of the law's axes, shape (n, K)."""
        return np.array(list(itertools.product(*(SCALES[a] for a in self.law.axes))))

    def fitted(self, loss: FloatArray, x: FloatArray | None = None, **options: Any) -> Fit:
        """A fit to losses on the grid, or at scales ``x`` (n, K)."""
        scales = self.grid() if x is None else x
        columns = dict(zip(self.law.axes, scales.T, strict=True))
        return fit_law({**columns, self.law.response: loss}, self.law.name, **options)

    def test_is_registered_and_described(self) -> None:
        """A law is found by name, and says what it is and where it comes from."""
        assert LAWS[self.law.name] is self.law
        assert self.law.formula in " ".join((type(self.law).__doc__ or "").split())
        assert self.law.source
        assert len(set(self.law.names)) == len(self.law.names) == len(self.truth)
        assert all(p.lower < p.upper and p.meaning for p in self.law.parameters)

    def test_truth_is_within_bounds(self) -> None:
        """The natural bounds hold the parameters the other checks use."""
        for parameter, value in zip(self.law.parameters, self.truth, strict=True):
            assert parameter.lower < value < parameter.upper

    def test_value_takes_batches(self) -> None:
        """Parameters (R, P) give losses (R, n), equal to one at a time."""
        theta = np.array(self.truth) * np.array([[1.0], [1.1]])
        both = self.law.value(theta, self.grid())
        assert both.shape == (2, len(self.grid()))
        np.testing.assert_allclose(both[1], self.law.value(theta[1], self.grid()), rtol=1e-14)

    def test_loss_falls_with_scale(self) -> None:
        """More of anything never raises the loss, but along the axes said to."""
        x, theta = self.grid(), np.array(self.truth)
        for k, axis in enumerate(self.law.axes):
            if axis in self.law.rises:
                continue
            more = x.copy()
            more[:, k] *= 2
            assert (self.law.value(theta, more) <= self.law.value(theta, x)).all()

    def test_log_jacobian_is_the_derivative(self) -> None:
        """The free Jacobian of log loss agrees with central differences."""
        x = self.grid()
        centre = self.law.centre(x)
        free = self.law.to_free(np.array(self.truth), centre)[None]
        log_loss, exact = self.law.log_value(free, x, centre)
        np.testing.assert_allclose(
            np.exp(log_loss[0]), self.law.value(np.array(self.truth), x), rtol=1e-12
        )
        for i in range(free.shape[1]):
            step = np.zeros_like(free)
            step[0, i] = 1e-6
            high, low = (self.law.log_value(free + s, x, centre)[0][0] for s in (step, -step))
            np.testing.assert_allclose(
                exact[0, i], (high - low) / 2e-6, rtol=1e-5, atol=1e-9,
                err_msg=f"derivative by {self.law.names[i]} in its free form",
            )  # fmt: skip

    def test_free_and_natural_parameters_invert(self) -> None:
        """Going to free parameters and back changes nothing."""
        centre = self.law.centre(self.grid())
        back = self.law.to_natural(self.law.to_free(np.array(self.truth), centre), centre)
        np.testing.assert_allclose(back, self.truth, rtol=1e-12)

    def test_guess_is_within_bounds(self) -> None:
        """Every starting point is distinct, finite and allowed, for noisy and for flat data."""
        x = self.grid()
        rng = np.random.default_rng(0)
        noisy = self.law.value(np.array(self.truth), x) * np.exp(0.1 * rng.standard_normal(len(x)))
        for loss in (noisy, np.full(len(x), 0.7)):
            starts = self.law.guess(x, loss)
            lower, upper = self.law.bounds(x, loss)
            free = self.law.to_free(starts, self.law.centre(x))
            assert len(starts) >= 5
            assert np.isfinite(starts).all()
            assert (free >= lower - 1e-6).all() and (free <= upper + 1e-6).all()

    def test_noiseless_data_are_recovered(self) -> None:
        """Without noise the truth comes back, from most starts."""
        fit = self.fitted(self.law.value(np.array(self.truth), self.grid()), n_boot=20)
        np.testing.assert_allclose(fit.theta, self.truth, rtol=self.recovered)
        assert fit.status is Status.CONVERGED
        assert fit.certificate.agreed > self.agreed
        assert fit.r2 > 1 - 1e-12

    def test_one_scale_too_few_is_refused(self) -> None:
        """With too few values on an axis the law says that it is not identifiable."""
        x = self.grid()
        loss = self.law.value(np.array(self.truth), x)
        for axis, column in zip(self.law.axes, x.T, strict=True):
            few = self.law.needed.get(axis, SCALES_NEEDED) - 1
            if not few:
                continue
            keep = column <= np.unique(column)[few - 1]
            fit = self.fitted(loss[keep], x[keep], n_boot=0)
            assert fit.status is Status.UNIDENTIFIABLE
            assert any(f"{few} value{'s' * (few > 1)} of {axis}" in w for w in fit.warnings)
            assert np.isnan(fit.theta).all()

    def test_resamples_are_judged_like_data(self) -> None:
        """The quick check of many resamples agrees with that of one set of points."""
        x = self.grid()
        counts = np.random.default_rng(0).binomial(1, 0.15, size=(40, len(x))).astype(float)
        counts[0] = 1.0
        quick = self.law.identifiable(x, counts)
        slow = [not self.law.problems(x[c > 0]) if c.any() else False for c in counts]
        assert quick.tolist() == slow
        assert quick[0] and not quick.all()

    def test_a_fixed_parameter_stays(self) -> None:
        """Each parameter can be held, amplitudes too, and the others still fit.

        A centred parameter of either sign means nothing without the others of its part.
        """
        loss = self.law.value(np.array(self.truth), self.grid())
        for parameter, value in zip(self.law.parameters, self.truth, strict=True):
            if parameter.form == "centred" and not parameter.positive:
                continue
            fit = self.fitted(loss, fixed={parameter.name: value}, n_boot=0)
            assert fit.params[parameter.name] == pytest.approx(value, rel=1e-12)
            np.testing.assert_allclose(fit.theta, self.truth, rtol=self.recovered)
