from __future__ import annotations

import ast
import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sleepecg import detect_heartbeats

from scaling.corpora.signals.r_peaks import detect_r_peaks
from scaling.identity import LEADS
from tests.scaling.corpora.beats import ecg, r_times
from tests.scaling.corpora.real import ptbxl


def detect(
    signal_LT: NDArray[np.float32], fs_hz: int, leads: tuple[str, ...] = LEADS
) -> NDArray[np.float64]:
    return detect_r_peaks(list(signal_LT.astype(np.float64)), leads, fs_hz)


def assert_beats(found: NDArray[np.float64], want: NDArray[np.float64], within_s: float) -> None:
    assert len(found) == len(want)
    np.testing.assert_allclose(found, want, atol=within_s)


@pytest.mark.parametrize("fs_hz", [50, 100, 250, 257, 400, 500, 1000])
def test_beats_are_found_at_any_rate(fs_hz: int) -> None:
    assert_beats(detect(ecg(1, fs_hz), fs_hz), r_times(1, 10.0), 0.02)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([70.0, 110.0, 150.0]))
def test_beats_are_found_at_any_heart_rate(seed: int, rate_bpm: float) -> None:
    found = detect(ecg(seed, 100, rate_bpm=rate_bpm), 100)
    assert_beats(found, r_times(seed, 10.0, rate_bpm), 0.035)


def test_gain_and_offset_do_not_matter() -> None:
    x = ecg(2)
    np.testing.assert_array_equal(detect(x * 50 + 3, 500), detect(x, 500))


def test_another_lead_stands_in_for_a_bad_lead_two() -> None:
    x, want = ecg(3), r_times(3, 10.0)
    x[1] = 0
    assert_beats(detect(x, 500), want, 0.035)
    x[1] = np.random.default_rng(0).normal(size=x.shape[1])
    assert_beats(detect(x, 500), want, 0.035)
    without = tuple(lead for lead in LEADS if lead != "II")
    assert_beats(detect(np.delete(x, 1, axis=0), 500, without), want, 0.035)


def test_leading_zeros_shift_nothing() -> None:
    # CODE-15 pads both ends with zeros.
    x = np.pad(ecg(4, 400, 7.0), ((0, 0), (648, 648)))
    assert_beats(detect(x, 400), r_times(4, 7.0) + 648 / 400, 0.02)


@pytest.mark.parametrize(
    "signal",
    [np.zeros((12, 1000)), np.ones((12, 1)), np.zeros((12, 0)), np.eye(12, 1000, 995)],
    ids=["flat", "one sample", "empty", "moves at the end"],
)
def test_no_beats_are_no_error(signal: NDArray[np.float64]) -> None:
    assert detect(signal.astype(np.float32), 100).tolist() == []


@pytest.mark.parametrize(("fs_hz", "still"), [(100, 0), (100, 37), (257, 0), (500, 400)])
def test_beats_are_those_of_sleepecg(fs_hz: int, still: int) -> None:
    lead = np.pad(ecg(5, fs_hz)[1].astype(np.float64), (still, 0), mode="edge")
    want = detect_heartbeats(lead, fs_hz) / fs_hz
    np.testing.assert_array_equal(detect_r_peaks([lead], ["II"], fs_hz), want)


def test_beats_of_real_records_are_those_of_sleepecg(shared: Path) -> None:
    for recording in list(ptbxl(shared, 100).values())[::20]:
        lead = recording.signal[1].astype(np.float64)
        want = detect_heartbeats(lead, 100) / 100
        np.testing.assert_array_equal(detect_r_peaks([lead], ["II"], 100), want)


def test_leads_that_begin_at_different_times_are_searched() -> None:
    x, want = ecg(6), r_times(6, 10.0)
    x[1] = 0
    for lead in range(2, 12):
        x[lead, : 20 * lead] = 0
    assert_beats(detect(x, 500), want, 0.035)


def test_less_than_two_seconds_are_too_few() -> None:
    # The detector would read beyond the end.
    assert detect(ecg(7)[:, :990], 500).tolist() == []
    assert len(detect(ecg(7)[:, :1010], 500)) > 0


@pytest.fixture(scope="module")
def rates(shared: Path) -> dict[str, list[float]]:
    """Rhythm statement -> mean heart rates of the real records that carry it."""
    found: dict[str, list[float]] = {"SBRAD": [], "STACH": [], "AFIB": []}
    recordings = ptbxl(shared, 100)
    with (shared / "data/ptb-xl/ptbxl_database.csv").open() as file:
        for row in csv.DictReader(file):
            for code in found.keys() & ast.literal_eval(row["scp_codes"]).keys():
                beats_s = detect(recordings[int(row["ecg_id"])].signal, 100)
                found[code].append(60 / float(np.diff(beats_s).mean()))
    return found


def test_rates_agree_with_the_rhythm_labels(rates: dict[str, list[float]]) -> None:
    slow, fast = np.array(rates["SBRAD"]), np.array(rates["STACH"])
    assert (len(slow), len(fast)) == (45, 61)
    assert (slow < 65).all()
    assert (fast > 97).all()
    assert (np.array(rates["AFIB"]) > 30).all()


def test_rates_at_500_and_100_hz_agree(shared: Path) -> None:
    low = ptbxl(shared, 100)
    differ = [
        abs(len(detect(r.signal, 500)) - len(detect(low[i].signal, 100)))
        for i, r in ptbxl(shared, 500).items()
    ]
    assert max(differ) <= 1
