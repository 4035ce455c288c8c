"""Chapman-Shaoxing of figshare: microvolts, four groups of rhythms, two kinds of files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scaling.corpora.errors import CorpusError
from scaling.corpora.registry import open_source
from scaling.corpora.sources.chapman import CLASSES
from scaling.corpora.sources.read.base import Recording
from scaling.corpora.sources.testing import Expected, SourceContract
from scaling.identity import CorpusSpec
from tests.scaling.corpora.layouts import chapman as layout

SPEC = CorpusSpec(source="chapman")
Break = Callable[[Path], object]
FIRST = str(layout.ROWS[0][0])


class TestRaw(SourceContract):
    spec = SPEC
    # record 8, lead aVR (k = 3), sample 20: 8 + 30 + 10 = 48 uV; SB; the only record of its
    # rhythm, as every record here, so all are in training
    expected = Expected(
        record="MUSE_20180111_150008_00000", lead="aVR", sample=20, value=0.048,
        task="", positives=frozenset({"SB"}), split="train",
    )  # fmt: skip

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        layout.write_sheet(tmp_path / "chapman")
        layout.write_signals(tmp_path / "chapman/ECGData")
        return tmp_path / "chapman"


class TestDenoised(SourceContract):
    spec = SPEC
    expected = Expected(  # the fifth column, which nothing names, is aVL: 2 + 40 + 10 = 52 uV
        record="MUSE_20180111_150002_00000", lead="aVL", sample=20, value=0.052,
        task="", positives=frozenset({"GSVT"}), split="train",
    )  # fmt: skip

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        layout.write_sheet(tmp_path / "chapman")
        layout.write_signals(tmp_path / "chapman/ECGDataDenoised", header=False)
        return tmp_path / "chapman"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    layout.write_sheet(tmp_path / "chapman")
    layout.write_signals(tmp_path / "chapman/ECGData")
    return tmp_path / "chapman"


def test_eleven_rhythms_make_four_groups(root: Path) -> None:
    rows, _ = open_source(SPEC, root).chunks()[0].read()
    groups = [CLASSES[int(np.flatnonzero(row)[0])] for row in rows.labels[""]]
    assert groups == ["AFIB"] * 2 + ["GSVT"] * 6 + ["SB"] + ["SR"] * 2
    assert rows.labels[""].sum() == len(groups)
    assert rows.ages[0] == 50.0
    assert rows.sexes[0] == "female"


def test_sinus_irregularity_is_spelt_in_two_ways(root: Path) -> None:
    layout.write_sheet(root, (*layout.ROWS[:-1], (layout.ROWS[-1][0], "SI", "", None, "male", 1)))
    rows, _ = open_source(SPEC, root).chunks()[0].read()
    assert rows.labels[""][-1].tolist() == [0, 0, 0, 1]
    assert (rows.ages[-1], rows.sexes[-1]) == (None, "male")


def test_unfiltered_signals_come_first(root: Path) -> None:
    layout.write_signals(root / "ECGDataDenoised", header=False)
    source = open_source(SPEC, root)
    assert "signals of ECGData" in source.notes()["remarks"]
    recording = next(iter(source.chunks()[0].read()[1]))
    assert isinstance(recording, Recording)
    assert recording.signal.shape == (12, 5000)


def test_absent_and_unlisted_files_are_counted(root: Path) -> None:
    (root / f"ECGData/{FIRST}.csv").rename(root / "ECGData/other.csv")
    source = open_source(SPEC, root)
    assert source.summary("").absent == 1
    assert source.notes()["left_out"] == {"file that is not in Diagnostics.xlsx": 1}


def cell(column: int, value: object) -> Break:
    def apply(root: Path) -> None:
        row = list(layout.ROWS[1])
        row[column] = value
        layout.write_sheet(root, (layout.ROWS[0], tuple(row)))

    return apply


def damaged_inside(root: Path) -> None:
    path = root / "Diagnostics.xlsx"
    content = bytearray(path.read_bytes())
    sheet = content.index(b"xl/worksheets/sheet1.xml")
    content[sheet + 40 : sheet + 80] = bytes(40)  # the names of the archive stay as they are
    path.write_bytes(content)


def without_column(root: Path) -> None:
    import openpyxl

    book = openpyxl.load_workbook(root / "Diagnostics.xlsx")
    book.worksheets[0].delete_cols(2)
    book.save(root / "Diagnostics.xlsx")


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (cell(1, "XX"), r"Diagnostics\.xlsx:3: Rhythm 'XX' is not one of AFIB, AF, "),
        (cell(1, None), r"Diagnostics\.xlsx:3: Rhythm ''"),
        (cell(0, "../../etc/passwd"), r"xlsx:3: '\.\./\.\./etc/passwd' is not a path below"),
        (cell(0, "a/b"), r"xlsx:3: FileName 'a/b' is not the name of a file"),
        (cell(0, None), r"xlsx:3: '' is not a path"),
        (cell(0, FIRST), f"record {FIRST} appears twice"),
        (without_column, "column Rhythm is missing"),
        (lambda root: (root / "Diagnostics.xlsx").unlink(), r"Diagnostics\.xlsx: no such file"),
        (lambda root: (root / "Diagnostics.xlsx").write_text("a"), "is no Excel workbook"),
        (damaged_inside, r"Diagnostics\.xlsx: is no Excel workbook"),
        (lambda root: (root / "ECGData").rename(root / "x"), "neither ECGData nor ECGDataDenoised"),
        (
            lambda root: [p.unlink() for p in (root / "ECGData").iterdir()],
            "none of the 11 records",
        ),
    ],
)
def test_a_bad_sheet(root: Path, apply: Break, message: str) -> None:
    apply(root)
    with pytest.raises(CorpusError, match=message):
        open_source(SPEC, root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "not a table of 12 leads"),
        (lambda text: text.split("\n")[0], "not a table of 12 leads"),
        (lambda text: text[:-40], "cannot be read"),
        (lambda text: text[: text.rindex("\n", 0, -1) + 1], "4999 rows of samples, not 5000"),
        (lambda text: text.replace(".", ""), "which no ECG does"),
        (lambda text: text.replace("11.0000", "x", 1), "cannot be read"),
        (lambda text: "\n".join(r.rpartition(",")[0] for r in text.split("\n")), "12 leads"),
    ],
)
def test_a_damaged_signal_is_named(root: Path, change: Callable[[str], str], message: str) -> None:
    path = root / f"ECGData/{FIRST}.csv"
    path.write_text(change(path.read_text()))
    first = next(iter(open_source(SPEC, root).chunks()[0].read()[1]))
    assert isinstance(first, CorpusError)
    assert str(path) in str(first)
    with pytest.raises(CorpusError, match=message):
        raise first


def test_missing_samples_are_nan(root: Path) -> None:
    path = root / f"ECGData/{FIRST}.csv"
    path.write_text(path.read_text().replace("10.0000", "NaN", 1))
    first = next(iter(open_source(SPEC, root).chunks()[0].read()[1]))
    assert isinstance(first, Recording)
    assert np.isnan(first.signal).sum() == 1
