"""``virtual/echonext``: echocardiography patients, structural disease by subtle signs.

Labels are thresholds of what an echocardiogram measures, not of what is seen in the ECG: the
ejection fraction, mass and loads of the latent patient. Regurgitation and pulmonary pressure
have no latent of their own and follow from the loads with the odds that clinics see. Names and
order of the eleven flags are those of the EchoNext source; the composite is any of them.
"""

from __future__ import annotations

from scaling.corpora.virtual.cohorts.base import CohortTask, cohort_of, task_of
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

ECHONEXT = cohort_of(
    "virtual/echonext",
    "patients sent to echocardiography",
    FLAGS,
    {
        "shd": CohortTask(members={"shd_moderate_or_greater": tuple(FLAGS)}),
        "flags": task_of(tuple(FLAGS)),
    },
)
