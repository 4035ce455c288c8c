"""Who the patients of a cohort are, and the findings: what of a patient a reader may label.

Demographics, means and the prevalence of disorders say who they are. The generator fills one
number for each finding of each record; a cohort's readings are logistics in them. A degree is 0
where the disorder is absent and about 1 where it is fully developed. Needs only the standard
library, so that a grid can be checked in no time.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

# name -> (unit, what it is)
FINDINGS: dict[str, tuple[str, str]] = {
    # the patient
    "age_years": ("years", "age"),
    "male": ("0 or 1", "sex"),
    "ef_percent": ("%", "left-ventricular ejection fraction"),
    "lv_mass": ("g/m2", "left-ventricular mass index"),
    "rv_load": ("degree", "right-ventricular pressure load and hypertrophy"),
    "aortic_stenosis": ("degree", "outflow obstruction"),
    "mitral_regurgitation": ("degree", "volume load of the left atrium"),
    "effusion": ("degree", "pericardial effusion: low voltage"),
    "frailty": ("z-score", "what makes a patient ill beyond the heart; hardly visible"),
    "potassium": ("mmol/l", "serum potassium: peaked or flat T, U wave, QRS"),
    "calcium": ("mmol/l", "serum calcium: QT"),
    "digitalis": ("degree", "digitalis effect on ST"),
    # rate, rhythm
    "rate_bpm": ("1/min", "mean ventricular rate in the window"),
    "sinus_arrhythmia": ("degree", "respiratory variation of sinus RR"),
    "wandering": ("degree", "wandering or ectopic atrial pacemaker"),
    "af": ("degree", "atrial fibrillation"),
    "flutter": ("degree", "atrial flutter"),
    "atrial_tachycardia": ("degree", "atrial tachycardia"),
    "svt": ("degree", "re-entrant supraventricular tachycardia"),
    "junctional": ("degree", "junctional rhythm or escape"),
    "vt": ("degree", "idioventricular rhythm or ventricular escape"),
    "paced": ("degree", "ventricular pacing"),
    "pacs": ("beats", "premature atrial beats in the window"),
    "pvcs": ("beats", "premature ventricular beats in the window"),
    "bigeminy": ("degree", "every second beat premature"),
    "trigeminy": ("degree", "every third beat premature"),
    # conduction
    "pr_ms": ("ms", "PR interval"),
    "av_block2": ("degree", "second-degree block: dropped beats"),
    "av_block2_type2": ("degree", "of these, without Wenckebach"),
    "av_block3": ("degree", "complete block, atria and ventricles apart"),
    "qrs_ms": ("ms", "QRS duration"),
    "rbbb": ("degree", "right bundle-branch delay; about 0.4 is incomplete, from 0.6 complete"),
    "lbbb": ("degree", "left bundle-branch delay; about 0.4 is incomplete, from 0.6 complete"),
    "lafb": ("degree", "left anterior fascicular block"),
    "lpfb": ("degree", "left posterior fascicular block"),
    "ivcd": ("degree", "unspecific intraventricular delay"),
    "preexcitation": ("degree", "delta wave"),
    # axis, voltage, chambers
    "axis_deg": ("degrees", "frontal axis of QRS"),
    "turn_deg": ("degrees", "rotation about the long axis; positive is clockwise"),
    "log_voltage": ("log", "log of the QRS amplitude over its mean"),
    "limb_voltage": ("log", "log of the limb-lead amplitude over its mean"),
    "left_atrium": ("degree", "left-atrial enlargement: broad P, late negative P in V1"),
    "right_atrium": ("degree", "right-atrial enlargement: tall P"),
    "poor_progression": ("degree", "small R in V1 to V4"),
    # repolarisation
    "qtc_ms": ("ms", "QT corrected by Bazett"),
    "st_anterior_mv": ("mV", "ST level towards V1 to V4"),
    "st_inferior_mv": ("mV", "ST level towards II, III, aVF"),
    "st_lateral_mv": ("mV", "ST level towards I, aVL, V5, V6"),
    "early_repolarisation": ("degree", "J-point elevation with a notch"),
    "t_anterior": ("degree", "T towards V1 to V4: 0 upright, 0.5 flat, 1 inverted"),
    "t_inferior": ("degree", "T towards II, III, aVF"),
    "t_lateral": ("degree", "T towards I, aVL, V5, V6"),
    "u_wave": ("degree", "U wave"),
    # scar
    "scar_anterior": ("degree", "old anterior or septal infarct: Q in V1 to V4"),
    "scar_inferior": ("degree", "old inferior infarct: Q in II, III, aVF"),
    "scar_lateral": ("degree", "old lateral infarct: Q in I, aVL, V5, V6"),
    "scar_posterior": ("degree", "old posterior infarct: tall R in V1, V2"),
}


# Records per patient, repeated over the patients: fixed, so that record -> patient needs no
# state and any subset can be made anywhere. Mean 2 records a patient.
VISITS = (1, 2, 1, 3, 2, 4, 1, 2)

# Rhythms of which a record has at most one; where none is drawn the rhythm is sinus.
RHYTHMS: dict[str, str] = {
    "af": "atrial fibrillation",
    "flutter": "atrial flutter with fixed or changing conduction",
    "svt": "re-entrant supraventricular tachycardia, P hidden or retrograde",
    "atrial_tachycardia": "atrial tachycardia, abnormal P before each QRS",
    "wandering": "wandering atrial pacemaker: P changes from beat to beat",
    "junctional": "junctional rhythm, P absent or retrograde",
    "vt": "idioventricular rhythm, accelerated or fast",
    "av_block2": "second-degree atrioventricular block, Wenckebach or Mobitz II",
    "av_block3": "complete atrioventricular block with an escape rhythm",
    "paced": "ventricular pacing with spikes, or atrial and ventricular",
}
# All others are drawn one by one; several may meet in a patient.
STATES: dict[str, str] = {
    "bradycardia": "slow sinus node",
    "tachycardia": "fast sinus node",
    "sinus_arrhythmia": "marked respiratory variation of RR",
    "pacs": "premature atrial beats",
    "pvcs": "premature ventricular beats",
    "bigeminy": "every second beat premature (ventricular)",
    "trigeminy": "every third beat premature (ventricular)",
    "av_block1": "PR above 200 ms",
    "rbbb": "complete right bundle-branch block",
    "irbbb": "incomplete right bundle-branch block",
    "lbbb": "complete left bundle-branch block",
    "ilbbb": "incomplete left bundle-branch block",
    "lafb": "left anterior fascicular block",
    "lpfb": "left posterior fascicular block",
    "ivcd": "unspecific intraventricular conduction delay",
    "preexcitation": "accessory pathway: short PR and delta wave",
    "lvh": "left-ventricular hypertrophy, pressure load",
    "rvh": "right-ventricular hypertrophy or load",
    "left_atrium": "left-atrial enlargement",
    "right_atrium": "right-atrial enlargement",
    "cardiomyopathy": "low ejection fraction without infarct",
    "aortic_stenosis": "aortic stenosis",
    "mitral_regurgitation": "mitral regurgitation",
    "effusion": "pericardial effusion",
    "infarct_anterior": "old anterior or septal infarct",
    "infarct_inferior": "old inferior infarct",
    "infarct_lateral": "old lateral infarct",
    "infarct_posterior": "old posterior infarct",
    "ischaemia_anterior": "ST depression and T change towards V1 to V4",
    "ischaemia_inferior": "ST depression and T change towards II, III, aVF",
    "ischaemia_lateral": "ST depression and T change towards I, aVL, V5, V6",
    "st_elevation_anterior": "ST elevation, injury, towards V1 to V4",
    "st_elevation_inferior": "ST elevation, injury, towards II, III, aVF",
    "st_elevation_lateral": "ST elevation, injury, towards I, aVL, V5, V6",
    "t_anterior": "flat or inverted T towards V1 to V4, nothing else",
    "t_inferior": "flat or inverted T towards II, III, aVF, nothing else",
    "t_lateral": "flat or inverted T towards I, aVL, V5, V6, nothing else",
    "t_low": "flat T everywhere",
    "early_repolarisation": "J-point elevation with a notch",
    "poor_progression": "small R in V1 to V4 without infarct",
    "low_voltage": "low QRS voltage",
    "limb_low_voltage": "low QRS voltage in the limb leads only",
    "long_qt": "long QTc",
    "hyperkalaemia": "high potassium",
    "hypokalaemia": "low potassium",
    "hypercalcaemia": "high calcium: short QT",
    "hypocalcaemia": "low calcium: long QT",
    "digitalis": "digitalis effect",
}
DISORDERS: dict[str, str] = RHYTHMS | STATES

# Disorders whose degree is a finding of the same name.
OWN_DEGREE = (
    *RHYTHMS, "preexcitation", "lafb", "lpfb", "ivcd", "effusion", "digitalis", "aortic_stenosis",
    "mitral_regurgitation", "bigeminy", "trigeminy", "sinus_arrhythmia", "early_repolarisation",
)  # fmt: skip
# Findings that stay below ``UNRAISED`` in everyone who has none of these disorders.
UNRAISED = 0.3
RAISED_BY: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in OWN_DEGREE},
    "av_block2_type2": ("av_block2",),
    "rbbb": ("rbbb", "irbbb"), "lbbb": ("lbbb", "ilbbb"),
    **{f"scar_{w}": (f"infarct_{w}",) for w in ("anterior", "inferior", "lateral", "posterior")},
}  # fmt: skip
# Means outside of which everyone would be the same: the generator goes no further.
REACH: dict[str, tuple[float, float]] = {
    "age_mean": (18.0, 96.0), "rate_mean": (27.0, 215.0), "pr_mean": (105.0, 205.0),
    "qrs_mean": (66.0, 190.0), "qtc_mean": (300.0, 640.0), "ef_mean": (10.0, 90.0),
    "mass_mean": (20.0, 300.0), "axis_mean": (-180.0, 180.0), "male": (0.0, 1.0),
}  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """The people of a cohort. Spreads are standard deviations between patients.

    ``prevalence`` gives the share of the population with each disorder; one that is not named
    is absent. Age shifts who has it, not how many: see ``latents.AGE_EFFECT``. Shares are of
    what is drawn; related disorders bring a little more of each other (see ``latents``).

    Attributes:
        age_mean: years.
        age_sd: years.
        male: share of men.
        prevalence: disorder (``DISORDERS``) -> share in [0, 1].
        rate_mean: sinus rate of those with neither bradycardia nor tachycardia, 1/min.
        rate_sd: 1/min.
        pr_mean: PR interval without block at 54 years, ms.
        pr_sd: ms.
        qrs_mean: QRS duration without conduction disorder, ms.
        qrs_sd: ms.
        qtc_mean: QTc (Fridericia) of men in ms; women have 8 ms more.
        qtc_sd: ms.
        axis_mean: frontal QRS axis at 54 years, degrees.
        axis_sd: degrees.
        voltage_mean: mean log of the QRS amplitude; 0 is the average adult.
        voltage_sd: of the same.
        p_voltage: mean log of the P amplitude; 0 is the average adult.
        ef_mean: ejection fraction without disorder, %.
        ef_sd: %.
        mass_mean: left-ventricular mass index without disorder, g/m2.
        mass_sd: g/m2.
        frailty_mean: mean z-score of frailty.
        variety: how much the shapes of P, QRS and T and the torsos differ between patients; 1 is
            as in real ECG.

    Raises:
        ValueError: unknown disorder, a share outside [0, 1], or rhythms that add up to over 1; a
            number that is not finite, a negative spread, or a mean that nobody could have.
    """

    age_mean: float
    age_sd: float = 16.0
    male: float = 0.5
    prevalence: Mapping[str, float] = dataclasses.field(default_factory=dict)
    rate_mean: float = 72.0
    rate_sd: float = 10.0
    pr_mean: float = 163.0
    pr_sd: float = 18.0
    qrs_mean: float = 80.0
    qrs_sd: float = 8.0
    qtc_mean: float = 392.0
    qtc_sd: float = 18.0
    axis_mean: float = 38.0
    axis_sd: float = 18.0
    voltage_mean: float = 0.0
    voltage_sd: float = 0.21
    p_voltage: float = 0.0
    ef_mean: float = 61.0
    ef_sd: float = 5.0
    mass_mean: float = 80.0
    mass_sd: float = 15.0
    frailty_mean: float = 0.0
    variety: float = 1.0

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.prevalence) - set(DISORDERS)):
            raise ValueError(f"unknown disorders {unknown}; see population.DISORDERS")
        if wrong := {k: v for k, v in self.prevalence.items() if not 0.0 <= v <= 1.0}:
            raise ValueError(f"prevalence {wrong}: shares lie between 0 and 1")
        if (total := sum(self.prevalence.get(name, 0.0) for name in RHYTHMS)) > 1.0:
            raise ValueError(f"the rhythms' shares add up to {total:g}; a patient has only one")
        for field in dataclasses.fields(self):
            if field.name != "prevalence":
                self._check(field.name, getattr(self, field.name))

    def _check(self, name: str, value: float) -> None:
        if not math.isfinite(value):
            raise ValueError(f"{name} {value} is not finite")
        if value < 0.0 and (name.endswith("_sd") or name == "variety"):
            raise ValueError(f"{name} {value:g} is negative")
        if value == 0.0 and name == "age_sd":
            raise ValueError("age_sd 0: a population has patients of several ages")
        low, high = REACH.get(name, (value, value))
        if not low <= value <= high:
            raise ValueError(f"{name} {value:g} must be in [{low:g}, {high:g}]")


def patient_of(index: int) -> tuple[int, int]:
    """Patient number and visit of a record: the k-th record of the repeating ``VISITS``."""
    cycle, rest = divmod(index, sum(VISITS))
    for position, visits in enumerate(VISITS):
        if rest < visits:
            return cycle * len(VISITS) + position, rest
        rest -= visits
    raise AssertionError("unreachable: rest is smaller than the cycle")
