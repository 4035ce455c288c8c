"""Small charts as SVG text, for a page that needs no other file and no plotting library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#0072b2", "#e69f00", "#009e73")  # told apart by the colour-blind too
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 12.0, 22.0, 34.0
_ROW = 17.0


def histogram(
    title: str, unit: str, edges: Sequence[float], series: Mapping[str, Sequence[float]]
) -> str:
    """Outlines of one or more histograms, each scaled to a sum of one.

    Args:
        title: above the chart.
        unit: below the axis.
        edges: (bins + 1,) ascending.
        series: name -> (bins,) counts; empty ones are left out.
    """
    width, height = 460.0, 230.0
    shares = {name: [n / sum(c) for n in c] for name, c in series.items() if sum(c)}
    top = max((max(share) for share in shares.values()), default=1.0)
    x = _scale(edges[0], edges[-1], _LEFT, width - _RIGHT)
    y = _scale(0.0, top, height - _BOTTOM, _TOP)
    parts = [_axis_x(x, edges[0], edges[-1], height - _BOTTOM, unit)]
    parts += [
        _text(_LEFT - 5, y(tick) + 3.5, f"{100 * tick:.3g} %", "end") for tick in ticks(0, top, 3)
    ]
    for k, (name, share) in enumerate(shares.items()):
        points = [(edges[0], 0.0)]
        for i, value in enumerate(share):
            points += [(edges[i], value), (edges[i + 1], value)]
        points.append((edges[-1], 0.0))
        line = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points)
        colour = COLOURS[k % len(COLOURS)]
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}"/>')
        parts.append(_text(width - _RIGHT, _TOP + 14 * k, name, "end", colour))
    return _svg(title, width, height, parts)


def dots(title: str, names: Sequence[str], series: Mapping[str, Sequence[float]]) -> str:
    """One row a name with a dot for each series, on a common logarithmic axis of shares.

    Args:
        title: above the chart.
        names: of the rows.
        series: name -> (rows,) shares from 0 to 1; 0 stands as a ring at the left end.
    """
    left = 24.0 + 6.2 * max(map(len, names))
    width, height = left + 360.0, _TOP + _ROW * len(names) + _BOTTOM + 8
    x = _scale(-4.0, 0.0, left + 12, width - _RIGHT - 10)
    foot = height - _BOTTOM
    parts = [_line(x(-4), foot, x(0), foot, "#888888")]
    for power in range(-4, 1):
        parts.append(_line(x(power), foot - _ROW * len(names) - 8, x(power), foot + 4, "#e8e8e8"))
        parts.append(_text(x(power), foot + 15, f"{100 * 10.0**power:g} %", "middle"))
    parts.append(_text(x(-2), foot + 29, "share of the records", "middle", "#555555"))
    for i, name in enumerate(names):
        y = _TOP + _ROW * (i + 0.7)
        parts.append(_text(left - 8, y + 3.5, name, "end"))
        for k, values in enumerate(series.values()):
            colour = COLOURS[k % len(COLOURS)]
            place = x(math.log10(max(values[i], 1e-4))) if values[i] else left
            fill = colour if values[i] else "none"
            parts.append(f'<circle cx="{place:.1f}" cy="{y:.1f}" r="3.5" fill="{fill}" '
                         f'stroke="{colour}" fill-opacity="0.7"/>')  # fmt: skip
    for k, name in enumerate(series):
        place = width - _RIGHT - 75.0 * (len(series) - 1 - k)
        parts.append(_text(place, 14, name, "end", COLOURS[k % len(COLOURS)]))
    return _svg(title, width, height, parts)


def boxes(title: str, unit: str, names: Sequence[str], values: Sequence[Sequence[float]]) -> str:
    """One row a name: percentiles 1, 25, 50, 75 and 99 as whiskers, box and stroke."""
    left = 24.0 + 6.2 * max(map(len, names))
    width, height = left + 360.0, _TOP + _ROW * len(names) + _BOTTOM + 8
    top = max(max(row) for row in values) or 1.0
    x = _scale(0.0, top, left, width - _RIGHT - 10)
    parts = [_axis_x(x, 0.0, top, height - _BOTTOM, unit)]
    for i, (name, row) in enumerate(zip(names, values, strict=True)):
        y = _TOP + _ROW * (i + 0.7)
        low, quarter, middle, three, high = (x(value) for value in row)
        parts.append(_text(left - 8, y + 3.5, name, "end"))
        parts.append(_line(low, y, high, y, COLOURS[0]))
        parts.append(f'<rect x="{quarter:.1f}" y="{y - 5:.1f}" width="{three - quarter:.1f}" '
                     f'height="10" fill="#cfe3f1" stroke="{COLOURS[0]}"/>')  # fmt: skip
        parts.append(_line(middle, y - 5, middle, y + 5, COLOURS[0], 2.0))
    return _svg(title, width, height, parts)


def curves(title: str, unit: str, series: Mapping[str, Sequence[float]]) -> str:
    """Values in falling order against their rank, on a logarithmic axis."""
    width, height, floor = 460.0, 230.0, 1e-5
    longest = max(len(values) for values in series.values())
    x = _scale(1.0, max(longest, 2), _LEFT, width - _RIGHT)
    y = _scale(math.log10(floor), 0.0, height - _BOTTOM, _TOP)
    parts = [_axis_x(x, 1.0, max(longest, 2), height - _BOTTOM, unit)]
    for power in range(-5, 1):
        parts.append(_text(_LEFT - 5, y(power) + 3.5, f"{10.0**power:g}", "end"))
    for k, (name, values) in enumerate(series.items()):
        line = " ".join(
            f"{x(i + 1):.1f},{y(math.log10(max(value, floor))):.1f}"
            for i, value in enumerate(sorted(values, reverse=True))
        )
        colour = COLOURS[k % len(COLOURS)]
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}"/>')
        parts.append(_text(width - _RIGHT, _TOP + 14 * k, name, "end", colour))
    return _svg(title, width, height, parts)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round values between two limits, ``about`` as many as asked."""
    raw = (high - low) / about or 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


class _scale:  # noqa: N801
    """A linear map from values to places on the page."""

    def __init__(self, low: float, high: float, start: float, stop: float) -> None:
        self._low, self._start = low, start
        self._slope = (stop - start) / ((high - low) or 1.0)

    def __call__(self, value: float) -> float:
        return self._start + (value - self._low) * self._slope


def _axis_x(x: _scale, low: float, high: float, y: float, unit: str) -> str:
    parts = [_line(x(low), y, x(high), y, "#888888")]
    for tick in ticks(low, high):
        parts.append(_line(x(tick), y, x(tick), y + 4, "#888888"))
        parts.append(_text(x(tick), y + 15, f"{tick:.6g}", "middle"))
    parts.append(_text((x(low) + x(high)) / 2, y + 29, unit, "middle", "#555555"))
    return "".join(parts)


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1.0) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'stroke-width="{width:g}"/>'
    )


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#222222") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">'
        f"{escape(text)}</text>"
    )


def _svg(title: str, width: float, height: float, parts: Sequence[str]) -> str:
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg></figure>"
    )
