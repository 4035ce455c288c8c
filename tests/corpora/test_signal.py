from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from scaling.corpora.errors import CorpusError
from scaling.corpora.signal import (
    PRESETS,
    Preprocessing,
    lead_order,
    preset,
    quantise,
    resample,
)
from scaling.identity import LEADS


def tone(hz: float, fs_hz: int, seconds: float = 10.0, leads: int = 1) -> NDArray[np.float64]:
    t = np.arange(round(fs_hz * seconds)) / fs_hz
    return np.tile(np.sin(2 * np.pi * hz * t), (leads, 1))


def rms(signal: NDArray[np.float64]) -> float:
    edge = signal.shape[-1] // 10
    return float(np.sqrt(np.mean(signal[..., edge:-edge] ** 2)))


def test_none_changes_nothing() -> None:
    x = np.random.default_rng(0).normal(size=(12, 1000))
    np.testing.assert_array_equal(PRESETS["none"].apply(x, 100, 100, 1000), x)


@pytest.mark.parametrize(
    ("hz", "fs_hz", "low", "high"),
    [
        (0.05, 500, 0.0, 0.02),  # baseline wander goes
        (5.0, 500, 0.99, 1.01),  # the ECG's own band stays
        (60.0, 500, 0.0, 0.02),  # mains goes where it can be seen
        (50.0, 500, 0.95, 1.01),  # and its neighbours stay
        (40.0, 100, 0.99, 1.01),  # no 60 Hz notch below 120 Hz
    ],
)
def test_s1_passes_and_stops(hz: float, fs_hz: int, low: float, high: float) -> None:
    x = tone(hz, fs_hz, 20.0)
    y = PRESETS["s1"].apply(x, fs_hz, fs_hz, x.shape[-1])
    assert low <= rms(y) / rms(x) <= high


def test_filters_have_zero_phase() -> None:
    x = tone(3.0, 100)
    y = PRESETS["s1"].apply(x, 100, 100, 1000)
    np.testing.assert_allclose(y[:, 200:-200], x[:, 200:-200], atol=2e-3)


def test_a_low_pass_is_applied() -> None:
    smooth = Preprocessing(name="smooth", lowpass_hz=20.0)
    slow, fast = tone(2.0, 500), tone(100.0, 500)
    y = smooth.apply(slow + fast, 500, 500, 5000)
    np.testing.assert_allclose(y[:, 500:-500], slow[:, 500:-500], atol=2e-3)


@pytest.mark.parametrize(("fs_hz", "target_hz"), [(500, 100), (500, 250), (400, 100), (257, 100)])
def test_resampling_keeps_a_slow_tone(fs_hz: int, target_hz: int) -> None:
    y = resample(tone(3.0, fs_hz), fs_hz, target_hz)
    assert y.shape == (1, math.ceil(fs_hz * 10 * target_hz / fs_hz))
    want = tone(3.0, target_hz)
    np.testing.assert_allclose(y[:, 100:-100], want[:, 100:-100], atol=5e-3)


def test_resampling_does_not_alias() -> None:
    assert rms(resample(tone(90.0, 500), 500, 100)) < 0.01


def test_the_window_is_the_start() -> None:
    x = np.arange(1000.0)[None]
    np.testing.assert_array_equal(PRESETS["none"].apply(x, 100, 100, 500), x[:, :500])


def test_too_short_a_recording_is_refused() -> None:
    with pytest.raises(CorpusError, match=r"10 s long, but the corpus asks for 12 s"):
        PRESETS["none"].apply(np.zeros((1, 1000)), 100, 100, 1200)


def test_leads_are_found_by_name() -> None:
    names = ["V1", "AVR", "II", "I", "III", "aVF", "AVL", "V2", "V3", "V4", "V5", "V6"]
    assert [names[i].upper() for i in lead_order(names)] == [lead.upper() for lead in LEADS]
    assert lead_order(names, ["II", "aVR"]) == [2, 1]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([*LEADS[:-1], "V9"], "unknown lead 'V9'"),
        ([*LEADS[:-1], "aVR"], "lead aVR appears twice"),
        (list(LEADS[:-2]), "lead V5, V6 is missing"),
    ],
)
def test_bad_leads_are_named(names: list[str], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        lead_order(names)


def test_quantising_rounds_to_microvolts_and_clips() -> None:
    steps, clipped = quantise(np.array([0.0, 1.0004, -0.0006, 32.7, 40.0, -40.0]))
    assert steps.tolist() == [0, 1000, -1, 32700, 32700, -32700]
    assert steps.dtype == np.int16
    assert clipped == 2


def test_quantising_refuses_nan() -> None:
    with pytest.raises(CorpusError, match="2 samples are NaN or infinite"):
        quantise(np.array([0.0, np.nan, np.inf]))


def test_presets_are_values_by_name() -> None:
    assert all(preset(name).name == name for name in PRESETS)
    value = preset("s1").to_dict()
    assert value["highpass_hz"] == 0.5
    assert value["leads"] == list(LEADS)
    assert set(value) == {field.name for field in dataclasses.fields(Preprocessing)}
    with pytest.raises(CorpusError, match="unknown preprocessing 's2'; the presets are none, s1"):
        preset("s2")
