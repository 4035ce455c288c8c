"""``virtual/ptbxl``: the statements of PTB-XL, from which all six of its tasks follow.

The 71 statements are drawn once a record; superclasses and subclasses are any of their
statements, so the tasks agree with each other as they do in the real source. As there, a
record without a label of a task is not part of it, except of ``all``.

Order, kinds, classes and subclasses of the statements are those of ``scp_statements.csv`` of
PTB-XL 1.0.3 (Wagner et al. 2020, CC BY 4.0), from which ``scaling.corpora.sources.ptbxl`` reads
them.
"""

from __future__ import annotations

from scaling.corpora.virtual.cohorts import conditions as c
from scaling.corpora.virtual.cohorts.base import CohortTask, cohort_of, task_of
from scaling.corpora.virtual.reading import (
    Condition,
    Not,
    Opinion,
    Reading,
    above,
    all_of,
    any_of,
    below,
    between,
    none_of,
    written,
)

SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
# Subclass of each diagnostic statement, in the table's order, below its superclass.
_DIAGNOSTIC = """
NDT:STTC/STTC NST_:STTC/NST_ DIG:STTC/STTC LNGQT:STTC/STTC NORM:NORM/NORM IMI:MI/IMI ASMI:MI/AMI
LVH:HYP/LVH LAFB:CD/LAFB/LPFB ISC_:STTC/ISC_ IRBBB:CD/IRBBB 1AVB:CD/_AVB IVCD:CD/IVCD
ISCAL:STTC/ISCA CRBBB:CD/CRBBB CLBBB:CD/CLBBB ILMI:MI/IMI LAO/LAE:HYP/LAO/LAE AMI:MI/AMI
ALMI:MI/AMI ISCIN:STTC/ISCI INJAS:MI/AMI LMI:MI/LMI ISCIL:STTC/ISCI LPFB:CD/LAFB/LPFB
ISCAS:STTC/ISCA INJAL:MI/AMI ISCLA:STTC/ISCA RVH:HYP/RVH ANEUR:STTC/STTC RAO/RAE:HYP/RAO/RAE
EL:STTC/STTC WPW:CD/WPW ILBBB:CD/ILBBB IPLMI:MI/IMI ISCAN:STTC/ISCA IPMI:MI/IMI SEHYP:HYP/SEHYP
INJIN:MI/IMI INJLA:MI/AMI PMI:MI/PMI 3AVB:CD/_AVB INJIL:MI/IMI 2AVB:CD/_AVB
"""
ALSO_FORM = ("NDT", "NST_", "DIG", "LNGQT")
_OTHER_FORM = """
ABQRS PVC STD_ VCLVH QWAVE LOWT NT_ PAC LPR INVT LVOLT HVOLT TAB_ STE_ PRC(S)
"""
_RHYTHMS = """
SR AFIB STACH SARRH SBRAD PACE SVARR BIGU AFLT SVTAC PSVT TRIGU
"""

_ROWS = [entry.split(":") for entry in _DIAGNOSTIC.split()]
SUPERCLASS: dict[str, str] = {code: place.split("/")[0] for code, place in _ROWS}
SUBCLASS: dict[str, str] = {code: place.split("/", 1)[1] for code, place in _ROWS}
DIAGNOSTIC = tuple(SUPERCLASS)
FORM = (*ALSO_FORM, *_OTHER_FORM.split())
RHYTHM = tuple(_RHYTHMS.split())
STATEMENTS = (*DIAGNOSTIC, *_OTHER_FORM.split(), *RHYTHM)

SLOW_BPM = 52.0  # where its readers begin to call bradycardia
_PRIMARY = none_of(c.SECONDARY)  # no block, pacing or pathway that explains the ST and T
_MILD_ST = any_of(
    *(between(f"st_{w}_mv", -0.07, -0.035, 0.012) for w in c.WALLS),
    *(between(f"st_{w}_mv", 0.07, 0.13, 0.012) for w in c.WALLS),
)
_LATERAL_UP = above("st_lateral_mv", 0.02, 0.01)
# How far an infarct reaches into a neighbouring wall is called at a lower degree.
_REACH = {wall: above(f"scar_{wall}", 0.11, 0.02) for wall in c.SCAR}
_SMALL_ANTERIOR = between("scar_anterior", 0.4, 0.8, 0.07)
_LARGE_ANTERIOR = above("scar_anterior", 0.8, 0.07)
# To some an inverted T alone is ischaemia, and some name its region.
_BY_T = Opinion("T alone is ischaemia", 0.35)
_BY_REGION = Opinion("ischaemia has a region", 0.5)
_ISCHAEMIA = {wall: any_of(c.ST_DOWN[wall], all_of(_BY_T, c.T_INVERTED[wall])) for wall in c.WALLS}
_ANY_ISCHAEMIA = any_of(c.ANY_ST_DOWN, all_of(_BY_T, c.ANY_T_INVERTED))


