"""``virtual/ptbxl``: the statements of PTB-XL, from which all six of its tasks follow.

The 71 statements are drawn once a record; superclasses and subclasses are any of their
statements, so the tasks agree with each other as they do in the real source. As there, a
record without a label of a task is not part of it, except of ``all``.
"""

from __future__ import annotations

from scaling.corpora.virtual.cohorts import conditions as c
from scaling.corpora.virtual.cohorts import scp
from scaling.corpora.virtual.cohorts.base import Cohort, Task, plain
from scaling.corpora.virtual.device import Device
from scaling.corpora.virtual.population import Population
from scaling.corpora.virtual.reading import (
    Condition,
    Reading,
    Scaled,
    above,
    all_of,
    any_of,
    below,
    between,
    none_of,
)

FLIP = 0.002
_PRIMARY = none_of(c.SECONDARY)  # no block, pacing or pathway that explains the ST and T
_MILD_ST = any_of(
    *(between(f"st_{w}_mv", -0.09, -0.03, 0.012) for w in c.WALLS),
    *(between(f"st_{w}_mv", 0.05, 0.12, 0.012) for w in c.WALLS),
)
_LATERAL_UP = above("st_lateral_mv", 0.02, 0.01)
# How far an infarct reaches into a neighbouring wall is called at a lower degree.
_REACH = {wall: above(f"scar_{wall}", 0.11, 0.02) for wall in c.SCAR}


def _isch(*walls: str) -> Condition:
    """ST depression or T inversion in every one of the walls."""
    parts = [any_of(c.ST_DOWN[wall], Scaled(0.6, c.T_INVERTED[wall])) for wall in walls]
    return all_of(*parts, _PRIMARY)


