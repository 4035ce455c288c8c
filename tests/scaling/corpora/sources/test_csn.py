"""CSN: the 38 labels by code and as published, its parts, and its damaged headers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scaling.corpora.errors import CorpusError, UnusableError
from scaling.corpora.registry import open_source
from scaling.corpora.sources.csn import (
    CLASSES,
    KNOWN_CONDITIONS,
    SHARES,
    labels_as_published,
    read_conditions,
)
from scaling.corpora.sources.read.base import Recording, Rows, Source
from scaling.corpora.sources.testing import Expected, SourceContract
from scaling.identity import CorpusSpec
from tests.scaling.corpora.layouts import csn as layout
from tests.scaling.corpora.layouts import wfdb_mat

SPEC = CorpusSpec(source="csn")
ACRONYMS = read_conditions(KNOWN_CONDITIONS)
CHAPMAN, NINGBO = CorpusSpec(source="csn/chapman"), CorpusSpec(source="csn/ningbo")
Break = Callable[[Path], object]


class TestPublished(SourceContract):
    spec = SPEC
    # lead II, sample 3 of record 4: (21 + 31 + 404) mod 2001 - 1000 = -544. Its codes are SB,
    # 1AVB and STTC; the text "SB,1AVB,STTC" also has AVB, VB and ST in it.
    expected = Expected(
        record="JS00004", lead="II", sample=3, value=-0.544,
        task="published", positives=frozenset({"1AVB", "AVB", "VB", "STTC", "ST"}),
        split="validation",
    )  # fmt: skip

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        layout.write_split(tmp_path / "csn", CLASSES)
        return layout.write(tmp_path / "csn")


class TestChapman(SourceContract):
    spec = CHAPMAN
    # the same record; the only one of 1AVB and STTC, so it is one of training
    expected = Expected(
        record="JS00004", lead="II", sample=3, value=-0.544,
        task="codes", positives=frozenset({"1AVB", "STTC"}), split="train",
    )  # fmt: skip

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return layout.write(tmp_path / "csn", conditions=False)


def rows_of(source: Source) -> Rows:
    (chunk,) = source.chunks()
    return chunk.read()[0]


def names(source: Source, task: str) -> dict[str, set[str]]:
    rows = rows_of(source)
    return {
        record: {CLASSES[k] for k in np.flatnonzero(positive)}
        for record, positive, valid in zip(
            rows.records, rows.labels[task], rows.valid[task], strict=True
        )
        if valid
    }


def test_labels_by_code(tmp_path: Path) -> None:
    in_order = (
        "AQW UW SR WPW 2AVB AT VB ARS STTC SA STE VPB TWO STTU ALS APB 2AVB1 PRIE CCR CR AF AVB "
        "QTIE LBBB VEB SVT RBBB 1AVB STDD MI AFIB TWC PWC ERV RVH LVH ST JEB"  # SB is not one
    )
    assert tuple(in_order.split()) == CLASSES
    source = open_source(SPEC, layout.write(tmp_path))
    assert names(source, "codes") == {
        "JS00001": {"AFIB", "RBBB", "TWC"}, "JS00003": {"TWC"}, "JS00004": {"1AVB", "STTC"},
        "JS10646": {"AF"}, "JS10647": {"CCR", "MI"}, "JS10648": {"SR"},
        "JS10650": {"2AVB", "2AVB1"},
    }  # fmt: skip
    assert source.notes()["left_out"] == {"none of the 38 labels": 2}


def test_labels_by_the_published_rule(tmp_path: Path) -> None:
    """Each row of MERL's test file that is named here has these labels and no others."""
    source = open_source(SPEC, layout.write(tmp_path))
    assert names(source, "published") == {
        "JS00001": {"AFIB", "AF", "RBBB", "TWC"}, "JS00003": {"TWC"},
        "JS00004": {"1AVB", "AVB", "VB", "STTC", "ST"}, "JS10646": {"AF", "SA"},
        "JS10647": {"CCR", "CR", "MI"}, "JS10650": {"2AVB", "2AVB1", "AVB", "VB"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("diagnose", "positive"),
    [  # as in the files that MERL published
        ("SB,STE,ERV", {"STE", "ERV", "ST"}),  # JS24831
        ("AT,1AVB,SR,APB", {"SR", "AT", "VB", "APB", "AVB", "1AVB"}),  # JS11559
        ("SB,APB,LVQRSAL", {"SA", "APB"}),  # JS06216
        ("AFIB,LBBB,RBBB,TWC", {"AF", "LBBB", "RBBB", "AFIB", "TWC"}),  # JS02695
        ("AF,AVB,CCR", {"VB", "CCR", "CR", "AF", "AVB"}),  # JS06749
        ("IDC,AF,ALS", {"ALS", "AF"}),  # JS12566
        ("STE,ST,VFW", {"STE", "ST"}),  # JS43661
    ],
)
def test_rows_of_the_published_files(diagnose: str, positive: set[str]) -> None:
    code_of = {acronym: code for code, acronym in ACRONYMS.items()}
    codes = [code_of[acronym] for acronym in diagnose.split(",")]
    assert {CLASSES[k] for k in labels_as_published(codes, ACRONYMS)} == positive


def test_the_published_split_chooses_records_and_labels(tmp_path: Path) -> None:
    root = layout.write(tmp_path)
    layout.write_split(root / "splits", CLASSES)
    source = open_source(SPEC, root)
    rows = rows_of(source)
    assert dict(zip(rows.records, rows.splits, strict=True)) == {
        "JS00001": "train", "JS00003": "train", "JS00004": "validation", "JS10646": "train",
        "JS10647": "test", "JS10649": "test", "JS10650": "train",
    }  # fmt: skip
    assert names(source, "published")["JS10649"] == set()  # listed without any label, and kept
    assert "JS10649" not in names(source, "codes")
    assert source.notes()["left_out"] == {"not in the published split": 2}
    (root / "WFDBRecords" / (layout.path_of(10647) + ".mat")).unlink()
    assert open_source(SPEC, root).summary("published").absent == 1
    assert open_source(CHAPMAN, root).summary("published").absent == 0


def test_parts_are_told_apart_by_number_and_split_as_in_the_whole(tmp_path: Path) -> None:
    root = layout.write(tmp_path)
    assert sum(round(share * 23_026) for share in SHARES) == 23_026
    chapman, ningbo = rows_of(open_source(CHAPMAN, root)), rows_of(open_source(NINGBO, root))
    assert chapman.records == ["JS00001", "JS00003", "JS00004", "JS10646"]
    assert ningbo.records == ["JS10647", "JS10648", "JS10650"]
    whole = rows_of(open_source(SPEC, root))
    assert whole.records == chapman.records + ningbo.records
    assert whole.splits == chapman.splits + ningbo.splits


def test_the_builtin_table_is_that_of_the_set(tmp_path: Path) -> None:
    table = read_conditions(layout.write(tmp_path) / "ConditionNames_SNOMED-CT.csv")
    assert table.items() <= ACRONYMS.items()
    assert table["164865005"] == "MI"  # of several conditions with one code the first
    assert read_conditions(tmp_path / "absent.csv") == ACRONYMS


def merge_first_lines(path: Path) -> None:
    """As JS01052.hea is published: it begins 'JS01052 12 500 500000/mV 16 0 15 31255 0 I'."""
    first, second, rest = path.read_text().split("\n", 2)
    path.write_text(f"{' '.join(first.split()[:4])}{second.split(maxsplit=2)[2][2:]}\n{rest}")


@pytest.mark.parametrize(("number", "error"), [(1052, UnusableError), (1053, CorpusError)])
def test_headers_damaged_as_published_are_drops_and_others_are_not(
    tmp_path: Path, number: int, error: type[CorpusError]
) -> None:
    root = layout.write(tmp_path)
    path = root / "WFDBRecords" / layout.path_of(number)
    wfdb_mat.write(path.parent, path.name, 7, "426783006", samples=50)
    merge_first_lines(path.with_suffix(".hea"))
    rows, recordings = open_source(SPEC, root).chunks()[0].read()
    found = dict(zip(rows.records, recordings, strict=True))
    damaged = found[f"JS{number:05d}"]
    assert type(damaged) is error
    assert "the first line" in str(damaged)
    assert sum(isinstance(r, Recording) for r in found.values()) == len(found) - 1


def without_code(root: Path) -> None:
    path = root / "ConditionNames_SNOMED-CT.csv"
    path.write_text(path.read_text().replace("WPW,WPW,74390002\n", ""))


def not_a_label(root: Path) -> None:
    layout.write_split(root, CLASSES)
    path = root / "chapman_val.csv"
    path.write_text(path.read_text().replace(",0,", ",2,", 1))


def other_record(root: Path) -> None:
    wfdb_mat.write(root / "WFDBRecords/01", "X1", 1, "426783006", samples=5)


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (without_code, r"ConditionNames_SNOMED-CT\.csv: has no code for WPW"),
        (not_a_label, r"chapman_val\.csv:2: AQW is '2', neither 0 nor 1"),
        (lambda root: layout.write_split(root, CLASSES[:-1]), "column JEB is missing"),
        (other_record, r"X1\.hea: not a record of CSN"),
        (lambda root: (root / "WFDBRecords").rename(root.parent / "x"), "no record"),
    ],
)
def test_bad_input(tmp_path: Path, apply: Break, message: str) -> None:
    root = layout.write(tmp_path / "csn")
    apply(root)
    with pytest.raises(CorpusError, match=message):
        open_source(SPEC, root)


def test_real_records(shared: Path, tmp_path: Path) -> None:
    """The Challenge's copy has the same headers, so its files serve in this layout too."""
    folder = tmp_path / "WFDBRecords/01/010"
    folder.mkdir(parents=True)
    for part in ("chapman_shaoxing", "ningbo"):
        for path in (shared / "data/challenge-2021/training" / part / "g1").iterdir():
            (folder / path.name).symlink_to(path)
    source = open_source(SPEC, tmp_path)
    found = names(source, "codes")
    assert found["JS00001"] == {"AFIB", "RBBB", "TWC"}
    assert "JS00004" not in found  # SB alone
    assert source.notes()["left_out"]["none of the 38 labels"] + len(found) == 43
    assert len(open_source(CHAPMAN, tmp_path).chunks()[0].read()[0].records) <= 10
    assert all(isinstance(r, Recording) for r in source.chunks()[0].read()[1])
