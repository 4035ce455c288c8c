"""MIMIC-IV-ECG: lead order, missing samples, diagnosis classes, folds and outcomes."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.corpora.errors import CorpusError
from scaling.corpora.registry import Summaries, open_source
from scaling.corpora.sources import mimic_labels
from scaling.corpora.sources.mimic_labels import MIN_COUNT, CodeLists, parse_codes, with_ancestors
from scaling.corpora.sources.read.base import Recording, Rows, Source
from scaling.corpora.sources.testing import Expected, SourceContract
from scaling.identity import CorpusSpec
from tests.scaling.corpora.layouts import mimic as layout

SPEC = CorpusSpec(source="mimic")


@pytest.fixture(autouse=True)
def few_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two records are enough for a class, so that a small table has some."""
    monkeypatch.setattr(mimic_labels, "MIN_COUNT", 2)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return layout.write(tmp_path / "mimic")


class TestMimic(SourceContract):
    spec = SPEC
    # aVF is the fifth lead of the file (k = 4): (3 * 7 + 23 * 4 + 238) % 801 - 400 = -49 steps
    # of 5 uV. I10, I48 and E78 have three, two and two records; E785, I481 and I489 have one.
    expected = Expected(
        record="40689238", lead="aVF", sample=7, value=-0.245, task="icd",
        positives=frozenset({"I10", "I48", "E78"}), split="train",
    )  # fmt: skip

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return layout.write(tmp_path / "mimic")


def rows(source: Source) -> Rows:
    (chunk,) = source.chunks()
    return chunk.read()[0]


def recording(source: Source, record: str) -> Recording:
    (chunk,) = source.chunks()
    table, recordings = chunk.read()
    found = dict(zip(table.records, recordings, strict=True))[record]
    if isinstance(found, CorpusError):
        raise found
    assert isinstance(found, Recording)
    return found


def positives(source: Source, task: str) -> dict[str, set[str] | None]:
    """Record -> positive classes; None where it does not belong to the task."""
    table = rows(source)
    names = source.classes[task]
    return {
        record: {names[k] for k in np.flatnonzero(label)} if valid else None
        for record, label, valid in zip(
            table.records, table.labels[task], table.valid[task], strict=True
        )
    }


def test_leads_are_named_as_stored_and_missing_samples_are_nan(root: Path) -> None:
    found = recording(open_source(SPEC, root), "40689238")
    assert found.leads == tuple(layout.LEADS)
    assert found.leads[3:6] == ("aVR", "aVF", "aVL")
    assert np.flatnonzero(np.isnan(found.signal).any(axis=0)).tolist() == [100, 101, 102]
    assert np.isnan(found.signal).any(axis=1).tolist() == [k == 6 for k in range(12)]
    want = layout.signal_mv(40689238).T
    np.testing.assert_allclose(found.signal, want, atol=1e-5)


