"""Readings: what a reader makes of the findings, and the chance of each label.

A condition is seen in the findings through a reader's errors. Every finding is misjudged by a
logistic error, which all conditions on it share, so two statements of one report never
contradict each other about the same finding; now and then a reader is altogether wrong about a
finding (``slip``), which keeps every probability away from 0 and 1. A statement of the trace
(``Reading``) is a condition that is seen; some readers do not write down what others do
(``Opinion``). What is established elsewhere (``Outcome``: a diagnosis, a death) is drawn by
itself:

    P(outcome | findings) = flip + (1 - 2 flip) * degree(findings)

The definitions need only the standard library; arithmetic is numpy, element by element, so that
a value does not depend on what else is in the batch.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scaling.corpora.virtual.population import FINDINGS, RHYTHMS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Bools = NDArray[np.bool_]


class Errors(abc.ABC):
    """The errors of one reader a record: numbers that depend on what they are for.

    ``slip`` is the chance that the reader is altogether wrong about a finding.
    """

    def __init__(self, slip: float) -> None:
        self.slip = slip
        self._known: dict[str, Array] = {}

    def uniform(self, key: str) -> Array:
        """Uniform on (0, 1), of the findings' shape; the same whenever ``key`` is the same."""
        if key not in self._known:
            self._known[key] = self.drawn(key)
        return self._known[key]

    @abc.abstractmethod
    def drawn(self, key: str) -> Array:
        """The numbers of a key that is asked for the first time."""


def slip_of(key: str, slip: float) -> float:
    """Chance that ``key`` is misjudged altogether; the rhythms are one finding together."""
    return slip / len(RHYTHMS) if key in RHYTHMS else slip


class Condition(abc.ABC):
    """Anything that is seen in findings."""

    __slots__ = ()

    @abc.abstractmethod
    def degree(self, findings: Mapping[str, Array], slip: float = 0.0) -> Array:
        """Chance that a reader sees it, in [0, 1], of the findings' shape.

        Exact where no finding is judged twice (``read_once``); otherwise as if each judgement
        were another reader's.
        """

    @abc.abstractmethod
    def holds(self, findings: Mapping[str, Array], errors: Errors) -> Bools:
        """Whether this reader sees it, of the findings' shape."""

    @property
    @abc.abstractmethod
    def keys(self) -> tuple[str, ...]:
        """What is judged, once for each time it is."""

    @property
    def names(self) -> frozenset[str]:
        """The findings it looks at: what is judged, unless it says otherwise."""
        return frozenset(self.keys)

    @property
    def must(self) -> tuple[Condition, ...]:
        """Conditions that all hold where it does: itself, unless it is made of others."""
        return (self,)


def read_once(condition: Condition) -> bool:
    """Whether the chance of ``condition`` is the product of its parts': nothing is judged twice."""
    return len(condition.keys) == len(set(condition.keys))


@dataclasses.dataclass(frozen=True, slots=True)
class Score(Condition):
    """A logistic: ``1 / (1 + exp(-(bias + sum of weight * finding)))``.

    Attributes:
        bias: log odds where every finding is zero.
        weights: (finding, log odds per unit of it).

    Raises:
        ValueError: a name that is not in ``FINDINGS``, none, or one twice; a number that is not
            finite.
    """

    bias: float
    weights: tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        if not self.weights:
            raise ValueError("a score needs a finding to look at")
        if len(self.names) < len(self.weights):
            raise ValueError(f"a score of {self.weights} names a finding twice")
        if unknown := sorted({name for name, _ in self.weights} - set(FINDINGS)):
            raise ValueError(f"unknown findings {unknown}; see population.FINDINGS")
        if not all(map(math.isfinite, (self.bias, *(weight for _, weight in self.weights)))):
            raise ValueError(f"a score of {self.weights} has numbers that are not finite")

    @property
    def names(self) -> frozenset[str]:
        """The findings it looks at."""
        return frozenset(name for name, _ in self.weights)

    @property
    def keys(self) -> tuple[str, ...]:
        """One judgement of all its findings together."""
        return ("+".join(sorted(self.names)),)

    def degree(self, findings: Mapping[str, Array], slip: float = 0.0) -> Array:
        """See ``Condition``."""
        import numpy as np

        wrong = slip_of(self.keys[0], slip)
        seen: Array = 0.5 * (1.0 + np.tanh(0.5 * self._total(findings)))
        return 0.5 * wrong + (1.0 - wrong) * seen

    def holds(self, findings: Mapping[str, Array], errors: Errors) -> Bools:
        """See ``Condition``. An error that makes a finding look larger does so for all.

        The logistic error of a reader whose number is u is log(u / (1 - u)), and infinite where
        he slips: in the ``slip / 2`` at either end.
        """
        chance, u = self.degree(findings, errors.slip), errors.uniform(self.keys[0])
        larger = dict(self.weights)[min(self.names)] > 0.0
        return u > 1.0 - chance if larger else u < chance

    def _total(self, findings: Mapping[str, Array]) -> Array:
        import numpy as np

        total: Any = self.bias
        for name, weight in self.weights:
            total = total + weight * np.asarray(findings[name], np.float64)
        return np.asarray(total)


