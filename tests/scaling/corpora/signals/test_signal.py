from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import butter, filtfilt, sosfiltfilt

from scaling.corpora.errors import CorpusError, UnusableError
from scaling.corpora.signals.leads import lead_order
from scaling.corpora.signals.presets import (
    PRESETS,
    Preprocessing,
    Step,
    both_ways,
    preset,
    quantise,
    resample,
    run_step,
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


@pytest.mark.parametrize(
    ("name", "hz", "low", "high"),
    [
        ("heartlang", 0.1, 0.0, 0.02),
        ("heartlang", 0.67, 0.45, 0.55),  # half the amplitude, since it runs both ways
        ("heartlang", 10.0, 0.99, 1.01),
        ("heartlang", 40.0, 0.45, 0.55),
        ("heartlang", 120.0, 0.0, 0.02),  # gone with the resampling, not aliased
    ],
)
def test_heartlang_passes_and_stops(name: str, hz: float, low: float, high: float) -> None:
    x = tone(hz, 500, 40.0)
    y = PRESETS[name].apply(x, 500, 100, 4000)
    assert low <= rms(y) / rms(x) <= high


def test_filters_have_zero_phase() -> None:
    x = tone(3.0, 100)
    y = PRESETS["s1"].apply(x, 100, 100, 1000)
    np.testing.assert_allclose(y[:, 200:-200], x[:, 200:-200], atol=2e-3)


def test_liteheart_is_what_its_authors_do() -> None:
    x = np.random.default_rng(1).normal(size=(12, 5000)).cumsum(axis=1) * 0.01
    b, a = butter(3, [1.0, 47.0], "bandpass", fs=500)
    y = filtfilt(b, a, x, axis=-1, padlen=500)  # theirs is 21: only the edges differ
    want = (y - y.mean(axis=1, keepdims=True)) / y.std(axis=1, keepdims=True)
    found = PRESETS["liteheart"].apply(x, 500, 500, 6144)
    assert found.shape == (12, 6144)
    assert not found[:, 5000:].any()  # zeros at the end, after the scaling
    np.testing.assert_allclose(found[:, :5000], want, atol=1e-6)
    np.testing.assert_allclose(found[:, :5000].std(axis=1), 1.0)


def test_what_is_longer_is_cropped_at_the_end_after_scaling() -> None:
    x = np.random.default_rng(1).normal(size=(12, 8000)) * 0.1
    x[:, 7000:] *= 10
    found = PRESETS["liteheart"].apply(x, 500, 500, 6144)
    assert (found.std(axis=1) < 0.6).all()  # the scale is that of the whole recording


def test_a_flat_lead_stays_flat_when_standardised() -> None:
    x = np.stack([np.full(1000, 0.7), tone(5, 100)[0]])
    y, _ = run_step(Step(kind="zscore"), x, 100, 100)
    assert not y[0].any()
    assert y[1].std() == pytest.approx(1.0)


def test_steps_run_in_their_order() -> None:
    x = np.random.default_rng(2).normal(size=(1, 5000)).cumsum(axis=1)
    steps = (Step(kind="highpass", hz=(0.5,), order=2), Step(kind="zscore"))
    one = Preprocessing(name="a", steps=steps).apply(x, 500, 500, 5000)
    two = Preprocessing(name="b", steps=steps[::-1]).apply(x, 500, 500, 5000)
    assert one.std() == pytest.approx(1.0)
    assert two.std() < 0.9


def test_a_band_pass_above_nyquist_is_a_high_pass() -> None:
    band = Step(kind="bandpass", hz=(1.0, 47.0), order=3)
    x = np.random.default_rng(3).normal(size=(1, 800))
    high, _ = run_step(Step(kind="highpass", hz=(1.0,), order=3), x, 80, 80)
    np.testing.assert_allclose(run_step(band, x, 80, 80)[0], high)


def test_a_low_pass_is_applied() -> None:
    smooth = Preprocessing(name="smooth", steps=(Step(kind="lowpass", hz=(20.0,), order=4),))
    slow, fast = tone(2.0, 500), tone(100.0, 500)
    y = smooth.apply(slow + fast, 500, 500, 5000)
    np.testing.assert_allclose(y[:, 500:-500], slow[:, 500:-500], atol=2e-3)


@pytest.mark.parametrize("kind", ["resample", "resample_fft"])
@pytest.mark.parametrize(("fs_hz", "target_hz"), [(500, 100), (500, 250), (400, 100), (257, 100)])
def test_resampling_keeps_a_slow_tone(kind: str, fs_hz: int, target_hz: int) -> None:
    step = Step(kind="resample" if kind == "resample" else "resample_fft")
    y, rate_hz = run_step(step, tone(3.0, fs_hz), fs_hz, target_hz)
    assert rate_hz == target_hz
    assert y.shape == (1, math.ceil(fs_hz * 10 * target_hz / fs_hz))
    want = tone(3.0, target_hz)
    np.testing.assert_allclose(y[:, 100:-100], want[:, 100:-100], atol=5e-3)


@pytest.mark.parametrize("kind", ["resample", "resample_fft"])
def test_resampling_does_not_alias(kind: str) -> None:
    step = Step(kind="resample" if kind == "resample" else "resample_fft")
    assert rms(run_step(step, tone(90.0, 500), 500, 100)[0]) < 0.01


def test_resampling_to_the_same_rate_is_exact() -> None:
    x = tone(3.0, 100)
    np.testing.assert_array_equal(resample(x, 100, 100), x)


def test_the_window_is_the_start() -> None:
    x = np.arange(1000.0)[None]
    np.testing.assert_array_equal(PRESETS["none"].apply(x, 100, 100, 500), x[:, :500])


@pytest.mark.parametrize("name", ["none", "s1"])
def test_too_short_a_recording_cannot_be_used(name: str) -> None:
    with pytest.raises(UnusableError, match=r"10 s long, but the corpus asks for 12 s"):
        PRESETS[name].apply(np.zeros((1, 1000)), 100, 100, 1200)


def test_laq_pads_one_lead_with_zeros() -> None:
    laq = PRESETS["laq"]
    assert (laq.leads, laq.fs_hz, laq.samples) == (("I",), 500, 5120)
    y = laq.apply(np.full((1, 5000), 0.5), 500, 500, 5120)
    assert (y[:, :5000] == 0.5).all()
    assert not y[:, 5000:].any()


def test_quantising_rounds_to_microvolts_and_clips() -> None:
    steps, clipped = quantise(np.array([0.0, 1.0004, -0.0006, 32.7, 40.0, -40.0]))
    assert steps.tolist() == [0, 1000, -1, 32700, 32700, -32700]
    assert steps.dtype == np.int16
    assert clipped == 2
    assert quantise(np.array([1.0]), lsb=0.005)[0].tolist() == [200]


def test_quantising_refuses_nan() -> None:
    with pytest.raises(CorpusError, match="2 samples are NaN or infinite"):
        quantise(np.array([0.0, np.nan, np.inf]))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name: str) -> None:
    value = preset(name)
    assert value.name == name
    plain = json.loads(json.dumps(value.to_dict()))
    assert Preprocessing.from_dict(plain) == value
    assert plain["units"] == ("1" if name == "liteheart" else "mV")


