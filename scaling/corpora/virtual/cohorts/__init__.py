"""The cohorts: who the virtual patients are, what is labelled, and how they are recorded.

One file a cohort. They differ in demographics, prevalence, labels, device and noise, so that a
model moved from one to another is out of distribution. The definitions need only the standard
library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaling.corpora.virtual.cohorts.base import Cohort
from scaling.corpora.virtual.cohorts.code import BASIC, CODE
from scaling.corpora.virtual.cohorts.cpsc2018 import CPSC2018
from scaling.corpora.virtual.cohorts.csn import CSN
from scaling.corpora.virtual.cohorts.echonext import ECHONEXT
from scaling.corpora.virtual.cohorts.mimic import MIMIC
from scaling.corpora.virtual.cohorts.ptbxl import PTBXL
from scaling.corpora.virtual.cohorts.shifted import SHIFTED
from scaling.corpora.virtual.cohorts.wearable import WEARABLE

if TYPE_CHECKING:
    from scaling.corpora.virtual.cohorts.records import Records


def by_name(*cohorts: Cohort) -> dict[str, Cohort]:
    """Cohorts by their names.

    Raises:
        ValueError: two with the same name.
    """
    cohorts_by_name: dict[str, Cohort] = {}
    for cohort in cohorts:
        if cohort.name in cohorts_by_name:
            first = cohorts_by_name[cohort.name].about
            raise ValueError(f"{cohort.name} is there twice: {first!r} and {cohort.about!r}")
        cohorts_by_name[cohort.name] = cohort
    return cohorts_by_name


COHORTS = by_name(BASIC, CODE, SHIFTED, CPSC2018, CSN, PTBXL, ECHONEXT, MIMIC, WEARABLE)

__all__ = ["COHORTS", "Cohort", "by_name", "make_records"]


def make_records(
    name: str, seed: int, split: str, start: int, stop: int, fs_hz: float, samples: int
) -> Records:
    """Make records ``start`` to ``stop`` of one split of a cohort, see ``records.records_of``.

    Raises:
        KeyError: unknown cohort.
        ValueError: unknown split, or no records.
    """
    from scaling.corpora.virtual.cohorts.records import records_of

    return records_of(COHORTS[name], seed, split, start, stop, fs_hz, samples)
