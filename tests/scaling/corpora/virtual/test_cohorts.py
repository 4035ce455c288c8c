"""Cohorts: class lists, tasks that agree with each other, labels that follow the readings."""

from __future__ import annotations

import csv
import dataclasses
import functools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from scaling.corpora.catalogue import SOURCES
from scaling.corpora.sources import code_hdf5, cpsc2018, csn, echonext, mimic_labels
from scaling.corpora.sources.ptbxl import TASKS as PTBXL_TASKS
from scaling.corpora.sources.ptbxl import open_source as open_ptbxl
from scaling.corpora.virtual.cohorts import COHORTS, Cohort, ptbxl
from scaling.corpora.virtual.cohorts.base import CohortTask, task_of
from scaling.corpora.virtual.cohorts.chances import (
    Chances,
    Imagined,
    class_chances,
    without_formula,
)
from scaling.corpora.virtual.cohorts.outcomes import ancestors, core, odds, tail
from scaling.corpora.virtual.cohorts.records import (
    as_arrays,
    draw_labels,
    label_uniform,
    labels_of,
    members,
    records_of,
)
from scaling.corpora.virtual.generate import Visits, visits
from scaling.corpora.virtual.population import FINDINGS, Device, Population
from scaling.corpora.virtual.reading import (
    Not,
    Outcome,
    Reading,
    above,
    all_of,
    any_of,
    below,
    between,
    read_once,
    written,
)
from scaling.corpora.virtual.reproducible import stream
from scaling.identity import CorpusSpec
from tests.scaling.corpora.virtual.lone import reading_chances, task_chances

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


@functools.cache
def chances(name: str) -> dict[str, Chances]:
    return class_chances(
        COHORTS[name], as_arrays(population(name).findings), np.random.default_rng(0), 256
    )


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
    assert classes["virtual/code"][""] == classes["virtual/basic"][""] == code_hdf5.CLASSES
    assert classes["virtual/wearable"][""] == (*code_hdf5.CLASSES, "PAC", "PVC")
    assert classes["virtual/csn"][""] == csn.CLASSES
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
    assert tuple(rows) == ptbxl.STATEMENTS
    assert ptbxl.SUPERCLASS == {k: row["diagnostic_class"] for k, row in diagnostic.items()}
    assert ptbxl.SUBCLASS == {k: row["diagnostic_subclass"] for k, row in diagnostic.items()}
    assert tuple(k for k, row in rows.items() if row["form"] == "1.0") == ptbxl.FORM
    assert tuple(k for k, row in rows.items() if row["rhythm"] == "1.0") == ptbxl.RHYTHM


def test_ptbxl_tasks_have_the_classes_of_the_real_source(shared: Path) -> None:
    source = open_ptbxl(CorpusSpec(source="ptbxl"), shared / "data" / "ptb-xl")
    assert COHORTS["virtual/ptbxl"].classes == source.classes
    assert tuple(COHORTS["virtual/ptbxl"].tasks) == PTBXL_TASKS


@pytest.mark.parametrize("name", COHORTS)
def test_chances_are_probabilities_and_every_class_occurs(name: str) -> None:
    cohort = COHORTS[name]
    for task_name, task in cohort.tasks.items():
        found = chances(name)[task_name]
        assert found.classes.shape == found.readers.shape == (len(task.classes), RECORDS)
        assert found.belongs.shape == (RECORDS,)
        assert found.classes.min() >= 0.0 <= found.belongs.min()
        assert found.classes.max() <= 1.0 >= found.belongs.max()
        outcomes = [r.flip for r in map(cohort.readings.get, task.readings)
                    if isinstance(r, Outcome)]  # fmt: skip
        assert found.classes.min() >= min(outcomes, default=0.0) - 1e-12
        assert np.isinf(found.readers).all() == (not without_formula(cohort, task))
        prevalence = (found.classes * found.belongs).sum(axis=1) / found.belongs.sum()
        # The long tails of diagnoses and statements are declared; all else is common enough.
        rarest = {"virtual/mimic": 0.002, "virtual/ptbxl": 0.0015}.get(name, 0.008)
        assert prevalence.min() > rarest
        assert prevalence.max() < 0.75
        # Labels are to be read off the patient, not off their prevalence: some are, clearly.
        assert found.classes.std(axis=1).max() > 0.15


