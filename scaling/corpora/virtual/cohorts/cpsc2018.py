"""``virtual/cpsc2018``: eleven hospitals, the nine labels of CPSC 2018 in its benchmarks' order."""

from __future__ import annotations

from scaling.corpora.virtual.cohorts import conditions as c
from scaling.corpora.virtual.cohorts.base import Cohort, task_of
from scaling.corpora.virtual.device import Device
from scaling.corpora.virtual.population import Population
from scaling.corpora.virtual.reading import Reading, all_of, none_of

SLIP = 0.02
READINGS = {
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

PREVALENCE = {
    "af": 0.16, "flutter": 0.01, "svt": 0.01, "junctional": 0.01, "paced": 0.005,
    "bradycardia": 0.06, "tachycardia": 0.08, "av_block1": 0.11, "av_block2": 0.01,
    "rbbb": 0.25, "irbbb": 0.03, "lbbb": 0.04, "lafb": 0.04, "ivcd": 0.02,
    "pacs": 0.1, "pvcs": 0.11, "bigeminy": 0.01, "trigeminy": 0.01, "lvh": 0.06,
    "cardiomyopathy": 0.04, "infarct_anterior": 0.03, "infarct_inferior": 0.03,
    "ischaemia_anterior": 0.05, "ischaemia_inferior": 0.05, "ischaemia_lateral": 0.06,
    "st_elevation_anterior": 0.02, "st_elevation_inferior": 0.015,
    "st_elevation_lateral": 0.01, "t_anterior": 0.05, "t_inferior": 0.05,
    "t_lateral": 0.05, "t_low": 0.03, "early_repolarisation": 0.02, "long_qt": 0.03,
}  # fmt: skip

CPSC2018 = Cohort(
    name="virtual/cpsc2018",
    about="patients of eleven hospitals",
    population=Population(
        age_mean=60.0,
        age_sd=19.0,
        male=0.54,
        rate_mean=76.0,
        rate_sd=14.0,
        prevalence=PREVALENCE,
    ),
    device=Device(white_mv=0.006, muscle_mv=0.012, wander_mv=0.08, mains_mv=0.006, mains_hz=50.0),
    readings=READINGS,
    slip=SLIP,
    tasks={"": task_of(tuple(READINGS))},
)
