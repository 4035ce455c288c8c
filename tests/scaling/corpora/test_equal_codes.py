"""The table of equal codes: its rows are those of the sources, and a wrong one is refused."""

from __future__ import annotations

import ast
import csv
from pathlib import Path

import pytest

from scaling.corpora.catalogue import SOURCES
from scaling.corpora.equal_codes import (
    TABLE,
    LabelledTask,
    SharedClass,
    overlaps,
    read_equal_codes,
    shared_classes,
    vocabulary_of,
)
from scaling.corpora.errors import CorpusError
from scaling.corpora.sources.challenge2021 import LITEHEART_CLASSES, SCORED_CLASSES
from scaling.corpora.sources.code_hdf5 import CLASSES as CODE
from scaling.corpora.sources.cpsc2018 import CODES as CPSC
from scaling.corpora.sources.csn import CLASSES as CSN
from scaling.corpora.sources.csn import KNOWN_CONDITIONS, read_conditions
from scaling.corpora.sources.read.headers import read_headers
from scaling.corpora.virtual.cohorts import COHORTS

ROWS = read_equal_codes()
CSN_CODES = {name: code for code, name in read_conditions(KNOWN_CONDITIONS).items()}
LITEHEART = {name: codes for part in LITEHEART_CLASSES.values() for name, codes in part.items()}
# Of each vocabulary the classes that there are, and their codes where a source says them.
CODES: dict[str, dict[str, tuple[str, ...]]] = {
    "code": dict.fromkeys([*CODE, *COHORTS["virtual/wearable"].classes[""]], ()),
    "cpsc2018": dict(CPSC),
    "csn": {name: (CSN_CODES[name],) for name in CSN},
    "scored": SCORED_CLASSES,
    "liteheart": LITEHEART,
    "ptbxl": dict.fromkeys(COHORTS["virtual/ptbxl"].classes["all"], ()),
    "shifted": dict.fromkeys(COHORTS["virtual/shifted"].classes[""], ()),
}


def cohort(name: str, task: str = "") -> LabelledTask:
    return LabelledTask(name, task, COHORTS[name].classes[task])


def scored() -> LabelledTask:
    return LabelledTask("challenge2021", "scored", tuple(SCORED_CLASSES))


@pytest.mark.parametrize("vocabulary", CODES)
def test_every_name_is_a_class_and_has_the_code_of_its_source(vocabulary: str) -> None:
    known = CODES[vocabulary]
    for row in ROWS:
        for name in row.names.get(vocabulary, ()):
            assert name in known
            assert set(known[name]) <= set(row.codes), (name, known[name], row.codes)


def test_a_code_of_two_vocabularies_is_left_out_for_a_reason_only() -> None:
    """Every class with a code of a row stands in it, but for those that the module names."""
    left_out = {("cpsc2018", "NORM"), ("csn", "STTU")}
    for row in ROWS:
        for vocabulary, classes in CODES.items():
            having = {name for name, codes in classes.items() if set(codes) & set(row.codes)}
            missing = having - set(row.names.get(vocabulary, ()))
            assert {(vocabulary, name) for name in missing} <= left_out


def test_diagnoses_that_the_challenge_scores_as_one_are_one() -> None:
    for codes in SCORED_CLASSES.values():
        rows = [row for row in ROWS if set(codes) & set(row.codes)]
        assert len(rows) <= 1
        assert all(set(codes) <= set(row.codes) for row in rows)


def test_vocabularies_of_the_catalogue_are_columns() -> None:
    columns = {name for row in ROWS for name in row.names}
    said = {v for info in SOURCES.values() for v in info.vocabularies} - {""}
    assert said == columns == set(CODES)
    for name, info in SOURCES.items():
        assert len(info.vocabularies) in (0, len(info.tasks)), name
    for name, classes in ((n, c.classes) for n, c in COHORTS.items()):
        for task, names in classes.items():
            if vocabulary := vocabulary_of(name, task):
                assert set(names) <= set(CODES[vocabulary])


def test_classes_are_renamed_by_what_they_mean() -> None:
    pairs = dict(shared_classes(cohort("virtual/cpsc2018"), cohort("virtual/wearable")))
    assert pairs == {
        "AFIB": "AF", "VPC": "PVC", "1AVB": "1dAVb", "CRBBB": "RBBB", "PAC": "PAC",
        "CLBBB": "LBBB",
    }  # fmt: skip
    csn = dict(shared_classes(cohort("virtual/csn"), cohort("virtual/code")))
    assert csn["AFIB"] == "AF"
    assert "AF" not in csn  # there it is flutter
    assert dict(shared_classes(cohort("virtual/csn"), scored()))["AF"] == "AFL"
    assert dict(shared_classes(cohort("virtual/code"), scored())) == {
        "1dAVb": "IAVB", "RBBB": "CRBBB|RBBB", "LBBB": "CLBBB|LBBB", "SB": "SB", "AF": "AF",
        "ST": "STach",
    }  # fmt: skip


