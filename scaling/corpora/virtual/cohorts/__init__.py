"""The cohorts: who the virtual patients are, what is labelled, and how they are recorded.

They differ in demographics, prevalence, labels, device and noise, so that a model moved from one
to another is out of distribution. A cohort is what is read of its records, in a module that it may
share with its like, and a column in ``cohorts.csv`` (people and recorder) and in
``../disorders.csv`` (prevalences). The definitions need only the standard library.
"""

from __future__ import annotations

from scaling.corpora.virtual.cohorts.base import Cohort
from scaling.corpora.virtual.cohorts.outcomes import ECHONEXT, MIMIC
from scaling.corpora.virtual.cohorts.ptbxl import PTBXL
from scaling.corpora.virtual.cohorts.statements import BASIC, CODE, CPSC2018, CSN, SHIFTED, WEARABLE


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

__all__ = ["COHORTS", "Cohort", "by_name"]