@pytest.mark.parametrize("name", COHORTS)
def test_labels_follow_the_stated_probabilities(name: str) -> None:
    cohort = COHORTS[name]
    labels, valid = labels_of(cohort, population(name))
    for task_name in cohort.tasks:
        found = chances(name)[task_name]
        belongs, inside = found.belongs, valid[task_name]
        assert abs(inside.sum() - belongs.sum()) <= 5 * np.sqrt((belongs * (1 - belongs)).sum())
        y, q = labels[task_name][inside].T, found.classes[:, inside]
        z = (y.sum(axis=1) - q.sum(axis=1)) / np.sqrt((q * (1 - q)).sum(axis=1))
        assert np.abs(z).max() < 5.0  # of 900 codes at most
        assert len(z) < 20 or 0.6 < np.sqrt((z**2).mean()) < 1.7
        # And record by record: where a label is likelier it is given more often.
        column = int(q.std(axis=1).argmax())
        for likely in (q[column] < 0.2, q[column] > 0.8):
            if likely.sum() > 100:
                p = q[column, likely]
                off = y[column, likely].sum() - p.sum()
                # Chances of 0 and 1 are counted among some hundred readers: one more of them.
                spread = (p * (1 - p)).sum() + likely.sum() / 256
                assert abs(off) < 5 * np.sqrt(spread), (task_name, column)


@pytest.mark.parametrize("name", COHORTS)
def test_chances_are_the_shares_of_many_readers(name: str) -> None:
    """Of the label, the class and the membership of each record, whether by formula or counted."""
    cohort, records, readers = COHORTS[name], 8, 6000
    findings = {k: v[100 : 100 + records] for k, v in as_arrays(population(name).findings).items()}
    errors = Imagined(np.random.default_rng(1), (readers, records), cohort.slip)
    tasks = {name: some(task) for name, task in cohort.tasks.items()}
    names = tuple(dict.fromkeys(name for task in tasks.values() for name in task.readings))
    drawn = cohort.draw(findings, errors, names)
    assert tuple(drawn) == names
    for task in tasks.values():
        found = task_chances(cohort, task, findings, np.random.default_rng(2), 4000)
        seen = np.stack(
            [np.any([drawn[n] for n in part], axis=0) for part in task.members.values()]
        )
        member = seen.any(axis=0) if task.needs_label else np.ones((readers, records), bool)
        close(member.mean(axis=0), found.belongs, readers, np.full(records, 4000.0))
        common = found.belongs > 0.01
        among = member.sum(axis=0)[common]
        share = (seen & member).sum(axis=1)[:, common] / among
        close(share, found.classes[:, common], among, found.readers[:, common])


