"""Several laws as one, with parameters in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analysis.laws.base import BoolArray, FloatArray, Law, Parameter, WithJacobian

IndexArray = npt.NDArray[np.intp]
Shared = Mapping[str, Mapping[str, str]]  # name of a shared parameter -> part -> its name there

PART = "part"


class Member(NamedTuple):
    """A law among others: where its axes and parameters stand among those of the composite."""

    name: str
    law: Law
    columns: tuple[int, ...]
    places: list[int]


class Composite(Law):
    """Parts with laws of their own that share some parameters.

    A point belongs to one part, whose number is the last of the scales; axes of other parts are
    ignored for it. Shared parameters come first, under the name given, then those of each part
    as ``part.name``. The centre holds that of each part, one after the other.
    """

    name = "composite"
    formula = "each part has its own law; shared parameters are the same in all"
    source = "fixed and shared parameters: S1, Section 3 (one E for Eqs. 1 and 2)"
    floor = None
    labels = (PART,)

    def __init__(self, laws: Mapping[str, Law], shared: Shared) -> None:
        """Name the laws of the parts, and for each shared parameter its name in each part.

        Raises:
            ValueError: a part or parameter that does not exist, one shared twice, or one whose
                free form depends on others, such as an amplitude.
        """
        axes = tuple(dict.fromkeys(a for law in laws.values() for a in law.axes))
        self.axes = (*axes, PART)  # type: ignore[misc]
        self.rises = axes  # type: ignore[misc]
        self.descends = tuple(  # type: ignore[misc]
            dict.fromkeys(a for law in laws.values() for a in law.descends)
        )
        common = {
            (part, own): name for name, parts in shared.items() for part, own in parts.items()
        }
        _check_shared(laws, shared, common)
        parameters: list[Parameter] = []
        names: dict[str, int] = {}
        members = []
        for part, law in laws.items():
            places = []
            for p in law.parameters:
                key = common.get((part, p.name), f"{part}.{p.name}")
                if key not in names:
                    names[key] = len(parameters)
                    parameters.append(dataclasses.replace(p, name=key))
                places.append(names[key])
            columns = tuple(axes.index(a) for a in law.axes)
            members.append(Member(name=part, law=law, columns=columns, places=places))
        self.parameters = tuple(parameters)  # type: ignore[misc]
        self.members: Sequence[Member] = members

    def _each(self, x: FloatArray) -> Iterator[tuple[Member, IndexArray, FloatArray]]:
        """Each part with the points that belong to it and their scales."""
        for number, member in enumerate(self.members, start=1):
            rows = np.flatnonzero(x[:, -1] == number)
            yield member, rows, x[rows][:, member.columns]

    def _centres(self, centre: FloatArray) -> list[FloatArray]:
        """The centre of each part; its first number says how many the part has."""
        centres, at = [], 0
        for _ in self.members:
            size = int(centre[at])
            centres.append(centre[at + 1 : at + 1 + size])
            at += 1 + size
        return centres

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Response; see ``Law.value``."""
        theta = np.asarray(theta, dtype=np.float64)
        response = np.empty((*theta.shape[:-1], len(x)))
        for member, rows, scales in self._each(x):
            response[..., rows] = member.law.value(theta[..., member.places], scales)
        return response

    def centre(self, x: FloatArray) -> FloatArray:
        """Centres of the parts, each after its length."""
        centres = [member.law.centre(scales) for member, _, scales in self._each(x)]
        return np.concatenate([np.append(len(c), c) for c in centres])

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """Free parameters, part by part."""
        theta = np.asarray(theta, dtype=np.float64)
        free = theta.copy()
        for m, own in zip(self.members, self._centres(centre), strict=True):
            free[..., m.places] = m.law.to_free(theta[..., m.places], own)
        return free

    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Inverse of ``to_free``."""
        free = np.asarray(free, dtype=np.float64)
        theta = free.copy()
        for m, own in zip(self.members, self._centres(centre), strict=True):
            theta[..., m.places] = m.law.to_natural(free[..., m.places], own)
        return theta

    def log_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Log response and its derivative; see ``Law.log_value``."""
        return self._parts("log_value", free, x, centre)

    def linear_value(self, free: FloatArray, x: FloatArray, centre: FloatArray) -> WithJacobian:
        """Response and its derivative; see ``Law.linear_value``."""
        return self._parts("linear_value", free, x, centre)

    def _parts(
        self, kind: str, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> WithJacobian:
        """What the method ``kind`` of each part gives, side by side."""
        value = np.empty((len(free), len(x)))
        jac = np.zeros((*free.shape, len(x)))
        for (m, rows, scales), own in zip(self._each(x), self._centres(centre), strict=True):
            value[:, rows], part = getattr(m.law, kind)(free[:, m.places], scales, own)
            jac[np.ix_(np.arange(len(free)), np.array(m.places), rows)] = part
        return value, jac

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The narrowest bounds of each parameter over the parts that have it."""
        shape = (*loss.shape[:-1], len(self.parameters))
        lower, upper = np.full(shape, -np.inf), np.full(shape, np.inf)
        for member, rows, scales in self._each(x):
            low, high = member.law.bounds(scales, loss[..., rows])
            for k, place in enumerate(member.places):
                lower[..., place] = np.maximum(lower[..., place], low[..., k])
                upper[..., place] = np.minimum(upper[..., place], high[..., k])
        return lower, upper

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """The starts of the parts side by side; a shared parameter takes their smallest value."""
        starts = [m.law.guess(scales, loss[rows]) for m, rows, scales in self._each(x)]
        count = max(len(s) for s in starts)
        theta = np.full((count, len(self.parameters)), np.inf)
        for member, start in zip(self.members, starts, strict=True):
            repeated = start[np.arange(count) % len(start)]
            theta[:, member.places] = np.minimum(theta[:, member.places], repeated)
        return self._inside(self.to_free(theta, self.centre(x)), x, loss)

    def valueless(self, theta: FloatArray, x: FloatArray) -> tuple[BoolArray, str]:
        """Points at which the law of their part has no value; see ``Law.valueless``."""
        none, reasons = np.zeros(len(x), dtype=bool), []
        for member, rows, scales in self._each(x):
            none[rows], why = member.law.valueless(theta[member.places], scales)
            if none[rows].any():
                reasons.append(f"{member.name}: {why}")
        return none, "; ".join(reasons)

    def problems(self, x: FloatArray) -> list[str]:
        """Those of each part; a shared parameter counts once."""
        reasons = []
        for member, _, scales in self._each(x):
            if not len(scales):
                reasons.append(f"{member.name}: no points")
                continue
            reasons += [f"{member.name}: {p}" for p in member.law.problems(scales)]
        return reasons

    def identifiable(self, x: FloatArray, counts: FloatArray) -> BoolArray:
        """Which resamples still determine every part (R,)."""
        determined = np.ones(len(counts), dtype=bool)
        for member, rows, scales in self._each(x):
            determined &= member.law.identifiable(scales, counts[:, rows])
        return determined


def _check_shared(
    laws: Mapping[str, Law], shared: Shared, common: Mapping[tuple[str, str], str]
) -> None:
    """Refuse parts and parameters that do not exist or cannot be shared."""
    if len(common) < sum(len(parts) for parts in shared.values()):
        raise ValueError("a parameter of one part is shared under two names")
    for name, parts in shared.items():
        for part, own in parts.items():
            if part not in laws:
                raise ValueError(f"{name} is shared with {part!r}: there is {', '.join(laws)}")
            law = laws[part]
            if own not in law.names:
                raise ValueError(f"{part}: {law.name} has no parameter {own!r}")
            if law.parameters[law.names.index(own)].form == "centred":
                raise ValueError(f"{part}: {own} depends on other parameters and cannot be shared")