def test_machine_measurements_are_not_read(root: Path) -> None:
    (root / "machine_measurements.csv").write_bytes(b"\xff\xfe\x00")
    assert open_source(SPEC, root).summary("sex").train == 2


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (("I4819",), ("I48", "I481", "I4819")),
        (("W19XXXA",), ("W19",)),  # cut to W19XX, whose placeholders go
        (("T36X5A1",), ("T36", "T36X", "T36X5")),  # an X within a code stays
        ((" I10 ", "I10"), ("I10",)),
        (("S0101XA", "S01"), ("S01", "S010", "S0101")),
        (("Z9", ""), ()),
    ],
)
def test_codes_and_their_ancestors(codes: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert with_ancestors(codes) == expected


code = st.text("ABIXZ0123456789", min_size=3, max_size=8)


@given(st.lists(st.lists(code, max_size=6), max_size=12), st.integers(1, 4))
def test_classes_are_those_of_enough_records_and_hold_their_ancestors(
    table: list[list[str]], least: int
) -> None:
    lists = CodeLists()
    at = [lists.add(str(codes)) for codes in table]
    classes = lists.classes(least)
    labels = lists.labels(classes)
    have = [set() if i is None else {classes[k] for k in labels[i]} for i in at]
    for name in classes:
        assert sum(name in found for found in have) >= least
        assert all(name[:end] in classes for end in range(3, len(name)))
    counts = [sum(name in found for found in have) for name in classes]
    assert counts == sorted(counts, reverse=True)
    assert [i is None for i in at] == [not codes for codes in table]


@pytest.mark.parametrize("text", ["I10", "['I10'", "[I10]", "['I10' 'I48']", "['a\\'b']", ""])
def test_what_is_no_list_of_codes(text: str) -> None:
    with pytest.raises(ValueError, match="not a list of codes"):
        parse_codes(text)


def test_diagnosis_classes_and_who_belongs(root: Path) -> None:
    source = open_source(SPEC, root)
    assert source.classes["icd"] == ("I10", "E78", "I48")
    assert positives(source, "icd") == {
        "40689238": {"I10", "I48", "E78"},
        "44458630": None,  # no diagnosis at all
        "48831784": {"I10", "I48"},
        "46989724": {"I10", "E78"},
        "47330122": None,  # not in the table
        "42804971": None,
        "49036311": set(),  # a diagnosis, but of too few records
    }


def test_the_threshold_is_the_benchmarks_on_the_full_table() -> None:
    lists = CodeLists()
    for _ in range(2000):
        lists.add("['I10']")
    for _ in range(1999):
        lists.add("['E785']")
    assert lists.classes(MIN_COUNT) == ("I10",)


def test_sex_and_outcomes_and_who_belongs(root: Path) -> None:
    source = open_source(SPEC, root)
    assert source.classes["sex"] == ("male",)
    assert positives(source, "sex") == {
        "40689238": set(), "44458630": set(), "48831784": {"male"}, "46989724": {"male"},
        "47330122": None, "42804971": None, "49036311": None,
    }  # fmt: skip
    # 0 11 001111 0: hypoxemia, two of ICU, six of mortality, mortality during the stay.
    icu, mortality = positives(source, "icu"), positives(source, "mortality")
    assert icu["40689238"] == {"icu_24h", "icu_stay"}
    assert mortality["40689238"] == {
        "mortality_28d", "mortality_90d", "mortality_180d", "mortality_365d",
    }  # fmt: skip
    assert icu["44458630"] == {"icu_24h"}, "other targets may be missing"
    assert mortality["44458630"] == set()
    assert icu["46989724"] is None, "one of its own targets is missing"
    assert mortality["46989724"] == set()
    assert icu["47330122"] == {"icu_stay"}
    assert icu["42804971"] is None
    assert rows(source).ages[:2] == [52.0, 52.0]
    assert rows(source).ages[6] is None


def test_folds_make_one_split_for_all_tasks(root: Path) -> None:
    source = open_source(SPEC, root)
    splits = dict(zip(rows(source).records, rows(source).splits, strict=True))
    assert splits["40689238"] == splits["44458630"] == splits["49036311"] == "train"
    assert splits["48831784"] == "validation"
    assert splits["46989724"] == "test", "ext-icd says 19, MDS-ED 4"
    assert splits["47330122"] == "test", "only MDS-ED knows the patient"
    notes = source.notes()
    assert notes["patients_with_two_folds"] == 1
    assert notes["patients_with_hashed_fold"] == 1
    assert notes["missing_tasks"] == {}


def test_unknown_patients_are_spread_by_a_fixed_hash(tmp_path: Path) -> None:
    studies = [layout.Study(10_000_000 + i, i) for i in range(3000)]
    root = tmp_path / "many"
    root.mkdir()
    layout.write_table(
        root / "record_list.csv", layout.LIST_COLUMNS, [s.list_cells() for s in studies]
    )
    for study in studies:
        path = root / study.path()
        path.parent.mkdir(parents=True)
        path.with_name(path.name + ".hea").touch()
        path.with_name(path.name + ".dat").touch()
    entries = open_source(SPEC, root).chunks()
    splits = [split for chunk in entries for split in chunk.read()[0].splits]
    shares = [splits.count(split) / 3000 for split in ("train", "validation", "test")]
    np.testing.assert_allclose(shares, [0.9, 0.05, 0.05], atol=0.015)
    other = {i: split for i, split in enumerate(splits[:55]) if split != "train"}
    assert other == {24: "validation", 28: "validation", 53: "test"}  # must never change


def test_tasks_whose_table_is_absent_say_so(root: Path) -> None:
    (root / "labels/mds_ed.csv").unlink()
    source = open_source(SPEC, root)
    assert set(source.classes) == {"icd", "sex"}
    with pytest.raises(CorpusError, match=r"no task 'icu' here: mds_ed\.csv is neither"):
        Summaries().of(SPEC, "icu", root)
    (root / "labels/records_w_diag_icd10.csv").unlink()
    source = open_source(SPEC, root)
    assert source.classes == {}
    assert rows(source).labels == {}
    assert source.notes()["patients_with_hashed_fold"] == 6


def test_tables_in_the_root_and_a_table_that_is_too_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mimic_labels, "MIN_COUNT", 2000)
    root = layout.write(tmp_path / "flat", labels=".")
    assert Summaries().of(SPEC, "mortality", root).train == 2
    with pytest.raises(CorpusError, match=r"no code has 2,000 records in records_w_diag_icd10"):
        Summaries().of(SPEC, "icd", root)


def test_absent_files_and_labels_of_absent_records_are_counted(root: Path) -> None:
    (root / layout.STUDIES[2].path()).with_suffix(".dat").unlink()
    extra = [dataclasses.replace(layout.STUDIES[0], study=5), *layout.STUDIES]
    layout.write_labels(root / "labels", extra)
    source = open_source(SPEC, root)
    assert source.summary("icd").absent == 1
    assert source.summary("icd").validation == 0
    assert list(source.notes()["left_out"].values()) == [2]


