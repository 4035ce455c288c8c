"""Cohorts: class lists, tasks that agree with each other, labels that follow the readings."""

from __future__ import annotations

import csv
import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from scaling.corpora.catalogue import PTBXL_TASKS, SOURCES
from scaling.corpora.sources import code_labels, cpsc2018, csn_labels, echonext, mimic_labels
from scaling.corpora.sources.ptbxl import open_source as open_ptbxl
from scaling.corpora.virtual.cohorts import COHORTS, Cohort, make_records, scp, task_probabilities
from scaling.corpora.virtual.cohorts.base import Task, plain
from scaling.corpora.virtual.cohorts.icd import ancestors, core, odds, tail
from scaling.corpora.virtual.cohorts.labels import draw_labels, uniforms
from scaling.corpora.virtual.cohorts.records import as_arrays, labels_of, members
from scaling.corpora.virtual.findings import FINDINGS
from scaling.corpora.virtual.generate import Visits, visits
from scaling.corpora.virtual.reading import Reading, above
from scaling.corpora.virtual.rng import stream
from scaling.identity import CorpusSpec

Array = NDArray[np.float64]
RECORDS = 8192  # the size of the default training pool
COUNTS = {
    "virtual/basic": {"": 6},
    "virtual/code": {"": 6}, "virtual/shifted": {"": 5}, "virtual/cpsc2018": {"": 9},
    "virtual/csn": {"": 38}, "virtual/wearable": {"": 8},
    "virtual/echonext": {"shd": 1, "flags": 11},
    "virtual/ptbxl": {"superclass": 5, "subclass": 23, "diagnostic": 44, "form": 19,
                      "rhythm": 12, "all": 71},
    "virtual/mimic": {"icd": 900, "sex": 1, "icu": 2, "mortality": 6},
}  # fmt: skip


@functools.cache
def population(name: str) -> Visits:
    return visits(COHORTS[name], 0, "train", 0, RECORDS, 10.0)


def read(name: str) -> dict[str, Array]:
    return COHORTS[name].read(as_arrays(population(name).findings))


def test_every_virtual_source_has_its_cohort_and_tasks() -> None:
    virtual = {name: info.tasks for name, info in SOURCES.items() if info.kind == "virtual"}
    assert {name: tuple(cohort.tasks) for name, cohort in COHORTS.items()} == virtual
    assert all(cohort.name == name for name, cohort in COHORTS.items())
    found = {
        name: {task: len(classes) for task, classes in cohort.classes.items()}
        for name, cohort in COHORTS.items()
    }
    assert found == COUNTS


def test_class_lists_are_those_of_the_real_sources() -> None:
    classes = {name: cohort.classes for name, cohort in COHORTS.items()}
    assert classes["virtual/code"][""] == classes["virtual/basic"][""] == code_labels.CLASSES
    assert classes["virtual/wearable"][""] == (*code_labels.CLASSES, "PAC", "PVC")
    assert classes["virtual/csn"][""] == csn_labels.CLASSES
    assert classes["virtual/cpsc2018"][""] == cpsc2018.CLASSES
    assert classes["virtual/echonext"] == echonext.CLASSES
    assert classes["virtual/mimic"]["sex"] == mimic_labels.SEX
    assert classes["virtual/mimic"]["icu"] == mimic_labels.ICU
    assert classes["virtual/mimic"]["mortality"] == mimic_labels.MORTALITY


def test_ptbxl_statements_and_mapping_are_the_official_ones(shared: Path) -> None:
    root = shared / "data" / "ptb-xl"
    with (root / "scp_statements.csv").open(encoding="utf-8", newline="") as file:
        rows = {row[""]: row for row in csv.DictReader(file)}
    diagnostic = {code: row for code, row in rows.items() if row["diagnostic"] == "1.0"}
    assert tuple(rows) == scp.STATEMENTS
    assert scp.SUPERCLASS == {k: row["diagnostic_class"] for k, row in diagnostic.items()}
    assert scp.SUBCLASS == {k: row["diagnostic_subclass"] for k, row in diagnostic.items()}
    assert tuple(k for k, row in rows.items() if row["form"] == "1.0") == scp.FORM
    assert tuple(k for k, row in rows.items() if row["rhythm"] == "1.0") == scp.RHYTHM


def test_ptbxl_tasks_have_the_classes_of_the_real_source(shared: Path) -> None:
    source = open_ptbxl(CorpusSpec(source="ptbxl"), shared / "data" / "ptb-xl")
    assert COHORTS["virtual/ptbxl"].classes == source.classes
    assert tuple(COHORTS["virtual/ptbxl"].tasks) == PTBXL_TASKS


@pytest.mark.parametrize("name", COHORTS)
def test_readings_are_probabilities_and_every_class_occurs(name: str) -> None:
    cohort, p = COHORTS[name], read(name)
    for label, chance in p.items():
        assert chance.min() >= cohort.readings[label].flip - 1e-12
        assert chance.max() <= 1.0 - cohort.readings[label].flip + 1e-12
    for task in cohort.tasks.values():
        chances, belongs = task_probabilities(task, p)
        prevalence = (chances * belongs).sum(axis=1) / belongs.sum()
        # The long tail of diagnoses is declared; everything else is common enough to learn.
        assert prevalence.min() > (0.002 if len(prevalence) == 900 else 0.008)
        assert prevalence.max() < 0.75
        # Labels are to be read off the patient, not off their prevalence: some are, clearly.
        assert chances.std(axis=1).max() > 0.15


