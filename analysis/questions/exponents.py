"""Which configuration gains more from scale, and how many times more the other needs (S1, 5).

k-fold N leaves k^-alpha of the excess loss (Eq. 3). A second configuration leaves as much with
k^(alpha_1 / alpha_2)-fold N, so what is compared is the ratio of the exponents. S1 takes ratios
of exponents averaged over tasks; here, given several tasks, it is the geometric mean over tasks
of the ratios, as a task then counts in both or in neither.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from itertools import combinations
from typing import final

import numpy as np

from analysis.fit.result import Fit
from analysis.fit.sampled import UNKNOWN, Sampled, combined, mean
from analysis.laws.base import EXPONENT
from analysis.questions.additive import PLURAL, Additive, Axis
from analysis.questions.answer import Line, Question, side_of, terms_doubt
from analysis.questions.configurations import Configuration
from analysis.text import Interval, interval, number

Fits = Mapping[str, Fit | Mapping[str, Fit]]


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Exponents of two configurations compared.

    Attributes:
        times: by which the first is scaled.
        log_ratio: log of the first's exponent over the second's; None with a ``reason``.
        tasks: it is a mean over.
        reason: why nothing can be compared; "" where something can.
    """

    first: str
    second: str
    axis: Axis
    times: float
    log_ratio: Sampled | None
    tasks: tuple[str, ...]
    reason: str

    @property
    def ratio(self) -> float:
        """Exponent of the first over that of the second; NaN with a ``reason``."""
        return math.nan if self.log_ratio is None else math.exp(self.log_ratio.point)

    @property
    def interval(self) -> Interval:
        """95 % interval of ``ratio``."""
        if self.log_ratio is None:
            return UNKNOWN
        ends = self.log_ratio.interval
        return Interval(low=math.exp(ends.low), high=math.exp(ends.high)).holding(self.ratio)

    @property
    def needed(self) -> float:
        """How many times the second must be scaled for what ``times`` does for the first."""
        return _power(self.times, self.ratio)

    @property
    def needed_interval(self) -> Interval:
        """95 % interval of ``needed``; its end is infinite where no float holds it."""
        ends = self.interval
        found = Interval(low=_power(self.times, ends.low), high=_power(self.times, ends.high))
        return found.holding(self.needed)

    @property
    def resolved(self) -> bool:
        """Whether the interval of ``ratio`` is known and does not hold 1."""
        return side_of(self.interval, 1.0) != ""

    @property
    def words(self) -> str:
        """The answer in one sentence."""
        if self.log_ratio is None:
            return ""
        what = PLURAL[self.axis]
        said = (
            f"what {number(self.times)} times the {what} take off the excess loss of {self.first} "
            f"takes {number(self.needed)} {interval(self.needed_interval)} times for {self.second}"
        )
        if self.log_ratio.why or self.resolved:
            return said
        return f"{said}; which needs more is not resolved, as the ratio may be 1"

    @property
    def line(self) -> Line:
        """The ratio as a line of a table."""
        why = self.reason or (self.log_ratio.why if self.log_ratio else "")
        return Line(
            name=f"{self.first} over {self.second}",
            value=self.ratio,
            interval=self.interval,
            words=self.words,
            reason=why,
        )


def _power(base: float, exponent: float) -> float:
    try:
        return float(base**exponent)
    except OverflowError:
        return math.inf


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Efficiency(Question):
    """Exponents of every configuration and of every pair.

    Attributes:
        times: by which the first of a pair is scaled.
        exponents: by configuration, geometric means over tasks; None with a reason.
        excluded: why a law does not count, by configuration and task.
    """

    axis: Axis
    times: float
    exponents: Mapping[str, Sampled | None]
    excluded: Mapping[tuple[str, str], str]
    pairs: tuple[Ratio, ...]
    warnings: tuple[str, ...]

    @property
    def title(self) -> str:
        """What was asked."""
        return f"{'Parameter' if self.axis == 'N' else 'Data'} efficiency"

    def pair(self, first: str, second: str) -> Ratio:
        """The comparison of two configurations, in the order they were given.

        Raises:
            KeyError: no such pair.
        """
        return {(p.first, p.second): p for p in self.pairs}[first, second]

    @property
    def lines(self) -> tuple[Line, ...]:
        """Exponents, then ratios."""
        lines = []
        for name, exponent in self.exponents.items():
            label = f"{'alpha' if self.axis == 'N' else 'beta'} of {name}"
            if exponent is None:
                lines.append(Line.none(label, self._why(name)))
            else:
                lines.append(Line.of(label, exponent))
        return (*lines, *(p.line for p in self.pairs))

    def _why(self, name: str) -> str:
        reasons = {f"{t}: {w}" if t else w for (n, t), w in self.excluded.items() if n == name}
        return "; ".join(sorted(reasons)) or "no law"


