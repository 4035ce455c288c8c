"""``virtual/mimic``: inpatients and emergencies of one hospital, with codes and outcomes.

Tasks as in the sources of MIMIC-IV-ECG: some 900 diagnosis codes with their ancestors, sex,
intensive care and mortality. Outcomes depend on what is hardly visible (frailty) as well as on
the heart; of two horizons the longer includes the shorter.

The core of the codes are ICD-10-CM codes (without the dot, at most five characters, as the
benchmark on MIMIC-IV-ECG-Ext-ICD has them) whose odds depend on the findings as a clinician would
expect. The tail is named after categories of ICD-10; the odds of each depend on a few findings
chosen by a hash of its name, which means nothing clinically, and its prevalence falls with its
rank by a power law, as it does in hospitals.
"""

from __future__ import annotations

import hashlib
import math

from scaling.corpora.virtual.cohorts.base import Cohort, CohortTask, task_of
from scaling.corpora.virtual.device import Device
from scaling.corpora.virtual.population import Population
from scaling.corpora.virtual.reading import Outcome, Score

# finding -> (mean, standard deviation) in this cohort, by which odds are scaled; rounded, since
# only the prevalences depend on them. A standard deviation of 1 is that of a degree: as it is.
REFERENCE: dict[str, tuple[float, float]] = {
    "age_years": (64.0, 17.0), "male": (0.52, 1.0), "frailty": (0.8, 1.0),
    "ef_percent": (51.0, 12.0), "lv_mass": (112.0, 33.0), "rv_load": (0.16, 1.0),
    "aortic_stenosis": (0.1, 1.0), "mitral_regurgitation": (0.11, 1.0), "effusion": (0.07, 1.0),
    "potassium": (4.2, 0.65), "calcium": (2.35, 0.13), "digitalis": (0.07, 1.0),
    "rate_bpm": (88.0, 25.0), "af": (0.16, 1.0), "flutter": (0.06, 1.0), "svt": (0.06, 1.0),
    "vt": (0.06, 1.0), "paced": (0.08, 1.0), "pacs": (0.14, 1.0), "pvcs": (0.16, 1.0),
    "pr_ms": (176.0, 29.0), "av_block2": (0.06, 1.0), "av_block3": (0.06, 1.0),
    "qrs_ms": (104.0, 22.0), "rbbb": (0.12, 1.0), "lbbb": (0.09, 1.0), "lafb": (0.11, 1.0),
    "preexcitation": (0.05, 1.0), "axis_deg": (15.0, 60.0), "log_voltage": (-0.18, 0.36),
    "left_atrium": (0.26, 1.0), "right_atrium": (0.12, 1.0), "poor_progression": (0.24, 1.0),
    "qtc_ms": (455.0, 45.0), "st_anterior_mv": (0.0, 0.05), "st_inferior_mv": (0.0, 0.05),
    "st_lateral_mv": (0.0, 0.06), "t_anterior": (0.27, 0.3), "t_lateral": (0.39, 0.45),
    "scar_anterior": (0.11, 1.0), "scar_inferior": (0.11, 1.0), "scar_lateral": (0.08, 1.0),
}  # fmt: skip
DEGREE_SD = 0.25  # of a degree that few have