@pytest.mark.parametrize("name", COHORTS)
def test_labels_follow_the_stated_probabilities(name: str) -> None:
    cohort, p = COHORTS[name], read(name)
    labels, valid = labels_of(cohort, population(name))
    for task_name, task in cohort.tasks.items():
        chances, belongs = task_probabilities(task, p)
        assert abs(valid[task_name].sum() - belongs.sum()) <= 5 * np.sqrt(
            (belongs * (1 - belongs)).sum()
        )
        inside = valid[task_name]
        y, q = labels[task_name][inside].T, chances[:, inside]
        z = (y.sum(axis=1) - q.sum(axis=1)) / np.sqrt((q * (1 - q)).sum(axis=1))
        assert np.abs(z).max() < 5.0  # of 900 codes at most
        assert len(z) < 20 or 0.6 < np.sqrt((z**2).mean()) < 1.7


def test_cohorts_differ_where_they_should() -> None:
    def median(name: str, finding: str) -> float:
        return float(population(name).findings[finding].median())

    assert median("virtual/shifted", "age_years") > median("virtual/code", "age_years") + 8
    assert median("virtual/echonext", "ef_percent") < median("virtual/wearable", "ef_percent") - 3
    assert median("virtual/mimic", "frailty") > median("virtual/code", "frailty") + 0.3
    devices = [COHORTS[n].device for n in ("virtual/code", "virtual/wearable", "virtual/shifted")]
    assert devices[1].motion_mv > 0.0 == devices[0].motion_mv
    assert devices[2].low_pass_hz < devices[0].low_pass_hz


def test_ptbxl_tasks_agree_with_each_other() -> None:
    labels, valid = labels_of(COHORTS["virtual/ptbxl"], population("virtual/ptbxl"))
    drawn = dict(zip(scp.STATEMENTS, labels["all"].T, strict=True))
    for task, groups in (("superclass", scp.SUPERCLASS), ("subclass", scp.SUBCLASS)):
        classes = COHORTS["virtual/ptbxl"].classes[task]
        for column, name in enumerate(classes):
            parts = [drawn[code] for code, of in groups.items() if of == name]
            assert np.array_equal(labels[task][:, column], np.max(parts, axis=0))
    for task in ("superclass", "subclass", "diagnostic", "form", "rhythm"):
        assert np.array_equal(valid[task], labels[task].any(axis=1))
        assert 0.6 < valid[task].mean() < 0.99
    assert valid["all"].all()


def test_structural_disease_is_any_of_its_flags() -> None:
    labels, _ = labels_of(COHORTS["virtual/echonext"], population("virtual/echonext"))
    assert np.array_equal(labels["shd"][:, 0], labels["flags"].max(axis=1))


def test_mimic_codes_have_their_ancestors_and_outcomes_are_nested() -> None:
    cohort = COHORTS["virtual/mimic"]
    labels, _ = labels_of(cohort, population("virtual/mimic"))
    place = {code: i for i, code in enumerate(cohort.classes["icd"])}
    icd = labels["icd"]
    for code in ("I5022", "I4891", "I2510", "E875"):
        for parent in ancestors(code):
            assert np.all(icd[:, place[parent]] >= icd[:, place[code]])
    assert ancestors("I4891") == ("I48", "I489", "I4891")
    assert np.all(np.diff(labels["mortality"].astype(int), axis=1) >= 0)
    assert np.all(np.diff(labels["icu"].astype(int), axis=1) >= 0)
    male = population("virtual/mimic").findings["male"].numpy()
    assert np.mean(labels["sex"][:, 0] == male) == pytest.approx(0.995, abs=0.003)
    # A long tail: a few codes are common, most are rare.
    share = np.sort(icd.mean(axis=0))[::-1]
    assert share[0] > 0.25
    assert share[100] < 0.1
    assert np.median(share) < 0.015


def test_core_codes_mean_what_they_say() -> None:
    cohort = COHORTS["virtual/mimic"]
    labels, _ = labels_of(cohort, population("virtual/mimic"))
    found = as_arrays(population("virtual/mimic").findings)
    place = {code: i for i, code in enumerate(cohort.classes["icd"])}

    def shift(code: str, finding: str) -> float:
        has = labels["icd"][:, place[code]] == 1
        values = found[finding]
        return float((values[has].mean() - values[~has].mean()) / values.std())

    for code, finding, least in (
        ("I4891", "af", 0.8), ("I5022", "ef_percent", -1.0), ("E875", "potassium", 1.0),
        ("I447", "lbbb", 1.0), ("I350", "aortic_stenosis", 0.8), ("R001", "rate_bpm", -0.7),
        ("I252", "scar_inferior", 0.5), ("I2720", "rv_load", 0.5), ("I4510", "rbbb", 0.8),
    ):  # fmt: skip
        assert shift(code, finding) / np.sign(least) > abs(least)