@dataclasses.dataclass(frozen=True, slots=True)
class Between(Condition):
    """A finding as judged lies between two thresholds; ``softness`` as in ``above``.

    Raises:
        ValueError: an unknown finding, a softness that is not positive, or thresholds that leave
            nothing between them.
    """

    finding: str
    low: float
    high: float
    softness: float

    def __post_init__(self) -> None:
        above(self.finding, self.low, self.softness)
        if not self.low < self.high:
            raise ValueError(
                f"nothing lies between {self.low:g} and {self.high:g} of {self.finding}: "
                "the lower threshold comes first"
            )

    @property
    def keys(self) -> tuple[str, ...]:
        """One judgement."""
        return (self.finding,)

    @property
    def must(self) -> tuple[Condition, ...]:
        """Above the one and below the other."""
        return (
            above(self.finding, self.low, self.softness),
            below(self.finding, self.high, self.softness),
        )

    def degree(self, findings: Mapping[str, Array], slip: float = 0.0) -> Array:
        """See ``Condition``."""
        low, high = (part.degree(findings) for part in self.must)
        return (1.0 - slip_of(self.finding, slip)) * (low + high - 1.0)

    def holds(self, findings: Mapping[str, Array], errors: Errors) -> Bools:
        """See ``Condition``."""
        low, high = (part.holds(findings, errors) for part in self.must)
        return low & high


