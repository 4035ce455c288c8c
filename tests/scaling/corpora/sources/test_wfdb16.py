"""Records of 16-bit samples: agreement with wfdb, and every way one can be broken."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.corpora.errors import CorpusError
from scaling.corpora.sources.read.wfdb16 import parse_header, read_record
from tests.scaling.corpora import layout
from tests.scaling.corpora.layouts import wfdb_mat

Break = Callable[[Path], None]


@pytest.mark.parametrize(
    ("unit", "gain", "baseline"),
    [("mV", 1000.0, 0), ("mv", 204.8, -17), ("uV", 4.88, 100), ("V", 1e6, 0)],
)
def test_units_gains_and_baselines_as_wfdb_reads_them(
    tmp_path: Path, unit: str, gain: float, baseline: int
) -> None:
    digital = np.random.default_rng(3).integers(-900, 900, (400, 12))
    wfdb.wrsamp(
        "r1", fs=250, units=[unit] * 12, sig_name=layout.LEADS, d_signal=digital,
        fmt=["16"] * 12, adc_gain=[gain] * 12, baseline=[baseline] * 12, write_dir=str(tmp_path),
    )  # fmt: skip
    scale = {"mV": 1.0, "mv": 1.0, "uV": 1e-3, "V": 1e3}[unit]
    want = wfdb.rdrecord(str(tmp_path / "r1")).p_signal.T * scale
    got = read_record(tmp_path / "r1", 250)
    np.testing.assert_allclose(got.signal, want, rtol=1e-6, atol=1e-7)
    assert got.leads == tuple(layout.LEADS)


@settings(max_examples=25, deadline=None)
@given(
    leads=st.integers(1, 12),
    samples=st.integers(1, 30),
    gain=st.floats(20.0, 30_000.0),
    baseline=st.integers(-2000, 2000),
    seed=st.integers(0, 2**16),
)
def test_any_plain_record_as_wfdb_reads_it(
    tmp_path_factory: pytest.TempPathFactory,
    leads: int,
    samples: int,
    gain: float,
    baseline: int,
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("r")
    digital = np.random.default_rng(seed).integers(-32767, 32768, (samples, leads))
    wfdb.wrsamp(
        "r", fs=257, units=["mV"] * leads, sig_name=layout.LEADS[:leads], d_signal=digital,
        fmt=["16"] * leads, adc_gain=[gain] * leads, baseline=[baseline] * leads,
        write_dir=str(folder),
    )  # fmt: skip
    got = read_record(folder / "r", None)
    np.testing.assert_allclose(
        got.signal, wfdb.rdrecord(str(folder / "r")).p_signal.T, rtol=1e-5, atol=1e-5
    )
    assert got.fs_hz == 257


def test_a_matlab_matrix_and_any_rate(tmp_path: Path) -> None:
    wfdb_mat.write(tmp_path, "I0001", 5, "1", fs_hz=257, samples=40, gain="2000/mV")
    got = read_record(tmp_path / "I0001", None)
    assert (got.fs_hz, got.signal.shape, got.units) == (257, (12, 40), "mV")
    # lead II, sample 3: (7*3 + 31*1 + 101*5) mod 2001 - 1000 = -443 steps of 1/2000 mV
    assert got.signal[1, 3] == pytest.approx(-0.2215)
    np.testing.assert_allclose(got.signal, wfdb.rdrecord(str(tmp_path / "I0001")).p_signal.T)


def test_a_gain_and_baseline_of_each_lead(tmp_path: Path) -> None:
    path = wfdb_mat.write(tmp_path, "r", 5, "1", samples=40)
    lines = path.read_text().splitlines()
    lines[2] = lines[2].replace("1000/mV", "500(-20)/mV")
    path.write_text("\n".join(lines))
    got = read_record(tmp_path / "r", 500).signal
    assert got[1, 3] == pytest.approx((-443 + 20) / 500)
    assert got[0, 3] == pytest.approx(-0.474)  # (21 + 505) mod 2001 - 1000, at 1000 a mV


def test_missing_samples_are_nan(root: Path) -> None:
    path = layout.stem(root, 2).with_suffix(".dat")
    raw = np.fromfile(path, "<i2")
    before = raw[6::12].copy()
    raw[6::12][4:7] = -32768
    raw.tofile(path)
    change = int(raw[6::12].astype(int).sum() - before.astype(int).sum())
    head = path.with_suffix(".hea")
    lines = head.read_text().splitlines()
    fields = lines[7].split()
    fields[6] = str((int(fields[6]) + change + 32768) % 65536 - 32768)
    lines[7] = " ".join(fields)
    head.write_text("\n".join(lines))
    signal = read_record(path.with_suffix(""), 100).signal
    assert np.isnan(signal[6, 4:7]).all()
    assert int(np.isnan(signal).sum()) == 3
    np.testing.assert_allclose(signal[6, 7:], before[7:] / 1000.0, rtol=1e-6)


def cut(bytes_left: int) -> Break:
    def apply(root: Path) -> None:
        path = layout.stem(root, 2).with_suffix(".dat")
        path.write_bytes(path.read_bytes()[:bytes_left])

    return apply


def longer(root: Path) -> None:
    path = layout.stem(root, 2).with_suffix(".dat")
    path.write_bytes(path.read_bytes() + b"\0\0")


def swapped(root: Path) -> None:
    path = layout.stem(root, 2).with_suffix(".dat")
    np.fromfile(path, "<i2").astype(">i2").tofile(path)


def one_bit(root: Path) -> None:
    path = layout.stem(root, 2).with_suffix(".dat")
    content = bytearray(path.read_bytes())
    content[24] ^= 4
    path.write_bytes(bytes(content))


def header(old: str, new: str) -> Break:
    return lambda root: layout.edit_header(root, 2, old, new)


BROKEN = [
    (cut(12_000), r"00002_lr\.dat: 12000 bytes, but its header says 24000 .*truncated"),
    (cut(0), r"00002_lr\.dat: 0 bytes"),
    (longer, r"00002_lr\.dat: 24002 bytes, .*: the header is wrong"),
    (swapped, r"00002_lr\.dat: the two bytes of every sample are swapped"),
    (one_bit, r"00002_lr\.dat: the samples of lead I do not have the checksum"),
    (lambda root: layout.stem(root, 2).with_suffix(".dat").unlink(), r"\.dat: cannot be read"),
    (lambda root: layout.stem(root, 2).with_suffix(".hea").unlink(), r"\.hea: cannot be read"),
    (header(" 12 100 1000", " 12 100 900"), r"\.dat: 24000 bytes, but its header says 21600"),
    (header(" 12 100 1000", " 12 500 1000"), r"\.hea: says 500 Hz, but this folder holds 100"),
    (header(" 12 100 1000", " 11 100 1000"), r"\.hea: says 11 leads, but describes 12"),
    (header(" 12 100 1000", " 12 100 x"), r"\.hea: the first line is not 'name leads rate"),
    (header(" 12 100 1000", " 12 0 1000"), r"\.hea: .*must be positive"),
    (header("dat 16 ", "dat 212 "), r"\.hea: lead I is stored in format 212"),
    (header("1000.0(0)/mV", "1000.0(0)/mmHg"), r"\.hea: lead I: gain .* is not a positive number"),
    (header("1000.0(0)/mV", "0(0)/mV"), r"\.hea: lead I: gain .* is not a positive number"),
    (header("1000.0(0)/mV", "-1000(0)/mV"), r"\.hea: lead I: gain .* is not a positive number"),
    (header("1000.0(0)/mV", "1(0)/mV"), r"\.hea: lead I: gain .* is 1 steps per mV, which no ECG"),
    (header("1000.0(0)/mV", "1e9(0)/mV"), r"\.hea: lead I: gain .*: the header is wrong"),
    (header("00002_lr.dat", "../1.dat"), r"\.hea: names the file '\.\./1\.dat', not 00002_lr\.dat"),
]


@pytest.mark.parametrize(("apply", "message"), BROKEN)
def test_broken_records_are_named(root: Path, apply: Break, message: str) -> None:
    apply(root)
    with pytest.raises(CorpusError, match=message) as caught:
        read_record(layout.stem(root, 2), 100)
    assert "00002_lr" in str(caught.value)


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, 10, "does not begin as a MATLAB matrix"),  # 32-bit integers
        (0, 0x1E000000, "does not begin as a MATLAB matrix"),  # byte-swapped
        (4, 8, "does not begin as a MATLAB matrix 'val' of 12 x 40"),
        (8, 39, "does not begin as a MATLAB matrix 'val' of 12 x 40"),
        (20, 0, "does not begin as a MATLAB matrix 'val'"),
    ],
)
def test_a_broken_matrix(tmp_path: Path, at: int, value: int, message: str) -> None:
    path = wfdb_mat.write(tmp_path, "r", 1, "1", samples=40).with_suffix(".mat")
    content = bytearray(path.read_bytes())
    struct.pack_into("<i", content, at, value)
    path.write_bytes(bytes(content))
    with pytest.raises(CorpusError, match=message):
        read_record(tmp_path / "r", 500)


def test_a_truncated_matrix_and_a_wrong_format(tmp_path: Path) -> None:
    path = wfdb_mat.write(tmp_path, "r", 1, "1", samples=40)
    data = path.with_suffix(".mat")
    content = data.read_bytes()
    data.write_bytes(content[:-10])
    with pytest.raises(CorpusError, match=r"974 bytes, but its header says 984 \(24 \+ 40 samples"):
        read_record(tmp_path / "r", 500)
    data.write_bytes(content[24:])
    path.write_text(path.read_text().replace("16+24", "16"))
    with pytest.raises(CorpusError, match=r"is a \.mat file, but its header says format 16"):
        read_record(tmp_path / "r", 500)


@pytest.mark.parametrize("text", ["", "hello", "r 1 100 10\nr.dat 16 1000 16 0", "r 0 100 10"])
def test_what_is_no_header(text: str) -> None:
    with pytest.raises(CorpusError):
        parse_header(text)


@given(st.text(max_size=200))
def test_no_text_does_more_than_refuse(text: str) -> None:
    with contextlib.suppress(CorpusError):
        parse_header(text)


def test_a_header_with_comments_and_date() -> None:
    text = (
        "# made by hand\nr 1 500/100(3) 10 12:00:00\nr.dat 16 200(5)/mV 16 0 0 7 0 V1\n# Age: 3\n"
    )
    header = parse_header(text)
    assert (header.fs_hz, header.samples, header.leads, header.offset) == (500, 10, ("V1",), 0)
    assert (header.lsb_per_mv, header.baselines, header.checksums) == ((200.0,), (5,), (7,))


def test_all_real_challenge_records_are_those_of_wfdb(shared: Path) -> None:
    heads = sorted((shared / "data/challenge-2021/training").rglob("*.hea"))
    assert len(heads) == 123
    for head in heads:
        want = wfdb.rdrecord(str(head.with_suffix("")))
        got = read_record(head.with_suffix(""), None)
        np.testing.assert_allclose(got.signal, want.p_signal.T, rtol=1e-6, atol=1e-6)
        assert (got.fs_hz, list(got.leads)) == (want.fs, want.sig_name)
