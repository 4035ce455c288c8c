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
from analysis.laws.parameters import EXPONENT
from analysis.questions.answer import Line, Question
from analysis.questions.evidence.additive import Additive, Axis, doubt
from analysis.questions.evidence.quantity import Quantity, combined, mean
from analysis.questions.ratio import Ratio
from analysis.questions.reaching import parity

Fits = Mapping[str, Fit | Mapping[str, Fit]]


@final
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Efficiency(Question):
    """Exponents of every configuration and of every pair.

    Attributes:
        axis: compared.
        times: by which the first of a pair is scaled.
        exponents: by configuration, geometric means over tasks; None with a reason.
        excluded: why a law does not count, by configuration and task.
        pairs: compared.
        warnings: what a reader must know first.
    """

    axis: Axis
    times: float
    exponents: Mapping[str, Quantity | None]
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
        for found in self.pairs:
            if (found.first, found.second) == (first, second):
                return found
        raise KeyError((first, second))

    @property
    def lines(self) -> tuple[Line, ...]:
        """Exponents, then ratios, then what the same loss needs."""
        found = []
        for name, quantity in self.exponents.items():
            label = f"{'alpha' if self.axis == 'N' else 'beta'} of {name}"
            if quantity is None:
                found.append(Line.none(label, self._why(name)))
            else:
                found.append(Line.of(label, quantity))
        found += [p.line for p in self.pairs]
        return (*found, *(e for p in self.pairs if p.parity is not None for e in p.parity.lines))

    def _why(self, name: str) -> str:
        reasons = {f"{t}: {w}" if t else w for (n, t), w in self.excluded.items() if n == name}
        return "; ".join(sorted(reasons)) or "no law"


def efficiency(
    fits: Fits,
    axis: Axis = "N",
    times: float = 10.0,
    *,
    at: Mapping[str, float] | None = None,
) -> Efficiency:
    """Compare the exponents of configurations.

    Args:
        fits: by name of the configuration: a law, or laws by task. Laws of one seed and pool
            share their resamples; others are taken as independent.
        axis: ``N`` (parameter efficiency, alpha) or ``D`` (data efficiency, beta).
        times: by which the first of a pair is scaled, above 1.
        at: N and D at which losses are compared as well, see ``parity``; only for one law per
            configuration, of the same task.

    Raises:
        ValueError: ``times`` not above 1, a law without that exponent, fewer than two
            configurations, or ``at`` with laws of several tasks.
    """
    if not (math.isfinite(times) and times > 1):
        raise ValueError(f"times must be finite and above 1, not {times}")
    if len(fits) < 2:
        raise ValueError("name at least two configurations")
    by = {name: {"": f} if isinstance(f, Fit) else dict(f) for name, f in fits.items()}
    if at is not None and any(set(of) != {""} for of in by.values()):
        raise ValueError("losses are compared task by task: give one law per configuration")
    excluded: dict[tuple[str, str], str] = {}
    logs: dict[str, dict[str, Quantity]] = {}
    for name, laws in by.items():
        logs[name] = {}
        for task, fit in laws.items():
            exponent = Additive.of(fit).exponent(axis)
            if why := doubt(fit, axis):
                excluded[name, task] = why
            else:
                logs[name][task] = _log(exponent)
    pairs = tuple(
        _ratio(by, logs, excluded, (one, other), axis, float(times), at)
        for one, other in combinations(by, 2)
    )
    return Efficiency(
        axis=axis, times=float(times), excluded=excluded, pairs=pairs,
        exponents={name: _geometric(list(of.values())) for name, of in logs.items()},
        warnings=tuple(f"{n}{' on ' * bool(t)}{t} left out: {w}" for (n, t), w in excluded.items()),
    )  # fmt: skip


def _log(exponent: Quantity) -> Quantity:
    return combined(np.log, exponent, lower=math.log(EXPONENT[0]), upper=math.log(EXPONENT[1]))


def _geometric(logs: list[Quantity]) -> Quantity | None:
    if not logs:
        return None
    return combined(np.exp, mean(logs), positive=True, lower=EXPONENT[0], upper=EXPONENT[1])


def _ratio(
    by: Mapping[str, Mapping[str, Fit]],
    logs: Mapping[str, Mapping[str, Quantity]],
    excluded: Mapping[tuple[str, str], str],
    names: tuple[str, str],
    axis: Axis,
    times: float,
    at: Mapping[str, float] | None,
) -> Ratio:
    first, second = names
    shared = [t for t in by[first] if t in by[second]]
    tasks = [t for t in shared if t in logs[first] and t in logs[second]]
    reason, log_ratio = "", None
    if tasks:
        widest = math.log(EXPONENT[1] / EXPONENT[0])
        log_ratio = mean([
            combined(np.subtract, logs[first][t], logs[second][t], lower=-widest, upper=widest)
            for t in tasks
        ])  # fmt: skip
    elif not shared:
        reason = "no task in common"
    else:
        whys = [(n, excluded[n, t]) for t in shared for n in names if (n, t) in excluded]
        reason = "; ".join(dict.fromkeys(f"{n}: {why}" for n, why in whys))
    return Ratio(
        first=first, second=second, axis=axis, times=times, log_ratio=log_ratio,
        tasks=tuple(tasks), reason=reason,
        parity=None if at is None else parity(by[first][""], by[second][""], axis, at=at,
                                              names=names),
    )  # fmt: skip
