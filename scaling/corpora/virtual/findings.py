"""The findings: every quantity of a virtual patient that a reader may label.

The generator fills one number for each, for each record; a cohort's readings are logistics in
them. A degree is 0 where the disorder is absent and about 1 where it is fully developed.
Needs only the standard library.
"""

from __future__ import annotations

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
