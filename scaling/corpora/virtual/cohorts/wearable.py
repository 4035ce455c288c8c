"""``virtual/wearable``: healthy and ailing people in motion, on dry electrodes.

Twelve leads of a vest or a patch set, for validation across devices: CODE's six labels and two
of ectopy, far more wander, motion and contact loss, and a narrower band than in a clinic.
"""

from __future__ import annotations

from scaling.corpora.virtual.cohorts import conditions as c
from scaling.corpora.virtual.cohorts.base import Cohort, task_of
from scaling.corpora.virtual.cohorts.code import SIX
from scaling.corpora.virtual.device import Device
from scaling.corpora.virtual.population import Population
from scaling.corpora.virtual.reading import Reading, all_of

SLIP = 0.04
READINGS = SIX | {
    "PAC": Reading(all_of(c.PACS, c.SINUS)),
    "PVC": Reading(c.PVCS),
}

PREVALENCE = {
    "af": 0.08, "flutter": 0.01, "svt": 0.01, "bradycardia": 0.1, "tachycardia": 0.1,
    "sinus_arrhythmia": 0.15, "av_block1": 0.07, "av_block2": 0.01, "rbbb": 0.05,
    "irbbb": 0.05, "lbbb": 0.04, "lafb": 0.03, "ivcd": 0.02, "preexcitation": 0.01,
    "pacs": 0.1, "pvcs": 0.11, "bigeminy": 0.01, "trigeminy": 0.01, "lvh": 0.04,
    "cardiomyopathy": 0.02, "infarct_anterior": 0.02, "infarct_inferior": 0.02,
    "t_anterior": 0.03, "t_inferior": 0.03, "t_lateral": 0.03, "t_low": 0.03,
    "early_repolarisation": 0.08, "long_qt": 0.03, "low_voltage": 0.03,
}  # fmt: skip

WEARABLE = Cohort(
    name="virtual/wearable",
    about="people at home, awake and moving",
    population=Population(
        age_mean=48.0,
        age_sd=17.0,
        male=0.52,
        rate_mean=80.0,
        rate_sd=15.0,
        prevalence=PREVALENCE,
    ),
    device=Device(
        white_mv=0.015,
        muscle_mv=0.035,
        wander_mv=0.2,
        respiration_mv=0.08,
        mains_mv=0.012,
        mains_hz=60.0,
        spread=0.6,
        pops_per_min=3.0,
        loss=0.05,
        motion_mv=0.12,
        gain_error=0.08,
        low_pass_hz=40.0,
        high_pass_hz=0.5,
        step_mv=0.01,
        range_mv=5.0,
    ),
    readings=READINGS,
    slip=SLIP,
    tasks={"": task_of(tuple(READINGS))},
)
