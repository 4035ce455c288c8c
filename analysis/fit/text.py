"""A fit as text, as a small HTML table and as plain JSON values."""

from __future__ import annotations

import math
from html import escape
from typing import Any

from analysis.fit.result import Fit
from analysis.text.numbers import count, interval, number, pair, plain


def estimates(fit: Fit) -> list[dict[str, str]]:
    """Rows of the estimates table: name, meaning, value, 95 % interval."""
    return [
        {
            "name": p.name,
            "meaning": p.meaning,
            "value": number(fit.params[p.name], 4),
            "interval": interval(fit.intervals[p.name]),
        }
        for p in fit.law.parameters
    ]


def certificate(fit: Fit) -> list[tuple[str, str]]:
    """Name and value of what shows whether the optimum is one."""
    c = fit.certificate
    delta = "least squares" if math.isinf(c.delta) else f"Huber, delta {number(c.delta)}"
    if fit.options.own is not None:
        delta = fit.options.own.name
    return [
        ("status", str(fit.status)),
        ("loss", f"{delta}, sum over runs of {_residuals(fit)}"),
        ("objective", number(c.objective, 6)),
        ("starts that agreed", f"{c.agreed:.0%} of {c.starts}" if c.starts else "–"),
        ("scaled gradient", number(c.gradient, 2)),
        ("condition number", number(c.condition, 3)),
        ("bounds hit", ", ".join(c.bounds_hit) or "none"),
        (f"R² of the {fit.law.response}", number(fit.r2, 4)),
        *(
            [(f"R² of the log excess {fit.law.response}", number(fit.r2_log_excess, 4))]
            if fit.law.floor
            else []
        ),
        ("scatter of a run", _in_units(fit, fit.scatter)),
        ("bootstrap", f"{fit.bootstrap.kind}, {len(fit.bootstrap.theta)} refits by run"),
        ("error of the law at 4 times the data", _in_units(fit, _typical(fit))),
    ]


def _in_units(fit: Fit, residual: float) -> str:
    """A residual in per cent, or in the unit of the response."""
    if fit.problem.scale.relative:
        return f"{number(100 * residual, 2)} %"
    return f"{number(residual, 3)} {fit.law.unit}".strip()


def _typical(fit: Fit) -> float:
    """Half width of the law's own error at four times the data; NaN without parameters."""
    return math.nan if fit.misfit is None else fit.misfit.typical


def _residuals(fit: Fit) -> str:
    """What a residual is of."""
    response = fit.law.response
    if fit.problem.scale.name == "linear":
        return f"residuals of the {response}"
    excess = "-excess" if fit.problem.scale.name == "log_excess" else ""
    return f"log-{response}{excess} residuals"


def fit_summary(fit: Fit) -> str:
    """A few lines of text: warnings first, then estimates and certificate."""
    at = "".join(f" at {axis} = {count(value)}" for axis, value in fit.at.items())
    lines = [f"{fit.law.formula}{at}"]
    lines += [f"  warning: {w}" for w in fit.warnings]
    lines += [f"  {r['name']:>6} = {r['value']:<12} 95 % {r['interval']}" for r in estimates(fit)]
    lines += [f"  {name}: {value}" for name, value in certificate(fit)]
    lines += [
        f"  data: {axis} {count(low)} to {count(high)}" for axis, (low, high) in fit.ranges.items()
    ]
    return "\n".join([*lines, *(f"  {note}" for note in fit.notes)])


def fit_html(fit: Fit) -> str:
    """The summary as a small table, for notebooks."""
    warnings = "".join(f"<li>{escape(w)}</li>" for w in fit.warnings)
    rows = "".join(
        f"<tr><td>{escape(r['name'])}</td><td>{r['value']}</td><td>{r['interval']}</td>"
        f"<td style='text-align:left'>{escape(r['meaning'])}</td></tr>"
        for r in estimates(fit)
    )
    facts = "; ".join(f"{name} {escape(value)}" for name, value in certificate(fit))
    return (
        f"<b>{escape(fit.law.formula)}</b>"
        + (f"<ul>{warnings}</ul>" if warnings else "")
        + "<table><tr><th></th><th>estimate</th><th>95 % interval</th><th>meaning</th></tr>"
        + f"{rows}</table><small>{facts}</small>"
    )


def fit_numbers(fit: Fit) -> dict[str, Any]:
    """All numbers of a fit, as plain JSON values; no parameters when unidentifiable."""
    c = fit.certificate
    return {
        "law": fit.law.name,
        "formula": fit.law.formula,
        "source": fit.law.source,
        "status": str(fit.status),
        "at": fit.at,
        "points": len(fit.residuals),
        "params": {k: plain(v) for k, v in fit.params.items()} if fit.ok else {},
        "errors": {k: plain(v) for k, v in fit.errors.items()} if fit.ok else {},
        "intervals": {k: pair(v) for k, v in fit.intervals.items()} if fit.ok else {},
        "intervals_bootstrap": {k: pair(v) for k, v in fit.intervals_bootstrap.items()},
        "interval_profile": ({fit.profile.name: pair(fit.profile.interval)} if fit.profile else {}),
        "r2": plain(fit.r2),
        "r2_log_excess": plain(fit.r2_log_excess),
        "scatter": plain(fit.scatter),
        "misfit": plain(_typical(fit)),
        "ranges": {k: list(v) for k, v in fit.ranges.items()},
        "certificate": {
            "objective": plain(c.objective),
            "delta": plain(c.delta),
            "starts": c.starts,
            "agreed": plain(c.agreed),
            "gradient": plain(c.gradient),
            "condition": plain(c.condition),
            "bounds_hit": list(c.bounds_hit),
            "vanished": list(c.vanished),
        },
        "bootstrap": {
            "kind": fit.bootstrap.kind,
            "refits": len(fit.bootstrap.theta),
            "redrawn": fit.bootstrap.redrawn,
            "unconverged": fit.bootstrap.unconverged,
        },
        "alternatives": fit.alternatives,
        "warnings": list(fit.warnings),
        "notes": list(fit.notes),
    }
