"""The random numbers of a batch of records, by name.

Everything continuous in a patient starts from standard normals with names. A caller may shift
these, so the posterior of a patient given a signal can be taken in coordinates whose prior is
the identity.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor

from scaling.corpora.virtual.rng import Stream


@dataclasses.dataclass(frozen=True, slots=True)
class Draws:
    """The random numbers of a batch of records.

    Attributes:
        patient: stream of each record's patient, shared by the patient's records.
        visit: stream of each record.
        shifts: added to the standard normals of that name, (B, count).
    """

    patient: Stream
    visit: Stream
    shifts: Mapping[str, Tensor] = dataclasses.field(default_factory=dict)

    def normal(self, name: str, count: int) -> Tensor:
        """Standard normals of the patient, (B, count) float64."""
        return self._shifted(name, self.patient.normal(name, count))

    def at_visit(self, name: str, count: int) -> Tensor:
        """Standard normals of the record, (B, count) float64."""
        return self._shifted("visit." + name, self.visit.normal(name, count))

    def one(self, name: str) -> Tensor:
        """One standard normal of the patient, (B,)."""
        return self.normal(name, 1)[:, 0]

    def share(self, name: str) -> Tensor:
        """Uniform on (0, 1) as the distribution function of a normal, (B,)."""
        value: Tensor = torch.special.ndtr(self.one(name))
        return value

    def uniform(self, name: str) -> Tensor:
        """Uniform of the patient for a discrete choice, (B,)."""
        return self.patient.uniform(name, 1)[:, 0]

    def _shifted(self, name: str, values: Tensor) -> Tensor:
        shift = self.shifts.get(name)
        return values if shift is None else values + shift