# code -> (prevalence, log odds for one standard deviation, or for a degree from 0 to 1)
_ODDS: dict[str, tuple[float, dict[str, float]]] = {
    "I10": (0.38, {"age_years": 0.5, "lv_mass": 0.3, "ef_percent": 0.2}),
    "I110": (0.08, {"lv_mass": 0.8, "ef_percent": -0.7, "age_years": 0.4}),
    "I120": (0.03, {"potassium": 0.9, "lv_mass": 0.6, "frailty": 0.5}),
    "I130": (0.06, {"lv_mass": 0.6, "ef_percent": -0.7, "potassium": 0.5, "frailty": 0.4}),
    "I200": (0.02, {"st_lateral_mv": -0.7, "t_lateral": 0.5, "male": 0.5}),
    "I2109": (0.015, {"st_anterior_mv": 2.2, "scar_anterior": 2.0, "frailty": 0.2}),
    "I2119": (0.015, {"st_inferior_mv": 2.2, "scar_inferior": 2.0, "male": 0.5}),
    "I214": (0.05, {"st_lateral_mv": -0.9, "t_anterior": 0.5, "age_years": 0.4, "frailty": 0.2}),
    "I2510": (0.24, {"age_years": 0.8, "male": 0.9, "scar_inferior": 1.8, "scar_anterior": 1.8}),
    "I252": (0.09, {"scar_inferior": 4.0, "scar_anterior": 4.0, "scar_lateral": 3.0}),
    "I255": (0.04, {"ef_percent": -1.5, "scar_anterior": 2.0, "male": 0.6}),
    "I2699": (0.02, {"rv_load": 2.0, "rate_bpm": 0.7, "axis_deg": 0.3}),
    "I2720": (0.05, {"rv_load": 4.0, "right_atrium": 1.0, "mitral_regurgitation": 1.0}),
    "I2781": (0.012, {"rv_load": 4.5, "axis_deg": 0.5}),
    "I309": (0.008, {"st_inferior_mv": 1.2, "st_lateral_mv": 1.2, "age_years": -0.5}),
    "I313": (0.015, {"effusion": 5.0, "log_voltage": -0.2}),
    "I340": (0.06, {"mitral_regurgitation": 4.5, "left_atrium": 0.5}),
    "I350": (0.05, {"aortic_stenosis": 5.0, "age_years": 0.6}),
    "I351": (0.02, {"aortic_stenosis": 2.0, "lv_mass": 0.4, "age_years": 0.4}),
    "I361": (0.02, {"rv_load": 3.0, "af": 1.0}),
    "I420": (0.02, {"ef_percent": -1.8, "lbbb": 1.0, "age_years": -0.3}),
    "I421": (0.008, {"lv_mass": 1.0, "t_lateral": 0.9, "age_years": -0.4}),
    "I428": (0.03, {"ef_percent": -1.5, "qrs_ms": 0.3}),
    "I440": (0.02, {"pr_ms": 1.3, "age_years": 0.2}),
    "I441": (0.008, {"av_block2": 5.0, "pr_ms": 0.5}),
    "I442": (0.012, {"av_block3": 5.0, "paced": 2.0}),
    "I444": (0.008, {"lafb": 4.0, "age_years": 0.2}),
    "I447": (0.02, {"lbbb": 5.0}),
    "I4510": (0.02, {"rbbb": 4.5}),
    "I4581": (0.02, {"qtc_ms": 1.5, "potassium": -0.2}),
    "I456": (0.006, {"preexcitation": 6.0}),
    "I469": (0.012, {"ef_percent": -0.7, "frailty": 0.8, "potassium": 0.4, "qrs_ms": 0.4}),
    "I471": (0.02, {"svt": 4.5, "pacs": 0.5, "rate_bpm": 0.3}),
    "I472": (0.025, {"vt": 4.5, "ef_percent": -0.8, "pvcs": 0.4}),
    "I480": (0.1, {"af": 3.0, "left_atrium": 1.5, "age_years": 0.6, "pacs": 0.3}),
    "I482": (0.05, {"af": 5.0, "age_years": 0.5}),
    "I4891": (0.16, {"af": 4.0, "left_atrium": 1.0, "age_years": 0.7}),
    "I4892": (0.03, {"flutter": 5.0, "af": 1.0}),
    "I491": (0.01, {"pacs": 0.9}),
    "I493": (0.02, {"pvcs": 0.9, "ef_percent": -0.2}),
    "I495": (0.02, {"rate_bpm": -0.8, "paced": 2.5, "age_years": 0.5}),
    "I5020": (0.02, {"ef_percent": -1.7}),
    "I5022": (0.06, {"ef_percent": -1.9, "lbbb": 0.7, "age_years": 0.2}),
    "I5023": (0.05, {"ef_percent": -1.8, "rate_bpm": 0.4, "frailty": 0.4}),
    "I5032": (0.06, {"lv_mass": 0.6, "left_atrium": 1.2, "age_years": 0.6, "ef_percent": 0.3}),
    "I5033": (0.05, {"lv_mass": 0.5, "left_atrium": 1.2, "af": 0.8, "frailty": 0.5}),
    "I509": (0.1, {"ef_percent": -1.0, "age_years": 0.5, "left_atrium": 0.8, "frailty": 0.3}),
    "J449": (0.1, {"rv_load": 1.5, "log_voltage": -0.4, "age_years": 0.4, "right_atrium": 1.2}),
    "J9601": (0.08, {"rate_bpm": 0.6, "rv_load": 1.2, "frailty": 0.8}),
    "J189": (0.07, {"rate_bpm": 0.5, "frailty": 0.6, "age_years": 0.3}),
    "A419": (0.08, {"rate_bpm": 0.8, "frailty": 0.9}),
    "R6521": (0.04, {"rate_bpm": 0.8, "frailty": 1.1, "potassium": 0.3}),
    "R570": (0.012, {"ef_percent": -1.3, "rate_bpm": 0.5, "frailty": 0.7}),
    "R001": (0.03, {"rate_bpm": -1.6}),
    "R000": (0.03, {"rate_bpm": 1.3, "frailty": 0.2}),
    "R55": (0.05, {"pr_ms": 0.2, "age_years": 0.2, "rate_bpm": -0.2}),
    "R079": (0.06, {"age_years": -0.5, "st_lateral_mv": -0.2, "frailty": -0.4}),
    "E875": (0.05, {"potassium": 1.6, "frailty": 0.3}),
    "E876": (0.06, {"potassium": -1.5, "qtc_ms": 0.2}),
    "E8352": (0.012, {"calcium": 1.7, "qtc_ms": -0.2}),
    "E8351": (0.015, {"calcium": -1.6, "qtc_ms": 0.2}),
    "E871": (0.1, {"frailty": 0.6, "age_years": 0.2}),
    "N179": (0.18, {"potassium": 0.6, "frailty": 0.8, "age_years": 0.3}),
    "N186": (0.05, {"potassium": 1.0, "lv_mass": 0.5, "age_years": -0.1}),
    "N183": (0.07, {"age_years": 0.6, "potassium": 0.5, "lv_mass": 0.3}),
    "E119": (0.16, {"age_years": 0.3, "scar_inferior": 0.6, "rate_bpm": 0.1}),
    "E785": (0.34, {"age_years": 0.6, "scar_inferior": 0.7, "male": 0.2}),
    "E039": (0.11, {"male": -1.0, "age_years": 0.3, "rate_bpm": -0.1}),
    "Z950": (0.05, {"paced": 6.0, "age_years": 0.5}),
    "Z9581": (0.03, {"ef_percent": -1.5, "paced": 1.5, "male": 0.4}),
    "Z7901": (0.16, {"af": 2.5, "age_years": 0.5, "left_atrium": 0.6}),
}

