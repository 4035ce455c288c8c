"""Readings: the chance that a reader gives a label, as a function of the findings.

A condition is a degree between 0 and 1: a logistic in a weighted sum of findings, or several
of these joined by and, or, not. A reading is a condition with the readers' share and errors:

    P(label | findings) = flip + (1 - 2 flip) * share * condition(findings)

so no label is certain and the entropy of a label is known. The definitions need only the
standard library; arithmetic is numpy, element by element, so that a value does not depend on
what else is in the batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from scaling.corpora.virtual.findings import FINDINGS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


class Condition(Protocol):
    """Anything that turns findings into a degree."""

    def degree(self, findings: Mapping[str, Array]) -> Array:
        """Degree in [0, 1], of the findings' shape."""
        ...

    @property
    def names(self) -> frozenset[str]:
        """The findings it looks at."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Score:
    """A logistic: ``1 / (1 + exp(-(bias + sum of weight * finding)))``.

    Attributes:
        bias: log odds where every finding is zero.
        weights: (finding, log odds per unit of it).

    Raises:
        ValueError: a name that is not in ``FINDINGS``, or none.
    """

    bias: float
    weights: tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        if not self.weights:
            raise ValueError("a score needs a finding to look at")
        if unknown := sorted({name for name, _ in self.weights} - set(FINDINGS)):
            raise ValueError(f"unknown findings {unknown}; see findings.FINDINGS")

    @property
    def names(self) -> frozenset[str]:
        """The findings it looks at."""
        return frozenset(name for name, _ in self.weights)

    def degree(self, findings: Mapping[str, Array]) -> Array:
        """See ``Condition``."""
        import numpy as np

        total: Any = self.bias
        for name, weight in self.weights:
            total = total + weight * np.asarray(findings[name], np.float64)
        logistic: Array = 0.5 * (1.0 + np.tanh(0.5 * total))
        return logistic


@dataclasses.dataclass(frozen=True, slots=True)
class AllOf:
    """All of the conditions: the product of their degrees."""

    parts: tuple[Condition, ...]

    @property
    def names(self) -> frozenset[str]:
        """The findings it looks at."""
        return frozenset[str]().union(*(part.names for part in self.parts))

    def degree(self, findings: Mapping[str, Array]) -> Array:
        """See ``Condition``."""
        product = self.parts[0].degree(findings)
        for part in self.parts[1:]:
            product = product * part.degree(findings)
        return product


@dataclasses.dataclass(frozen=True, slots=True)
class Not:
    """One minus the degree."""

    part: Condition

    @property
    def names(self) -> frozenset[str]:
        """The findings it looks at."""
        return self.part.names

    def degree(self, findings: Mapping[str, Array]) -> Array:
        """See ``Condition``."""
        return 1.0 - self.part.degree(findings)


@dataclasses.dataclass(frozen=True, slots=True)
class Scaled:
    """A share of the degree: what only some readers take for the condition."""

    share: float
    part: Condition

    def __post_init__(self) -> None:
        if not 0.0 < self.share <= 1.0:
            raise ValueError(f"share {self.share} must be in (0, 1]")

    @property
    def names(self) -> frozenset[str]:
        """The findings it looks at."""
        return self.part.names

    def degree(self, findings: Mapping[str, Array]) -> Array:
        """See ``Condition``."""
        return self.share * self.part.degree(findings)


def score(bias: float, **weights: float) -> Score:
    """A logistic in several findings, by name."""
    return Score(bias, tuple(weights.items()))


def above(finding: str, threshold: float, softness: float) -> Score:
    """High values count: half at ``threshold``; ``softness`` is the logistic's scale."""
    if softness <= 0:
        raise ValueError(f"softness {softness} of {finding} must be positive")
    return Score(-threshold / softness, ((finding, 1.0 / softness),))


def below(finding: str, threshold: float, softness: float) -> Score:
    """Low values count: half at ``threshold``."""
    if softness <= 0:
        raise ValueError(f"softness {softness} of {finding} must be positive")
    return Score(threshold / softness, ((finding, -1.0 / softness),))


def between(finding: str, low: float, high: float, softness: float) -> Condition:
    """Values from ``low`` to ``high`` count."""
    return all_of(above(finding, low, softness), below(finding, high, softness))


def all_of(*parts: Condition) -> Condition:
    """Every part holds."""
    return parts[0] if len(parts) == 1 else AllOf(parts)


def any_of(*parts: Condition) -> Condition:
    """At least one part holds: one minus the product of what is missing (noisy or)."""
    return parts[0] if len(parts) == 1 else Not(AllOf(tuple(Not(part) for part in parts)))


def none_of(*parts: Condition) -> Condition:
    """No part holds."""
    return all_of(*(Not(part) for part in parts))


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """How one label comes about.

    Attributes:
        condition: what the reader looks for.
        share: how often a reader who sees it writes it down, in (0, 1].
        flip: chance that the label is recorded wrongly, in (0, 0.5): keeps every
            probability away from 0 and 1.
        draw: labels with the same ``draw`` share their random number, so that of two labels
            the likelier includes the other (death within 7 days includes death within 1);
            empty for a number of its own.

    Raises:
        ValueError: a share or flip out of range.
    """

    condition: Condition
    flip: float
    share: float = 1.0
    draw: str = ""

    def __post_init__(self) -> None:
        if not 0.0 < self.flip < 0.5:
            raise ValueError(f"flip {self.flip} must be in (0, 0.5)")
        if not 0.0 < self.share <= 1.0:
            raise ValueError(f"share {self.share} must be in (0, 1]")

    def probability(self, findings: Mapping[str, Array]) -> Array:
        """P(label = 1 | findings), of the findings' shape."""
        degree = self.condition.degree(findings)
        return self.flip + (1.0 - 2.0 * self.flip) * self.share * degree