def test_order_is_that_of_the_first() -> None:
    own = LabelledTask("virtual/csn", "", ("ST", "AFIB", "1AVB"))
    assert [pair.own for pair in shared_classes(own, cohort("virtual/code"))] == list(own.classes)


def test_names_of_one_vocabulary_are_equal_also_out_of_the_table() -> None:
    everything = shared_classes(LabelledTask("csn", "codes", CSN), cohort("virtual/csn"))
    assert everything == tuple(SharedClass(name, name) for name in CSN)


@pytest.mark.parametrize(
    ("own", "other", "words"),
    [
        (cohort("virtual/csn"), cohort("virtual/mimic", "icd"), "virtual/mimic:icd has no column"),
        (LabelledTask("csn", "published", CSN), cohort("virtual/code"), "csn:published has no col"),
        (cohort("virtual/code"), cohort("virtual/ptbxl", "superclass"), "no column in equal_codes"),
        (
            cohort("virtual/shifted"),
            LabelledTask("virtual/cpsc2018", "", ("NORM", "STE")),
            "no class in common by equal_codes.csv: the first has LAD, LVOLT, TInv, LQT, CRBBB, "
            "the second NORM, STE",
        ),
        (
            LabelledTask("challenge2021/ningbo", "liteheart", ("LBBB", "CLBBB")),
            scored(),
            "the classes LBBB and CLBBB are one diagnosis",
        ),
    ],
)
def test_what_cannot_be_compared_says_so(
    own: LabelledTask, other: LabelledTask, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        shared_classes(own, other)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("12x,one,A,B", "3: code '12x' is not a SNOMED CT code"),
        (",one,A,B", "3: a row has at least a code"),
        ("12,one,,", "3: a row has at least a code"),
        ("12,one,AF,B", "3: 'AF' of the column 'left' is in line 2 too"),
        ("1,one,A,B", "3: '1' of the column 'codes' is in line 2 too"),
        ("12,one,A;A,B", "3: 'A' stands twice in the column 'left'"),
        ("12,one,A", "3: 3 cells, but the header has 4"),
    ],
)
def test_a_wrong_row_is_refused_with_its_line(tmp_path: Path, row: str, words: str) -> None:
    path = tmp_path / "codes.csv"
    path.write_text(f"codes,meaning,left,right\n1;2,fibrillation,AF,AFIB\n{row}\n")
    with pytest.raises(CorpusError) as caught:
        read_equal_codes(path)
    assert str(caught.value).startswith(f"{path}:{words}")


def test_the_table_is_read_as_it_stands() -> None:
    assert len(ROWS) == len(TABLE.read_text().splitlines()) - 1
    fibrillation = next(row for row in ROWS if row.codes == ("164889003",))
    assert fibrillation.names["csn"] == ("AFIB",)


def test_statements_of_ptbxl_have_their_code_in_the_challenges_copy(shared: Path) -> None:
    """Of the records that both copies here have."""
    with (shared / "data/ptb-xl/ptbxl_database.csv").open() as file:
        said = {int(r["ecg_id"]): ast.literal_eval(r["scp_codes"]) for r in csv.DictReader(file)}
    folder = shared / "data/challenge-2021/training/ptb-xl"
    checked = set()
    for record in read_headers(folder, folder).records:
        statements = said.get(int(record.record.removeprefix("HR")), {})
        for row in ROWS:
            if found := set(row.names.get("ptbxl", ())) & set(statements):
                assert set(row.codes) & set(record.codes), (record.record, found)
                checked |= found
    assert checked >= {"SR", "LVOLT", "LPR"}


def test_a_source_and_its_part_have_patients_in_common() -> None:
    for source, other, common in (
        ("csn", "csn/chapman", True),
        ("challenge2021/georgia", "challenge2021", True),
        ("csn", "csn", True),
        ("csn/chapman", "csn/ningbo", False),
        ("code", "code15", False),
        ("virtual/csn", "csn", False),
    ):
        assert overlaps(source, other) == overlaps(other, source) == common