def test_presets_are_values_by_name() -> None:
    value = preset("s1").to_dict()
    assert value["steps"][0] == {"kind": "highpass", "hz": [0.5], "order": 2}
    assert value["leads"] == list(LEADS)
    assert [step.kind for step in preset("heartlang").steps] == ["resample_fft", "bandpass"]
    with pytest.raises(CorpusError, match="unknown preprocessing 's2'; the presets are none, s1"):
        preset("s2")


def test_presets_that_published_counts_depend_on_drop_no_record_for_its_leads() -> None:
    assert {preset(name).lead_errors for name in ("none", "s1")} == {"report"}


def test_lead_order_is_still_found_here() -> None:
    assert lead_order(["II", "I"], ["I"]) == [1]


def test_import_needs_only_the_standard_library() -> None:
    code = (
        "import sys, scaling.corpora.signals.presets; print({'numpy', 'scipy'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("kind", "hz", "order", "pad"),
    [
        ("highpass", (0.5,), 2, 200),
        ("bandpass", (5.0, 30.0), 2, 15),
        ("bandpass", (1.0, 47.0), 3, 100),
    ],
)
def test_filters_run_as_those_of_scipy(
    kind: Literal["highpass", "bandpass"], hz: tuple[float, ...], order: int, pad: int
) -> None:
    x = np.random.default_rng(0).normal(size=(12, 1000)).cumsum(axis=1)
    sections = butter(order, hz if len(hz) > 1 else hz[0], kind, output="sos", fs=100)
    found = both_ways(Step(kind=kind, hz=hz, order=order), x, 100, pad)
    np.testing.assert_allclose(found, sosfiltfilt(sections, x, padlen=pad), rtol=0, atol=1e-9)
