"""CODE: the first of several tracings, exams without annotation, patients, paths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scaling.corpora.errors import CorpusError
from scaling.corpora.format.splits import hashed_split
from scaling.corpora.registry import open_source
from scaling.corpora.sources.code import AGELESS, FURTHER, NOT_ANNOTATED
from scaling.corpora.sources.read.base import Recording, Source
from scaling.corpora.sources.testing import Expected, SourceContract
from scaling.identity import CorpusSpec
from tests.scaling.corpora.layouts import code as layout

SPEC = CorpusSpec(source="code", window_s=7)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return layout.write(tmp_path / "code")


class TestCode(SourceContract):
    spec = SPEC
    # The first of three tracings: V2 (k = 7) is (3 * 50 + 19 * 7 + 120345 + 100) % 901 - 450 =
    # 445 steps of 5 uV.
    expected = Expected(
        record="120345", lead="V2", sample=50, value=2.225, task="",
        positives=frozenset({"LBBB", "AF"}), split="validation",
    )  # fmt: skip

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return layout.write(tmp_path / "code")


def recordings(source: Source) -> dict[str, Recording | CorpusError]:
    (chunk,) = source.chunks()
    rows, found = chunk.read()
    return dict(zip(rows.records, found, strict=True))


def test_only_the_first_tracing_of_an_annotated_exam_is_used(root: Path) -> None:
    source = open_source(SPEC, root)
    found = recordings(source)
    assert list(found) == ["120345", "9", "10"]
    assert source.notes()["left_out"] == {FURTHER: 2, NOT_ANNOTATED: 1}
    for exam in layout.EXAMS:
        recording = found[str(exam.exam)]
        assert isinstance(recording, Recording)
        assert recording.fs_hz == exam.fs_hz
        want = layout.signal(exam.exam, 1, exam.fs_hz * 7) / 200.0
        np.testing.assert_allclose(recording.signal, want, atol=1e-6)


def test_patients_decide_the_split_as_in_code15(root: Path) -> None:
    (chunk,) = open_source(SPEC, root).chunks()
    rows = chunk.read()[0]
    assert rows.patients.tolist() == [11, 12, 11]
    assert rows.splits == [hashed_split(11), hashed_split(12), hashed_split(11)]
    assert rows.labels[""].tolist() == [[0, 0, 1, 0, 1, 0], [0] * 6, [0, 0, 0, 0, 0, 1]]
    assert rows.sexes == ["female", "male", "female"]
    assert rows.ages == [61.0] * 3


@pytest.mark.parametrize("folder", ["", "wfdb", "ecg-traces"])
def test_where_the_list_may_lie(tmp_path: Path, folder: str) -> None:
    root = layout.write(tmp_path / "code", folder=folder)
    assert isinstance(recordings(open_source(SPEC, root))["9"], Recording)


def test_age_may_be_absent_from_the_table(root: Path) -> None:
    text = (root / "annotations.csv").read_text()
    (root / "annotations.csv").write_text(text.replace(",age,", ",other,"))
    assert open_source(SPEC, root).chunks()[0].read()[0].ages == [None] * 3


def test_an_impossible_age_is_unknown_and_counted(root: Path) -> None:
    annotation("age", "1952")(root)
    source = open_source(SPEC, root)
    assert source.chunks()[0].read()[0].ages == [61.0, None, 61.0]
    assert source.notes()["left_out"][AGELESS] == 1


def test_absent_files_and_unlisted_exams_are_counted(root: Path) -> None:
    (root / "wfdb" / layout.EXAMS[1].path()).with_suffix(".mat").unlink()
    cells = [e.cells() for e in [*layout.EXAMS, layout.Exam(555, 14)]]
    layout.write_annotations(root, cells)
    source = open_source(SPEC, root)
    assert source.summary("").absent == 2
    assert list(recordings(source)) == ["120345", "10"]


def test_dat_files_are_taken_as_well(root: Path) -> None:
    stem = root / "wfdb" / layout.EXAMS[1].path()
    mat, head = stem.with_suffix(".mat"), stem.with_suffix(".hea")
    stem.with_suffix(".dat").write_bytes(mat.read_bytes()[24:])
    mat.unlink()
    head.write_text(head.read_text().replace(".mat 16+24", ".dat 16"))
    assert isinstance(recordings(open_source(SPEC, root))["9"], Recording)


def test_the_place_of_a_record_is_part_of_the_fingerprint(root: Path) -> None:
    first = open_source(SPEC, root).fingerprint
    (root / "wfdb" / layout.EXAMS[1].path()).with_suffix(".mat").unlink()
    assert open_source(SPEC, root).fingerprint != first


Break = Callable[[Path], None]


def listed(line: str) -> Break:
    def apply(root: Path) -> None:
        with (root / "wfdb/RECORDS.txt").open("a") as file:
            file.write(line + "\n")

    return apply


def annotation(column: str, value: str) -> Break:
    def apply(root: Path) -> None:
        cells = [e.cells() for e in layout.EXAMS]
        cells[1][layout.COLUMNS.index(column)] = value
        layout.write_annotations(root, cells)

    return apply


def nothing_here(root: Path) -> None:
    for path in root.rglob("*.hea"):
        path.unlink()


BROKEN = [
    (listed("../S0000000/TNMG3_N1"), r"RECORDS\.txt:7: .* is not a path below the root"),
    (listed("/etc/TNMG3_N1"), r"RECORDS\.txt:7: .* is not a path below the root"),
    (listed("S0000000/ECG3"), r"RECORDS\.txt:7: 'S0000000/ECG3' is not FOLDER/TNMGx_Ny"),
    (annotation("id_exam", "10"), r"annotations\.csv: record 10 appears twice"),
    (annotation("id_exam", "a"), r"annotations\.csv:3: 'a' is not a whole number"),
    (annotation("id_patient", "-3"), r"annotations\.csv:3: '-3' is not a whole number"),
    (annotation("sex", "?"), r"annotations\.csv:3: sex '\?' is neither M nor F"),
    (annotation("ST", "2"), r"annotations\.csv:3: ST: '2' is neither"),
    (lambda root: (root / "wfdb/RECORDS.txt").write_bytes(b"\xff"), r"RECORDS\.txt: cannot be"),
    (nothing_here, "none of the 3 annotated exams is here"),
    (lambda root: (root / "wfdb/RECORDS.txt").unlink(), r"no RECORDS\.txt here, in wfdb or in"),
    (lambda root: (root / "annotations.csv").unlink(), r"annotations\.csv: no such file; CODE"),
]


@pytest.mark.parametrize(("apply", "message"), BROKEN)
def test_what_is_wrong_is_named(root: Path, apply: Break, message: str) -> None:
    apply(root)
    with pytest.raises(CorpusError, match=message):
        open_source(SPEC, root)


@pytest.mark.parametrize("left", [0, 20, 5000])
def test_a_truncated_tracing_is_an_error_when_it_is_read(root: Path, left: int) -> None:
    path = (root / "wfdb" / layout.EXAMS[1].path()).with_suffix(".mat")
    path.write_bytes(path.read_bytes()[:left])
    found = recordings(open_source(SPEC, root))
    assert isinstance(found["9"], CorpusError)
    assert "TNMG9_N1" in str(found["9"])
    assert isinstance(found["10"], Recording)