def test_the_tail_is_fixed_by_names_and_falls_with_rank() -> None:
    assert not {name[:3] for name in core()} & set(tail())
    assert len(core()) == 71
    assert tail()["G30"] == tail()["G30"]
    first, *_, last = tail()
    p = read("virtual/mimic")
    assert p[first].mean() > 5 * p[last].mean()


def test_odds_have_about_the_prevalence_asked_for() -> None:
    found = as_arrays(population("virtual/mimic").findings)
    for prevalence in (0.02, 0.1, 0.3):
        score = odds(prevalence, {"age_years": 0.7, "frailty": 0.8, "ef_percent": -0.5})
        assert score.degree(found).mean() == pytest.approx(prevalence, rel=0.35)


def test_a_record_and_its_labels_depend_only_on_their_index() -> None:
    for name in ("virtual/code", "virtual/mimic"):
        whole = make_records(name, 3, "test", 0, 12, 100, 500)
        part = make_records(name, 3, "test", 5, 9, 100, 500)
        assert np.array_equal(whole.signals[5:9], part.signals)
        assert np.array_equal(whole.patients[5:9], part.patients)
        for task, labels in whole.labels.items():
            assert np.array_equal(labels[5:9], part.labels[task])
        assert whole.signals.shape == (12, 12, 500)
        assert all(np.all((t >= 0) & (t < 5)) for t in whole.r_peaks_s)
        assert all(np.all(np.diff(t) > 0) for t in whole.r_peaks_s)
        assert set(whole.findings) == set(FINDINGS)
        other = make_records(name, 4, "test", 0, 12, 100, 500)
        assert not np.array_equal(whole.signals, other.signals)


def test_label_numbers_are_uniform_and_have_a_stream_each() -> None:
    numbers = uniforms(stream("x", 0, "train", "record", torch.arange(4000)), ("a", "b", "a"))
    assert np.array_equal(numbers[:, 0], numbers[:, 2])
    assert abs(np.corrcoef(numbers[:, 0], numbers[:, 1])[0, 1]) < 0.06
    counts, _ = np.histogram(numbers[:, :2], bins=20, range=(0, 1))
    assert ((counts - 400) ** 2 / 400).sum() < 45  # chi-squared, 19 degrees of freedom
    again = uniforms(stream("x", 0, "train", "record", torch.tensor([17])), ("b",))
    assert again[0, 0] == numbers[17, 1]


def test_members_are_the_records_that_belong() -> None:
    cohort = COHORTS["virtual/ptbxl"]
    found = members(cohort, "form", 0, "train", RECORDS, 10.0)
    assert np.array_equal(found, labels_of(cohort, population("virtual/ptbxl"))[1]["form"])
    assert members(cohort, "all", 0, "train", 10, 10.0).all()


def tiny(task: Task, **readings: Reading) -> Cohort:
    return dataclasses.replace(COHORTS["virtual/code"], readings=readings, tasks={"": task})


def test_a_class_of_several_readings_is_any_of_them_by_hand() -> None:
    task = Task(members={"x": ("a", "b"), "y": ("c",)}, needs_label=True)
    p = {"a": np.array([0.2]), "b": np.array([0.5]), "c": np.array([0.1])}
    chances, belongs = task_probabilities(task, p)
    nothing = 0.8 * 0.5 * 0.9
    assert belongs == pytest.approx(1 - nothing)
    assert chances[:, 0] == pytest.approx([(1 - 0.8 * 0.5) / (1 - nothing), 0.1 / (1 - nothing)])


def test_labels_that_share_a_draw_are_nested() -> None:
    low = Reading(above("rate_bpm", 90.0, 20.0), flip=0.01, draw="same")
    high = Reading(above("rate_bpm", 70.0, 20.0), flip=0.01, draw="same")
    cohort = tiny(plain(("low", "high")), low=low, high=high)
    found = {"rate_bpm": np.full(500, 80.0)}
    labels, _ = draw_labels(cohort, found, stream("x", 0, "train", "record", torch.arange(500)))
    assert np.all(labels[""][:, 1] >= labels[""][:, 0])
    assert 0 < labels[""][:, 0].sum() < labels[""][:, 1].sum() < 500


def test_impossible_cohorts_are_refused() -> None:
    reading = Reading(above("rate_bpm", 90.0, 5.0), flip=0.01)
    with pytest.raises(ValueError, match="nobody reads"):
        tiny(plain(("ST",)), SB=reading)
    shared_draw = dataclasses.replace(reading, draw="one")
    with pytest.raises(ValueError, match="share a draw"):
        tiny(Task(members={"x": ("a", "b")}), a=shared_draw, b=shared_draw)
    with pytest.raises(ValueError, match="share a draw"):
        tiny(plain(("a", "b"), needs_label=True), a=shared_draw, b=shared_draw)
    with pytest.raises(ValueError, match="needs classes"):
        Task(members={"x": ()})
    with pytest.raises(KeyError):
        make_records("virtual/none", 0, "train", 0, 1, 100, 500)
