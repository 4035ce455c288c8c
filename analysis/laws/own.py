"""A law of one's own in a few lines: a formula in numpy and the bounds of its parameters.

    from analysis import fit_law
    from analysis.laws import plain_law

    m3 = plain_law(
        "m3", lambda x, b, g, c: b * (1 / x["D"] + g) ** c, formula="L(D) = b * (1/D + g)^c",
        source="Alabdulmohsin et al. 2022, M3", axes=("D",),
        parameters={"b": (0, math.inf), "g": (0, math.inf), "c": (0.01, 4)},
    )
    fit_law(data, m3)

The Jacobian comes from forward differentiation, exact to rounding and about as fast as one written
by hand; a formula with functions that dual numbers do not know gets complex steps (Squire & Trapp
1998), or differences of fourth order where it is not analytic. What the formula is linear in is
found out by trying: only the rest is searched, and amplitudes move as the logarithm of their term
at the centre of the data.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from analysis.laws.base import SCALES_NEEDED, Law, Parameter, bounded, positive
from analysis.laws.formula import FormulaLaw, Function, Guess


def plain_law(
    name: str,
    function: Function,
    *,
    formula: str,
    source: str,
    axes: Sequence[str],
    parameters: Sequence[Parameter] | Mapping[str, tuple[float, float]],
    response: str = "loss",
    unit: str = "nats",
    floor: str | None = None,
    amplitude: str | None = None,
    guess: Guess | None = None,
    typical: Mapping[str, float] | None = None,
    rises: Sequence[str] = (),
    held: Sequence[str] = (),
    residual: Literal["log", "linear"] = "log",
) -> Law:
    """A law from a formula, for ``fit_law(data, law)`` or ``register``.

    Args:
        name: what ``fit_law`` calls it.
        function: ``function(x, **parameters)`` gives the response, of any sign under linear
            residuals and positive under others: ``x`` holds each axis (n,), of any sign;
            parameters broadcast with it (they come many sets at a time, and as dual or complex
            numbers for the derivative), so it must work element by element, in numpy.
        formula: in plain text.
        source: where the formula comes from.
        axes: columns of the scales.
        parameters: their bounds by name; one from 0 or more to infinity is positive and moves in
            its logarithm. Or ``Parameter``s, of the forms ``same`` and ``log``.
        response: column of what the law gives.
        unit: of the response.
        floor: parameter that no scale removes; it stays below the smallest response unless
            residuals are linear.
        amplitude: parameter that the response above the floor is proportional to. It is found
            without being told where its bounds are 0 and infinity.
        guess: ``guess(x, response)`` gives starting points (S, P); None draws them within the
            bounds, three decades about the sizes in the data for parameters without a bound.
        typical: size of parameters without a bound, where those in the data mislead.
        rises: axes along which the response may rise.
        held: axes that the law lacks and that must not vary.
        residual: scale on which residuals are measured: ``log`` or ``linear``.

    Raises:
        ValueError: no axes, a parameter that the function does not take or takes unasked, bounds
            out of order or missing, a floor or typical size of no parameter; a formula that asks
            for another axis, gives no number for each row, or looks at other rows.
    """
    described = (
        [_parameter(name, ends, floor) for name, ends in parameters.items()]
        if isinstance(parameters, Mapping)
        else parameters
    )
    formed = tuple(_with_form(p, amplitude) for p in described)
    sizes = dict(typical or {})
    _check_arguments(name, function, axes, formed, [v for v in (floor, amplitude) if v], sizes)
    _check_row_by_row(name, function, axes, formed, sizes)
    body = {
        "__doc__": f"{formula}.\n\nSource: {source}.",
        "__module__": __name__,
        "name": name, "formula": formula, "source": source, "axes": tuple(axes),
        "parameters": formed, "response": response, "unit": unit, "held": tuple(held),
        "rises": tuple(rises), "floor": floor, "residual": residual, "typical": sizes,
        "function": staticmethod(function),
        "own_guess": None if guess is None else staticmethod(guess),
        # A curve of one scale is told by as many scales as it has parameters.
        "needed": {axes[0]: max(SCALES_NEEDED, len(formed))} if len(axes) == 1 else {},
    }  # fmt: skip
    kind: type[FormulaLaw] = type(name, (FormulaLaw,), body)
    return kind()


def _parameter(name: str, ends: tuple[float, float], floor: str | None) -> Parameter:
    """Described by its bounds alone: positive where they are 0 or more and infinity."""
    low, high = (float(v) for v in ends)
    meaning = f"{name} of the formula"
    kind = positive if low >= 0 and math.isinf(high) and name != floor else bounded
    return kind(name, meaning, within=(low, high))


def _with_form(parameter: Parameter, amplitude: str | None) -> Parameter:
    """With the form that its sign allows.

    Raises:
        ValueError: a positive parameter that may be negative, or an amplitude with a bound.
    """
    if parameter.name == amplitude:
        if parameter.lower != 0 or math.isfinite(parameter.upper):
            raise ValueError(f"amplitude {amplitude} must be allowed 0 to infinity")
        return dataclasses.replace(parameter, positive=True, form="centred")
    if parameter.form == "centred":
        raise ValueError(f"{parameter.name}: only an amplitude has the form 'centred'")
    is_positive = parameter.positive or parameter.form == "log"
    if is_positive and parameter.lower < 0:
        raise ValueError(f"{parameter.name} is positive but may be {parameter.lower}")
    return dataclasses.replace(
        parameter, positive=is_positive, form="log" if is_positive else "same"
    )


def _check_arguments(
    name: str,
    function: Function,
    axes: Sequence[str],
    parameters: Sequence[Parameter],
    special: Sequence[str],
    typical: Mapping[str, float],
) -> None:
    """Refuse what makes no sense before the formula is called."""
    names = [p.name for p in parameters]
    if not axes or not names:
        raise ValueError(f"{name} needs at least one axis and one parameter")
    if len(set(axes)) < len(axes):
        raise ValueError(f"{name}: an axis is given twice: {', '.join(axes)}")
    for p in parameters:
        if not p.lower < p.upper:
            raise ValueError(
                f"{name}: bounds of {p.name} must be in order, not {(p.lower, p.upper)}"
            )
        known = math.isfinite(p.lower) and math.isfinite(p.upper)
        if not (known or p.positive or p.name in typical or p.name in special):
            raise ValueError(f"{name}: {p.name} needs finite bounds or a typical size")
    for other in [*typical, *special]:
        if other not in names:
            raise ValueError(f"{name} has no parameter {other!r}: {', '.join(names)}")
    if bad := [k for k, v in typical.items() if not (math.isfinite(v) and v != 0)]:
        raise ValueError(f"{name}: the typical size of {bad[0]} must be finite and not 0")
    try:
        inspect.signature(function).bind({}, **dict.fromkeys(names))
    except TypeError as error:
        raise ValueError(f"{name}: function(x, {', '.join(names)}) does not fit: {error}") from None


def _check_row_by_row(
    name: str,
    function: Function,
    axes: Sequence[str],
    parameters: Sequence[Parameter],
    typical: Mapping[str, float],
) -> None:
    """Refuse a formula that does not give one number for each row, from that row alone."""
    rows = {axis: np.geomspace(2.0, 50.0 + k, 6) for k, axis in enumerate(axes)}
    at = {p.name: typical.get(p.name, _value_within(p)) for p in parameters}
    try:
        with np.errstate(all="ignore"):
            whole = np.asarray(function(rows, **at))
            part = np.asarray(function({axis: v[1:4] for axis, v in rows.items()}, **at))
    except KeyError as error:
        raise ValueError(
            f"{name}: the formula asks for x[{error}]; the axes are {', '.join(axes)}"
        ) from None
    except Exception:  # values from within the bounds may suit no formula: data will show
        return
    if whole.dtype.kind not in "biuf" or whole.shape not in {(), (6,)}:
        what = f"{whole.dtype} of shape {whole.shape}" if whole.dtype.kind != "O" else "no numbers"
        raise ValueError(f"{name}: the formula gives {what} for 6 rows, not one number for each")
    expected = np.broadcast_to(whole, 6)[1:4]
    if not np.allclose(np.broadcast_to(part, 3), expected, rtol=1e-9, equal_nan=True):
        raise ValueError(
            f"{name}: the formula looks at other rows than its own, such as x['{axes[0]}'].max(): "
            "a prediction would depend on what else is predicted; write the number instead"
        )


def _value_within(parameter: Parameter) -> float:
    """A value within the bounds."""
    low, high = parameter.lower, parameter.upper
    if math.isfinite(low) and math.isfinite(high):
        return 0.5 * (low + high)
    return low + 1.0 if math.isfinite(low) else high - 1.0 if math.isfinite(high) else 1.0
