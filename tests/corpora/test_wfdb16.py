"""Records of format 16: agreement with wfdb, and every way one can be broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb

from scaling.corpora.errors import CorpusError
from scaling.corpora.prepare import prepare
from scaling.corpora.sources.wfdb16 import parse_header, read_record
from tests.corpora import layout
from tests.corpora.conftest import SPEC

Break = Callable[[Path], None]


@pytest.mark.parametrize(
    ("unit", "gain", "baseline"), [("mV", 1000.0, 0), ("mV", 204.8, -17), ("uV", 4.88, 100)]
)
def test_units_gains_and_baselines_as_wfdb_reads_them(
    tmp_path: Path, unit: str, gain: float, baseline: int
) -> None:
    digital = np.random.default_rng(3).integers(-900, 900, (400, 12))
    wfdb.wrsamp(
        "r1", fs=250, units=[unit] * 12, sig_name=layout.LEADS, d_signal=digital,
        fmt=["16"] * 12, adc_gain=[gain] * 12, baseline=[baseline] * 12, write_dir=str(tmp_path),
    )  # fmt: skip
    want = wfdb.rdrecord(str(tmp_path / "r1")).p_signal.T * (1e-3 if unit == "uV" else 1.0)
    got = read_record(tmp_path / "r1", 250)
    np.testing.assert_allclose(got.signal, want, rtol=1e-6, atol=1e-7)
    assert got.leads == tuple(layout.LEADS)


def cut(bytes_left: int) -> Break:
    def apply(root: Path) -> None:
        path = layout.stem(root, 2).with_suffix(".dat")
        path.write_bytes(path.read_bytes()[:bytes_left])

    return apply


def swapped(root: Path) -> None:
    path = layout.stem(root, 2).with_suffix(".dat")
    np.fromfile(path, "<i2").astype(">i2").tofile(path)


def missing_sample(root: Path) -> None:
    path = layout.stem(root, 2).with_suffix(".dat")
    raw = np.fromfile(path, "<i2")
    raw[6::12][:3] = -32768
    raw.tofile(path)


def header(old: str, new: str) -> Break:
    return lambda root: layout.edit_header(root, 2, old, new)


BROKEN = [
    (cut(12_000), r"00002_lr\.dat: 12000 bytes, but its header says 24000 .*truncated"),
    (cut(0), r"00002_lr\.dat: 0 bytes"),
    (swapped, r"00002_lr\.dat: .*the samples of lead I, II, .*do not have the checksum"),
    (missing_sample, r"00002_lr\.dat: missing samples \(NaN\) in lead V1 \(3\)"),
    (header(" 12 100 1000", " 12 100 900"), r"\.dat: 24000 bytes, but its header says 21600"),
    (header(" 12 100 1000", " 12 500 1000"), r"\.hea: says 500 Hz, but this folder holds 100"),
    (header(" 12 100 1000", " 11 100 1000"), r"\.hea: says 11 leads, but describes 12"),
    (header(" 12 100 1000", " 12 100 x"), r"\.hea: the first line is not 'name leads rate"),
    (header(" 12 100 1000", " 12 0 1000"), r"\.hea: .*must be positive"),
    (header("dat 16 ", "dat 212 "), r"\.hea: lead I is stored in format 212"),
    (header(" AVR", " aVL"), "record 2: lead aVL appears twice"),
    (header(" AVR", " X"), "record 2: unknown lead 'X'"),
    (header("1000.0(0)/mV", "1000.0(0)/mmHg"), r"\.hea: lead I: gain .* is not a positive number"),
    (header("1000.0(0)/mV", "0(0)/mV"), r"\.hea: lead I: gain .* is not a positive number"),
    (header("00002_lr.dat", "../00001_lr.dat"), r"\.hea: names the file '\.\./00001_lr\.dat'"),
]


@pytest.mark.parametrize(("apply", "message"), BROKEN)
def test_broken_records_are_named(root: Path, tmp_path: Path, apply: Break, message: str) -> None:
    apply(root)
    with pytest.raises(CorpusError, match=message) as caught:
        prepare(SPEC, tmp_path / "cache", root, lambda done, total: None)
    assert str(caught.value).startswith("1 of 7 records of ptbxl cannot be used")
    assert not any(p.is_dir() for p in (tmp_path / "cache/corpora").iterdir())


def test_all_broken_records_are_reported_together(root: Path, tmp_path: Path) -> None:
    cut(100)(root)
    layout.edit_header(root, 6, " AVR", " X")
    with pytest.raises(CorpusError, match=r"(?s)2 of 7 records.*00002_lr.*record 6: unknown lead"):
        prepare(SPEC, tmp_path / "cache", root, lambda done, total: None)


@pytest.mark.parametrize("text", ["", "hello", "r 1 100 10\nr.dat 16 1000 16 0"])
def test_what_is_no_header(text: str) -> None:
    with pytest.raises(CorpusError):
        parse_header(text)


def test_a_header_with_comments_and_date() -> None:
    text = (
        "# made by hand\nr 1 500/100(3) 10 12:00:00\nr.dat 16 200(5)/mV 16 0 0 7 0 V1\n# Age: 3\n"
    )
    header = parse_header(text)
    assert (header.fs_hz, header.samples, header.leads) == (500, 10, ("V1",))
    assert (header.lsb_per_mv, header.baselines, header.checksums) == ((200.0,), (5,), (7,))
