"""Cohorts whose labels are established elsewhere: by an echocardiogram, by a hospital's records.

``virtual/echonext``: labels are thresholds of what an echocardiogram measures, not of what is seen
in the ECG: the ejection fraction, mass and loads of the latent patient. Regurgitation and pulmonary
pressure have no latent of their own and follow from the loads with the odds that clinics see. Names
and order of the eleven flags are those of the EchoNext source; the composite is any of them.

``virtual/mimic``: tasks as in the sources of MIMIC-IV-ECG: some 900 diagnosis codes with their
ancestors, sex, intensive care and mortality. Outcomes depend on what is hardly visible (frailty) as
well as on the heart; of two horizons the longer includes the shorter. The core of the codes are
ICD-10-CM codes (without the dot, at most five characters, as the benchmark on MIMIC-IV-ECG-Ext-ICD
has them) whose odds depend on the findings as a clinician would expect. The tail is named after
categories of ICD-10; the odds of each depend on a few findings chosen by a hash of its name, which
means nothing clinically, and its prevalence falls with its rank by a power law, as it does in
hospitals.
"""

from __future__ import annotations

import hashlib
import math
import tomllib
from pathlib import Path

from scaling.corpora.virtual.cohorts.base import CohortTask, cohort_of, task_of
from scaling.corpora.virtual.reading import Outcome, Score, above, below, score

_ECHO_FLIP = 0.005
_MEASURED = {
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
FLAGS = {name: Outcome(condition, flip=_ECHO_FLIP) for name, condition in _MEASURED.items()}

ECHONEXT = cohort_of(
    "virtual/echonext",
    "patients sent to echocardiography",
    FLAGS,
    {
        "shd": CohortTask(members={"shd_moderate_or_greater": tuple(FLAGS)}),
        "flags": task_of(tuple(FLAGS)),
    },
)

_TABLES = tomllib.loads(Path(__file__).with_name("mimic.toml").read_text(encoding="utf-8"))
# finding -> (mean, standard deviation) in this cohort, by which odds are scaled
REFERENCE: dict[str, tuple[float, float]] = {
    name: (mean, sd) for name, (mean, sd) in _TABLES["reference"].items()
}
DEGREE_SD = 0.25  # of a degree that few have

TAIL = 775  # with the core and its ancestors 900 labels
# Prevalence of rank r: 0.3 / (r + 10)**0.65 (Zipf-Mandelbrot).
TAIL_SCALE, TAIL_OFFSET, TAIL_EXPONENT = 0.3, 10, 0.65
_DRIVERS = (
    "age_years", "male", "ef_percent", "lv_mass", "rv_load", "potassium", "calcium", "rate_bpm",
    "af", "pr_ms", "qrs_ms", "axis_deg", "log_voltage", "left_atrium", "poor_progression",
    "qtc_ms", "st_lateral_mv", "t_anterior", "t_lateral", "scar_inferior",
)  # fmt: skip


def odds(prevalence: float, weights: dict[str, float]) -> Score:
    """A logistic in scaled findings whose mean is about ``prevalence``.

    The mean of a logistic of a normal of variance v is about the logistic of its mean divided
    by sqrt(1 + pi v / 8) (MacKay 1992, Neural Computation 4:720).
    """
    slopes = {name: weight / REFERENCE[name][1] for name, weight in weights.items()}
    spread = [w * (DEGREE_SD if REFERENCE[n][1] == 1.0 else 1.0) for n, w in weights.items()]
    shrink = math.sqrt(1.0 + math.pi / 8.0 * sum(w * w for w in spread))
    centre = sum(slope * REFERENCE[name][0] for name, slope in slopes.items())
    bias = math.log(prevalence / (1.0 - prevalence)) * shrink - centre
    return Score(bias, tuple(slopes.items()))


def core() -> dict[str, Score]:
    """Code -> odds, of the clinical core."""
    return {code: odds(row["prevalence"], row["log_odds"]) for code, row in _TABLES["core"].items()}


def tail() -> dict[str, Score]:
    """Category -> odds, of the long tail, commonest first."""
    taken = {code[:3] for code in _TABLES["core"]}
    names = [name for name in _categories() if name not in taken]
    names.sort(key=lambda name: hashlib.sha256(f"rank/{name}".encode()).digest())
    scores = {}
    for rank, name in enumerate(names[:TAIL], start=1):
        prevalence = TAIL_SCALE / (rank + TAIL_OFFSET) ** TAIL_EXPONENT
        scores[name] = odds(prevalence, _hashed_weights(name))
    return scores


def _categories() -> list[str]:
    names = []
    for block in _TABLES["tail"]["categories"].split():
        first, _, last = block.partition("-")
        numbers = range(int(first[1:]), int((last or first)[1:]) + 1)
        names += [f"{first[0]}{number:02d}" for number in numbers]
    return names


def _hashed_weights(name: str) -> dict[str, float]:
    """Frailty, and three findings with log odds between -0.8 and 0.8."""
    digest = hashlib.sha256(f"odds/{name}".encode()).digest()
    weights = {"frailty": 0.6 * digest[0] / 255.0}
    for chosen, size in zip(digest[1:4], digest[4:7], strict=True):
        finding = _DRIVERS[chosen % len(_DRIVERS)]
        scale = 2.0 if REFERENCE[finding][1] == 1.0 else 1.0  # few have a degree
        weights[finding] = 0.8 * scale * (size / 127.5 - 1.0)
    return weights


def ancestors(code: str) -> tuple[str, ...]:
    """The code itself and every prefix of at least three characters, shortest first."""
    return tuple(code[:length] for length in range(3, len(code) + 1))


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
    outcomes = {"male": Outcome(Score(-12.0, (("male", 24.0),)), flip=SEX_FLIP)}
    for name, share in _ICU.items():
        outcomes[name] = Outcome(odds(share, _ICU_ODDS), flip=OUTCOME_FLIP, draw="icu")
    for name, share in _MORTALITY.items():
        condition = odds(share, _ILLNESS)
        outcomes[f"mortality_{name}"] = Outcome(condition, flip=OUTCOME_FLIP, draw="survival")
    return outcomes


def _diagnoses() -> CohortTask:
    """Every code and its ancestors, sorted; an ancestor is any of its codes."""
    members: dict[str, list[str]] = {}
    for code in _CODES:
        for name in ancestors(code):
            members.setdefault(name, []).append(code)
    return CohortTask(members={name: tuple(members[name]) for name in sorted(members)})


MIMIC = cohort_of(
    "virtual/mimic",
    "inpatients and emergencies of one hospital",
    {code: Outcome(scored, flip=CODE_FLIP) for code, scored in _CODES.items()} | _outcomes(),
    {
        "icd": _diagnoses(),
        "sex": task_of(("male",)),
        "icu": task_of(tuple(_ICU)),
        "mortality": task_of(tuple(f"mortality_{name}" for name in _MORTALITY)),
    },
)
