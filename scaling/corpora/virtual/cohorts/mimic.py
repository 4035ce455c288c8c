"""``virtual/mimic``: inpatients and emergencies of one hospital, with codes and outcomes.

Tasks as in the sources of MIMIC-IV-ECG: some 900 diagnosis codes with their ancestors, sex,
intensive care and mortality. Outcomes depend on what is hardly visible (frailty) as well as on
the heart; of two horizons the longer includes the shorter.
"""

from __future__ import annotations

from scaling.corpora.virtual.cohorts.base import Cohort, Task, plain
from scaling.corpora.virtual.cohorts.icd import ancestors, core, odds, tail
from scaling.corpora.virtual.device import Device
from scaling.corpora.virtual.population import Population
from scaling.corpora.virtual.reading import Outcome, Score

CODE_FLIP = 0.001
OUTCOME_FLIP = 0.002
SEX_FLIP = 0.005
_CODES = core() | tail()

_ILLNESS = {
    "frailty": 1.0, "age_years": 0.6, "ef_percent": -0.5, "rate_bpm": 0.45, "potassium": 0.25,
    "qrs_ms": 0.25, "rv_load": 1.0, "log_voltage": -0.15,
}  # fmt: skip
# Death within days -> share.
_MORTALITY = {"1d": 0.012, "7d": 0.03, "28d": 0.06, "90d": 0.1, "180d": 0.13, "365d": 0.18}
_ICU = {"icu_24h": 0.12, "icu_stay": 0.17}
_ICU_ODDS = {"frailty": 0.8, "rate_bpm": 0.6, "ef_percent": -0.4, "st_anterior_mv": 0.3, "vt": 2.0,
             "av_block3": 2.0, "potassium": 0.2}  # fmt: skip


def _outcomes() -> dict[str, Outcome]:
    """Sex, intensive care and mortality; severity shared, thresholds by share."""
    found = {"male": Outcome(Score(-12.0, (("male", 24.0),)), flip=SEX_FLIP)}
    for name, share in _ICU.items():
        found[name] = Outcome(odds(share, _ICU_ODDS), flip=OUTCOME_FLIP, draw="icu")
    for name, share in _MORTALITY.items():
        condition = odds(share, _ILLNESS)
        found[f"mortality_{name}"] = Outcome(condition, flip=OUTCOME_FLIP, draw="survival")
    return found


def _diagnoses() -> Task:
    """Every code and its ancestors, sorted; an ancestor is any of its codes."""
    members: dict[str, list[str]] = {}
    for code in _CODES:
        for name in ancestors(code):
            members.setdefault(name, []).append(code)
    return Task(members={name: tuple(members[name]) for name in sorted(members)})


PREVALENCE = {
    "af": 0.13, "flutter": 0.02, "svt": 0.008, "atrial_tachycardia": 0.01,
    "junctional": 0.008, "vt": 0.006, "av_block2": 0.006, "av_block3": 0.006,
    "paced": 0.04, "bradycardia": 0.07, "tachycardia": 0.18, "av_block1": 0.09,
    "pacs": 0.07, "pvcs": 0.08, "rbbb": 0.08, "irbbb": 0.03, "lbbb": 0.05, "ilbbb": 0.01,
    "lafb": 0.07, "lpfb": 0.01, "ivcd": 0.05, "preexcitation": 0.004, "lvh": 0.14,
    "rvh": 0.08, "left_atrium": 0.12, "right_atrium": 0.04, "cardiomyopathy": 0.11,
    "aortic_stenosis": 0.06, "mitral_regurgitation": 0.08, "effusion": 0.025,
    "infarct_anterior": 0.07, "infarct_inferior": 0.08, "infarct_lateral": 0.04,
    "infarct_posterior": 0.02, "ischaemia_anterior": 0.04, "ischaemia_inferior": 0.04,
    "ischaemia_lateral": 0.06, "st_elevation_anterior": 0.012,
    "st_elevation_inferior": 0.012, "st_elevation_lateral": 0.008, "t_anterior": 0.09,
    "t_inferior": 0.08, "t_lateral": 0.1, "t_low": 0.08, "early_repolarisation": 0.03,
    "poor_progression": 0.07, "low_voltage": 0.07, "limb_low_voltage": 0.04,
    "long_qt": 0.12, "hyperkalaemia": 0.04, "hypokalaemia": 0.05,
    "hypercalcaemia": 0.01, "hypocalcaemia": 0.015, "digitalis": 0.02,
}  # fmt: skip

MIMIC = Cohort(
    name="virtual/mimic",
    about="inpatients and emergencies of one hospital",
    population=Population(
        age_mean=64.0,
        age_sd=17.0,
        male=0.52,
        rate_mean=83.0,
        rate_sd=16.0,
        pr_mean=160.0,
        qtc_mean=402.0,
        qtc_sd=22.0,
        axis_mean=40.0,
        axis_sd=28.0,
        voltage_mean=-0.08,
        voltage_sd=0.27,
        ef_mean=59.0,
        ef_sd=7.0,
        mass_mean=90.0,
        mass_sd=20.0,
        frailty_mean=0.6,
        prevalence=PREVALENCE,
    ),
    device=Device(
        white_mv=0.005,
        muscle_mv=0.012,
        wander_mv=0.07,
        mains_mv=0.004,
        mains_hz=60.0,
        pops_per_min=0.5,
        loss=0.005,
    ),
    readings={code: Outcome(scored, flip=CODE_FLIP) for code, scored in _CODES.items()}
    | _outcomes(),
    tasks={
        "icd": _diagnoses(),
        "sex": plain(("male",)),
        "icu": plain(tuple(_ICU)),
        "mortality": plain(tuple(f"mortality_{name}" for name in _MORTALITY)),
    },
)
