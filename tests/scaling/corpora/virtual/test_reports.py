"""What one reader writes about one record: no contradictions, and as much as real readers do."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from numpy.typing import NDArray

from scaling.corpora.virtual.cohorts import COHORTS, ptbxl
from scaling.corpora.virtual.cohorts import conditions as c
from scaling.corpora.virtual.cohorts.chances import Imagined
from scaling.corpora.virtual.cohorts.records import as_arrays, labels_of
from scaling.corpora.virtual.generate import visits
from scaling.corpora.virtual.reading import above, all_of, any_of, read_once

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
RECORDS = 8192

# Statements of which a report has at most one.
ONE_OF: dict[str, tuple[str, ...]] = {
    "virtual/ptbxl": (
        "SR AFIB STACH SARRH SBRAD PACE SVARR AFLT SVTAC PSVT",
        "AFIB BIGU TRIGU AFLT", "CRBBB IRBBB CLBBB", "CLBBB ILBBB CRBBB",
        "IRBBB ILBBB", "LAO/LAE AFIB AFLT PACE", "RAO/RAE AFIB AFLT PACE", "IVCD CRBBB CLBBB",
        "IVCD IRBBB ILBBB", "PACE LVH", "PACE RVH", "PACE LVOLT HVOLT", "PACE LNGQT",
        "LAFB LPFB", "LAFB CLBBB", "LVOLT HVOLT", "LVOLT VCLVH",
        "1AVB 2AVB 3AVB AFIB AFLT", "LPR 2AVB", "LPR 3AVB", "LPR AFIB",
        "IMI ILMI IPLMI IPMI", "ASMI AMI ALMI", "LMI IMI", "LMI ILMI", "LMI ALMI",
        "PMI IPMI", "PMI IPLMI", "PMI IMI",
        "ISC_ ISCAL ISCIN ISCIL ISCAS ISCLA ISCAN NDT", "NST_ NDT", "NST_ STD_",
        "INJAS INJAL INJLA", "INJIN INJIL INJLA",
        "NORM CRBBB CLBBB", "NORM AFIB AFLT PACE SVTAC", "NORM 3AVB 2AVB", "NORM STD_", "NORM WPW",
        "NORM INVT", "NORM IMI ILMI", "NORM LMI", "NORM AMI ASMI ALMI", "NORM PMI", "NORM QWAVE",
        "NORM ISC_", "NORM LVH", "NORM RVH", "NORM BIGU TRIGU", "PAC AFIB",
    ),
    "virtual/csn": (
        "SR AFIB AF SVT AT ST SA 2AVB", "RBBB LBBB", "ALS ARS", "CR CCR", "1AVB 2AVB AFIB",
        "PRIE 2AVB", "PRIE AFIB", "LBBB STTC", "APB AFIB", "2AVB1 1AVB", "VB AFIB", "JEB VEB",
    ),
    "virtual/cpsc2018": (
        "AFIB 1AVB", "CRBBB CLBBB", "PAC AFIB", "STD CLBBB", "STE CLBBB",
        *(f"NORM {other}" for other in ("AFIB", "VPC", "1AVB", "CRBBB", "STE", "PAC", "CLBBB",
                                        "STD")),
    ),
    "virtual/code": ("SB ST AF", "RBBB LBBB", "1dAVb AF"),
    "virtual/basic": ("SB ST AF", "RBBB LBBB", "1dAVb AF"),
    "virtual/wearable": ("SB ST AF", "RBBB LBBB", "1dAVb AF", "PAC AF"),
}  # fmt: skip


@functools.cache
def reports(name: str) -> tuple[dict[str, Bools], dict[str, Array]]:
    """Statement -> who has it, and the findings."""
    cohort = COHORTS[name]
    found = visits(cohort, 5, "train", 0, RECORDS, 10.0)
    task = "all" if "all" in cohort.tasks else ""
    labels = labels_of(cohort, found)[0][task].T.astype(bool)
    return dict(zip(cohort.classes[task], labels, strict=True)), as_arrays(found.findings)


@pytest.mark.parametrize(("name", "group"), [(n, g) for n, gs in ONE_OF.items() for g in gs])
def test_a_report_does_not_contradict_itself(name: str, group: str) -> None:
    said, _ = reports(name)
    chosen = [said[statement] for statement in group.split()]
    assert np.sum(chosen, axis=0).max() <= 1
    assert min(map(np.sum, chosen)) >= 5  # each occurs, and could contradict another


@pytest.mark.parametrize(
    ("name", "label", "bpm"),
    [("virtual/ptbxl", "SBRAD", 52.0), ("virtual/code", "SB", 57.0), ("virtual/basic", "SB", 57.0),
     ("virtual/wearable", "SB", 57.0)],
)  # fmt: skip
def test_a_slow_rhythm_is_slow_but_for_slips(name: str, label: str, bpm: float) -> None:
    said, findings = reports(name)
    rate, slow = findings["rate_bpm"], said[label]
    # Readers differ by a logistic of 1.5 bpm: one in 3,000 is out by 12 bpm.
    clearly = rate > bpm + 12.0
    slips = 0.5 * COHORTS[name].slip * clearly.sum()
    assert (slow & clearly).sum() <= slips + 4 * np.sqrt(slips) + 1
    others = (*c.SINUS.names, "av_block2", "wandering")
    sinus = np.max([findings[other] for other in others], axis=0) < 0.3
    assert slow[sinus & (rate < bpm - 5.0)].mean() > 0.85
    assert np.median(rate[slow]) < bpm


@pytest.mark.parametrize(("label", "finding"), [("IRBBB", "rbbb"), ("ILBBB", "lbbb")])
def test_an_incomplete_block_is_there(label: str, finding: str) -> None:
    """Degrees are 0.32 to 0.5 of it, from 0.65 in complete block, and up to 0.15 in others."""
    said, findings = reports("virtual/ptbxl")
    degree, other = findings[finding], findings["rbbb" if label == "ILBBB" else "lbbb"]
    there = (degree > 0.3) & (degree < 0.6)
    assert there[said[label]].mean() > 0.85
    assert said[label][there & (other < 0.2)].mean() > 0.8


def test_an_escape_is_named_by_its_width() -> None:
    """Complete block with a ventricular escape is VEB, with a narrow one JEB."""
    said, findings = reports("virtual/csn")
    escape = findings["av_block3"] > 0.5
    narrow = escape & (findings["qrs_ms"] < 105.0)
    wide = escape & (findings["qrs_ms"] > 135.0)
    assert min(narrow.sum(), wide.sum()) >= 25
    for chosen, label, other in ((narrow, "JEB", "VEB"), (wide, "VEB", "JEB")):
        assert said[label][chosen].mean() > 0.5
        assert said[other][chosen].mean() < 0.1
    alone = findings["vt"] > 0.5
    assert np.median(findings["qrs_ms"][alone]) > 135.0


def test_reports_are_as_long_as_real_ones() -> None:
    """PTB-XL has 2.75 statements a record; few of its normal records have another superclass."""
    said, _ = reports("virtual/ptbxl")
    count = np.sum(list(said.values()), axis=0)
    assert 2.4 < count.mean() < 3.2
    assert (count == 0).mean() < 0.02
    assert count.max() <= 16
    ill = np.any([said[code] for code, of in ptbxl.SUPERCLASS.items() if of != "NORM"], axis=0)
    assert 0.02 < ill[said["NORM"]].mean() < 0.08


def test_what_explains_the_st_and_t_is_named_once() -> None:
    """Of pacing and the other three any will do: no finding has to be judged twice for that."""
    rng = np.random.default_rng(0)
    names = sorted(c.SECONDARY.names)
    findings = {name: rng.uniform(0.2, 1.0, 4000) for name in names}
    findings["qrs_ms"] = rng.uniform(90.0, 150.0, 4000)
    errors = Imagined(rng, (8, 4000), 0.1)
    wide = all_of(c.AVB3, above("qrs_ms", 120.0, 6.0))
    plainly = any_of(c.CLBBB, c.VENTRICULAR, c.PACED, wide, c.PREEXCITATION)
    assert read_once(c.SECONDARY)
    assert not read_once(plainly)
    assert np.array_equal(c.SECONDARY.holds(findings, errors), plainly.holds(findings, errors))


def test_the_rhythms_are_one_of_them() -> None:
    """Whatever is found, and however often one slips: the first that is seen is named."""
    rng = np.random.default_rng(0)
    rhythms = (c.PACED, c.AF, c.FLUTTER, c.SVT, c.VENTRICULAR, c.AVB3, c.ATRIAL_TACHYCARDIA,
               c.JUNCTIONAL, c.SINUS)  # fmt: skip
    findings = {name: rng.uniform(0.0, 1.0, 4000) for name in sorted(c.SINUS.names)}
    errors = Imagined(rng, (8, 4000), 0.4)
    assert np.all(np.sum([rhythm.holds(findings, errors) for rhythm in rhythms], axis=0) == 1)
