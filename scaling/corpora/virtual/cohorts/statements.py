"""Cohorts of one task, whose labels are statements that a reader makes of the trace.

Six labels of CODE (Ribeiro et al. 2020): ``virtual/code`` is primary care by telehealth. The six
are far commoner than in the clinic, and so are the disorders they are mistaken for. In
``virtual/basic`` six findings vary and little else does, for studies of laws on a laptop: models of
minutes come near the Bayes loss, so the floor of a fitted law can be held against it.
``virtual/wearable``, for validation across devices, is twelve leads of a vest or a patch set: the
six and two labels of ectopy, far more wander, motion and contact loss, and a narrower band than in
a clinic. ``virtual/shifted`` has other labels, other people and another recorder.

Sets of the PhysioNet challenges: ``virtual/cpsc2018`` has the nine labels of CPSC 2018 in its
benchmarks' order, ``virtual/csn`` the 38 of the Chapman-Shaoxing-Ningbo benchmark. Order and
acronyms of the latter are those of its published splits: AF there means flutter and AFIB
fibrillation; STTC, STTU and STE are ST-T change, ST tilt up and ST elevation.
"""

from __future__ import annotations

from scaling.corpora.virtual.cohorts import conditions as c
from scaling.corpora.virtual.cohorts.base import cohort_of
from scaling.corpora.virtual.reading import (
    Condition,
    Reading,
    above,
    all_of,
    any_of,
    below,
    between,
    none_of,
    written,
)

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

_NINE = {
    "AFIB": Reading(c.AF),
    "VPC": Reading(c.PVCS),
    "NORM": Reading(none_of(c.ABNORMAL, c.AVB1, c.PACS, c.PVCS, c.SLOW_SINUS, c.FAST_SINUS)),
    "1AVB": Reading(c.AVB1),
    "CRBBB": Reading(c.CRBBB),
    "STE": Reading(all_of(c.ANY_ST_UP, none_of(c.SECONDARY))),
    "PAC": Reading(all_of(c.PACS, c.SINUS)),
    "CLBBB": Reading(c.CLBBB),
    "STD": Reading(all_of(c.ANY_ST_DOWN, none_of(c.SECONDARY))),
}
CPSC2018 = cohort_of("virtual/cpsc2018", "patients of eleven hospitals", _NINE, slip=0.02)

_REGULAR_SINUS = all_of(c.STEADY_SINUS, none_of(c.VARIES, c.WANDERS))
_TILTED_ST = all_of(
    any_of(*(between(f"st_{wall}_mv", 0.06, 0.16, 0.015) for wall in c.WALLS)), none_of(c.SECONDARY)
)
# Label -> (what is seen, share of the readers who write it down).
_CONDITIONS: dict[str, tuple[Condition, float]] = {
    "AQW": (c.ANY_SCAR, 0.7),
    "UW": (c.U_WAVE, 0.8),
    "SR": (_REGULAR_SINUS, 0.95),
    "WPW": (c.PREEXCITATION, 0.9),
    "2AVB": (c.AVB2, 0.7),
    "AT": (c.ATRIAL_TACHYCARDIA, 0.9),
    "VB": (c.BIGEMINY, 0.9),
    "ARS": (c.RIGHT_AXIS, 0.95),
    "STTC": (c.ST_T_CHANGE, 0.35),
    "SA": (all_of(c.slow_sinus(100.0), c.VARIES), 0.9),  # of a fast rhythm the rate is named
    "STE": (c.ANY_ST_UP, 0.7),
    "VPB": (c.PVCS, 0.9),
    "TWO": (all_of(c.ANY_T_INVERTED, none_of(c.SECONDARY)), 0.8),
    "STTU": (_TILTED_ST, 0.5),
    "ALS": (c.LEFT_AXIS, 0.95),
    "APB": (all_of(c.PACS, c.SINUS), 0.9),
    "2AVB1": (all_of(c.AVB2, below("av_block2_type2", 0.5, 0.08)), 0.7),
    "PRIE": (c.LONG_PR, 0.4),
    "CCR": (all_of(below("turn_deg", -25.0, 5.0), c.CONDUCTED), 0.8),
    "CR": (all_of(above("turn_deg", 25.0, 5.0), c.CONDUCTED), 0.8),
    "AF": (c.FLUTTER, 0.9),
    "AVB": (any_of(c.AVB1, c.AVB2, c.AVB3), 0.3),
    "QTIE": (c.LONG_QT, 0.8),
    "LBBB": (c.CLBBB, 0.95),
    "VEB": (any_of(c.VENTRICULAR, c.WIDE_ESCAPE), 0.7),
    "SVT": (c.SVT, 0.9),
    "RBBB": (any_of(c.CRBBB, c.IRBBB), 0.9),
    "1AVB": (c.AVB1, 0.85),
    "STDD": (all_of(c.ANY_ST_DOWN, none_of(c.SECONDARY)), 0.8),
    "MI": (any_of(*(above(f"scar_{w}", 0.65, 0.07) for w in c.SCAR)), 0.7),
    "AFIB": (c.AF, 0.95),
    "TWC": (all_of(any_of(c.ANY_T_FLAT, c.ANY_T_INVERTED), none_of(c.SECONDARY)), 0.6),
    "PWC": (any_of(c.LEFT_ATRIUM, c.RIGHT_ATRIUM, c.WANDERING), 0.5),
    "ERV": (c.EARLY_REPOLARISATION, 0.8),
    "RVH": (c.RVH, 0.8),
    "LVH": (c.LVH, 0.85),
    "ST": (c.FAST_SINUS, 0.95),
    "JEB": (any_of(c.JUNCTIONAL, c.NARROW_ESCAPE), 0.7),
}
CSN = cohort_of(
    "virtual/csn",
    "patients of two large hospitals",
    {name: Reading(written(name, *seen)) for name, seen in _CONDITIONS.items()},
    slip=0.004,
)
