"""Conditions that several cohorts read, with the thresholds of clinical practice.

Degrees of a disorder are half-called at 0.5 unless said otherwise; softness is how far apart
readers are.
"""

from __future__ import annotations

from scaling.corpora.virtual.reading import (
    Condition,
    Not,
    above,
    all_of,
    any_of,
    below,
    between,
    none_of,
    score,
)


def degree(finding: str, half: float = 0.5, softness: float = 0.06) -> Condition:
    """A disorder that is there or not, seen by most readers."""
    return above(finding, half, softness)


# Rhythm: one of them, the first that is seen in this order.
_ORDER = ("paced", "af", "flutter", "svt", "vt", "av_block3", "atrial_tachycardia", "junctional")
_SEEN = {name: degree(name, softness=0.05 if name == "paced" else 0.06) for name in _ORDER}


def _rhythm(name: str) -> Condition:
    before = _ORDER[: _ORDER.index(name)]
    return all_of(_SEEN[name], *(Not(_SEEN[other]) for other in before))


PACED = _rhythm("paced")
AF = _rhythm("af")
FLUTTER = _rhythm("flutter")
SVT = _rhythm("svt")
VENTRICULAR = _rhythm("vt")
AVB3 = _rhythm("av_block3")
ATRIAL_TACHYCARDIA = _rhythm("atrial_tachycardia")
JUNCTIONAL = _rhythm("junctional")
SINUS = none_of(*_SEEN.values())
WANDERS = degree("wandering", softness=0.08)
WANDERING = all_of(WANDERS, SINUS)
AVB2 = all_of(degree("av_block2"), SINUS)
_NO_AVB2 = Not(degree("av_block2"))
_SLOW, _FAST = 57.0, 100.0


def slow_sinus(bpm: float = _SLOW) -> Condition:
    """Sinus rhythm below ``bpm``, where readers differ."""
    return all_of(below("rate_bpm", bpm, 1.5), SINUS, _NO_AVB2)


def steady_sinus(bpm: float = _SLOW) -> Condition:
    """Sinus rhythm that is neither slow nor fast."""
    return all_of(between("rate_bpm", bpm, _FAST, 1.5), SINUS, _NO_AVB2)


SLOW_SINUS, STEADY_SINUS = slow_sinus(), steady_sinus()
FAST_SINUS = all_of(above("rate_bpm", _FAST, 1.5), SINUS, _NO_AVB2)
VARIES = degree("sinus_arrhythmia", softness=0.08)
PACS = above("pacs", 0.5, 0.12)  # beats: one is enough, none is not
PVCS = above("pvcs", 0.5, 0.12)
TRIGEMINY = all_of(degree("trigeminy"), SINUS)
BIGEMINY = all_of(degree("bigeminy"), Not(degree("trigeminy")), SINUS)

# Conduction: of a side, of a fascicle and of the node one each.
AVB1 = all_of(above("pr_ms", 203.0, 6.0), SINUS, _NO_AVB2)
LONG_PR = all_of(above("pr_ms", 195.0, 6.0), SINUS, _NO_AVB2)
CLBBB = degree("lbbb", 0.6)
_RIGHT = degree("rbbb", 0.6)
CRBBB = all_of(_RIGHT, Not(CLBBB))
# Incomplete: narrower than what divides it from complete, or people with none would have it.
_RIGHT_DELAY, _LEFT_DELAY = degree("rbbb", 0.24, 0.02), degree("lbbb", 0.24, 0.02)
IRBBB = all_of(_RIGHT_DELAY, none_of(_RIGHT, CLBBB))
ILBBB = all_of(_LEFT_DELAY, none_of(CLBBB, _RIGHT, _RIGHT_DELAY))
BUNDLE_BLOCK = any_of(_RIGHT, CLBBB)
LAFB = all_of(degree("lafb"), Not(CLBBB))
LPFB = all_of(degree("lpfb"), none_of(CLBBB, degree("lafb")))
IVCD = all_of(degree("ivcd"), none_of(_RIGHT, CLBBB, _RIGHT_DELAY, _LEFT_DELAY))
PREEXCITATION = degree("preexcitation")