_CD_MI_HYP: dict[str, tuple[Condition, float]] = {
    "NORM": (
        none_of(
            c.ABNORMAL, c.AVB1, c.IRBBB, c.ILBBB, c.LONG_QT, c.DIGITALIS, c.LEFT_ATRIUM,
            c.RIGHT_ATRIUM, Scaled(0.5, c.ANY_T_FLAT), c.ELECTROLYTES,
        ),
        0.97,
    ),
    "IMI": (all_of(c.SCAR["inferior"], none_of(_REACH["lateral"], _REACH["posterior"])), 0.9),
    "ASMI": (all_of(c.SCAR["anterior"], below("scar_anterior", 0.8, 0.06)), 0.85),
    "LVH": (c.LVH, 0.85),
    "LAFB": (c.LAFB, 0.9),
    "IRBBB": (all_of(c.IRBBB, none_of(c.CLBBB)), 0.85),
    "1AVB": (c.AVB1, 0.85),
    "IVCD": (c.IVCD, 0.8),
    "CRBBB": (c.CRBBB, 0.95),
    "CLBBB": (c.CLBBB, 0.95),
    "ILMI": (all_of(c.SCAR["inferior"], _REACH["lateral"]), 0.85),
    "LAO/LAE": (c.LEFT_ATRIUM, 0.8),
    "AMI": (above("scar_anterior", 0.8, 0.06), 0.8),
    "ALMI": (all_of(c.SCAR["anterior"], _REACH["lateral"]), 0.8),
    "LMI": (all_of(c.SCAR["lateral"], none_of(c.SCAR["inferior"], c.SCAR["anterior"])), 0.85),
    "LPFB": (c.LPFB, 0.8),
    "RVH": (c.RVH, 0.85),
    "RAO/RAE": (c.RIGHT_ATRIUM, 0.8),
    "WPW": (c.PREEXCITATION, 0.9),
    "ILBBB": (all_of(c.ILBBB, none_of(c.CRBBB)), 0.85),
    "IPLMI": (
        all_of(c.SCAR["inferior"], any_of(_REACH["lateral"], _REACH["posterior"])), 0.4
    ),
    "IPMI": (all_of(c.SCAR["inferior"], _REACH["posterior"]), 0.8),
    "SEHYP": (all_of(above("lv_mass", 140.0, 6.0), below("turn_deg", 0.0, 6.0)), 0.5),
    "PMI": (all_of(c.SCAR["posterior"], none_of(c.SCAR["inferior"])), 0.85),
    "3AVB": (c.AVB3, 0.9),
    "2AVB": (c.AVB2, 0.9),
}  # fmt: skip
_STTC: dict[str, tuple[Condition, float]] = {
    "NDT": (all_of(c.ANY_T_FLAT, _PRIMARY), 0.4),
    "NST_": (all_of(_MILD_ST, _PRIMARY), 0.3),
    "DIG": (c.DIGITALIS, 0.8),
    "LNGQT": (c.LONG_QT, 0.8),
    "ISC_": (all_of(any_of(c.ANY_ST_DOWN, c.ANY_T_INVERTED), _PRIMARY), 0.35),
    "ISCAL": (_isch("anterior", "lateral"), 0.8),
    "ISCIN": (all_of(_isch("inferior"), none_of(_isch("lateral"))), 0.7),
    "INJAS": (all_of(c.ST_UP["anterior"], none_of(c.ST_UP["lateral"]), _PRIMARY), 0.8),
    "ISCIL": (_isch("inferior", "lateral"), 0.8),
    "ISCAS": (all_of(c.ST_DOWN["anterior"], none_of(c.ST_DOWN["lateral"]), _PRIMARY), 0.6),
    "INJAL": (all_of(c.ST_UP["anterior"], _LATERAL_UP, _PRIMARY), 0.9),
    "ISCLA": (all_of(_isch("lateral"), none_of(_isch("anterior"), _isch("inferior"))), 0.6),
    "ANEUR": (all_of(c.SCAR["anterior"], above("st_anterior_mv", 0.06, 0.015)), 0.8),
    "EL": (c.ELECTROLYTES, 0.6),
    "ISCAN": (all_of(c.T_INVERTED["anterior"], none_of(c.T_INVERTED["lateral"]), _PRIMARY), 0.5),
    "INJIN": (all_of(c.ST_UP["inferior"], none_of(c.ST_UP["lateral"]), _PRIMARY), 0.8),
    "INJLA": (all_of(c.ST_UP["lateral"], none_of(c.ST_UP["inferior"]), _PRIMARY), 0.8),
    "INJIL": (all_of(c.ST_UP["inferior"], _LATERAL_UP, _PRIMARY), 0.8),
}
_FORM: dict[str, tuple[Condition, float]] = {
    "ABQRS": (any_of(c.BUNDLE_BLOCK, c.IVCD, c.LAFB, c.ANY_SCAR, c.POOR_PROGRESSION), 0.4),
    "PVC": (c.PVCS, 0.93),
    "STD_": (c.ANY_ST_DOWN, 0.5),
    "VCLVH": (c.HIGH_VOLTAGE, 0.6),
    "QWAVE": (c.ANY_SCAR, 0.4),
    "LOWT": (c.ANY_T_FLAT, 0.4),
    "NT_": (any_of(c.ANY_T_FLAT, c.ANY_T_INVERTED), 0.25),
    "PAC": (all_of(c.PACS, none_of(c.AF)), 0.9),
    "LPR": (all_of(above("pr_ms", 195.0, 6.0), c.SINUS), 0.5),
    "INVT": (c.ANY_T_INVERTED, 0.5),
    "LVOLT": (any_of(c.LOW_VOLTAGE, c.LIMB_LOW_VOLTAGE), 0.7),
    "HVOLT": (c.HIGH_VOLTAGE, 0.35),
    "TAB_": (c.ANY_T_INVERTED, 0.25),
    "STE_": (any_of(c.ANY_ST_UP, c.EARLY_REPOLARISATION), 0.4),
    "PRC(S)": (any_of(c.PACS, c.PVCS), 0.15),
}
_RHYTHM: dict[str, tuple[Condition, float]] = {
    "SR": (all_of(c.SINUS, between("rate_bpm", 55.0, 102.0, 1.5)), 0.97),
    "AFIB": (c.AF, 0.97),
    "STACH": (c.FAST_SINUS, 0.95),
    "SARRH": (c.SINUS_ARRHYTHMIA, 0.85),
    "SBRAD": (c.SLOW_SINUS, 0.85),
    "PACE": (c.PACED, 0.97),
    "SVARR": (any_of(c.WANDERING, c.ATRIAL_TACHYCARDIA, c.JUNCTIONAL), 0.8),
    "BIGU": (c.BIGEMINY, 0.9),
    "AFLT": (c.FLUTTER, 0.9),
    "SVTAC": (all_of(c.SVT, below("rate_bpm", 170.0, 6.0)), 0.9),
    "PSVT": (all_of(c.SVT, above("rate_bpm", 170.0, 6.0)), 0.9),
    "TRIGU": (c.TRIGEMINY, 0.9),
}
_CONDITIONS = _CD_MI_HYP | _STTC | _FORM | _RHYTHM
READINGS = {
    code: Reading(_CONDITIONS[code][0], share=_CONDITIONS[code][1], flip=FLIP)
    for code in scp.STATEMENTS
}

