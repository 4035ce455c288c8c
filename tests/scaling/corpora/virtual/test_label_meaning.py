"""Each label means what its name says: its carriers differ from others in the right finding."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from numpy.typing import NDArray

from scaling.corpora.virtual.cohorts import COHORTS
from scaling.corpora.virtual.cohorts.records import as_arrays, labels_of
from scaling.corpora.virtual.generate import visits

Array = NDArray[np.float64]

# cohort and task -> (label, finding, direction): carriers have more (+) or less (-) of it.
MEANINGS: dict[tuple[str, str], str] = {
    ("virtual/code", ""): """
        1dAVb +pr_ms  RBBB +rbbb  LBBB +lbbb  SB -rate_bpm  AF +af  ST +rate_bpm
    """,
    (
        "virtual/basic",
        "",
    ): "1dAVb +pr_ms  RBBB +rbbb  LBBB +lbbb  SB -rate_bpm  AF +af  ST +rate_bpm",
    ("virtual/shifted", ""): """
        LAD -axis_deg  LVOLT -log_voltage  TInv +t_lateral  LQT +qtc_ms  CRBBB +rbbb
    """,
    ("virtual/cpsc2018", ""): """
        AFIB +af  VPC +pvcs  1AVB +pr_ms  CRBBB +rbbb  STE +st_inferior_mv  PAC +pacs
        CLBBB +lbbb  STD -st_lateral_mv  NORM -rbbb
    """,
    ("virtual/csn", ""): """
        AQW +scar_anterior  UW +u_wave  WPW +preexcitation  2AVB +av_block2  2AVB1 +av_block2
        AT +atrial_tachycardia  VB +bigeminy  ARS +axis_deg  SA +sinus_arrhythmia
        STE +st_anterior_mv  VPB +pvcs  TWO +t_lateral  STTU +st_inferior_mv  ALS -axis_deg
        APB +pacs  PRIE +pr_ms  CCR -turn_deg  CR +turn_deg  AF +flutter  AVB +pr_ms
        QTIE +qtc_ms  LBBB +lbbb  VEB +vt  SVT +svt  RBBB +rbbb  1AVB +pr_ms
        STDD -st_lateral_mv  MI +scar_inferior  AFIB +af  TWC +t_anterior  PWC +left_atrium
        ERV +early_repolarisation  RVH +rv_load  LVH +lv_mass  ST +rate_bpm  JEB +junctional
        STTC +t_lateral
    """,
    ("virtual/ptbxl", "all"): """
        DIG +digitalis  LNGQT +qtc_ms  IMI +scar_inferior  ASMI +scar_anterior  LVH +lv_mass
        LAFB +lafb  LPFB +lpfb  IRBBB +rbbb  1AVB +pr_ms  IVCD +ivcd  CRBBB +rbbb  CLBBB +lbbb
        ILMI +scar_lateral  IPMI +scar_posterior  PMI +scar_posterior  LMI +scar_lateral
        LAO/LAE +left_atrium  RAO/RAE +right_atrium  RVH +rv_load  WPW +preexcitation
        ISCIN -st_inferior_mv  ISCLA -st_lateral_mv  ISCAN +t_anterior  INJIN +st_inferior_mv
        INJAS +st_anterior_mv  INJLA +st_lateral_mv  ANEUR +scar_anterior  3AVB +av_block3
        2AVB +av_block2  PVC +pvcs  PAC +pacs  VCLVH +log_voltage  LVOLT -limb_voltage
        AFIB +af  AFLT +flutter  STACH +rate_bpm  SBRAD -rate_bpm  SARRH +sinus_arrhythmia
        PACE +paced  BIGU +bigeminy  TRIGU +trigeminy  SVTAC +svt  PSVT +rate_bpm
        SEHYP +lv_mass  INVT +t_lateral  LPR +pr_ms  STE_ +early_repolarisation
        QWAVE +scar_inferior  STD_ -st_lateral_mv
    """,
    ("virtual/echonext", "flags"): """
        lvef_lte_45 -ef_percent  lvwt_gte_13 +lv_mass
        aortic_stenosis_moderate_or_greater +aortic_stenosis
        aortic_regurgitation_moderate_or_greater +aortic_stenosis
        mitral_regurgitation_moderate_or_greater +mitral_regurgitation
        tricuspid_regurgitation_moderate_or_greater +rv_load
        pulmonary_regurgitation_moderate_or_greater +rv_load
        rv_systolic_dysfunction_moderate_or_greater +rv_load
        pericardial_effusion_moderate_large +effusion
        pasp_gte_45 +rv_load  tr_max_gte_32 +rv_load
    """,
    ("virtual/mimic", "mortality"): """
        mortality_1d +frailty  mortality_28d +age_years  mortality_365d -ef_percent
    """,
    ("virtual/mimic", "icu"): "icu_24h +frailty  icu_stay +rate_bpm",
    ("virtual/wearable", ""): "PAC +pacs  PVC +pvcs  AF +af  SB -rate_bpm",
}


@functools.cache
def population(name: str) -> tuple[dict[str, Array], dict[str, NDArray[np.uint8]]]:
    found = visits(COHORTS[name], 1, "train", 0, 12_000, 10.0)
    return as_arrays(found.findings), labels_of(COHORTS[name], found)[0]


@pytest.mark.parametrize(("name", "task"), MEANINGS)
def test_carriers_have_the_finding(name: str, task: str) -> None:
    findings, labels = population(name)
    words = MEANINGS[name, task].split()
    classes = COHORTS[name].classes[task]
    for label, meant in zip(words[::2], words[1::2], strict=True):
        has = labels[task][:, classes.index(label)] == 1
        assert has.sum() >= 30, label
        values = findings[meant[1:]]
        difference = (values[has].mean() - values[~has].mean()) / values.std()
        assert difference * (1 if meant[0] == "+" else -1) > 0.25, (label, meant, difference)


def test_every_label_of_the_smaller_cohorts_is_looked_at() -> None:
    for name, task in MEANINGS:
        if name in ("virtual/basic", "virtual/code", "virtual/shifted", "virtual/cpsc2018"):
            labels = set(MEANINGS[name, task].split()[::2])
            assert labels == set(COHORTS[name].classes[task])


def test_normal_is_the_absence_of_the_rest() -> None:
    findings, labels = population("virtual/ptbxl")
    normal = labels["all"][:, COHORTS["virtual/ptbxl"].classes["all"].index("NORM")] == 1
    assert 0.15 < normal.mean() < 0.5
    for finding, limit in (("af", 0.5), ("rbbb", 0.5), ("lbbb", 0.5), ("scar_anterior", 0.4)):
        assert np.mean(findings[finding][normal] > limit) < 0.02
    assert np.quantile(findings["pr_ms"][normal], 0.99) < 225
    superclass = labels["superclass"][:, 0] == 1
    assert np.array_equal(superclass, normal)


def test_sinus_labels_need_sinus_rhythm() -> None:
    findings, labels = population("virtual/code")
    classes = COHORTS["virtual/code"].classes[""]
    fibrillates = findings["af"] > 0.7
    for label in ("SB", "ST", "1dAVb"):
        share = labels[""][fibrillates, classes.index(label)].mean()
        assert share < 0.05  # readers slip
