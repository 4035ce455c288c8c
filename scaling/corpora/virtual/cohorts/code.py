"""The six labels of CODE (Ribeiro et al. 2020): primary care by telehealth, and a quiet clinic.

``virtual/code`` has them in realistic company. In ``virtual/basic`` six findings vary and little
else does, for studies of laws on a laptop: models of minutes come near the Bayes loss, so the
floor of a fitted law can be held against it.
"""

from __future__ import annotations

from scaling.corpora.virtual.cohorts import conditions as c
from scaling.corpora.virtual.cohorts.base import Cohort, task_of
from scaling.corpora.virtual.device import Device
from scaling.corpora.virtual.population import Population
from scaling.corpora.virtual.reading import Reading, all_of, below

SLIP = 0.04
# In CODE's own order, which is the order of its model.
SIX = {
    "1dAVb": Reading(c.AVB1),
    "RBBB": Reading(c.CRBBB),
    "LBBB": Reading(c.CLBBB),
    "SB": Reading(c.SLOW_SINUS),
    "AF": Reading(c.AF),
    "ST": Reading(c.FAST_SINUS),
}

# The six are far commoner than in the clinic, and so are the disorders they are mistaken for.
PREVALENCE = {
    "af": 0.12, "flutter": 0.02, "svt": 0.015, "atrial_tachycardia": 0.015, "wandering": 0.01,
    "junctional": 0.015, "vt": 0.01, "av_block2": 0.015, "av_block3": 0.01, "paced": 0.02,
    "bradycardia": 0.17, "tachycardia": 0.17, "sinus_arrhythmia": 0.08, "av_block1": 0.16,
    "pacs": 0.07, "pvcs": 0.09, "bigeminy": 0.01, "trigeminy": 0.01,
    "rbbb": 0.13, "irbbb": 0.05, "lbbb": 0.11, "ilbbb": 0.03, "lafb": 0.06, "lpfb": 0.01,
    "ivcd": 0.05, "preexcitation": 0.012,
    "lvh": 0.09, "rvh": 0.02, "left_atrium": 0.05, "right_atrium": 0.02,
    "cardiomyopathy": 0.04, "aortic_stenosis": 0.02, "mitral_regurgitation": 0.03,
    "effusion": 0.01,
    "infarct_anterior": 0.04, "infarct_inferior": 0.05, "infarct_lateral": 0.02,
    "infarct_posterior": 0.01,
    "ischaemia_anterior": 0.03, "ischaemia_inferior": 0.03, "ischaemia_lateral": 0.04,
    "st_elevation_anterior": 0.01, "st_elevation_inferior": 0.01, "st_elevation_lateral": 0.005,
    "t_anterior": 0.05, "t_inferior": 0.05, "t_lateral": 0.05, "t_low": 0.03,
    "early_repolarisation": 0.04, "poor_progression": 0.04,
    "low_voltage": 0.03, "limb_low_voltage": 0.02, "long_qt": 0.04,
    "hyperkalaemia": 0.01, "hypokalaemia": 0.015, "hypercalcaemia": 0.005,
    "hypocalcaemia": 0.005, "digitalis": 0.015,
}  # fmt: skip

CODE = Cohort(
    name="virtual/code",
    about="primary care by telehealth",
    population=Population(age_mean=54.0, age_sd=18.0, male=0.4, prevalence=PREVALENCE),
    device=Device(),
    readings=SIX,
    slip=SLIP,
    tasks={"": task_of(tuple(SIX))},
)

# No second-degree block here that a slow sinus rate could be mistaken for.
_QUIET = SIX | {"SB": Reading(all_of(below("rate_bpm", 57.0, 1.5), c.SINUS))}
_QUIET_PREVALENCE = {
    "af": 0.13, "bradycardia": 0.17, "tachycardia": 0.17, "av_block1": 0.17,
    "rbbb": 0.14, "irbbb": 0.04, "lbbb": 0.12, "ilbbb": 0.03, "t_lateral": 0.05, "t_low": 0.05,
}  # fmt: skip

BASIC = Cohort(
    name="virtual/basic",
    about="a quiet clinic: six findings vary, little else does",
    population=Population(
        age_mean=54.0,
        axis_sd=18.0,
        voltage_sd=0.18,
        pr_mean=156.0,
        pr_sd=15.0,
        p_voltage=0.4,
        variety=0.5,
        prevalence=_QUIET_PREVALENCE,
    ),
    device=Device(wander_mv=0.02, respiration_mv=0.015, pops_per_min=0.0, low_pass_hz=40.0),
    readings=_QUIET,
    slip=SLIP,
    tasks={"": task_of(tuple(_QUIET))},
)
