"""The user's own WFDB records: formats, paths, headers that are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb

from scaling.corpora.errors import CorpusError
from scaling.corpora.format.splits import hashed_split
from scaling.corpora.registry import open_source
from scaling.corpora.sources.read.base import Recording, Rows
from scaling.corpora.sources.testing import Expected, SourceContract
from scaling.corpora.sources.wfdb_folder import signal_files
from scaling.identity import CorpusSpec
from tests.scaling.corpora.layouts import wfdb_folder as layout

SPEC = CorpusSpec(source="wfdb", fs_hz=250, window_s=1)


class TestWfdbFolder(SourceContract):
    spec = SPEC
    # Record b (98), lead 2 (V5), sample 10: (50 + 80 + 98) mod 300 - 100 = 128 steps; less the
    # baseline of 7 that is 121, and 121 / 200 = 0.605 mV.
    expected = Expected(
        record="b",
        lead="V5",
        sample=10,
        value=0.605,
        task="",
        positives=frozenset({"NORM"}),
        split="train",
    )

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return layout.write(tmp_path / "own")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return layout.write(tmp_path / "own")


def rows_of(root: Path) -> Rows:
    return open_source(SPEC, root).chunks()[0].read()[0]


def recordings_of(root: Path) -> list[Recording | CorpusError]:
    return list(open_source(SPEC, root).chunks()[0].read()[1])


def edit(root: Path, stem: str, old: str, new: str) -> None:
    path = root / f"{stem}.hea"
    text = path.read_text()
    assert old in text, text
    path.write_text(text.replace(old, new))


def test_every_format_reads_as_it_was_written(root: Path) -> None:
    found = recordings_of(root)
    for name, recording in zip("abcd", found, strict=True):
        assert isinstance(recording, Recording), recording
        per_mv = 200.0
        want = (layout.steps(name).T - 7) / per_mv
        np.testing.assert_allclose(recording.signal, want, atol=1e-6)
        assert (recording.fs_hz, recording.leads) == (250, ("I", "II", "V5"))


def test_tables(root: Path) -> None:
    rows = rows_of(root)
    assert rows.records == ["a", "b", "c", "d"]
    assert rows.labels[""].tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 0], [0, 1, 0]]
    assert rows.splits == [hashed_split(int(patient)) for patient in rows.patients]
    assert rows.sexes == ["female", "female", "male", "male"]
    assert rows.ages == [50.0, 51.0, None, 33.0]


def test_without_a_path_the_record_is_the_path(root: Path) -> None:
    layout.write_table(root, [[row[5].removesuffix(".hea"), *row[1:]] for row in layout.ROWS])
    layout.describe(root, path=None)
    assert rows_of(root).records == ["2020/a", "2020/b", "2021/c", "2021/d"]


@pytest.mark.parametrize("suffix", [".hea", ".dat"])
def test_labels_for_absent_records_are_counted(root: Path, suffix: str) -> None:
    (root / f"2020/a{suffix}").unlink()
    assert open_source(SPEC, root).notes()["missing_files"] == 1
    assert rows_of(root).records == ["b", "c", "d"]


def test_a_table_of_other_records(root: Path) -> None:
    layout.write_table(root, [["x", "p", "", "", "AF", "2020/x"]])
    with pytest.raises(CorpusError, match="none of its 1 records is below"):
        open_source(SPEC, root)


def test_a_file_belongs_to_one_record(root: Path) -> None:
    layout.write_table(root, [*layout.ROWS, ["e", "p9", "", "", "AF", "2020/./a"]])
    with pytest.raises(CorpusError, match=r"labels\.csv:6: path '2020/a' belongs to two records"):
        open_source(SPEC, root)


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "2020/../../secret", ""])
def test_paths_that_climb_out(root: Path, path: str) -> None:
    rows = [list(row) for row in layout.ROWS]
    rows[0][0], rows[0][5] = (path or "../a"), path
    layout.write_table(root, rows)
    with pytest.raises(CorpusError, match=r"labels\.csv:2: .* is not a path below the root"):
        open_source(SPEC, root)


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_damaged_samples_are_named(root: Path, name: str) -> None:
    stem = Path({row[0]: row[5] for row in layout.ROWS}[name]).with_suffix("")
    data = root / stem.with_suffix(".dat")
    content = data.read_bytes()
    index = "abcd".index(name)
    damaged = bytearray(content)
    damaged[0] ^= 1
    for changed in (bytes(damaged), content[:50], b""):
        data.write_bytes(changed)
        found = recordings_of(root)
        assert isinstance(found[index], CorpusError), changed[:5]
        assert f"{stem.name}." in str(found[index])
        assert sum(isinstance(r, Recording) for r in found) == 3


BROKEN = [
    ("2020/b", "200.0(7)/mV", "200.0(7)/mmHg", "leads in mmHg, not in mV"),
    ("2020/b", "200.0(7)/mV", "0(7)/mV", "gain .* is not calibrated"),
    ("2020/b", "200.0(7)/mV", "-200.0(7)/mV", "a gain of -200"),
    ("2020/b", "200.0(7)/mV", "1e9(7)/mV", r"a gain of 1e\+09"),
    ("2020/b", " 212 ", " 212x2 ", "several samples a frame"),
    ("2020/b", "b.dat", "../2021/c.dat", r"names the file '\.\./2021/c\.dat'"),
    ("2020/b", "b 3 250", "b/2 3 250", "has several segments"),
    ("2020/b", "b 3 250", "b 3 250.5", "250.5 Hz is not a whole number"),
    ("2020/b", "b 3 250 400", "b", "no WFDB header"),
    ("2020/b", " V5\n", "\n", "2020/b.hea: cannot be read"),
    ("2020/a", "200.0(7)/mV", "1e9(7)/mV", "no ECG recorder"),
    ("2020/a", "a 3 250 400", "a 3 250 500", "truncated, or the header is wrong"),
]


@pytest.mark.parametrize(("stem", "old", "new", "message"), BROKEN)
def test_headers_that_are_refused(root: Path, stem: str, old: str, new: str, message: str) -> None:
    edit(root, stem, old, new)
    found = recordings_of(root)
    bad = [record for record in found if isinstance(record, CorpusError)]
    assert len(bad) == 1
    with pytest.raises(CorpusError, match=message):
        raise bad[0]
    assert stem in str(bad[0])


def test_a_header_that_changes_is_another_dataset(root: Path) -> None:
    first = open_source(SPEC, root).fingerprint
    edit(root, "2021/c", "V5", "V6")
    assert open_source(SPEC, root).fingerprint != first


def test_missing_samples_stay_missing(root: Path) -> None:
    signal = layout.steps("b").astype(float) / 200
    signal[3, 1] = np.nan
    wfdb.wrsamp(
        "b", fs=250, units=["mV"] * 3, sig_name=layout.LEADS, p_signal=signal, fmt=["212"] * 3,
        adc_gain=[200.0] * 3, baseline=[0] * 3, write_dir=str(root / "2020"),
    )  # fmt: skip
    found = recordings_of(root)[1]
    assert isinstance(found, Recording), found
    assert np.argwhere(np.isnan(found.signal)).tolist() == [[1, 3]]


def test_real_records_of_format_16(shared: Path, tmp_path: Path) -> None:
    data = shared / "data/challenge-2021/training"
    stems = sorted(p.with_suffix("") for p in data.rglob("*.hea"))[::20]
    (tmp_path / "data").symlink_to(data)
    rows = [[p.name, p.name, "", "", "x", f"data/{p.relative_to(data)}"] for p in stems]
    layout.write_table(tmp_path, rows)
    layout.describe(tmp_path)
    found = recordings_of(tmp_path)
    assert len(found) == len(stems) > 5
    for stem, recording in zip(stems, found, strict=True):
        assert isinstance(recording, Recording), recording
        np.testing.assert_allclose(recording.signal, wfdb.rdrecord(str(stem)).p_signal.T, atol=1e-6)


def test_what_the_fast_reader_takes() -> None:
    head = "r 1 500 10\n"
    assert signal_files(head + "r.mat 16+24 1000/mV 16 0 0 0 0 I\n") == ({"r.mat"}, True)
    assert signal_files(head + "# x\nr.dat 16 1000(3)/mV 16 0 0 0 0 I\n") == ({"r.dat"}, True)
    assert signal_files(head + "r.dat 212 1000 12 0 0 0 0 I\n") == ({"r.dat"}, False)
    two = "r.dat 16 1e3/mV 16 0 0 0 0 I\ns.dat 16 1e3/mV 16 0 0 0 0 II\n"
    assert signal_files(head + two) == ({"r.dat", "s.dat"}, False)