def _isch(walls: str, spared: str = "") -> Condition:
    """Ischaemia of every one of the walls and of none of the spared ones, by region."""
    parts = [_ISCHAEMIA[wall] for wall in walls.split()]
    return all_of(*parts, *(Not(_ISCHAEMIA[wall]) for wall in spared.split()), _BY_REGION, _PRIMARY)


def _injury(walls: str, spared: Condition | None = None) -> Condition:
    """ST elevation of the walls that no block explains, without what is spared."""
    rest = [] if spared is None else [Not(spared)]
    return all_of(*(c.ST_UP[wall] for wall in walls.split()), *rest, _PRIMARY)


_INFERIOR, _ANTERIOR = c.SCAR["inferior"], c.SCAR["anterior"]
# Statement -> (what is seen, share of the readers who write it down).
_CD_MI_HYP: dict[str, tuple[Condition, float]] = {
    "IMI": (all_of(_INFERIOR, none_of(_REACH["lateral"], _REACH["posterior"])), 0.97),
    "ASMI": (all_of(_SMALL_ANTERIOR, Not(_REACH["lateral"])), 0.97),
    "LVH": (c.LVH, 0.97),
    "LAFB": (c.LAFB, 0.97),
    "IRBBB": (c.IRBBB, 0.9),
    "1AVB": (c.AVB1, 0.9),
    "IVCD": (c.IVCD, 0.9),
    "CRBBB": (c.CRBBB, 0.99),
    "CLBBB": (c.CLBBB, 0.99),
    "ILMI": (all_of(_INFERIOR, _REACH["lateral"], Not(_REACH["posterior"])), 0.97),
    "LAO/LAE": (c.LEFT_ATRIUM, 0.8),
    "AMI": (all_of(_LARGE_ANTERIOR, Not(_REACH["lateral"])), 0.97),
    "ALMI": (all_of(_ANTERIOR, _REACH["lateral"]), 0.97),
    "LMI": (all_of(c.SCAR["lateral"], none_of(_INFERIOR, _ANTERIOR)), 0.97),
    "LPFB": (c.LPFB, 0.9),
    "RVH": (c.RVH, 0.9),
    "RAO/RAE": (c.RIGHT_ATRIUM, 0.8),
    "WPW": (c.PREEXCITATION, 0.95),
    "ILBBB": (c.ILBBB, 0.9),
    "IPLMI": (all_of(_INFERIOR, _REACH["lateral"], _REACH["posterior"]), 0.97),
    "IPMI": (all_of(_INFERIOR, _REACH["posterior"], Not(_REACH["lateral"])), 0.97),
    "SEHYP": (all_of(above("lv_mass", 140.0, 6.0), below("turn_deg", 0.0, 6.0)), 0.5),
    "PMI": (all_of(c.SCAR["posterior"], Not(_INFERIOR)), 0.9),
    "3AVB": (c.AVB3, 0.97),
    "2AVB": (c.AVB2, 0.97),
}  # fmt: skip
_STTC: dict[str, tuple[Condition, float]] = {
    "NDT": (all_of(c.ANY_T_FLAT, none_of(_ANY_ISCHAEMIA), _PRIMARY), 0.5),
    "NST_": (all_of(_MILD_ST, none_of(c.ANY_T_FLAT, c.ANY_ST_DOWN, c.ANY_ST_UP), _PRIMARY), 0.25),
    "DIG": (c.DIGITALIS, 0.8),
    "LNGQT": (all_of(above("qtc_ms", 490.0, 6.0), c.CONDUCTED), 0.8),
    "ISC_": (all_of(_ANY_ISCHAEMIA, Not(_BY_REGION), _PRIMARY), 0.9),
    "ISCAL": (_isch("anterior lateral"), 0.9),
    "ISCIN": (_isch("inferior", "anterior lateral"), 0.9),
    "INJAS": (_injury("anterior", _LATERAL_UP), 0.9),
    "ISCIL": (_isch("inferior lateral", "anterior"), 0.9),
    "ISCAS": (
        all_of(c.ST_DOWN["anterior"], none_of(_ISCHAEMIA["lateral"], _ISCHAEMIA["inferior"]),
               _BY_REGION, _PRIMARY), 0.9
    ),
    "INJAL": (all_of(_injury("anterior"), _LATERAL_UP), 0.9),
    "ISCLA": (_isch("lateral", "anterior inferior"), 0.9),
    "ANEUR": (all_of(_ANTERIOR, above("st_anterior_mv", 0.06, 0.015)), 0.6),
    "EL": (c.ELECTROLYTES, 0.6),
    "ISCAN": (
        all_of(_BY_T, c.T_INVERTED["anterior"], Not(c.ST_DOWN["anterior"]),
               none_of(_ISCHAEMIA["lateral"], _ISCHAEMIA["inferior"]), _BY_REGION, _PRIMARY), 0.9
    ),
    "INJIN": (_injury("inferior", _LATERAL_UP), 0.9),
    "INJLA": (_injury("lateral", any_of(c.ST_UP["anterior"], c.ST_UP["inferior"])), 0.9),
    "INJIL": (all_of(_injury("inferior"), _LATERAL_UP), 0.9),
}  # fmt: skip
_FORM: dict[str, tuple[Condition, float]] = {
    "ABQRS": (any_of(c.IVCD, c.LAFB, c.ANY_SCAR, c.POOR_PROGRESSION), 0.1),
    "PVC": (c.PVCS, 0.95),
    "STD_": (all_of(c.ANY_ST_DOWN, _PRIMARY), 0.6),
    "VCLVH": (c.HIGH_VOLTAGE, 0.5),
    "QWAVE": (c.ANY_SCAR, 0.2),
    "LOWT": (all_of(c.ANY_T_FLAT, _PRIMARY), 0.25),
    "NT_": (all_of(any_of(c.ANY_T_FLAT, c.ANY_T_INVERTED), _PRIMARY), 0.15),
    "PAC": (all_of(c.PACS, c.SINUS), 0.9),
    "LPR": (c.LONG_PR, 0.4),
    "INVT": (all_of(c.ANY_T_INVERTED, _PRIMARY), 0.3),
    "LVOLT": (c.LOW_VOLTAGE, 0.7),
    "HVOLT": (c.HIGH_VOLTAGE, 0.15),
    "TAB_": (all_of(c.ANY_T_INVERTED, _PRIMARY), 0.15),
    "STE_": (all_of(any_of(c.ANY_ST_UP, c.EARLY_REPOLARISATION), _PRIMARY), 0.3),
    "PRC(S)": (any_of(c.PACS, c.PVCS), 0.1),
}
_OTHER_SUPRAVENTRICULAR = any_of(c.WANDERING, c.ATRIAL_TACHYCARDIA, c.JUNCTIONAL)
_STEADY = all_of(c.steady_sinus(SLOW_BPM), Not(c.WANDERS))
_RHYTHM: dict[str, tuple[Condition, float]] = {
    "SR": (all_of(_STEADY, Not(c.VARIES)), 0.98),
    "AFIB": (c.AF, 0.99),
    "STACH": (all_of(c.FAST_SINUS, Not(c.WANDERS)), 0.98),
    "SARRH": (all_of(_STEADY, c.VARIES), 0.95),
    "SBRAD": (all_of(c.slow_sinus(SLOW_BPM), Not(c.WANDERS)), 0.98),
    "PACE": (c.PACED, 0.99),
    "SVARR": (_OTHER_SUPRAVENTRICULAR, 0.8),
    "BIGU": (c.BIGEMINY, 0.9),
    "AFLT": (c.FLUTTER, 0.97),
    "SVTAC": (all_of(c.SVT, below("rate_bpm", 170.0, 6.0)), 0.95),
    "PSVT": (all_of(c.SVT, above("rate_bpm", 170.0, 6.0)), 0.95),
    "TRIGU": (c.TRIGEMINY, 0.9),
}
_STATEMENTS = {
    name: written(name, *seen) for name, seen in (_CD_MI_HYP | _STTC | _FORM | _RHYTHM).items()
}
# What a share of the readers takes for a variant of the normal.
_VARIANTS = {"IRBBB": 0.8, "IVCD": 0.88, "NST_": 0.9, "LAFB": 0.97}
_NOT_NORMAL = [
    all_of(_STATEMENTS[name], Opinion(f"{name} is not normal", _VARIANTS[name]))
    if name in _VARIANTS
    else _STATEMENTS[name]
    for name in DIAGNOSTIC
    if name != "NORM"
]
_NOT_NORMAL += [c.CLEARLY_ABNORMAL, c.BIGEMINY, c.TRIGEMINY]
_NOT_NORMAL += [all_of(any_of(c.LEFT_AXIS, c.RIGHT_AXIS), Opinion("axis is not normal", 0.5))]
_STATEMENTS["NORM"] = all_of(c.SINUS, none_of(*_NOT_NORMAL))


def _members(groups: dict[str, str], order: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """Class -> its statements, from statement -> class; classes as they come, or in ``order``."""
    names = order or tuple(dict.fromkeys(groups.values()))
    return {name: tuple(code for code, of in groups.items() if of == name) for name in names}


PTBXL = cohort_of(
    "virtual/ptbxl",
    "in- and outpatients of one clinic",
    {code: Reading(_STATEMENTS[code]) for code in STATEMENTS},
    {
        "superclass": CohortTask(members=_members(SUPERCLASS, SUPERCLASSES), needs_label=True),
        "subclass": CohortTask(members=_members(SUBCLASS), needs_label=True),
        "diagnostic": task_of(DIAGNOSTIC, needs_label=True),
        "form": task_of(FORM, needs_label=True),
        "rhythm": task_of(RHYTHM, needs_label=True),
        "all": task_of(STATEMENTS),
    },
    slip=0.002,
)
