"""LUDB: multi-line cells, ages beyond 89, lower-case leads, and the delineation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scaling.corpora.errors import CorpusError
from scaling.corpora.registry import open_source
from scaling.corpora.sources.ludb import COLUMNS
from scaling.corpora.sources.read.base import Recording, Rows
from scaling.corpora.sources.testing import Expected, SourceContract
from scaling.identity import CorpusSpec
from tests.scaling.corpora.layouts import ludb
from tests.scaling.corpora.ludb_marks import Wave, delineation

SPEC = CorpusSpec(source="ludb", fs_hz=500)


class TestLudb(SourceContract):
    spec = SPEC
    # Sample 100 of lead 7 (v2) of record 2 is (300 + 350 + 2) mod 1000 - 400 = 252 steps, and
    # that lead has 200 + 70 steps per millivolt: 252 / 270 = 0.93333 mV. 2 falls to train.
    expected = Expected(
        record="2",
        lead="v2",
        sample=100,
        value=0.9333333,
        task="conduction",
        positives=frozenset({"I degree AV Block", "Incomplete right bundle branch block"}),
        split="train",
    )

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return ludb.write(tmp_path / "ludb")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return ludb.write(tmp_path / "ludb")


def rows_of(root: Path) -> Rows:
    return open_source(SPEC, root).chunks()[0].read()[0]


def test_classes_are_the_findings_of_a_column(root: Path) -> None:
    classes = open_source(SPEC, root).classes
    assert classes["rhythm"] == ("Atrial fibrillation", "Sinus bradycardia", "Sinus rhythm")
    assert classes["axis"] == ("left axis deviation", "normal", "vertical")
    assert classes["hypertrophy"] == ("Left atrial hypertrophy", "Left ventricular hypertrophy")
    assert classes["ischemia"] == ("Scar formation: septal", "STEMI: anterior wall")
    assert classes["repolarization"] == ("septal",)
    assert set(classes) == set(COLUMNS)


def test_a_cell_of_several_lines_is_several_labels(root: Path) -> None:
    labels = rows_of(root).labels
    assert labels["hypertrophy"].tolist() == [[1, 1], [0, 0], [0, 0], [0, 0]]
    # The same block is spelled "block" in one row and "Block" in another.
    assert labels["conduction"].tolist() == [[0, 0], [1, 1], [1, 0], [0, 0]]


def test_an_empty_cell_is_no_finding_but_a_missing_axis(root: Path) -> None:
    valid = rows_of(root).valid
    assert valid["axis"].tolist() == [True, True, False, True]
    assert valid["rhythm"].all()
    assert valid["conduction"].all()


def test_ages_sexes_and_patients(root: Path) -> None:
    rows = rows_of(root)
    assert rows.ages == [51.0, 64.0, 90.0, None]
    assert rows.sexes == ["female", "male", "male", "female"]
    assert rows.patients.tolist() == [1, 2, 34, 35]


def test_a_partial_download_is_counted(root: Path) -> None:
    (root / "data/2.dat").unlink()
    source = open_source(SPEC, root)
    assert source.notes()["missing_files"] == 1
    assert rows_of(root).records == ["1", "34", "35"]
    assert "2" not in rows_of(root).records and source.classes["axis"][1] == "normal"


def test_a_truncated_table_is_refused_and_lost_rows_are_counted(root: Path) -> None:
    table = (root / "ludb.csv").read_bytes()
    end = table.index(b"34,")
    (root / "ludb.csv").write_bytes(table[: end + 30])
    with pytest.raises(CorpusError, match=r"ludb\.csv: cannot be read \(unexpected end of data"):
        open_source(SPEC, root)
    (root / "ludb.csv").write_bytes(table[:end])
    left_out = open_source(SPEC, root).notes()["left_out"]
    assert left_out == {"record that is not in ludb.csv": 2}


def test_a_damaged_record_is_an_error_of_its_own(root: Path) -> None:
    path = root / "data/2.dat"
    raw = np.fromfile(path, "<i2")
    raw.astype(">i2").tofile(path)
    found = list(open_source(SPEC, root).chunks()[0].read()[1])
    assert isinstance(found[1], CorpusError)
    assert "swapped" in str(found[1]) and "2.dat" in str(found[1])
    assert all(isinstance(found[i], Recording) for i in (0, 2, 3))


@pytest.mark.parametrize(
    ("column", "text", "message"),
    [
        ("ID", "x", r"ludb\.csv:\d+: ID 'x'"),
        ("ID", "../1", r"ludb\.csv:\d+: ID '\.\./1'"),
        ("ID", "1", r"record 1 appears twice"),
        ("Sex", "X", r"ludb\.csv:\d+: .*Sex 'X'"),
        ("Age", "old", r"ludb\.csv:\d+: Age 'old' is not a number"),
    ],
)
def test_rows_that_make_no_sense(root: Path, column: str, text: str, message: str) -> None:
    rows = [list(row) for row in ludb.ROWS]
    rows[1][ludb.HEADER.index(column)] = text
    ludb.write_table(root, rows)
    with pytest.raises(CorpusError, match=message):
        open_source(SPEC, root)


def test_tables_and_folders_that_are_not_there(root: Path, tmp_path: Path) -> None:
    ludb.write_table(root, [row[:-1] for row in ludb.ROWS], ludb.HEADER[:-1])
    with pytest.raises(CorpusError, match="column Other states is missing"):
        open_source(SPEC, root)
    (root / "ludb.csv").unlink()
    with pytest.raises(CorpusError, match=r"ludb\.csv: no such file; LUDB needs"):
        open_source(SPEC, root)
    ludb.write_table(tmp_path / "empty", ludb.ROWS)
    with pytest.raises(CorpusError, match="none of the 4 records"):
        open_source(SPEC, tmp_path / "empty")


def test_the_delineation_of_a_lead(root: Path) -> None:
    waves = delineation(root, "1", "II")
    assert waves == (Wave("P", 100, 120, 140), Wave("QRS", 160, 180, 200), Wave("T", 260, 300, 340))


@pytest.mark.parametrize(
    ("marks", "waves"),
    [
        ([(180, "N"), (200, ")")], (Wave("QRS", None, 180, 200),)),
        ([(160, "("), (180, "N")], (Wave("QRS", 160, 180, None),)),
        (
            [(160, "("), (180, "N"), (260, "("), (300, "t"), (340, ")")],
            (Wave("QRS", 160, 180, None), Wave("T", 260, 300, 340)),
        ),
    ],
)
def test_a_boundary_may_be_missing(
    root: Path, marks: list[tuple[int, str]], waves: tuple[Wave, ...]
) -> None:
    ludb.write_marks(root, "1", "ii", marks)
    assert delineation(root, "1", "ii") == waves


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        ([(160, "("), (170, "("), (180, "N")], r"1\.ii: mark '\(' at sample 170"),
        ([(160, "("), (170, ")")], r"mark '\)' at sample 170 belongs to no wave"),
        ([(180, "N"), (200, ")"), (210, ")")], r"mark '\)' at sample 210"),
        ([(180, "V")], r"mark 'V' at sample 180"),
        ([(180, "N"), (200, "(")], r"mark '\(' at sample 200 belongs to no wave"),
    ],
)
def test_marks_that_make_no_wave(root: Path, marks: list[tuple[int, str]], message: str) -> None:
    ludb.write_marks(root, "1", "ii", marks)
    with pytest.raises(CorpusError, match=message):
        delineation(root, "1", "ii")


def test_a_delineation_that_is_not_there(root: Path) -> None:
    with pytest.raises(CorpusError, match=r"1\.v1: no such file"):
        delineation(root, "1", "V1")
    with pytest.raises(CorpusError, match="unknown lead 'V7'"):
        delineation(root, "1", "V7")
    with pytest.raises(CorpusError, match="not a path below the root"):
        delineation(root, "../../1", "V1")


@pytest.mark.parametrize("size", [0, 2, 6, 17])
def test_a_truncated_delineation(root: Path, size: int) -> None:
    path = root / "data/1.ii"
    assert path.stat().st_size == 20
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CorpusError, match=r"1\.ii: is no annotation file, or truncated"):
        delineation(root, "1", "II")
