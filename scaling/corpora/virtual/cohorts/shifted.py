"""``virtual/shifted``: other labels, other people and another recorder than ``virtual/code``."""

from __future__ import annotations

from scaling.corpora.virtual.cohorts import conditions as c
from scaling.corpora.virtual.cohorts.base import Cohort, task_of
from scaling.corpora.virtual.device import Device
from scaling.corpora.virtual.population import Population
from scaling.corpora.virtual.reading import Reading

SLIP = 0.06
READINGS = {
    "LAD": Reading(c.LEFT_AXIS),
    "LVOLT": Reading(c.LOW_VOLTAGE),
    "TInv": Reading(c.ANY_T_INVERTED),
    "LQT": Reading(c.LONG_QT),
    "CRBBB": Reading(c.CRBBB),
}

PREVALENCE = {
    "af": 0.08, "flutter": 0.02, "paced": 0.01, "bradycardia": 0.1, "tachycardia": 0.15,
    "av_block1": 0.12, "rbbb": 0.12, "irbbb": 0.04, "lbbb": 0.05, "lafb": 0.1,
    "ivcd": 0.05, "pvcs": 0.1, "pacs": 0.1, "lvh": 0.08, "cardiomyopathy": 0.08,
    "infarct_anterior": 0.08, "infarct_inferior": 0.08, "infarct_lateral": 0.03,
    "ischaemia_lateral": 0.06, "t_anterior": 0.1, "t_inferior": 0.08, "t_lateral": 0.1,
    "t_low": 0.06, "low_voltage": 0.08, "long_qt": 0.12, "hypokalaemia": 0.02,
    "digitalis": 0.02, "poor_progression": 0.06,
}  # fmt: skip

SHIFTED = Cohort(
    name="virtual/shifted",
    about="elderly people, an old recorder",
    population=Population(
        age_mean=68.0,
        age_sd=13.0,
        male=0.55,
        rate_mean=78.0,
        axis_mean=44.0,
        axis_sd=28.0,
        voltage_mean=-0.2,
        qtc_mean=402.0,
        prevalence=PREVALENCE,
    ),
    device=Device(
        white_mv=0.012,
        muscle_mv=0.02,
        wander_mv=0.1,
        respiration_mv=0.05,
        mains_mv=0.008,
        mains_hz=50.0,
        gain_error=0.06,
        low_pass_hz=35.0,
        pops_per_min=0.5,
    ),
    readings=READINGS,
    slip=SLIP,
    tasks={"": task_of(tuple(READINGS))},
)
