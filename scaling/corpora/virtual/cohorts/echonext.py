"""``virtual/echonext``: echocardiography patients, structural disease by subtle signs.

Labels are thresholds of what an echocardiogram measures, not of what is seen in the ECG: the
ejection fraction, mass and loads of the latent patient. Regurgitation and pulmonary pressure
have no latent of their own and follow from the loads with the odds that clinics see. Names and
order of the eleven flags are those of the EchoNext source; the composite is any of them.
"""

from __future__ import annotations

from scaling.corpora.virtual.cohorts.base import Cohort, CohortTask, task_of
from scaling.corpora.virtual.device import Device
from scaling.corpora.virtual.population import Population
from scaling.corpora.virtual.reading import Outcome, above, below, score

FLIP = 0.005
_CONDITIONS = {
    "lvef_lte_45": below("ef_percent", 45.0, 1.5),
    "lvwt_gte_13": score(-15.2, lv_mass=0.11, aortic_stenosis=1.0),
    "aortic_stenosis_moderate_or_greater": above("aortic_stenosis", 0.5, 0.06),
    "aortic_regurgitation_moderate_or_greater": score(
        -7.4, aortic_stenosis=2.0, lv_mass=0.018, age_years=0.025
    ),
    "mitral_regurgitation_moderate_or_greater": above("mitral_regurgitation", 0.5, 0.06),
    "tricuspid_regurgitation_moderate_or_greater": score(
        -5.4, rv_load=3.5, af=1.2, mitral_regurgitation=1.2, age_years=0.02
    ),
    "pulmonary_regurgitation_moderate_or_greater": score(-4.9, rv_load=3.0, frailty=0.3),
    "rv_systolic_dysfunction_moderate_or_greater": score(
        -0.4, rv_load=3.5, ef_percent=-0.065, scar_inferior=0.8
    ),
    "pericardial_effusion_moderate_large": above("effusion", 0.5, 0.06),
    "pasp_gte_45": score(
        -2.8, rv_load=4.5, mitral_regurgitation=1.5, ef_percent=-0.03, age_years=0.015
    ),
    "tr_max_gte_32": score(-4.2, rv_load=4.5, mitral_regurgitation=1.3, age_years=0.012),
}
FLAGS = {name: Outcome(condition, flip=FLIP) for name, condition in _CONDITIONS.items()}

PREVALENCE = {
    "af": 0.1, "flutter": 0.02, "paced": 0.04, "av_block1": 0.1, "bradycardia": 0.06,
    "tachycardia": 0.14, "rbbb": 0.08, "irbbb": 0.03, "lbbb": 0.05, "lafb": 0.07,
    "ivcd": 0.06, "pvcs": 0.08, "pacs": 0.07, "lvh": 0.18, "rvh": 0.14,
    "left_atrium": 0.1, "right_atrium": 0.04, "cardiomyopathy": 0.13,
    "aortic_stenosis": 0.07, "mitral_regurgitation": 0.1, "effusion": 0.03,
    "infarct_anterior": 0.06, "infarct_inferior": 0.07, "infarct_lateral": 0.03,
    "infarct_posterior": 0.02, "ischaemia_anterior": 0.03, "ischaemia_lateral": 0.05,
    "t_anterior": 0.07, "t_inferior": 0.06, "t_lateral": 0.08, "t_low": 0.06,
    "poor_progression": 0.06, "low_voltage": 0.05, "long_qt": 0.09,
    "hyperkalaemia": 0.02, "hypokalaemia": 0.02, "digitalis": 0.02,
}  # fmt: skip

ECHONEXT = Cohort(
    name="virtual/echonext",
    about="patients sent to echocardiography",
    population=Population(
        age_mean=63.0,
        age_sd=16.0,
        male=0.52,
        rate_mean=78.0,
        rate_sd=14.0,
        ef_mean=59.0,
        ef_sd=6.0,
        mass_mean=90.0,
        mass_sd=20.0,
        frailty_mean=0.3,
        prevalence=PREVALENCE,
    ),
    device=Device(white_mv=0.004, muscle_mv=0.008, wander_mv=0.05, mains_mv=0.004, mains_hz=60.0),
    readings=FLAGS,
    tasks={
        "shd": CohortTask(members={"shd_moderate_or_greater": tuple(FLAGS)}),
        "flags": task_of(tuple(FLAGS)),
    },
)
