from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from scaling.corpora.errors import CorpusError, UnusableError
from scaling.corpora.prepare.convert import Converted, convert
from scaling.corpora.quality.overlap import signature_features
from scaling.corpora.signals.presets import PRESETS, Preprocessing, preset
from scaling.corpora.sources.read.base import Recording
from scaling.identity import LEADS
from tests.scaling.corpora.beats import ecg, r_times, recording
from tests.scaling.corpora.real import challenge, ptbxl

REPAIR = dataclasses.replace(preset("none"), name="repair", lead_errors="repair")
REFUSE = dataclasses.replace(preset("none"), name="refuse", lead_errors="refuse")


def at_100(signal: NDArray[np.float32], prep: Preprocessing | str = "none") -> Converted:
    chosen = preset(prep) if isinstance(prep, str) else prep
    return convert(Recording(signal, 100, LEADS), chosen, 100, 1000)


def test_none_stores_the_recording_in_microvolts() -> None:
    x = ecg(fs_hz=100)
    found = at_100(x)
    assert found.steps.dtype == np.int16
    np.testing.assert_allclose(found.steps * 0.001, x, atol=0.00051)
    assert found.repaired_samples == found.clipped_samples == 0
    assert found.repaired_leads == found.flat_leads == found.saturated_leads == ()
    assert found.lead_error_mv < 1e-5


def test_leads_go_by_name() -> None:
    x = ecg(fs_hz=100)
    order = [0, 1, 2, 3, 5, 4, *range(6, 12)]  # as MIMIC-IV-ECG stores them
    names = tuple(LEADS[i] for i in order)
    found = convert(Recording(x[order], 100, names), preset("none"), 100, 1000)
    np.testing.assert_array_equal(found.steps, at_100(x).steps)
    assert found.lead_error_mv < 1e-5


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_stores_its_own_window(name: str) -> None:
    prep = preset(name)
    fs_hz, samples = prep.fs_hz or 100, prep.samples or 1000
    found = convert(recording(), prep, fs_hz, samples)
    assert found.steps.shape == (len(prep.leads), samples)
    assert found.steps.any()
    assert found.r_peaks.dtype == np.int32
    np.testing.assert_allclose(found.r_peaks / fs_hz, r_times(0, 10.0), atol=0.035)


def test_the_signature_is_that_of_the_raw_recording() -> None:
    raw = recording()
    want = signature_features(raw.signal, 500, LEADS)
    for name in PRESETS:
        found = convert(raw, preset(name), 100, 1000)
        np.testing.assert_array_equal(found.features, want)


def test_known_r_peaks_are_kept() -> None:
    known = Recording(ecg(), 500, LEADS, r_peaks_s=np.array([-0.01, 0.5, 1.234, 9.999, 10.2]))
    found = convert(known, preset("none"), 100, 1000)
    assert found.r_peaks.tolist() == [50, 123]  # 9.999 s is sample 1000, outside the window


def test_r_peaks_lie_in_the_window() -> None:
    found = convert(recording(), preset("none"), 250, 1000)
    assert found.r_peaks.max() < 1000
    assert len(found.r_peaks) == (r_times(0, 10.0) < 4.0).sum()


def test_a_flat_recording_is_stored_and_flagged() -> None:
    # The all-zero row that ends every part of CODE-15.
    found = at_100(np.zeros((12, 1000), np.float32), "s1")
    assert found.flat_leads == LEADS
    assert found.r_peaks.tolist() == []
    assert not found.features.any()
    assert found.saturated_leads == ()


@pytest.mark.parametrize("name", ["none", "s1", "liteheart", "heartlang"])
def test_a_flat_lead_is_flagged_under_every_preset(name: str) -> None:
    x = ecg(fs_hz=100)
    x[9] = 0.3
    prep = preset(name)
    found = convert(Recording(x, 100, LEADS), prep, 100, 1200 if prep.padding == "zeros" else 1000)
    assert found.flat_leads == ("V4",)