Break = Callable[[Path], None]


def studies(at: int, **changes: object) -> Break:
    """Change one study in all tables."""

    def apply(root: Path) -> None:
        changed = list(layout.STUDIES)
        changed[at] = dataclasses.replace(changed[at], **changes)  # type: ignore[arg-type]
        layout.write_labels(root / "labels", changed)

    return apply


def edit(name: str, old: str, new: str) -> Break:
    def apply(root: Path) -> None:
        text = (root / name).read_text()
        assert old in text, text
        (root / name).write_text(text.replace(old, new))

    return apply


def cut(name: str) -> Break:
    def apply(root: Path) -> None:
        (root / name).write_text((root / name).read_text()[:-30])

    return apply


def again(root: Path) -> None:
    with (root / "record_list.csv").open("a", newline="") as file:
        csv.writer(file).writerow(layout.STUDIES[0].list_cells())


def repeated_diagnosis(root: Path) -> None:
    rows = [s.diagnosis_cells() for s in (layout.STUDIES[0], layout.STUDIES[0])]
    path = root / "labels/records_w_diag_icd10.csv"
    layout.write_table(path, layout.DIAGNOSES_COLUMNS, rows)


ICD, LIST = "labels/records_w_diag_icd10.csv", "record_list.csv"
BROKEN = [
    (studies(1, fold="19"), r"icd10\.csv:3: subject 10000032 is in both fold 3 and fold 19"),
    (studies(1, outcome_fold="4"), r"mds_ed\.csv:3: subject 10000032 is in both fold 3 and"),
    (studies(1, fold="20"), r"icd10\.csv:3: fold 20 is not one of 0 to 19"),
    (studies(2, subject=10000099), r"study 48831784 is of subject 10000099 in records_w_diag"),
    (studies(0, codes="I10"), r"icd10\.csv:2: 'I10' is not a list of codes"),
    (studies(0, gender="W"), r"icd10\.csv:2: gender 'W' is neither M nor F"),
    (studies(0, age="300"), r"icd10\.csv:2: age '300' is not one in years"),
    (studies(0, outcomes="02----0000"), r"mds_ed\.csv:2: '2\.0' is none of 0, 1 and -999"),
    (repeated_diagnosis, r"icd10\.csv:3: study 40689238 appears twice"),
    (again, r"record_list\.csv: record 40689238 appears twice"),
    (edit(LIST, "files/p1000/p10000117", "files/../../p10000117"), "is not a path below the root"),
    (edit(LIST, "files/p1000/p10000117", "/etc/p10000117"), "is not a path below the root"),
    (edit(LIST, "/48831784\n", "/40689238\n"), r"csv:4: path .* is not that of study 48831784"),
    (edit(LIST, "10000117,", "x,"), r"record_list\.csv:4: 'x' is not a whole number"),
    (edit(LIST, "study_id", "study"), r"record_list\.csv: column study_id is missing"),
    (edit(ICD, "all_diag_all", "all"), r"icd10\.csv: column all_diag_all is missing"),
    (cut(ICD), r"icd10\.csv:6: 5 cells, but the header has 12: the table is truncated"),
    (lambda root: (root / LIST).write_text(""), r"column subject_id, study_id, path is missing"),
    (lambda root: (root / LIST).unlink(), r"record_list\.csv: no such file; MIMIC-IV-ECG needs"),
    (lambda root: (root / "files").rename(root / "f"), "none of the 7 records .* download files"),
]


@pytest.mark.parametrize(("apply", "message"), BROKEN)
def test_what_is_wrong_is_named(root: Path, apply: Break, message: str) -> None:
    apply(root)
    with pytest.raises(CorpusError, match=message):
        open_source(SPEC, root)


def test_the_same_row_twice_is_one_outcome(root: Path) -> None:
    twice = [layout.STUDIES[0].outcome_cells()] * 2
    layout.write_table(root / "labels/mds_ed.csv", layout.OUTCOME_COLUMNS, twice)
    assert open_source(SPEC, root).summary("icu").train == 1
    other = dataclasses.replace(layout.STUDIES[0], outcomes="0" * 10)
    twice[1] = other.outcome_cells()
    layout.write_table(root / "labels/mds_ed.csv", layout.OUTCOME_COLUMNS, twice)
    with pytest.raises(CorpusError, match="appears twice, with different outcomes"):
        open_source(SPEC, root)


def test_a_truncated_record_is_an_error_when_it_is_read(root: Path) -> None:
    path = (root / layout.STUDIES[0].path()).with_suffix(".dat")
    path.write_bytes(path.read_bytes()[:1000])
    source = open_source(SPEC, root)
    with pytest.raises(CorpusError, match=r"40689238\.dat: 1000 bytes"):
        recording(source, "40689238")
    assert recording(source, "44458630").fs_hz == 500
