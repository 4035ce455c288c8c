"""CPSC 2018: both layouts give the same labels, splits are followed, bad input is named."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from scaling.corpora.errors import CorpusError
from scaling.corpora.registry import open_source
from scaling.corpora.sources.cpsc2018 import CLASSES, SHARES
from scaling.corpora.sources.read.base import Recording, Source
from scaling.corpora.sources.testing import Expected, SourceContract
from scaling.identity import CorpusSpec
from tests.scaling.corpora.layouts import cpsc2018 as layout

SPEC = CorpusSpec(source="cpsc2018")
Break = Callable[[Path], object]


class TestChallengeCopy(SourceContract):
    spec = SPEC
    # lead II, sample 3 of record 2: (21 + 31 + 202) mod 2001 - 1000 = -746
    expected = Expected(
        record="A0002", lead="II", sample=3, value=-0.746,
        task="", positives=frozenset({"AFIB", "CRBBB"}), split="test",
    )  # fmt: skip

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        layout.write_split(tmp_path / "cpsc/splits")
        return layout.write_challenge(tmp_path / "cpsc")


class TestOriginal(SourceContract):
    spec = SPEC
    # lead aVR is row 3 of the matrix; its sample 7 of record 2 is written as 2 + 3/10 + 7/1000
    expected = Expected(
        record="A0002", lead="aVR", sample=7, value=2.307,
        task="", positives=frozenset({"AFIB", "CRBBB"}), split="test",
    )  # fmt: skip

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        layout.write_split(tmp_path / "cpsc")
        return layout.write_original(tmp_path / "cpsc")


def labels(source: Source) -> dict[str, set[str]]:
    (chunk,) = source.chunks()
    rows, _ = chunk.read()
    table = rows.labels[""]
    return {
        r: {CLASSES[k] for k in np.flatnonzero(p)} for r, p in zip(rows.records, table, strict=True)
    }


def test_both_layouts_mean_the_same_classes(tmp_path: Path) -> None:
    assert CLASSES == ("AFIB", "VPC", "NORM", "1AVB", "CRBBB", "STE", "PAC", "CLBBB", "STD")
    want = {
        "A0001": {"NORM"}, "A0002": {"AFIB", "CRBBB"}, "A0003": {"1AVB"}, "A0004": {"CLBBB"},
        "A0005": {"PAC"}, "A0006": {"VPC"}, "A0007": {"STD"}, "A0008": {"STE"},
        "A0009": {"1AVB", "CLBBB", "STD"},
    }  # fmt: skip
    assert labels(open_source(SPEC, layout.write_original(tmp_path / "original"))) == want
    assert labels(open_source(SPEC, layout.write_challenge(tmp_path / "copy"))) == want


def test_age_and_sex_of_the_original_are_in_its_structs(tmp_path: Path) -> None:
    source = open_source(SPEC, layout.write_original(tmp_path))
    rows, recordings = source.chunks()[0].read()
    assert rows.ages[:3] == [61.0, 62.0, None]
    assert rows.sexes[:3] == ["male", "female", "male"]
    lengths = [r.signal.shape[1] for r in recordings if isinstance(r, Recording)]
    assert lengths == [3000 + 100 * number for number in range(1, 10)]


def test_without_a_split_the_shares_are_the_published_ones(tmp_path: Path) -> None:
    assert [round(share * 6877) for share in SHARES] == [4950, 551, 1376]
    root = layout.write_challenge(tmp_path, copies=12)
    source = open_source(SPEC, root)
    found = source.summary("")
    counts = [found.train, found.validation, found.test]
    assert sum(counts) == 9 * 12
    assert counts == pytest.approx([share * 9 * 12 for share in SHARES], abs=6)
    assert any("no published split" in line for line in source.notes()["remarks"])


def test_a_published_split_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    root = layout.write_challenge(tmp_path)
    before = open_source(SPEC, root).fingerprint
    layout.write_split(root)
    source = open_source(SPEC, root)
    assert source.fingerprint != before
    assert source.summary("").validation == 1
    assert not any("no published split" in line for line in source.notes()["remarks"])


def test_partial_downloads_and_unlisted_files_are_counted(tmp_path: Path) -> None:
    root = layout.write_original(tmp_path)
    (root / "TrainingSet1/A0001.mat").rename(root / "TrainingSet1/label.mat")
    source = open_source(SPEC, root)
    assert source.summary("").absent == 1
    assert source.notes()["left_out"] == {".mat file that is not in REFERENCE.csv": 1}


def reference(index: int, column: int, value: str) -> Break:
    def apply(root: Path) -> None:
        path = root / "REFERENCE.csv"
        table = list(csv.reader(path.read_text().splitlines()))
        table[index][column] = value
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(table)

    return apply


def cut_reference(root: Path) -> None:
    path = root / "REFERENCE.csv"
    path.write_text(path.read_text().rpartition(",")[0])  # loses the last of three classes


def twice(root: Path) -> None:
    (root / "TrainingSet2").mkdir()
    (root / "TrainingSet2/A0001.mat").write_bytes((root / "TrainingSet1/A0001.mat").read_bytes())


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (reference(2, 1, "10"), r"REFERENCE\.csv:3: First_label '10' is not a class from 1 to 9"),
        (reference(2, 1, "x"), r"REFERENCE\.csv:3: First_label 'x'"),
        (reference(1, 1, ""), r"REFERENCE\.csv:2: record A0001 has no class"),
        (reference(2, 0, "A0001"), "record A0001 appears twice"),
        (reference(2, 0, ""), r"REFERENCE\.csv:3: Recording is empty"),
        (cut_reference, r"REFERENCE\.csv:10: 3 cells, but the header has 4"),
        (reference(0, 3, "Other"), r"REFERENCE\.csv: column Third_label is missing"),
        (twice, r"TrainingSet2/A0001\.mat: the same record as .*TrainingSet1"),
        (layout.write_challenge, "both WFDB headers and REFERENCE"),
        (lambda root: (root / "REFERENCE.csv").unlink(), "no header and no REFERENCE"),
        (lambda root: (root / "TrainingSet1").rename(root.parent / "x"), "none of the 9 records"),
    ],
)
def test_a_bad_original(tmp_path: Path, apply: Break, message: str) -> None:
    root = layout.write_original(tmp_path / "cpsc")
    apply(root)
    with pytest.raises(CorpusError, match=message):
        open_source(SPEC, root)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:400])


def cells(path: Path) -> None:
    savemat(path, {"ECG": {"sex": "Male", "age": 3, "data": np.array([["x"]], object)}})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncated, "no MATLAB struct ECG"),
        (lambda path: path.write_bytes(b""), "no MATLAB struct ECG"),
        (lambda path: savemat(path, {"val": np.zeros((12, 5))}), "no MATLAB struct ECG"),
        (lambda path: savemat(path, {"ECG": np.zeros((12, 5))}), "no MATLAB struct ECG"),
        (cells, r"ECG\.data is no matrix of numbers"),
        (lambda path: layout.write_struct(path, np.zeros((5, 12))), r"is 5 x 12, not 12 leads"),
        (lambda path: layout.write_struct(path, 1e5 * np.eye(12)), "which no ECG does"),
    ],
)
def test_a_damaged_struct_is_named(tmp_path: Path, damage: Break, message: str) -> None:
    root = layout.write_original(tmp_path)
    damage(root / "TrainingSet1/A0003.mat")
    rows, recordings = open_source(SPEC, root).chunks()[0].read()
    found = dict(zip(rows.records, recordings, strict=True))
    error = found["A0003"]
    assert isinstance(error, CorpusError)
    assert error.args[0].startswith(str(root / "TrainingSet1/A0003.mat"))
    with pytest.raises(CorpusError, match=message):
        raise error
    assert sum(isinstance(r, Recording) for r in found.values()) == 8


def split_file(name: str, text: str) -> Break:
    return lambda root: (root / name).write_text(text)


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (lambda root: (root / "icbeb_val.csv").unlink(), r"icbeb_val\.csv is missing"),
        (split_file("icbeb_val.csv", "filename\n"), "1 records are in none .*, such as A0003"),
        (
            split_file("icbeb_val.csv", "filename\nA0003\nA0001\n"),
            r"csv:\d+: record 'A0001' .*listed twice",
        ),
        (split_file("icbeb_val.csv", "name\nA0003\n"), "column filename is missing"),
    ],
)
def test_a_bad_split(tmp_path: Path, apply: Break, message: str) -> None:
    root = layout.write_challenge(tmp_path)
    layout.write_split(root)
    apply(root)
    with pytest.raises(CorpusError, match=message):
        open_source(SPEC, root)


def test_another_set_is_refused(shared: Path) -> None:
    with pytest.raises(CorpusError, match="no record of CPSC 2018"):
        open_source(SPEC, shared / "data/challenge-2021/training/georgia")


def test_real_records(shared: Path) -> None:
    source = open_source(SPEC, shared / "data/challenge-2021/training/cpsc_2018")
    found = labels(source)
    assert len(found) == 8
    assert found["A0001"] == {"CRBBB"}
    assert all(found.values())