def test_too_short_is_left_out_or_padded() -> None:
    short = recording(ecg(seconds=5.0))
    with pytest.raises(UnusableError, match="5 s long"):
        convert(short, preset("s1"), 100, 1000)
    found = convert(short, preset("heartlang"), 100, 1000)
    assert not found.steps[:, 500:].any()
    assert found.r_peaks.max() < 500


def test_missing_samples_are_refused_by_name() -> None:
    x = ecg(fs_hz=100)
    x[7, 10:13] = np.nan
    with pytest.raises(UnusableError, match=r"3 samples of lead V2 are missing \(NaN\)"):
        at_100(x)


def test_missing_samples_are_the_mean_of_their_neighbours() -> None:
    fill = dataclasses.replace(preset("none"), name="fill", missing="neighbours", missing_share=0.1)
    x = np.tile(np.arange(1000, dtype=np.float32) * 0.001, (12, 1))
    holes = x.copy()
    holes[6, 500] = np.nan
    holes[6, 0] = np.nan
    found = at_100(holes, fill)
    assert found.repaired_samples == 2
    assert found.steps[6, 500] == 500
    assert found.steps[6, 0] == 4  # 3.5: the mean of samples 1 to 6
    holes[6, 100:115] = np.nan
    with pytest.raises(UnusableError, match=r"lead V1 has gaps .* longer than 12 samples"):
        at_100(holes, fill)
    holes[6, 100:300] = np.nan
    with pytest.raises(UnusableError, match=r"20% of lead V1 is missing .* fills 10% at most"):
        at_100(holes, fill)


def test_a_limb_lead_without_samples_is_computed_where_the_preset_repairs() -> None:
    x = ecg(fs_hz=100)
    holes = x.copy()
    holes[0] = np.nan
    found = at_100(holes, REPAIR)
    assert found.repaired_leads == ("I",)
    np.testing.assert_allclose(found.steps[0] * 0.001, x[0], atol=0.0006)
    with pytest.raises(UnusableError, match="1000 samples of lead I are missing"):
        at_100(holes)


def test_missing_samples_of_a_lead_that_is_not_stored_do_not_matter() -> None:
    x = ecg()
    x[11] = np.nan
    assert convert(recording(x), preset("laq"), 500, 5120).repaired_samples == 0


def test_an_infinite_sample_is_damage() -> None:
    x = ecg(fs_hz=100)
    x[3, 5] = -np.inf
    x[4, 5] = np.nan
    with pytest.raises(CorpusError, match="infinite samples in lead aVR") as caught:
        at_100(x)
    assert not isinstance(caught.value, UnusableError)


@pytest.mark.parametrize(
    ("signal", "leads", "message"),
    [
        (np.zeros((11, 100)), LEADS, "not leads x samples"),
        (np.zeros(12), LEADS, "not leads x samples"),
        (np.zeros((12, 0)), LEADS, "not one sample"),
        (np.zeros((2, 100)), ("I", "X"), "unknown lead 'X'"),
        (np.zeros((2, 100)), ("I", "i"), "lead I appears twice"),
    ],
)
def test_damaged_recordings(signal: NDArray[Any], leads: tuple[str, ...], message: str) -> None:
    with pytest.raises(CorpusError, match=message) as caught:
        convert(Recording(signal.astype(np.float32), 100, leads), preset("none"), 100, 100)
    assert not isinstance(caught.value, UnusableError)


def test_absent_limb_leads_are_computed_and_said_so() -> None:
    x = ecg(fs_hz=100)
    keep = [1, 5, *range(6, 12)]  # II, aVF and the chest leads
    names = tuple(LEADS[i] for i in keep)
    found = convert(Recording(x[keep], 100, names), preset("none"), 100, 1000)
    assert found.repaired_leads == ("I", "III", "aVR", "aVL")
    np.testing.assert_allclose(found.steps * 0.001, x, atol=0.0006)
    assert math.isnan(found.lead_error_mv)


