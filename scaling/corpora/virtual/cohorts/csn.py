"""``virtual/csn``: two hospitals, the 38 labels of the Chapman-Shaoxing-Ningbo benchmark.

Order and acronyms are those of its published splits: AF there means flutter and AFIB
fibrillation; STTC, STTU and STE are ST-T change, ST tilt up and ST elevation.
"""

from __future__ import annotations

from scaling.corpora.virtual.cohorts import conditions as c
from scaling.corpora.virtual.cohorts.base import Cohort, task_of
from scaling.corpora.virtual.device import Device
from scaling.corpora.virtual.population import Population
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

SLIP = 0.004
_REGULAR_SINUS = all_of(c.STEADY_SINUS, none_of(c.VARIES, c.WANDERS))
_TILTED_ST = all_of(
    any_of(*(between(f"st_{wall}_mv", 0.06, 0.16, 0.015) for wall in c.WALLS)),
    none_of(c.SECONDARY),
)
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
READINGS = {
    name: Reading(written(name, condition, share))
    for name, (condition, share) in _CONDITIONS.items()
}

PREVALENCE = {
    "af": 0.08, "flutter": 0.06, "svt": 0.03, "atrial_tachycardia": 0.02,
    "wandering": 0.02, "junctional": 0.02, "vt": 0.015, "av_block2": 0.04,
    "av_block3": 0.015, "paced": 0.005, "bradycardia": 0.05, "tachycardia": 0.16,
    "sinus_arrhythmia": 0.12, "av_block1": 0.06, "pacs": 0.06, "pvcs": 0.06,
    "bigeminy": 0.02, "trigeminy": 0.01, "rbbb": 0.06, "irbbb": 0.04, "lbbb": 0.03,
    "ilbbb": 0.01, "lafb": 0.06, "lpfb": 0.02, "ivcd": 0.03, "preexcitation": 0.02,
    "lvh": 0.08, "rvh": 0.03, "left_atrium": 0.04, "right_atrium": 0.03,
    "cardiomyopathy": 0.03, "aortic_stenosis": 0.015, "mitral_regurgitation": 0.02,
    "infarct_anterior": 0.03, "infarct_inferior": 0.04, "infarct_lateral": 0.02,
    "infarct_posterior": 0.01, "ischaemia_anterior": 0.04, "ischaemia_inferior": 0.04,
    "ischaemia_lateral": 0.06, "st_elevation_anterior": 0.015,
    "st_elevation_inferior": 0.015, "st_elevation_lateral": 0.01, "t_anterior": 0.08,
    "t_inferior": 0.08, "t_lateral": 0.1, "t_low": 0.06, "early_repolarisation": 0.05,
    "poor_progression": 0.03, "low_voltage": 0.04, "limb_low_voltage": 0.03,
    "long_qt": 0.06, "hypokalaemia": 0.04, "hyperkalaemia": 0.01, "digitalis": 0.01,
}  # fmt: skip

CSN = Cohort(
    name="virtual/csn",
    about="patients of two large hospitals",
    population=Population(
        age_mean=59.0,
        age_sd=18.0,
        male=0.56,
        rate_mean=75.0,
        rate_sd=13.0,
        axis_mean=48.0,
        axis_sd=28.0,
        prevalence=PREVALENCE,
    ),
    device=Device(white_mv=0.005, muscle_mv=0.009, wander_mv=0.06, mains_mv=0.005, mains_hz=50.0),
    readings=READINGS,
    slip=SLIP,
    tasks={"": task_of(tuple(READINGS))},
)
