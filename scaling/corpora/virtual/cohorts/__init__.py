"""The cohorts: who the virtual patients are, what is labelled, and how they are recorded.

They differ in demographics, prevalence, labels, device and noise, so that a model moved from one
to another is out of distribution. A cohort is what is read of its records, in a module that it may
share with its like, and a column in ``cohorts.csv`` (people and recorder) and in
``../disorders.csv`` (prevalences). The definitions need only the standard library.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pkgutil import resolve_name

from scaling.corpora.virtual.cohorts.base import Cohort

__all__ = ["COHORTS", "Cohort"]


class Cohorts(Mapping[str, Cohort]):
    """Cohorts by their names; a module is imported when one of it is asked for."""

    def __init__(self, places: Mapping[str, str]) -> None:
        """``places``: by name, module and constant."""
        self.places = places

    def __getitem__(self, name: str) -> Cohort:
        cohort: Cohort = resolve_name(f"{__name__}.{self.places[name]}")
        return cohort

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


COHORTS = Cohorts(
    {
        "virtual/basic": "statements:BASIC",
        "virtual/code": "statements:CODE",
        "virtual/shifted": "statements:SHIFTED",
        "virtual/cpsc2018": "statements:CPSC2018",
        "virtual/csn": "statements:CSN",
        "virtual/ptbxl": "ptbxl:PTBXL",
        "virtual/echonext": "outcomes:ECHONEXT",
        "virtual/mimic": "outcomes:MIMIC",
        "virtual/wearable": "statements:WEARABLE",
    }
)
