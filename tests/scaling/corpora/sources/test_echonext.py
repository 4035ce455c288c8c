"""EchoNext: row order, no unit, unmeasured items, the excluded split, damaged arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scaling.corpora.errors import CorpusError, UnusableError
from scaling.corpora.registry import open_source
from scaling.corpora.sources.echonext import FLAGS
from scaling.corpora.sources.read.base import Recording, Source
from scaling.corpora.sources.testing import Expected, SourceContract
from scaling.identity import LEADS, CorpusSpec
from tests.scaling.corpora.layouts import echonext as layout

SPEC = CorpusSpec(source="echonext", fs_hz=250)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return layout.write(tmp_path / "echonext")


class TestEchonext(SourceContract):
    spec = SPEC
    # e6 is the third of the training rows (row 2) though the sixth of the table; V1 is the
    # seventh lead (k = 6): ((5 * 20 + 37 * 6 + 400 * 2) % 1201 - 600) / 100 = 5.22.
    expected = Expected(
        record="e6", lead="V1", sample=20, value=5.22, task="flags",
        positives=frozenset({"lvwt_gte_13"}), split="train",
    )  # fmt: skip

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return layout.write(tmp_path / "echonext")


def labels(source: Source, task: str) -> dict[str, set[str] | None]:
    """Record -> positive classes; None where it does not belong to the task."""
    (chunk,) = source.chunks()
    rows = chunk.read()[0]
    found = zip(rows.records, rows.labels[task], rows.valid[task], strict=True)
    names = source.classes[task]
    return {
        record: {names[k] for k in np.flatnonzero(label)} if valid else None
        for record, label, valid in found
    }


def test_recordings_have_no_unit_and_the_usual_leads(root: Path) -> None:
    (chunk,) = open_source(SPEC, root).chunks()
    rows, recordings = chunk.read()
    for record, recording in zip(rows.records, recordings, strict=True):
        assert isinstance(recording, Recording)
        assert (recording.units, recording.fs_hz, recording.leads) == ("1", 250, LEADS)
        row = {"e1": 0, "e2": 0, "e4": 1, "e5": 0, "e6": 2}[record]
        np.testing.assert_allclose(recording.signal, layout.wave(row)[0].T, atol=1e-6)


def test_an_unmeasured_item_is_not_a_negative(root: Path) -> None:
    source = open_source(SPEC, root)
    assert labels(source, "flags") == {
        "e1": {"pasp_gte_45", "lvef_lte_45"},
        "e2": set(),
        "e4": None,  # the tricuspid jet was not measured: its flag is 0
        "e5": set(),
        "e6": {"lvwt_gte_13"},  # one wall was not measured, but the other is thick
    }
    shd = {"shd_moderate_or_greater"}
    assert labels(source, "shd") == {"e1": shd, "e2": set(), "e4": set(), "e5": set(), "e6": shd}


@pytest.mark.parametrize("value", sorted({v for values in FLAGS.values() for v in values}))
def test_every_measurement_counts(root: Path, value: str) -> None:
    ecg = dataclasses.replace(layout.ECGS[4], unmeasured=(value,))
    layout.write_table(root, [e.cells() for e in [*layout.ECGS[:4], ecg, layout.ECGS[5]]])
    assert labels(open_source(SPEC, root), "flags")["e5"] is None


def test_a_value_may_be_written_as_nan(root: Path) -> None:
    table(",28.0,", ",NaN,")(root)
    found = labels(open_source(SPEC, root), "flags")
    assert found["e1"] == {"pasp_gte_45", "lvef_lte_45"}
    assert found["e2"] is found["e5"] is None


def test_eleven_flags_in_a_fixed_order(root: Path) -> None:
    names = open_source(SPEC, root).classes["flags"]
    assert [f"{name}_flag" for name in names] == layout.FLAGS[:-1]


def test_no_split_shares_patients_and_is_left_out(root: Path) -> None:
    source = open_source(SPEC, root)
    (chunk,) = source.chunks()
    rows = chunk.read()[0]
    assert "e3" not in rows.records
    assert list(source.notes()["left_out"].values()) == [1]
    assert rows.splits == ["test", "train", "train", "validation", "train"]
    assert rows.sexes == ["female", "female", "male", "female", "female"]
    assert rows.ages == [67.0, 67.0, None, 67.0, 67.0]
    assert rows.patients.tolist() == [11, 12, 13, 14, 12]


def test_the_readme_writes_sex_as_a_number_and_the_table_with_capitals(root: Path) -> None:
    changed = [dataclasses.replace(e, sex="1") for e in layout.ECGS]
    layout.write_table(root, [e.cells() for e in changed])
    (root / "echonext_metadata_100k.csv").rename(root / "EchoNext_metadata_100k.csv")
    (chunk,) = open_source(SPEC, root).chunks()
    assert set(chunk.read()[0].sexes) == {"male"}


def test_an_absent_array_is_counted(root: Path) -> None:
    (root / "EchoNext_train_waveforms.npy").unlink()
    (root / "EchoNext_no_split_waveforms.npy").unlink()
    summary = open_source(SPEC, root).summary("shd")
    assert (summary.train, summary.validation, summary.test, summary.absent) == (0, 1, 1, 3)


Break = Callable[[Path], None]
TRAIN = "EchoNext_train_waveforms.npy"


def ecg(at: int, **changes: object) -> Break:
    def apply(root: Path) -> None:
        changed = list(layout.ECGS)
        changed[at] = dataclasses.replace(changed[at], **changes)  # type: ignore[arg-type]
        layout.write_table(root, [e.cells() for e in changed])

    return apply


def table(old: str, new: str) -> Break:
    def apply(root: Path) -> None:
        path = root / "echonext_metadata_100k.csv"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return apply


def array(value: np.ndarray) -> Break:
    return lambda root: layout.write_array(root, "train", value)


def cut(size: int) -> Break:
    def apply(root: Path) -> None:
        (root / TRAIN).write_bytes((root / TRAIN).read_bytes()[:size])

    return apply


def header(old: bytes, new: bytes) -> Break:
    def apply(root: Path) -> None:
        data = (root / TRAIN).read_bytes()
        assert data.count(old, 0, 128) == 1
        (root / TRAIN).write_bytes(data.replace(old, new, 1))

    return apply


def archived(root: Path) -> None:
    np.savez(root / "x.npz", np.zeros(3))
    (root / "x.npz").rename(root / TRAIN)


def nothing_here(root: Path) -> None:
    for path in root.glob("*waveforms.npy"):
        path.unlink()


SHAPE = (3, 1, 2500, 12)
BROKEN = [
    (ecg(1, patient="11"), r"patient 11 is in both test and train"),
    (ecg(1, key="e6"), "record e6 appears twice"),
    (ecg(1, key=""), r"100k\.csv:3: ecg_key is empty"),
    (ecg(1, patient=""), r"100k\.csv:3: the patient id is empty"),
    (ecg(1, split="dev"), r"100k\.csv:3: split 'dev' is none of train, val, test, no_split"),
    (ecg(3, split="val"), r"train_waveforms\.npy: 3 records, but .* has 2 rows of split train"),
    (ecg(1, sex="w"), r"100k\.csv:3: sex 'w' is neither"),
    (ecg(1, age="old"), r"100k\.csv:3: .*'old'"),
    (table(",pasp_gte_45_flag", ",pasp"), "column pasp_gte_45_flag is missing"),
    (table(",tr_max_velocity_value", ",tr"), "column tr_max_velocity_value is missing"),
    (table(",no_split", ",no_split,1"), r"100k\.csv:4: \d+ cells, but the header has"),
    (table("2.1,60.0,0,", "2.1,60.0,2,"), "'2' is neither 0, 1, True nor False"),
    (array(np.zeros((2, *SHAPE[1:]))), r"train_waveforms\.npy: 2 records, but .* has 3 rows"),
    (array(np.zeros((3, 2500, 12))), r"npy: float64 \(3, 2500, 12\), not floating point"),
    (array(np.zeros(SHAPE, np.int16)), r"npy: int16 \(3, 1, 2500, 12\), not floating point"),
    (array(np.array([{}] * 3, object)), r"train_waveforms\.npy: holds objects"),
    (cut(5000), r"train_waveforms\.npy: .* bytes of data, but its header says .*: truncated"),
    (header(b"'<f8'", b"'<f4'"), r"npy: [\d,]+ bytes of data, but its header says [\d,]+"),
    (header(b"'shape': (", b"'shape': ["), r"train_waveforms\.npy: is no \.npy array"),
    (header(b"), }", b"(, }"), r"train_waveforms\.npy: is no \.npy array"),
    (archived, r"train_waveforms\.npy: is no \.npy array"),
    (cut(0), r"train_waveforms\.npy: is no \.npy array"),
    (nothing_here, "none of EchoNext_train_waveforms"),
    (lambda root: (root / "echonext_metadata_100k.csv").unlink(), "no such file; EchoNext needs"),
]


@pytest.mark.parametrize(("apply", "message"), BROKEN)
def test_what_is_wrong_is_named(root: Path, apply: Break, message: str) -> None:
    apply(root)
    with pytest.raises(CorpusError, match=message):
        open_source(SPEC, root)


def test_swapped_bytes_are_listed_drops(root: Path) -> None:
    noise = np.random.default_rng(0).normal(size=SHAPE)
    layout.write_array(root, "train", noise.byteswap())
    (chunk,) = open_source(SPEC, root).chunks()
    rows, recordings = chunk.read()
    refused = [isinstance(r, UnusableError) and "swapped" in str(r) for r in recordings]
    assert refused == [split == "train" for split in rows.splits]


def test_an_array_damaged_after_opening_is_an_error_of_its_records(root: Path) -> None:
    source = open_source(SPEC, root)
    cut(5000)(root)
    (chunk,) = source.chunks()
    found = list(chunk.read()[1])
    assert [isinstance(item, CorpusError) for item in found] == [False, True, True, False, True]