# Where beats begin in the ventricles: of pacing and a ventricular rhythm either will do, so of
# the order of rhythms only what comes before the second counts, and nothing is judged twice.
_WIDE = above("qrs_ms", 120.0, 6.0)
WIDE_ESCAPE = all_of(AVB3, _WIDE, none_of(_RIGHT, CLBBB, degree("ivcd")))
NARROW_ESCAPE = all_of(AVB3, Not(WIDE_ESCAPE))
_VENTRICLES = any_of(
    _SEEN["paced"],
    all_of(
        any_of(_SEEN["vt"], all_of(_SEEN["av_block3"], _WIDE)),
        none_of(_SEEN["af"], _SEEN["flutter"], _SEEN["svt"]),
    ),
)
CONDUCTED = Not(_VENTRICLES)

# Axis, voltage, chambers: of conducted beats
LEFT_AXIS = all_of(below("axis_deg", -28.0, 5.0), CONDUCTED)
RIGHT_AXIS = all_of(above("axis_deg", 98.0, 5.0), CONDUCTED)
HIGH_VOLTAGE = all_of(above("log_voltage", 0.45, 0.05), CONDUCTED)
LOW_VOLTAGE = all_of(below("log_voltage", -0.55, 0.06), CONDUCTED)
# Voltage with mass: half-called at 125 g/m2 and average voltage, at 105 g/m2 if it is high.
LVH = all_of(score(-11.9, lv_mass=0.09, log_voltage=4.5, lbbb=-1.5), CONDUCTED)
RVH = all_of(degree("rv_load", 0.5, 0.07), CONDUCTED)
# Atria are judged by a P of the sinus node, and not beside pacing.
_SINUS_P = none_of(WANDERS, *(seen for name, seen in _SEEN.items() if name != "av_block3"))
LEFT_ATRIUM = all_of(degree("left_atrium", 0.5, 0.08), _SINUS_P)
RIGHT_ATRIUM = all_of(degree("right_atrium", 0.5, 0.08), _SINUS_P)
POOR_PROGRESSION = degree("poor_progression", 0.5, 0.08)

# ST and T; a bundle-branch block or a beat of the ventricles explains what else would be called.
SECONDARY = any_of(CLBBB, PREEXCITATION, _VENTRICLES)
WALLS = ("anterior", "inferior", "lateral")
ST_DOWN = {wall: below(f"st_{wall}_mv", -0.07, 0.015) for wall in WALLS}
ST_UP = {wall: above(f"st_{wall}_mv", 0.13, 0.02) for wall in WALLS}
T_FLAT = {wall: between(f"t_{wall}", 0.35, 0.8, 0.06) for wall in WALLS}
T_INVERTED = {wall: above(f"t_{wall}", 0.8, 0.07) for wall in WALLS}
ANY_ST_DOWN = any_of(*ST_DOWN.values())
ANY_ST_UP = any_of(*ST_UP.values())
ANY_T_FLAT = any_of(*T_FLAT.values())
ANY_T_INVERTED = any_of(*T_INVERTED.values())
ST_T_CHANGE = all_of(any_of(ANY_ST_DOWN, ANY_T_FLAT, ANY_T_INVERTED), none_of(SECONDARY))
EARLY_REPOLARISATION = degree("early_repolarisation", 0.5, 0.08)
LONG_QT = all_of(above("qtc_ms", 465.0, 6.0), CONDUCTED)
U_WAVE = all_of(degree("u_wave", 0.5, 0.08), CONDUCTED)
DIGITALIS = degree("digitalis", 0.5, 0.08)
ELECTROLYTES = any_of(
    above("potassium", 5.9, 0.2), below("potassium", 3.1, 0.15),
    above("calcium", 2.85, 0.06), below("calcium", 1.95, 0.06),
)  # fmt: skip

# Scar
SCAR = {wall: degree(f"scar_{wall}", 0.4, 0.07) for wall in (*WALLS, "posterior")}
ANY_SCAR = any_of(*SCAR.values())

# What no reader takes for normal.
CLEARLY_ABNORMAL = any_of(
    AVB2, BUNDLE_BLOCK, PREEXCITATION, ANY_SCAR, ANY_ST_DOWN, ANY_ST_UP, ANY_T_INVERTED
)
ABNORMAL = any_of(Not(SINUS), CLEARLY_ABNORMAL, LAFB, LPFB, IVCD, LVH, RVH)