def some(task: CohortTask) -> CohortTask:
    """Few of the classes of a long list."""
    chosen = list(task.members.items())[:: 1 + len(task.members) // 80]
    return CohortTask(members=dict(chosen), needs_label=task.needs_label)


def close(share: Array, stated: Array, readers: Array | int, among: Array) -> None:
    """Two shares agree to five standard errors, or a case or two."""
    p = (share + stated) / 2
    number = 1.0 / (1.0 / readers + 1.0 / np.maximum(among, 1.0))
    assert np.all(np.abs(share - stated) < 5 * np.sqrt(p * (1 - p) / number) + 3 / number)


def test_what_a_statement_is_worth_among_records_with_a_label_is_what_its_formula_says() -> None:
    # The statement makes its record belong: P(it | belongs) P(belongs) = P(it), which has a
    # formula where nothing is judged twice in it.
    cohort, found = COHORTS["virtual/ptbxl"], chances("virtual/ptbxl")
    tested = 0
    for task_name in ("diagnostic", "form", "rhythm"):
        task = cohort.tasks[task_name]
        for column, code in enumerate(task.classes):
            formula = found["all"].readers[ptbxl.STATEMENTS.index(code)]
            assert np.isinf(formula).all() == read_once(cohort.readings[code].condition)
            if np.isinf(formula).all():
                p = found["all"].classes[ptbxl.STATEMENTS.index(code)]
                counted = found[task_name].classes[column] * found[task_name].belongs
                assert (
                    abs(counted.mean() - p.mean())
                    < 5 * np.sqrt((p * (1 - p)).sum() / 256) / RECORDS
                )
                tested += 1
    assert tested > 30


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
    drawn = dict(zip(ptbxl.STATEMENTS, labels["all"].T, strict=True))
    for task, groups in (("superclass", ptbxl.SUPERCLASS), ("subclass", ptbxl.SUBCLASS)):
        classes = COHORTS["virtual/ptbxl"].classes[task]
        for column, name in enumerate(classes):
            parts = [drawn[code] for code, of in groups.items() if of == name]
            assert np.array_equal(labels[task][:, column], np.max(parts, axis=0))
    for task in ("superclass", "subclass", "diagnostic", "form", "rhythm"):
        assert np.array_equal(valid[task], labels[task].any(axis=1))
        assert (0.45 if task == "form" else 0.8) < valid[task].mean() < 0.99
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
    p = reading_chances(COHORTS["virtual/mimic"], as_arrays(population("virtual/mimic").findings))
    assert p.keys() == COHORTS["virtual/mimic"].readings.keys()
    assert p[first].mean() > 5 * p[last].mean()


def test_odds_have_about_the_prevalence_asked_for() -> None:
    found = as_arrays(population("virtual/mimic").findings)
    for prevalence in (0.02, 0.1, 0.3):
        score = odds(prevalence, {"age_years": 0.7, "frailty": 0.8, "ef_percent": -0.5})
        assert score.degree(found).mean() == pytest.approx(prevalence, rel=0.35)


def test_a_record_and_its_labels_depend_only_on_their_index() -> None:
    for name in ("virtual/code", "virtual/mimic"):
        whole = records_of(COHORTS[name], 3, "test", 0, 12, 100, 500)
        part = records_of(COHORTS[name], 3, "test", 5, 9, 100, 500)
        assert np.array_equal(whole.signals[5:9], part.signals)
        assert np.array_equal(whole.patients[5:9], part.patients)
        for task, labels in whole.labels.items():
            assert np.array_equal(labels[5:9], part.labels[task])
        assert whole.signals.shape == (12, 12, 500)
        assert all(np.all((t >= 0) & (t < 5)) for t in whole.r_peaks_s)
        assert all(np.all(np.diff(t) > 0) for t in whole.r_peaks_s)
        assert set(whole.findings) == set(FINDINGS)
        other = records_of(COHORTS[name], 4, "test", 0, 12, 100, 500)
        assert not np.array_equal(whole.signals, other.signals)


def test_label_numbers_are_uniform_and_have_a_stream_each() -> None:
    records = stream("x", 0, "train", "record", torch.arange(4000))
    numbers = np.stack([label_uniform(records, name) for name in "aba"], axis=1)
    assert np.array_equal(numbers[:, 0], numbers[:, 2])
    assert abs(np.corrcoef(numbers[:, 0], numbers[:, 1])[0, 1]) < 0.06
    counts, _ = np.histogram(numbers[:, :2], bins=20, range=(0, 1))
    assert ((counts - 400) ** 2 / 400).sum() < 45  # chi-squared, 19 degrees of freedom
    again = label_uniform(stream("x", 0, "train", "record", torch.tensor([17])), "b")
    assert again[0] == numbers[17, 1]


def test_members_are_the_records_that_belong() -> None:
    cohort = COHORTS["virtual/ptbxl"]
    found = members(cohort, "form", 0, "train", RECORDS, 10.0)
    assert np.array_equal(found, labels_of(cohort, population("virtual/ptbxl"))[1]["form"])
    assert members(cohort, "all", 0, "train", 10, 10.0).all()


def tiny(task: CohortTask, slip: float = 0.0, **readings: Reading | Outcome) -> Cohort:
    population = Population(age_mean=60.0)
    return Cohort(name="virtual/tiny", about="one task", population=population, device=Device(),
                  readings=readings, tasks={"": task}, slip=slip)  # fmt: skip


def fixed(p: float) -> Outcome:
    """An outcome of that chance where the rate is 100."""
    odds = np.log((p - 0.01) / (0.99 - p))
    return Outcome(above("rate_bpm", 100.0 - 5.0 * odds, 5.0), flip=0.01)


def test_a_class_of_several_outcomes_is_any_of_them_by_hand() -> None:
    task = CohortTask(members={"x": ("a", "b"), "y": ("c",)}, needs_label=True)
    cohort = tiny(task, a=fixed(0.2), b=fixed(0.5), c=fixed(0.1))
    found = task_chances(cohort, task, {"rate_bpm": np.array([100.0])})
    nothing = 0.8 * 0.5 * 0.9
    assert found.belongs == pytest.approx(1 - nothing)
    assert found.classes[:, 0] == pytest.approx(
        [(1 - 0.8 * 0.5) / (1 - nothing), 0.1 / (1 - nothing)]
    )
    assert np.isinf(found.readers).all()


def test_a_class_of_several_statements_is_any_of_them_by_hand() -> None:
    # Of findings judged apart, the chances multiply; of the same finding the wider one counts.
    task = CohortTask(members={"x": ("a", "b"), "y": ("c",), "z": ("c", "d")}, needs_label=True)
    cohort = tiny(
        task,
        a=Reading(above("rate_bpm", 100.0, 5.0)),
        b=Reading(above("pr_ms", 200.0, 8.0)),
        c=Reading(below("qrs_ms", 100.0, 5.0)),
        d=Reading(below("qrs_ms", 90.0, 5.0)),
    )
    found = {"rate_bpm": np.array([[95.0, 60.0]]), "pr_ms": np.array([[190.0, 170.0]]),
             "qrs_ms": np.array([[102.0, 120.0]])}  # fmt: skip
    a, b, c, d = reading_chances(cohort, found).values()
    readers = 40_000
    got = task_chances(cohort, task, found, readers=readers)
    assert got.classes.shape == (3, 1, 2)
    belongs = 1 - (1 - a) * (1 - b) * (1 - c)
    any_ = 1 - (1 - a) * (1 - b)
    assert np.all(d < c)
    close(got.belongs, belongs, readers, np.full((1, 2), np.inf))
    assert np.array_equal(got.readers[0], np.rint(got.belongs * readers))
    for row, stated in zip(got.classes, (any_, c, c), strict=True):
        close(row, stated / belongs, readers * belongs, np.full((1, 2), np.inf))
    # The same records again, and other readers.
    assert np.array_equal(task_chances(cohort, task, found, readers=readers).classes, got.classes)
    other = task_chances(cohort, task, found, np.random.default_rng(5), readers)
    assert not np.array_equal(other.classes, got.classes)


def test_a_class_may_be_a_statement_or_an_outcome() -> None:
    task = CohortTask(members={"x": ("a", "b"), "y": ("b",)})
    cohort = tiny(task, a=Reading(above("pr_ms", 200.0, 8.0)), b=fixed(0.3))
    found = {"rate_bpm": np.full(3, 100.0), "pr_ms": np.array([150.0, 200.0, 205.0])}
    got = task_chances(cohort, task, found, readers=40_000)
    p = reading_chances(cohort, found)
    close(got.classes[0], 1 - (1 - p["a"]) * 0.7, 40_000, np.full(3, np.inf))
    assert got.classes[1] == pytest.approx(0.3)
    assert np.isinf(got.readers[1]).all()


def test_outcomes_that_share_a_draw_are_nested() -> None:
    low = Outcome(above("rate_bpm", 90.0, 20.0), flip=0.01, draw="same")
    high = Outcome(above("rate_bpm", 70.0, 20.0), flip=0.01, draw="same")
    cohort = tiny(task_of(("low", "high")), low=low, high=high)
    found = {"rate_bpm": np.full(500, 80.0)}
    labels, _ = draw_labels(cohort, found, stream("x", 0, "train", "record", torch.arange(500)))
    assert np.all(labels[""][:, 1] >= labels[""][:, 0])
    assert 0 < labels[""][:, 0].sum() < labels[""][:, 1].sum() < 500


def test_a_reader_is_bound_to_his_record() -> None:
    """Whatever else is read, and in whatever order: a label depends on the record alone."""
    pr, wide = above("pr_ms", 200.0, 8.0), above("qrs_ms", 120.0, 5.0)
    readings = {"long": Reading(pr), "both": Reading(all_of(pr, wide)),
                "few": Reading(written("few", any_of(pr, wide), 0.4))}  # fmt: skip
    found = {"pr_ms": np.full(300, 202.0), "qrs_ms": np.full(300, 119.0)}
    numbers = stream("x", 0, "train", "record", torch.arange(300))
    whole, _ = draw_labels(tiny(task_of(tuple(readings)), 0.05, **readings), found, numbers)
    # In other company, and in another order.
    other = {"few": Reading(written("few", any_of(wide, pr), 0.4)),
             "both": Reading(all_of(wide, pr))}  # fmt: skip
    again, _ = draw_labels(tiny(task_of(tuple(other)), 0.05, **other), found, numbers)
    assert np.array_equal(whole[""][:, [2, 1]], again[""])
    assert np.all(whole[""][:, 1] <= whole[""][:, 0])
    half = {name: value[100:] for name, value in found.items()}
    later = stream("x", 0, "train", "record", torch.arange(100, 300))
    part, _ = draw_labels(tiny(task_of(tuple(readings)), 0.05, **readings), half, later)
    assert np.array_equal(whole[""][100:], part[""])
    assert 0 < whole[""].sum(axis=0).min() <= whole[""].sum(axis=0).max() < 300


def test_impossible_cohorts_are_refused() -> None:
    outcome = Outcome(above("rate_bpm", 90.0, 5.0), flip=0.01)
    with pytest.raises(ValueError, match=r"virtual/tiny: task '' names \['ST'\], which nobody"):
        tiny(task_of(("ST",)), SB=outcome)
    shared_draw = Outcome(outcome.condition, flip=0.01, draw="one")
    with pytest.raises(ValueError, match=r"virtual/tiny: .* share a draw"):
        tiny(CohortTask(members={"x": ("a", "b")}), a=shared_draw, b=shared_draw)
    with pytest.raises(ValueError, match="share a draw"):
        tiny(task_of(("a", "b"), needs_label=True), a=shared_draw, b=shared_draw)
    for slip in (-0.1, 0.5, float("nan")):
        with pytest.raises(ValueError, match="virtual/tiny: slip"):
            tiny(task_of(("a",)), slip, a=outcome)
    with pytest.raises(ValueError, match="needs classes"):
        CohortTask(members={"x": ()})
    with pytest.raises(ValueError, match="class 'x' names a reading twice"):
        CohortTask(members={"x": ("a", "b", "a")})
    with pytest.raises(ValueError, match="real: a cohort is named virtual/"):
        dataclasses.replace(COHORTS["virtual/code"], name="real")
    with pytest.raises(ValueError, match="virtual/code: a cohort has a task"):
        dataclasses.replace(COHORTS["virtual/code"], tasks={})


def test_a_cohort_is_made_when_it_is_asked_for() -> None:
    """A dry run needs one of them, and all together take longer than the rest of it."""
    code = """
import sys
from scaling.corpora.virtual.cohorts import COHORTS
COHORTS["virtual/basic"]
print(*sorted(name.rpartition(".")[2] for name in sys.modules if ".cohorts." in name))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["base", "conditions", "statements"]
    with pytest.raises(KeyError, match="virtual/nobody"):
        _ = COHORTS["virtual/nobody"]


def test_a_label_that_needs_what_nobody_has_is_refused() -> None:
    af, wide = above("af", 0.5, 0.06), above("qrs_ms", 120.0, 5.0)
    flutter = above("flutter", 0.5, 0.06)
    for condition in (af, all_of(wide, af), any_of(af, flutter), written("AF", af, 0.5),
                      between("rbbb", 0.4, 0.6, 0.05)):  # fmt: skip
        with pytest.raises(
            ValueError, match="virtual/tiny: 'X' can only be read by mistake: nobody"
        ):
            tiny(task_of(("X",)), X=Reading(condition))
        with pytest.raises(ValueError, match="nobody has"):
            tiny(task_of(("X",)), X=Outcome(condition, flip=0.01))
    some = dataclasses.replace(COHORTS["virtual/code"], readings={"X": Reading(af)},
                               tasks={"": task_of(("X",))})  # fmt: skip
    assert some.population.prevalence["af"] > 0
    for seen in (wide, Not(af), any_of(wide, af), above("af", 0.1, 0.05), below("af", 0.5, 0.1),
                 Not(all_of(af, wide))):  # fmt: skip
        tiny(task_of(("X",)), X=Reading(seen))