PREVALENCE = {
    "af": 0.07, "flutter": 0.015, "svt": 0.03, "atrial_tachycardia": 0.01,
    "wandering": 0.01, "junctional": 0.01, "vt": 0.003, "av_block2": 0.013,
    "av_block3": 0.013, "paced": 0.016, "bradycardia": 0.06, "tachycardia": 0.06,
    "sinus_arrhythmia": 0.05, "av_block1": 0.05, "pacs": 0.04, "pvcs": 0.06,
    "bigeminy": 0.015, "trigeminy": 0.015, "rbbb": 0.04, "irbbb": 0.06, "lbbb": 0.035,
    "ilbbb": 0.02, "lafb": 0.06, "lpfb": 0.015, "ivcd": 0.03, "preexcitation": 0.013,
    "lvh": 0.08, "rvh": 0.018, "left_atrium": 0.03, "right_atrium": 0.016,
    "cardiomyopathy": 0.03, "aortic_stenosis": 0.02, "mitral_regurgitation": 0.02,
    "effusion": 0.01, "infarct_anterior": 0.07, "infarct_inferior": 0.08,
    "infarct_lateral": 0.04, "infarct_posterior": 0.03, "ischaemia_anterior": 0.03,
    "ischaemia_inferior": 0.03, "ischaemia_lateral": 0.04,
    "st_elevation_anterior": 0.025, "st_elevation_inferior": 0.02,
    "st_elevation_lateral": 0.016, "t_anterior": 0.03, "t_inferior": 0.03,
    "t_lateral": 0.03, "t_low": 0.03, "early_repolarisation": 0.02,
    "poor_progression": 0.03, "low_voltage": 0.02, "limb_low_voltage": 0.02,
    "long_qt": 0.02, "hyperkalaemia": 0.012, "hypokalaemia": 0.015,
    "hypercalcaemia": 0.004, "hypocalcaemia": 0.004, "digitalis": 0.02,
}  # fmt: skip

PTBXL = Cohort(
    name="virtual/ptbxl",
    about="in- and outpatients of one clinic",
    population=Population(
        age_mean=60.0,
        age_sd=17.0,
        male=0.52,
        rate_mean=71.0,
        rate_sd=12.0,
        axis_mean=42.0,
        axis_sd=26.0,
        prevalence=PREVALENCE,
    ),
    device=Device(white_mv=0.005, muscle_mv=0.008, wander_mv=0.06, mains_mv=0.004, mains_hz=50.0),
    readings=READINGS,
    tasks={
        "superclass": Task(members=scp.members(scp.SUPERCLASS, scp.SUPERCLASSES), needs_label=True),
        "subclass": Task(members=scp.members(scp.SUBCLASS), needs_label=True),
        "diagnostic": plain(scp.DIAGNOSTIC, needs_label=True),
        "form": plain(scp.FORM, needs_label=True),
        "rhythm": plain(scp.RHYTHM, needs_label=True),
        "all": plain(scp.STATEMENTS),
    },
)
