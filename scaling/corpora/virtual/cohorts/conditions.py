"""Conditions that several cohorts read, with the thresholds of clinical practice.

Degrees of a disorder are half-called at 0.5 unless said otherwise; softness is how far apart
readers are.
"""

from __future__ import annotations

from scaling.corpora.virtual.reading import (
    Condition,
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


# Rhythm
AF = degree("af")
FLUTTER = degree("flutter")
ATRIAL_TACHYCARDIA = degree("atrial_tachycardia")
SVT = degree("svt")
JUNCTIONAL = degree("junctional")
VENTRICULAR = degree("vt")
PACED = degree("paced", softness=0.05)
WANDERING = degree("wandering", softness=0.08)
AVB2 = degree("av_block2")
AVB3 = degree("av_block3")
SINUS = none_of(AF, FLUTTER, ATRIAL_TACHYCARDIA, SVT, JUNCTIONAL, VENTRICULAR, PACED, AVB3)
SLOW_SINUS = all_of(below("rate_bpm", 57.0, 1.5), SINUS, none_of(AVB2))
FAST_SINUS = all_of(above("rate_bpm", 100.0, 2.0), SINUS)
SINUS_ARRHYTHMIA = all_of(degree("sinus_arrhythmia", softness=0.08), SINUS)
PACS = above("pacs", 0.5, 0.12)  # beats: one is enough, none is not
PVCS = above("pvcs", 0.5, 0.12)
BIGEMINY = degree("bigeminy")
TRIGEMINY = degree("trigeminy")

# Conduction
AVB1 = all_of(above("pr_ms", 203.0, 6.0), SINUS, none_of(AVB2))
CRBBB = degree("rbbb", 0.6)
IRBBB = between("rbbb", 0.25, 0.6, 0.05)
CLBBB = degree("lbbb", 0.6)
ILBBB = between("lbbb", 0.25, 0.6, 0.05)
BUNDLE_BLOCK = any_of(CRBBB, CLBBB)
LAFB = degree("lafb")
LPFB = degree("lpfb")
IVCD = all_of(degree("ivcd"), none_of(CRBBB, CLBBB))
PREEXCITATION = degree("preexcitation")

# Axis, voltage, chambers
LEFT_AXIS = below("axis_deg", -28.0, 5.0)
RIGHT_AXIS = above("axis_deg", 98.0, 5.0)
HIGH_VOLTAGE = above("log_voltage", 0.45, 0.05)
LOW_VOLTAGE = below("log_voltage", -0.55, 0.06)
LIMB_LOW_VOLTAGE = below("limb_voltage", -0.55, 0.06)
# Voltage with mass: half-called at 125 g/m2 and average voltage, at 105 g/m2 if it is high.
LVH = score(-11.9, lv_mass=0.09, log_voltage=4.5, lbbb=-1.5)
RVH = degree("rv_load", 0.5, 0.07)
LEFT_ATRIUM = degree("left_atrium", 0.5, 0.08)
RIGHT_ATRIUM = degree("right_atrium", 0.5, 0.08)
POOR_PROGRESSION = degree("poor_progression", 0.5, 0.08)

# ST and T; a bundle-branch block or pacing explains what else would be called
SECONDARY = any_of(CLBBB, VENTRICULAR, PACED, PREEXCITATION)
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
LONG_QT = above("qtc_ms", 465.0, 6.0)
U_WAVE = degree("u_wave", 0.5, 0.08)
DIGITALIS = degree("digitalis", 0.5, 0.08)
ELECTROLYTES = any_of(
    above("potassium", 5.9, 0.2), below("potassium", 3.1, 0.15),
    above("calcium", 2.85, 0.06), below("calcium", 1.95, 0.06),
)  # fmt: skip

# Scar
SCAR = {wall: degree(f"scar_{wall}", 0.4, 0.07) for wall in (*WALLS, "posterior")}
ANY_SCAR = any_of(*SCAR.values())

ABNORMAL = any_of(
    AF, FLUTTER, ATRIAL_TACHYCARDIA, SVT, JUNCTIONAL, VENTRICULAR, PACED, AVB2, AVB3,
    CRBBB, CLBBB, LAFB, LPFB, IVCD, PREEXCITATION, LVH, RVH, ANY_ST_DOWN, ANY_ST_UP,
    ANY_T_INVERTED, ANY_SCAR,
)  # fmt: skip