def efficiency(fits: Fits, axis: Axis = "N", times: float = 10.0) -> Efficiency:
    """Compare the exponents of configurations.

    Args:
        fits: by name of the configuration: a law, or laws by task. Laws of one seed and pool
            share their resamples; others are taken as independent.
        axis: ``N`` (parameter efficiency, alpha) or ``D`` (data efficiency, beta).
        times: by which the first of a pair is scaled, above 1.

    Raises:
        ValueError: ``times`` not above 1, a law without that exponent, or fewer than two
            configurations.
    """
    if not (math.isfinite(times) and times > 1):
        raise ValueError(f"times must be finite and above 1, not {times}")
    if len(fits) < 2:
        raise ValueError("name at least two configurations")
    by = {name: {"": f} if isinstance(f, Fit) else dict(f) for name, f in fits.items()}
    excluded: dict[tuple[str, str], str] = {}
    logs: dict[str, dict[str, Sampled]] = {}
    for name, laws in by.items():
        logs[name] = {}
        for task, fit in laws.items():
            exponent = Additive.of(fit).exponent(axis)
            if why := terms_doubt(fit, axis):
                excluded[name, task] = why
            else:
                low, high = map(math.log, EXPONENT)
                logs[name][task] = combined(np.log, exponent, lower=low, upper=high)
    pairs = tuple(
        _ratio(by, logs, excluded, (one, other), axis, float(times))
        for one, other in combinations(by, 2)
    )
    return Efficiency(
        axis=axis,
        times=float(times),
        excluded=excluded,
        pairs=pairs,
        exponents={name: _geometric(list(of.values())) for name, of in logs.items()},
        warnings=tuple(f"{n}{' on ' * bool(t)}{t} left out: {w}" for (n, t), w in excluded.items()),
    )


def _geometric(logs: list[Sampled]) -> Sampled | None:
    if not logs:
        return None
    return combined(np.exp, mean(logs), positive=True, lower=EXPONENT[0], upper=EXPONENT[1])


def _ratio(
    by: Mapping[str, Mapping[str, Fit]],
    logs: Mapping[str, Mapping[str, Sampled]],
    excluded: Mapping[tuple[str, str], str],
    names: tuple[str, str],
    axis: Axis,
    times: float,
) -> Ratio:
    first, second = names
    shared = [t for t in by[first] if t in by[second]]
    tasks = [t for t in shared if t in logs[first] and t in logs[second]]
    reason, log_ratio = "", None
    if tasks:
        log_ratio = mean([logs[first][t].less(logs[second][t]) for t in tasks])
    elif not shared:
        reason = "no task in common"
    else:
        whys = [(n, excluded[n, t]) for t in shared for n in names if (n, t) in excluded]
        reason = "; ".join(dict.fromkeys(f"{n}: {why}" for n, why in whys))
    return Ratio(
        first=first,
        second=second,
        axis=axis,
        times=times,
        log_ratio=log_ratio,
        tasks=tuple(tasks),
        reason=reason,
    )


def mean_exponent(configuration: Configuration, axis: Axis) -> Sampled:
    """Mean exponent of an axis over the tasks whose law determines it, beside S1's."""
    tasks = [t for t in configuration.tasks if t.identified(axis)]
    return mean([Additive.of(t.fit).exponent(axis) for t in tasks])