# Categories of ICD-10 the tail is named after; those of the core are left out.
_TAIL = """
A04 A08-A09 A31 A40 A46 A48-A49 B00 B02 B17-B20 B27 B34-B35 B37 B44 B95-B97 B99 C15-C16 C18-C20
C22-C25 C32 C34 C43-C45 C48-C50 C53-C54 C56 C61-C62 C64-C67 C71 C73 C76-C83 C85 C90-C92 C95 D12-D13
D17-D18 D25 D32-D33 D35-D36 D45-D53 D55-D73 D75-D78 D80-D84 D86 D89 E01-E02 E04-E10 E13 E16 E20-E24
E26-E29 E31-E32 E34 E43-E46 E50-E56 E58-E61 E63 E65-E68 E72 E74-E77 E79-E80 E84-E86 E88-E89 F01-F07
F09-F25 F28-F34 F39-F45 F48 F50-F55 F60 F63 F70-F71 F79 F84 F90 G00-G04 G06 G08-G14 G20-G21 G23-G26
G30-G32 G35-G37 G40 G43-G47 G50-G52 G54-G58 G60-G65 G70-G73 G80-G83 G89-G96 G98-G99 H00-H05 H10-H11
H15-H18 H20-H22 H25-H28 H30-H36 H40 H43-H44 H46-H47 H49-H55 H57 H60-H62 H65-H75 H80-H83 H90-H95
I05-I09 I15-I16 I23-I24 I28 I31-I33 I37-I39 I41 I43 I51-I52 I60-I63 I65-I83 I85-I89 I95-I97 I99
J00-J06 J09-J17 J20-J22 J30-J39 J40-J43 J45 J47 J60-J70 J80-J82 J84-J86 J90-J95 J98-J99 K02 K04-K06
K08-K14 K20-K23 K25-K31 K35-K38 K40-K46 K50-K52 K55-K68 K70-K77 K80-K83 K85-K87 K90-K92 K94-K95
L00-L05 L08 L10-L14 L20-L30 L40-L45 L49-L60 L62-L68 L70-L76 L80-L95 L97-L99 M00-M02 M05-M08 M10-M27
M30-M36 M40-M43 M45-M51 M53-M54 M60-M63 M65-M67 M70-M72 M75-M77 M79-M81 M83-M96 M99 N00-N08 N10-N16
N19-N23 N25-N37 N39-N53 N60-N65 N70-N77 N80-N99 R03-R06 R09-R23 R25-R27 R29-R36 R39-R50 R52-R54
R56 R58-R64 R68-R71 R73 R76-R79 R91-R94 Z00-Z04 Z08-Z09 Z11-Z13 Z16-Z23 Z43-Z49 Z51-Z60 Z63-Z75
Z77-Z94 Z96-Z99
"""
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
    return {code: odds(prevalence, weights) for code, (prevalence, weights) in _ODDS.items()}


def tail() -> dict[str, Score]:
    """Category -> odds, of the long tail, commonest first."""
    taken = {code[:3] for code in _ODDS}
    names = [name for name in _categories() if name not in taken]
    names.sort(key=lambda name: hashlib.sha256(f"rank/{name}".encode()).digest())
    scores = {}
    for rank, name in enumerate(names[:TAIL], start=1):
        prevalence = TAIL_SCALE / (rank + TAIL_OFFSET) ** TAIL_EXPONENT
        scores[name] = odds(prevalence, _hashed_weights(name))
    return scores


def _categories() -> list[str]:
    names = []
    for block in _TAIL.split():
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
        "sex": task_of(("male",)),
        "icu": task_of(tuple(_ICU)),
        "mortality": task_of(tuple(f"mortality_{name}" for name in _MORTALITY)),
    },
)