@dataclasses.dataclass(frozen=True, slots=True)
class AllOf(Condition):
    """All of the conditions.

    Raises:
        ValueError: no part, or parts that contradict each other, so that it can never hold.
    """

    parts: tuple[Condition, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError("all of no conditions is no condition")
        if reason := _contradiction(self.must):
            raise ValueError(f"a condition that can never hold: {reason}")

    @property
    def names(self) -> frozenset[str]:
        """The findings it looks at."""
        return frozenset[str]().union(*(part.names for part in self.parts))

    @property
    def keys(self) -> tuple[str, ...]:
        """The judgements of all parts."""
        return tuple(key for part in self.parts for key in part.keys)

    @property
    def must(self) -> tuple[Condition, ...]:
        """What each part needs."""
        return tuple(needed for part in self.parts for needed in part.must)

    def degree(self, findings: Mapping[str, Array], slip: float = 0.0) -> Array:
        """See ``Condition``."""
        product = self.parts[0].degree(findings, slip)
        for part in self.parts[1:]:
            product = product * part.degree(findings, slip)
        return product

    def holds(self, findings: Mapping[str, Array], errors: Errors) -> Bools:
        """See ``Condition``."""
        seen = self.parts[0].holds(findings, errors)
        for part in self.parts[1:]:
            seen = seen & part.holds(findings, errors)
        return seen


@dataclasses.dataclass(frozen=True, slots=True)
class Not(Condition):
    """The condition is not seen."""

    part: Condition

    @property
    def names(self) -> frozenset[str]:
        """The findings it looks at."""
        return self.part.names

    @property
    def keys(self) -> tuple[str, ...]:
        """The judgements of the part."""
        return self.part.keys

    @property
    def must(self) -> tuple[Condition, ...]:
        """Itself; what is not denied holds."""
        return self.part.part.must if isinstance(self.part, Not) else (self,)

    def degree(self, findings: Mapping[str, Array], slip: float = 0.0) -> Array:
        """See ``Condition``."""
        return 1.0 - self.part.degree(findings, slip)

    def holds(self, findings: Mapping[str, Array], errors: Errors) -> Bools:
        """See ``Condition``."""
        return ~self.part.holds(findings, errors)


@dataclasses.dataclass(frozen=True, slots=True)
class Opinion(Condition):
    """What only some readers hold, whatever the record shows.

    Attributes:
        name: of the opinion; where it is asked for again, the same readers hold it.
        share: of the readers, in (0, 1].

    Raises:
        ValueError: a share out of range.
    """

    name: str
    share: float

    def __post_init__(self) -> None:
        if not 0.0 < self.share <= 1.0:
            raise ValueError(f"share {self.share} of {self.name!r} must be in (0, 1]")

    @property
    def names(self) -> frozenset[str]:
        """No finding."""
        return frozenset()

    @property
    def keys(self) -> tuple[str, ...]:
        """The opinion."""
        return ("opinion/" + self.name,)

    def degree(self, findings: Mapping[str, Array], slip: float = 0.0) -> Array:
        """See ``Condition``."""
        import numpy as np

        return np.full_like(np.asarray(next(iter(findings.values())), np.float64), self.share)

    def holds(self, findings: Mapping[str, Array], errors: Errors) -> Bools:
        """See ``Condition``."""
        return errors.uniform(self.keys[0]) < self.share


def _contradiction(needed: tuple[Condition, ...]) -> str:
    """Why conditions cannot all hold; empty where they can, as far as one can see.

    Thresholds on one finding that leave nothing between them contradict each other, and so do a
    condition and its denial. Where one of several has to hold, each is tried by itself.
    """
    held, limits = frozenset(needed), dict[tuple[str, bool], float]()
    for part in needed:
        if reason := _clash(part, held, limits):
            return reason
        _limit(part, limits)
    for part in needed:
        if isinstance(part, Not) and (rest := part.part.must) != (part.part,):
            reasons = [
                next(filter(None, (_clash(other, held, limits) for other in _denied(one))), "")
                for one in rest
            ]
            if all(reasons):
                return "; ".join(dict.fromkeys(reasons))
    return ""


def _denied(condition: Condition) -> tuple[Condition, ...]:
    """What has to hold where ``condition`` does not."""
    return condition.part.must if isinstance(condition, Not) else (Not(condition),)


def _clash(
    part: Condition, held: frozenset[Condition], limits: dict[tuple[str, bool], float]
) -> str:
    """Why ``part`` cannot hold beside those that do; empty where it can."""
    if (part.part if isinstance(part, Not) else Not(part)) in held:
        return f"{part.part if isinstance(part, Not) else part} both holds and does not"
    if (limit := _threshold(part)) is None:
        return ""
    key, upper, value = limit
    other = limits.get((key, not upper), value)
    low, high = (other, value) if upper else (value, other)
    clashes = (key, not upper) in limits and low >= high
    return f"{key} above {low:.6g} and below {high:.6g}" if clashes else ""


def _limit(part: Condition, limits: dict[tuple[str, bool], float]) -> None:
    """Note what ``part`` says of a finding: the narrowest limit counts."""
    if limit := _threshold(part):
        key, upper, value = limit
        before = limits.get((key, upper), value)
        limits[key, upper] = min(before, value) if upper else max(before, value)


def _threshold(part: Condition) -> tuple[str, bool, float] | None:
    """What is limited, whether from above, and where; None for what is no threshold."""
    denied = isinstance(part, Not)
    inner = part.part if isinstance(part, Not) else part
    if isinstance(inner, Opinion):
        return inner.keys[0], not denied, inner.share
    if isinstance(inner, Score) and len(inner.weights) == 1 and inner.weights[0][1] != 0.0:
        ((name, weight),) = inner.weights
        return name, (weight < 0.0) != denied, -inner.bias / weight
    return None


def score(bias: float, **weights: float) -> Score:
    """A logistic in several findings, by name."""
    return Score(bias, tuple(weights.items()))


def above(finding: str, threshold: float, softness: float) -> Score:
    """High values count: half at ``threshold``; ``softness`` is the logistic's scale."""
    if not softness > 0:
        raise ValueError(f"softness {softness} of {finding} must be positive")
    return Score(-threshold / softness, ((finding, 1.0 / softness),))


def below(finding: str, threshold: float, softness: float) -> Score:
    """Low values count: half at ``threshold``."""
    high = above(finding, threshold, softness)
    return Score(-high.bias, tuple((name, -weight) for name, weight in high.weights))


def between(finding: str, low: float, high: float, softness: float) -> Between:
    """Values from ``low`` to ``high`` count."""
    return Between(finding, low, high, softness)


def all_of(*parts: Condition) -> Condition:
    """Every part holds."""
    return parts[0] if len(parts) == 1 else AllOf(parts)


def any_of(*parts: Condition) -> Condition:
    """At least one part holds."""
    if len(parts) == 1:
        return parts[0]
    denied = tuple(Not(part) for part in parts)
    if reason := _contradiction(tuple(needed for part in denied for needed in part.must)):
        raise ValueError(f"any of conditions of which one always holds: none would have {reason}")
    return Not(AllOf(denied))


def none_of(*parts: Condition) -> Condition:
    """No part holds."""
    return all_of(*(Not(part) for part in parts))


def written(name: str, condition: Condition, share: float) -> Condition:
    """What ``share`` of the readers who see ``condition`` write down as ``name``."""
    return condition if share == 1.0 else all_of(condition, Opinion(name, share))


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """A statement of the trace, written down where its condition is seen."""

    condition: Condition


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What is established elsewhere: independent of other labels given the findings.

    Attributes:
        condition: what it depends on.
        flip: chance that it is recorded wrongly, in (0, 0.5): keeps every probability away
            from 0 and 1.
        draw: outcomes with the same ``draw`` share their random number, so that of two the
            likelier includes the other (death within 7 days includes death within 1); empty for
            a number of its own.

    Raises:
        ValueError: a flip out of range.
    """

    condition: Condition
    flip: float
    draw: str = ""

    def __post_init__(self) -> None:
        if not 0.0 < self.flip < 0.5:
            raise ValueError(f"flip {self.flip} must be in (0, 0.5)")

    def probability(self, findings: Mapping[str, Array]) -> Array:
        """P(outcome | findings), of the findings' shape."""
        return self.flip + (1.0 - 2.0 * self.flip) * self.condition.degree(findings)
