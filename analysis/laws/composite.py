"""Several laws as one, with parameters in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from analysis.laws.base import BoolArray, FloatArray, Law, Parameter

IndexArray = npt.NDArray[np.intp]

PART = "part"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A law among others.

    Attributes:
        name: of the part.
        law: its law.
        columns: where its axes stand in the scales of the composite.
        places: where its parameters stand among those of the composite (P,).
    """

    name: str
    law: Law
    columns: tuple[int, ...]
    places: tuple[int, ...]


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

    def __init__(self, laws: Mapping[str, Law], shared: Mapping[str, Mapping[str, str]]) -> None:
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
        _check(laws, shared, common)
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
            members.append(Member(name=part, law=law, columns=columns, places=tuple(places)))
        self.parameters = tuple(parameters)  # type: ignore[misc]
        self.members: Sequence[Member] = members

    def _rows(self, x: FloatArray, number: int) -> tuple[IndexArray, FloatArray]:
        """Which points belong to a part, and their scales."""
        rows = np.flatnonzero(x[:, -1] == number + 1)
        return rows, x[rows][:, self.members[number].columns]

    def _centres(self, centre: FloatArray) -> list[FloatArray]:
        """The centre of each part; its first number says how many the part has."""
        found, at = [], 0
        for _ in self.members:
            size = int(centre[at])
            found.append(centre[at + 1 : at + 1 + size])
            at += 1 + size
        return found

    def value(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """Response; see ``Law.value``."""
        theta = np.asarray(theta, dtype=np.float64)
        found = np.empty((*theta.shape[:-1], len(x)))
        for i, member in enumerate(self.members):
            rows, own = self._rows(x, i)
            found[..., rows] = member.law.value(theta[..., list(member.places)], own)
        return found

    def centre(self, x: FloatArray) -> FloatArray:
        """Centres of the parts, each after its length."""
        centres = [m.law.centre(self._rows(x, i)[1]) for i, m in enumerate(self.members)]
        return np.concatenate([np.append(len(c), c) for c in centres])

    def to_free(self, theta: FloatArray, centre: FloatArray) -> FloatArray:
        """Free parameters, part by part."""
        free = np.array(theta, dtype=np.float64)
        for member, own in zip(self.members, self._centres(centre), strict=True):
            places = list(member.places)
            free[..., places] = member.law.to_free(np.asarray(theta)[..., places], own)
        return free

    def to_natural(self, free: FloatArray, centre: FloatArray) -> FloatArray:
        """Inverse of ``to_free``."""
        theta = np.array(free, dtype=np.float64)
        for member, own in zip(self.members, self._centres(centre), strict=True):
            places = list(member.places)
            theta[..., places] = member.law.to_natural(np.asarray(free)[..., places], own)
        return theta

    def log_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Log response and its derivative; see ``Law.log_value``."""
        return self._parts("log_value", free, x, centre)

    def linear_value(
        self, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Response and its derivative; see ``Law.linear_value``."""
        return self._parts("linear_value", free, x, centre)

    def _parts(
        self, kind: str, free: FloatArray, x: FloatArray, centre: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """What the method ``kind`` of each part gives, side by side."""
        value = np.empty((len(free), len(x)))
        jac = np.zeros((*free.shape, len(x)))
        centres = self._centres(centre)
        for i, member in enumerate(self.members):
            rows, own = self._rows(x, i)
            places = list(member.places)
            value[:, rows], part = getattr(member.law, kind)(free[:, places], own, centres[i])
            jac[np.ix_(np.arange(len(free)), np.array(places), rows)] = part
        return value, jac

    def bounds(self, x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The narrowest bounds of each parameter over the parts that have it."""
        shape = (*loss.shape[:-1], len(self.parameters))
        lower, upper = np.full(shape, -np.inf), np.full(shape, np.inf)
        for i, member in enumerate(self.members):
            rows, own = self._rows(x, i)
            low, high = member.law.bounds(own, loss[..., rows])
            for k, place in enumerate(member.places):
                lower[..., place] = np.maximum(lower[..., place], low[..., k])
                upper[..., place] = np.minimum(upper[..., place], high[..., k])
        return lower, upper

    def guess(self, x: FloatArray, loss: FloatArray) -> FloatArray:
        """The starts of the parts side by side; a shared parameter takes their smallest value."""
        starts = [
            m.law.guess(own, loss[rows])
            for i, m in enumerate(self.members)
            for rows, own in [self._rows(x, i)]
        ]
        count = max(len(s) for s in starts)
        theta = np.full((count, len(self.parameters)), np.inf)
        for member, start in zip(self.members, starts, strict=True):
            places = list(member.places)
            theta[:, places] = np.minimum(theta[:, places], start[np.arange(count) % len(start)])
        centre = self.centre(x)
        free = np.clip(self.to_free(theta, centre), *self.bounds(x, loss))
        return self.to_natural(free, centre)

    def valueless(self, theta: FloatArray, x: FloatArray) -> tuple[BoolArray, str]:
        """Points at which the law of their part has no value; see ``Law.valueless``."""
        none, reasons = np.zeros(len(x), dtype=bool), []
        for i, member in enumerate(self.members):
            rows, own = self._rows(x, i)
            none[rows], why = member.law.valueless(theta[list(member.places)], own)
            if none[rows].any():
                reasons.append(f"{member.name}: {why}")
        return none, "; ".join(reasons)

    def problems(self, x: FloatArray) -> list[str]:
        """Those of each part; a shared parameter counts once."""
        found = []
        for i, member in enumerate(self.members):
            _, own = self._rows(x, i)
            if not len(own):
                found.append(f"{member.name}: no points")
                continue
            found += [f"{member.name}: {p}" for p in member.law.problems(own)]
        return found

    def identifiable(self, x: FloatArray, counts: FloatArray) -> BoolArray:
        """Which resamples still determine every part (R,)."""
        found = np.ones(len(counts), dtype=bool)
        for i, member in enumerate(self.members):
            rows, own = self._rows(x, i)
            found &= member.law.identifiable(own, counts[:, rows])
        return found


def _check(
    laws: Mapping[str, Law],
    shared: Mapping[str, Mapping[str, str]],
    common: Mapping[tuple[str, str], str],
) -> None:
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
