"""CODE-15: the row of zeros, file order, padding, label order, the patient split, bad parts."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.corpora.errors import CorpusError, UnusableError
from scaling.corpora.format.splits import hashed_split
from scaling.corpora.registry import open_source
from scaling.corpora.sources import code_hdf5
from scaling.corpora.sources.code_hdf5 import EDGE, NOT_LISTED, unpadded
from scaling.corpora.sources.read import arrays
from scaling.corpora.sources.read.base import Recording, Source
from scaling.corpora.sources.testing import Expected, SourceContract
from scaling.identity import CorpusSpec
from tests.scaling.corpora.layouts import code15 as layout

SPEC = CorpusSpec(source="code15")
PART0 = "exams_part0.hdf5"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return layout.write(tmp_path / "code15")


class TestCode15(SourceContract):
    spec = SPEC
    # A 7-s recording: its sample 5 stands at 648 + 5 of the padded row. aVR is the fourth lead
    # (k = 3): (7 * 5 + 31 * 3 + 101 * 7) % 2001 - 1000 = -165 uV.
    expected = Expected(
        record="7", lead="aVR", sample=5, value=-0.165, task="",
        positives=frozenset({"AF"}), split="train",
    )  # fmt: skip

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return layout.write(tmp_path / "code15")


def recordings(source: Source) -> dict[str, Recording | CorpusError]:
    (chunk,) = source.chunks()
    rows, found = chunk.read()
    return dict(zip(rows.records, found, strict=True))


def test_exams_are_found_by_id_and_read_in_file_order(root: Path) -> None:
    found = recordings(open_source(SPEC, root))
    assert list(found) == ["7", "3", "11", "5", "2"]
    for exam in layout.EXAMS:
        recording = found[str(exam.exam)]
        assert isinstance(recording, Recording)
        want = layout.tracing_mv(exam.exam, exam.samples)
        np.testing.assert_array_equal(recording.signal[:, : exam.samples], want.T)
        assert recording.fs_hz == 400
        assert recording.units == "mV"


def test_rows_that_the_table_does_not_list_move_no_other(root: Path) -> None:
    cells = [exam.cells() for exam in layout.EXAMS if exam.exam != 7]  # 7 is the first row
    layout.write_table(root, cells)
    found = recordings(open_source(SPEC, root))
    assert list(found) == ["3", "11", "5", "2"]
    for exam in ("3", "11"):
        recording = found[exam]
        assert isinstance(recording, Recording)
        np.testing.assert_array_equal(recording.signal, layout.tracing_mv(int(exam), 4000).T)


def test_the_row_of_zeros_is_no_exam(root: Path) -> None:
    with h5py.File(root / PART0) as file:
        assert file["exam_id"][-1] == 0
        assert not file["tracings"][-1].any()
    source = open_source(SPEC, root)
    assert "0" not in recordings(source)
    assert source.notes() == {"missing_files": 0, "left_out": {}}


def test_padding_is_removed_and_never_signal(root: Path) -> None:
    found = recordings(open_source(SPEC, root))
    lengths = {k: r.signal.shape[1] for k, r in found.items() if isinstance(r, Recording)}
    # An odd length cannot be padded evenly: one zero stays.
    assert lengths == {"7": 2800, "3": 4000, "11": 4000, "5": 2802, "2": 4000}


@given(st.integers(1, 300), st.integers(0, 300), st.integers(0, 3), st.integers(0, 3))
def test_zeros_at_the_edge_of_a_recording_are_not_padding(
    samples: int, padding: int, first: int, last: int
) -> None:
    signal = np.zeros((samples + 8 + 2 * padding, 12), np.float32)
    signal[padding + first : len(signal) - padding - last] = 0.5
    start, stop = unpadded(signal)
    edge = min(first, last)
    assert (start, stop) == (padding + edge, len(signal) - padding - edge)


def test_a_silent_start_is_more_than_padding() -> None:
    signal = np.zeros((4096, 12), np.float32)
    signal[48 + 400 : 4048] = 1.0  # no electrode for a second
    assert unpadded(signal) == (448, 4048)
    signal[:] = 0
    assert unpadded(signal) == (0, 0)
    signal[100 : 4096 - 100 - EDGE, 3] = -1.0  # one lead is enough
    assert unpadded(signal) == (100, 3996)


def test_an_exam_of_zeros_is_a_listed_drop(root: Path) -> None:
    tracings = np.stack([layout.padded(layout.EXAMS[0])] * 3)
    tracings[1] = 0
    layout.write_part(root, 0, [7, 3, 11], tracings)
    found = recordings(open_source(SPEC, root))
    assert isinstance(found["3"], UnusableError)
    assert "record 3 (row 1) holds only zeros" in str(found["3"])
    assert isinstance(found["11"], Recording)


def test_swapped_bytes_are_listed_drops(root: Path) -> None:
    tracings = np.stack([layout.padded(exam) for exam in layout.EXAMS[:3]])
    layout.write_part(root, 0, [7, 3, 11], tracings.byteswap())
    found = recordings(open_source(SPEC, root))
    for exam in ("7", "3", "11"):
        assert isinstance(found[exam], UnusableError)
        assert "its bytes are swapped" in str(found[exam])


def test_labels_have_the_order_of_the_model_not_of_the_table(root: Path) -> None:
    source = open_source(SPEC, root)
    assert layout.COLUMNS[7:10] == ["SB", "ST", "AF"]
    assert source.classes[""] == ("1dAVb", "RBBB", "LBBB", "SB", "AF", "ST")
    (chunk,) = source.chunks()
    rows = chunk.read()[0]
    assert rows.labels[""].tolist() == [
        [0, 0, 0, 0, 1, 0],  # AF
        [0, 1, 0, 0, 0, 1],  # RBBB and ST
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0],  # SB
        [0, 0, 0, 0, 0, 0],
    ]
    assert rows.valid[""].all(), "an exam without any of the six is a valid negative"
    assert rows.sexes == ["male", "male", "female", "male", "male"]
    assert rows.ages == [54.0, 54.0, 31.0, 54.0, 54.0]


def test_exams_of_a_patient_are_in_one_split_across_parts(root: Path) -> None:
    (chunk,) = open_source(SPEC, root).chunks()
    rows = chunk.read()[0]
    assert rows.patients.tolist() == [102, 100, 105, 100, 122]
    assert rows.splits == [hashed_split(int(patient)) for patient in rows.patients]
    assert rows.splits == ["train", "train", "test", "train", "validation"]


def test_absent_parts_and_unknown_rows_are_counted(root: Path) -> None:
    (root / PART0).unlink()
    source = open_source(SPEC, root)
    assert source.summary("").absent == 3
    assert list(recordings(source)) == ["5", "2"]
    layout.write_table(root, [e.cells() for e in layout.EXAMS if e.exam != 2])
    assert open_source(SPEC, root).notes()["left_out"] == {NOT_LISTED: 1}


def test_rows_are_read_in_blocks(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_hdf5, "BLOCK", 2)
    arrays._block.cache_clear()
    found = recordings(open_source(SPEC, root))
    assert arrays._block.cache_info().misses == 3  # rows 0-1 and 2 of part 0, 0-1 of part 1
    recording = found["11"]
    assert isinstance(recording, Recording)
    np.testing.assert_array_equal(recording.signal, layout.tracing_mv(11, 4000).T)


Break = Callable[[Path], None]


def exam(at: int, column: str, value: str) -> Break:
    def apply(root: Path) -> None:
        cells = [e.cells() for e in layout.EXAMS]
        cells[at][layout.COLUMNS.index(column)] = value
        layout.write_table(root, cells)

    return apply


def part(exam_ids: list[int], shape: tuple[int, ...], dtype: type = np.float32) -> Break:
    return lambda root: layout.write_part(root, 0, exam_ids, np.ones(shape, dtype))


def cut(size: int) -> Break:
    def apply(root: Path) -> None:
        (root / PART0).write_bytes((root / PART0).read_bytes()[:size])

    return apply


def empty(root: Path) -> None:
    with h5py.File(root / PART0, "a") as file:
        del file["tracings"]
        file["tracings"] = h5py.Empty("f")


def linked(root: Path) -> None:
    (root / PART0).rename(root.parent / "elsewhere.hdf5")
    with h5py.File(root / PART0, "w") as file:
        file["exam_id"] = np.array([7, 3, 11])
        file["tracings"] = h5py.ExternalLink(str(root.parent / "elsewhere.hdf5"), "/tracings")


def no_ids(root: Path) -> None:
    with h5py.File(root / PART0, "a") as file:
        del file["exam_id"]


def no_parts(root: Path) -> None:
    for path in root.glob("*.hdf5"):
        path.unlink()


def cut_table(root: Path) -> None:
    (root / "exams.csv").write_text((root / "exams.csv").read_text()[:-25])


FULL = (3, 4096, 12)
BROKEN = [
    (part([7, 3], (2, 4096, 12)), r"part0\.hdf5: 1 exams of exams\.csv are not in it .*as 11"),
    (part([7, 3, 12], FULL), r"part0\.hdf5: 1 exams of exams\.csv are not in it"),
    (part([7, 3, 3, 11], (4, 4096, 12)), "part0.hdf5: exam 3 is in rows 1 and 2"),
    (part([7, 3], FULL), r"exam_id is int64 \(2,\), but tracings has 3 rows"),
    (part([7, 3, 11], (3, 5000, 12)), r"tracings is float32 \(3, 5000, 12\), not"),
    (part([7, 3, 11], (3, 4096, 8)), r"tracings is float32 \(3, 4096, 8\), not"),
    (part([7, 3, 11], FULL, np.int16), r"tracings is int16 .*, not floating point"),
    (cut(0), r"part0\.hdf5: "),
    (cut(100_000), r"part0\.hdf5: .*truncated"),
    (empty, r"part0\.hdf5: tracings is float32 None, not floating point"),
    (linked, r"part0\.hdf5: tracings is a link to somewhere else"),
    (no_ids, r"part0\.hdf5: has no dataset 'exam_id'"),
    (no_parts, r"none of exams_part0\.hdf5, exams_part1\.hdf5 is here"),
    (exam(0, "trace_file", "../exams_part0.hdf5"), "is not a path below the root"),
    (exam(0, "trace_file", "/tmp/exams_part0.hdf5"), "is not a path below the root"),
    (exam(0, "trace_file", "a/exams_part0.hdf5"), r"csv:2: .* is not the name of a part"),
    (exam(0, "trace_file", "exams_part0.hd"), r"csv:2: .* is not the name of a part"),
    (exam(0, "exam_id", "0"), r"csv:2: exam id 0 is that of the padding rows"),
    (exam(0, "exam_id", "3"), r"csv:3: exam 3 appears twice"),
    (exam(0, "exam_id", "x7"), r"csv:2: 'x7' is not a whole number"),
    (exam(0, "patient_id", ""), r"csv:2: '' is not a whole number"),
    (exam(0, "AF", "maybe"), r"csv:2: AF: 'maybe' is neither 0, 1, True nor False"),
    (exam(0, "is_male", ""), r"csv:2: '' is neither 0"),
    (exam(0, "age", "-4"), r"csv:2: age '-4' is not one in years"),
    (cut_table, r"csv:6: \d+ cells, but the header has 15: the table is truncated"),
    (lambda root: (root / "exams.csv").unlink(), r"exams\.csv: no such file; CODE-15 needs"),
]


@pytest.mark.parametrize(("apply", "message"), BROKEN)
def test_what_is_wrong_is_named(root: Path, apply: Break, message: str) -> None:
    apply(root)
    with pytest.raises(CorpusError, match=message):
        open_source(SPEC, root)


def test_a_part_damaged_after_opening_is_an_error_of_its_records(root: Path) -> None:
    source = open_source(SPEC, root)
    assert isinstance(recordings(source)["7"], Recording)
    cut(100_000)(root)
    found = recordings(source)
    for record in ("7", "3", "11"):
        assert isinstance(found[record], CorpusError)
        assert not isinstance(found[record], UnusableError)
    assert isinstance(found["5"], Recording)
    (root / PART0).unlink()
    assert "cannot be read" in str(recordings(source)["7"])


def test_columns_may_stand_in_any_order(root: Path) -> None:
    first = open_source(SPEC, root).chunks()[0].read()[0]
    path = root / "exams.csv"
    table = list(csv.DictReader(path.read_text().splitlines()))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, sorted(layout.COLUMNS))
        writer.writeheader()
        writer.writerows(table)
    again = open_source(SPEC, root).chunks()[0].read()[0]
    assert dataclasses.asdict(again)["records"] == first.records
    np.testing.assert_array_equal(again.labels[""], first.labels[""])
