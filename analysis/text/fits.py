"""Numbers as text, HTML and plain JSON values."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any

from analysis.fit.intervals import Interval

if TYPE_CHECKING:
    from analysis.checks.holdout import Holdout
from analysis.fit.result import Fit

LOSSES = {  # what each objective's held-out loss is
    "supervised": "binary cross-entropy",
    "focal": "focal loss",
    "categorical": "categorical cross-entropy",
    "contrastive": "contrastive loss",
    "masked": "cross-entropy of masked codes",
    "codebook": "reconstruction and commitment",
}
UNITS = {"codebook": "mV²"}  # of those losses that are not in nats


def plain(value: float | None) -> float | None:
    """A number JSON can hold; NaN and infinities become None."""
    return None if value is None or not math.isfinite(value) else float(value)


def number(value: float | None, digits: int = 3) -> str:
    """A number to ``digits`` significant figures; a dash when unknown."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    shown = abs(float(f"{value:.{digits - 1}e}"))  # 0.00009999 reads 0.000100
    if value != 0 and not 1e-4 <= shown < 1e6:
        mantissa, power = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(power)}"
    places = digits - 1 - math.floor(math.log10(shown)) if value else 0
    return f"{round(value, places):,.{max(0, places)}f}"


def count(value: float) -> str:
    """A count: exact below 10,000, else with K, M, G or T: 256, 4,096, 95K, 1.23M.

    What is no count, such as a loss on an axis, keeps its digits: 0.312.
    """
    if value < 100 and value != round(value):
        return number(value)
    if value < 1e4:
        return f"{value:,.0f}"
    return short(value)


def short(value: float) -> str:
    """A count in three figures at most: 256, 3K, 95K, 1.23M, 15T."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K")):
        if value >= size:
            return (
                f"{value / size:.3g}{unit}" if value < 999 * size else f"{value / size:.0f}{unit}"
            )
    return f"{value:g}"


def interval(value: Interval, digits: int = 3) -> str:
    """``[low, high]``; a dash when unknown."""
    if math.isnan(value.low) or math.isnan(value.high):
        return "–"
    return f"[{number(value.low, digits)}, {number(value.high, digits)}]"


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
        "intervals": {k: _pair(v) for k, v in fit.intervals.items()} if fit.ok else {},
        "intervals_bootstrap": {k: _pair(v) for k, v in fit.intervals_bootstrap.items()},
        "interval_profile": (
            {fit.profile.name: _pair(fit.profile.interval)} if fit.profile else {}
        ),
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


def holdout_numbers(holdout: Holdout) -> dict[str, Any]:
    """All numbers of a held-out cell, as plain JSON values."""
    return {
        "cell": holdout.cell,
        "losses": list(holdout.losses),
        "predicted": plain(holdout.predicted),
        "interval": _pair(holdout.interval),
        "covered": holdout.covered,
        "relative_error": plain(holdout.relative_error),
        "status": str(holdout.status),
    }


def _pair(value: Interval) -> list[float | None]:
    return [plain(value.low), plain(value.high)]
