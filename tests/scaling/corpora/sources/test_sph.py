"""SPH: statements with modifiers, repeated statements, patients that return, record lengths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scaling.corpora.errors import CorpusError, UnusableError
from scaling.corpora.registry import Summaries, open_source
from scaling.corpora.sources.read.base import Recording
from scaling.corpora.sources.testing import Expected, SourceContract
from scaling.identity import CorpusSpec
from tests.scaling.corpora.layouts import sph

SPEC = CorpusSpec(source="sph", fs_hz=500)


class TestSph(SourceContract):
    spec = SPEC
    # A00003 is row 2. Sample 70 of aVF, lead 5: (70 + 10 + 2) mod 64 = 18; 18 / 32 - 1 =
    # -0.4375 mV. "60+310;147": frequent ventricular premature complexes; T-wave abnormality.
    expected = Expected(
        record="A00003",
        lead="aVF",
        sample=70,
        value=-0.4375,
        task="primary",
        positives=frozenset({"Ventricular premature complex(es)", "T-wave abnormality"}),
        split="train",
    )

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return sph.write(tmp_path / "sph")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return sph.write(tmp_path / "sph")


def changed(root: Path, row: int, column: str, text: str) -> None:
    rows = [list(cells) for cells in sph.ROWS]
    rows[row][sph.HEADER.index(column)] = text
    sph.write_tables(root, rows)


def test_modifiers_are_no_classes_and_repeated_statements_count_once(root: Path) -> None:
    source = open_source(SPEC, root)
    assert source.classes["primary"] == tuple(text for kind, _, text in sph.CODES if len(kind) == 1)
    rows, _ = source.chunks()[0].read()
    assert rows.labels["primary"].tolist() == [
        [0, 1, 0, 1, 0, 0],
        [1, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 1],
        [1, 0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0],  # the modifier before its code
    ]
    assert rows.valid["primary"].all()


def test_patients_return(root: Path) -> None:
    rows, _ = open_source(SPEC, root).chunks()[0].read()
    assert rows.patients[0] == rows.patients[2] and rows.splits[0] == rows.splits[2]
    assert len(set(rows.patients.tolist())) == 4
    assert rows.ages == [55.0, 32.0, 56.0, 63.0, 46.0]
    assert rows.sexes == ["male", "male", "male", "female", "female"]


def test_records_keep_their_own_length(root: Path) -> None:
    recordings = list(open_source(SPEC, root).chunks()[0].read()[1])
    lengths = [r.signal.shape for r in recordings if isinstance(r, Recording)]
    assert lengths == [(12, 5000), (12, 6000), (12, 5000), (12, 5000), (12, 5000)]


def test_labels_for_absent_records_are_counted(root: Path) -> None:
    (root / "records/A00002.h5").unlink()
    source = open_source(SPEC, root)
    assert (source.notes()["missing_files"], Summaries().of(SPEC, "primary", root).absent) == (1, 1)
    assert sum(chunk.size for chunk in source.chunks()) == 4


def test_files_that_no_row_names_are_counted(root: Path) -> None:
    sph.write_tables(root, sph.ROWS[:-1])
    left_out = open_source(SPEC, root).notes()["left_out"]
    assert left_out == {"record that is not in metadata.csv": 1}


def test_swapped_bytes_are_a_listed_drop(root: Path) -> None:
    signal_mv = np.sin(np.arange(72_000) / 50).reshape(12, 6000).astype(np.float16)
    sph.write_record(root, "A00002", signal_mv.byteswap())
    found = list(open_source(SPEC, root).chunks()[0].read()[1])[1]
    with pytest.raises(UnusableError, match=r"A00002\.h5: .* no ECG does: .*bytes are swapped"):
        raise found if isinstance(found, CorpusError) else AssertionError(found)


def test_an_archive_that_is_not_unpacked_yet(tmp_path: Path) -> None:
    sph.write_tables(tmp_path, sph.ROWS)
    with pytest.raises(CorpusError, match=r"none of the 5 records.*tar -xf records\.tar\.gz"):
        open_source(SPEC, tmp_path)


@pytest.mark.parametrize(
    ("column", "text", "message"),
    [
        ("AHA_Code", "22;999", r"metadata\.csv:3: AHA_Code '22;999': '999' is not in code\.csv"),
        ("AHA_Code", "", r"metadata\.csv:3: AHA_Code '': '' is not in code\.csv"),
        ("AHA_Code", "22;", "'' is not in code"),
        ("AHA_Code", "310", "'310' has 0 primary codes"),
        ("AHA_Code", "22+30", r"'22\+30' has 2 primary codes"),
        ("Patient_ID", "", "the patient id is empty"),
        ("ECG_ID", "../../A00002", "is not a path below the root"),
        ("ECG_ID", "", "ECG_ID is empty"),
        ("ECG_ID", "A00001", "record A00001 appears twice"),
        ("Sex", "1", "sex '1' is neither M nor F"),
        ("Age", "-1", "age '-1'"),
        ("N", "5000.5", "'5000.5' is not a whole number"),
    ],
)
def test_rows_that_make_no_sense(root: Path, column: str, text: str, message: str) -> None:
    changed(root, 1, column, text)
    with pytest.raises(CorpusError, match=message):
        open_source(SPEC, root)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (("A", "1", "Again"), r"code\.csv:10: code '1' is no number, or appears twice"),
        (("A", "x", "No number"), "code 'x' is no number"),
        (("B", "2", "Normal ECG"), "description 'Normal ECG' is empty or not unique"),
    ],
)
def test_codes_that_make_no_sense(root: Path, code: tuple[str, str, str], message: str) -> None:
    sph.write_tables(root, sph.ROWS, [*sph.CODES, code])
    with pytest.raises(CorpusError, match=message):
        open_source(SPEC, root)


def test_tables_that_are_not_there(root: Path) -> None:
    sph.write_tables(root, sph.ROWS, [row for row in sph.CODES if row[0] == "Modifier"])
    with pytest.raises(CorpusError, match="has no primary code"):
        open_source(SPEC, root)
    (root / "code.csv").unlink()
    with pytest.raises(CorpusError, match=r"code\.csv: no such file; SPH needs"):
        open_source(SPEC, root)


@pytest.mark.parametrize(
    ("array", "name", "message"),
    [
        (np.zeros((12, 4999), np.float16), "ecg", r"A00002\.h5: ecg is float16 \(12, 4999\).*6000"),
        (np.zeros((6000, 12), np.float16), "ecg", r"ecg is float16 \(6000, 12\)"),
        (np.zeros((12, 6000), np.int16), "ecg", "ecg is int16"),
        (np.zeros((12, 6000), np.float16), "val", "has no dataset 'ecg'; there is val"),
    ],
)
def test_records_that_are_not_as_the_table_says(
    root: Path, array: object, name: str, message: str
) -> None:
    sph.write_record(root, "A00002", array, name)
    found = list(open_source(SPEC, root).chunks()[0].read()[1])[1]
    with pytest.raises(CorpusError, match=message):
        raise found if isinstance(found, CorpusError) else AssertionError(found)


def test_a_truncated_record_is_named(root: Path) -> None:
    path = root / "records/A00002.h5"
    path.write_bytes(path.read_bytes()[:3000])
    found = list(open_source(SPEC, root).chunks()[0].read()[1])
    assert isinstance(found[1], CorpusError) and "A00002.h5" in str(found[1])
    assert isinstance(found[2], Recording)
