"""Derivatives of own formulas: dual numbers, complex steps and differences; what is linear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from analysis.laws import FloatArray
from analysis.laws.derivatives import Dual, Exponential, is_analytic
from analysis.laws.variable_projection import linear_parameters, projected

X = np.array([0.5, 1.7, 3.0])
Formula = Callable[[FloatArray, Any, Any], Any]

FORMULAS: dict[str, Formula] = {
    "a power law": lambda x, a, b: a / x**b + b,
    "roots and logs": lambda x, a, b: np.sqrt(a * x) + np.log(a / b) - np.exp(-b * x),
    "powers of sums": lambda x, a, b: (a + x) ** -b + (1 / (b + x)) ** a,
    "choices": lambda x, a, b: (
        np.where(x > 1, a, b) * np.maximum(a, b * x) - np.minimum(a, 2 * b)
        + np.clip(b * x, 0.5, 1.5) + np.abs(b - a)
    ),
    "sums of exponentials": lambda x, a, b: np.logaddexp(a * x, b) + np.tanh(b * x) + expit(a - x),
    "powers": lambda x, a, b: a**2 + a**b + b**a + 2**b + np.square(a) + np.cbrt(a * x) + (-b) ** 2,
    "quotients": lambda x, a, b: x / a + 3 / (b + a) + np.reciprocal(b * a) + a / b,
    "trigonometry": lambda x, a, b: np.sin(a * x) + np.cos(b) * np.arctan(a) + np.sinh(b * x),
    "other logs": lambda x, a, b: np.log1p(a) + np.log2(b) + np.log10(a * b) + np.expm1(b),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMULAS)
def test_dual_numbers_give_the_value_and_its_derivative(name: str) -> None:
    free = np.random.default_rng(0).uniform(0.3, 1.4, (5, 2))

    def plain(at: FloatArray) -> FloatArray:
        return np.asarray(FORMULAS[name](X, np.exp(at[:, 0, None]), at[:, 1, None]))

    found = FORMULAS[name](
        X, Exponential(free[:, 0, None], {0: 1.0}), Dual(free[:, 1, None], {1: 1.0})
    )
    value = plain(free)
    np.testing.assert_allclose(np.broadcast_to(found.value, value.shape), value, rtol=1e-13)
    for i in range(2):
        step = np.zeros_like(free)
        step[:, i] = 1e-5
        expected = (plain(free + step) - plain(free - step)) / 2e-5
        own = np.broadcast_to(found.parts.get(i, 0.0), value.shape)
        np.testing.assert_allclose(own, expected, rtol=1e-7, atol=1e-8 * np.abs(expected).max())


@pytest.mark.parametrize(
    "formula",
    [
        lambda a: np.asarray(a, dtype=np.float64),
        np.sort,
        lambda a: np.hypot(a, 1.0),
        np.add.reduce,
    ],
)
def test_what_dual_numbers_cannot_do_is_refused(formula: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError):
        formula(Dual(np.ones((2, 1)), {0: 1.0}))


def chinchilla(theta: Any, x: FloatArray) -> Any:
    E, A, a, B, b = (theta[..., i, None] for i in range(5))
    return E + A * x[:, 0] ** -a + B * x[:, 1] ** -b


def test_a_small_term_is_not_taken_for_rough_because_of_rounding() -> None:
    """The derivative by A is 1e-13 of the value: differences of it are rounding errors."""
    x = np.array([(n, d) for n in (1e8, 1e9, 1e10) for d in (1e9, 1e10, 1e11)])
    theta = np.array([[1.8, 1e-2, 0.9, 2e3, 0.37], [1.7, 1e-4, 1.2, 2e3, 0.37]])
    size = np.maximum(np.abs(theta), 1e-3)
    assert is_analytic(chinchilla, theta, x, size)
    assert is_analytic(lambda t, x: np.abs(chinchilla(t, x)), theta, x, size) is False


def test_linear_parameters_are_found_by_trying() -> None:
    x = np.array([(n, d) for n in (1e3, 1e4) for d in (1e2, 1e3)])
    draws = np.array([[1.0, 2.0, 0.4, 3.0, 0.3], [0.5, 1.0, 0.7, 2.0, 0.6]])
    assert linear_parameters(chinchilla, draws, x, [1, 3, 0, 2, 4]) == [1, 3, 0]

    def shifted(theta: Any, x: FloatArray) -> Any:
        b, g, c = (theta[..., i, None] for i in range(3))
        return b * (1 / x[:, 0] + g) ** c

    draws = np.array([[1.0, 2.0, 0.4], [0.5, 1.0, 0.7]])
    assert linear_parameters(shifted, draws, x, [0, 1, 2]) == [0]
    assert linear_parameters(shifted, draws, x, [2, 1, 0]) == [0]

    def product(theta: Any, x: FloatArray) -> Any:
        return theta[..., 0, None] * theta[..., 1, None] * x[:, 0]

    assert linear_parameters(product, draws[:, :2], x, [0, 1]) == [0]


def test_projection_gives_least_squares_within_signs() -> None:
    x = np.array([(n, d) for n in np.geomspace(1e3, 1e5, 5) for d in np.geomspace(1e2, 1e4, 5)])
    theta = np.array([[0.2, 5.0, 0.5, 4.0, 0.4], [0.2, 5.0, 0.9, 4.0, 0.1]])
    response = chinchilla(theta[0], x)
    found = projected(
        chinchilla, theta * [[9, 7, 1, 5, 1]], x, response, 1 / response, [0, 1, 3], [0, 1, 3]
    )
    np.testing.assert_allclose(found[0], theta[0], rtol=1e-9)
    assert (found[1] >= 0).all()
    table = np.column_stack([np.ones(len(x)), x[:, 0] ** -0.9, x[:, 1] ** -0.1]) / response[:, None]
    free = np.linalg.lstsq(table, np.ones(len(x)), rcond=None)[0]
    own = ((chinchilla(found[1], x) / response - 1) ** 2).sum()
    assert own >= ((table @ free - 1) ** 2).sum() * (1 - 1e-9)
