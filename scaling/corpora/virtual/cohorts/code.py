"""The six labels of CODE (Ribeiro et al. 2020) in three companies, and a cohort unlike them.

``virtual/code`` is primary care by telehealth. The six are far commoner than in the clinic, and so
are the disorders they are mistaken for. In ``virtual/basic`` six findings vary and little else
does, for studies of laws on a laptop: models of minutes come near the Bayes loss, so the floor of
a fitted law can be held against it. ``virtual/wearable``, for validation across devices, is twelve
leads of a vest or a patch set: the six and two labels of ectopy, far more wander, motion and
contact loss, and a narrower band than in a clinic. ``virtual/shifted`` has other labels, other
people and another recorder than ``virtual/code``.
"""

from __future__ import annotations

from scaling.corpora.virtual.cohorts import conditions as c
from scaling.corpora.virtual.cohorts.base import cohort_of
from scaling.corpora.virtual.reading import Reading, all_of, below

# In CODE's own order, which is the order of its model.
SIX = {
    "1dAVb": Reading(c.AVB1),
    "RBBB": Reading(c.CRBBB),
    "LBBB": Reading(c.CLBBB),
    "SB": Reading(c.SLOW_SINUS),
    "AF": Reading(c.AF),
    "ST": Reading(c.FAST_SINUS),
}
# Of the quiet clinic: no second-degree block that a slow sinus rate could be mistaken for.
_QUIET = SIX | {"SB": Reading(all_of(below("rate_bpm", 57.0, 1.5), c.SINUS))}
_SHIFTED = {
    "LAD": Reading(c.LEFT_AXIS),
    "LVOLT": Reading(c.LOW_VOLTAGE),
    "TInv": Reading(c.ANY_T_INVERTED),
    "LQT": Reading(c.LONG_QT),
    "CRBBB": Reading(c.CRBBB),
}
_ECTOPY = {"PAC": Reading(all_of(c.PACS, c.SINUS)), "PVC": Reading(c.PVCS)}

BASIC = cohort_of(
    "virtual/basic", "a quiet clinic: six findings vary, little else does", _QUIET, slip=0.04
)
CODE = cohort_of("virtual/code", "primary care by telehealth", SIX, slip=0.04)
SHIFTED = cohort_of("virtual/shifted", "elderly people, an old recorder", _SHIFTED, slip=0.06)
WEARABLE = cohort_of(
    "virtual/wearable", "people at home, awake and moving", SIX | _ECTOPY, slip=0.04
)