def test_absent_chest_leads_cannot_be_made() -> None:
    with pytest.raises(UnusableError, match="lead V5, V6 is missing"):
        convert(Recording(ecg(fs_hz=100)[:10], 100, LEADS[:10]), preset("none"), 100, 1000)


def test_swapped_leads_are_reported_refused_or_repaired() -> None:
    x = ecg(fs_hz=100)
    swapped = x[[0, 1, 2, 3, 5, 4, *range(6, 12)]]  # MERL's aVL and aVF
    reported = at_100(swapped)
    assert reported.lead_error_mv > 0.1
    assert reported.repaired_leads == ()
    np.testing.assert_allclose(reported.steps * 0.001, swapped, atol=0.00051)
    with pytest.raises(UnusableError, match=r"aVL and aVF are swapped \(identities missed by"):
        at_100(swapped, REFUSE)
    repaired = at_100(swapped, REPAIR)
    assert repaired.repaired_leads == ("aVL", "aVF")
    assert repaired.lead_error_mv == reported.lead_error_mv
    np.testing.assert_allclose(repaired.steps * 0.001, x, atol=0.0006)


def test_leads_without_a_unit_are_neither_checked_nor_made() -> None:
    # EchoNext ships every lead standardised on its own, which breaks the identities.
    x = ecg(fs_hz=100)
    x /= x.std(axis=1, keepdims=True)
    unitless = Recording(x, 100, LEADS, units="1")
    found = convert(unitless, REFUSE, 100, 1000)
    assert math.isnan(found.lead_error_mv)
    np.testing.assert_allclose(found.steps * 0.001, x, atol=0.00051)
    with pytest.raises(UnusableError, match="lead III, aVR, aVL, aVF is missing"):
        eight = [0, 1, *range(6, 12)]
        names = tuple(LEADS[i] for i in eight)
        convert(Recording(x[eight], 100, names, units="1"), preset("none"), 100, 1000)


def test_clipped_samples_are_counted() -> None:
    x = ecg(fs_hz=100)
    x[8, 100:103] = 50.0  # one of a raw sum in ADC units would do the same
    assert at_100(x).clipped_samples == 3


def test_a_clipping_recorder_is_noticed() -> None:
    x = ecg(fs_hz=500)
    x[1] = np.minimum(x[1], 0.4)  # the tip of every R
    x[8, 1000:1100] = 6.0  # a step held for 200 ms
    x[10, 2000:2010] = 3.0  # too short to tell
    assert convert(recording(x), preset("none"), 500, 5000).saturated_leads == ("II", "V3")


def test_what_comes_after_the_window_is_not_reported() -> None:
    x = ecg(seconds=20.0)
    x[1, 6000:] = np.minimum(x[1, 6000:], x[1, 6000:].min() + 0.1)
    x[9, 5000:] = 40.0
    found = convert(recording(x), preset("none"), 500, 5000)
    assert found.saturated_leads == ()
    assert found.clipped_samples == 0


@pytest.mark.parametrize("name", ["none", "s1"])
def test_no_real_record_is_left_out(shared: Path, name: str) -> None:
    some = [*list(ptbxl(shared, 100).values())[::8], *list(challenge(shared).values())[::2]]
    found = [convert(r, preset(name), 100, 1000) for r in some]
    assert all(len(c.r_peaks) > 5 for c in found)
    assert max(c.lead_error_mv for c in found) < 0.01
    assert not any(c.repaired_leads or c.repaired_samples or c.clipped_samples for c in found)


def test_flat_leads_of_real_records_are_flagged(shared: Path) -> None:
    records = challenge(shared)
    flat = {}
    for name, r in records.items():
        if leads := convert(r, preset("liteheart"), 500, 6144).flat_leads:
            flat[name] = leads
    assert set(flat) == {"JS11438", "JS45542", "JS45544"}
    assert flat["JS45544"] == ("V2", "V3", "V4", "V5", "V6")
