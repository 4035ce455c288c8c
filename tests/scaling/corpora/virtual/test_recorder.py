"""The recorder: each kind of noise has the size and the spectrum that the device states."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from scaling.corpora.virtual import recorder
from scaling.corpora.virtual.generate import draws
from scaling.corpora.virtual.population import Device
from tests.scaling.corpora.virtual.lone import QUIET, lone

COUNT = 40


def noise(fs_hz: float = 500, seconds: float = 10.0, **amounts: float) -> np.ndarray:
    """Noise of leads I, II, V1 to V6 on a silent heart: (COUNT, 8, samples)."""
    device = dataclasses.replace(QUIET, spread=0.0, **amounts)
    numbers, _ = draws(lone(device), 0, "train", 0, COUNT)
    silent = torch.zeros(COUNT, 8, round(fs_hz * seconds))
    breath = torch.full((COUNT,), 0.25, dtype=torch.float64)
    out: np.ndarray = recorder.record(silent, device, numbers, breath, fs_hz).numpy()
    return out


def band(x: np.ndarray, fs_hz: float, low: float, high: float) -> float:
    """Root mean square of what lies between two frequencies."""
    power = np.abs(np.fft.rfft(x)) ** 2 * 2 / x.shape[-1] ** 2
    f = np.fft.rfftfreq(x.shape[-1], 1 / fs_hz)
    return float(np.sqrt(power[..., (f >= low) & (f < high)].sum(-1).mean()))


def test_a_quiet_recorder_adds_nothing() -> None:
    assert not noise().any()


@pytest.mark.parametrize("fs_hz", [100, 500])
def test_white_noise_of_an_electrode_is_as_stated(fs_hz: float) -> None:
    rms = noise(fs_hz, white_mv=0.01).std((0, 2))
    # I and II are differences of two electrodes; V leads are one less a mean of three.
    assert rms[:2] == pytest.approx(0.01 * 2**0.5, rel=0.03)
    assert rms[2:] == pytest.approx(0.01 * (4 / 3) ** 0.5, rel=0.03)


def test_leads_share_their_electrodes() -> None:
    x = noise(white_mv=0.01)
    assert np.corrcoef(x[:, 0].ravel(), x[:, 1].ravel())[0, 1] == pytest.approx(0.5, abs=0.03)
    assert np.corrcoef(x[:, 3].ravel(), x[:, 4].ravel())[0, 1] == pytest.approx(0.25, abs=0.03)


def test_muscle_noise_is_coloured_and_comes_in_bursts() -> None:
    x = noise(muscle_mv=0.01)
    assert band(x, 500, 20, 100) > 3 * band(x, 500, 0, 10)
    assert band(x, 500, 20, 100) > 2 * band(x, 500, 200, 250)
    swell = x.reshape(COUNT, 8, 20, -1).std(-1)[:, 2:].mean(1)  # of half seconds
    assert np.median(swell.max(1) / swell.min(1)) > 2.0
    assert 0.005 < np.median(swell) < 0.03


def test_wander_is_slow_and_as_large_as_stated() -> None:
    x = noise(100, 60.0, wander_mv=0.1)[:, 2:]
    assert band(x, 100, 0.03, 1.2) > 8 * band(x, 100, 1.2, 50)
    assert 0.06 < np.median(x.std(2)) < 0.2


def test_respiration_is_at_its_rate() -> None:
    x = noise(100, 40.0, respiration_mv=0.1)
    assert band(x, 100, 0.22, 0.28) > 10 * (band(x, 100, 0.01, 0.22) + band(x, 100, 0.28, 50))


@pytest.mark.parametrize("mains_hz", [50.0, 60.0])
def test_mains(mains_hz: float) -> None:
    x = noise(500, mains_mv=0.02, mains_hz=mains_hz)
    at = band(x, 500, mains_hz - 0.5, mains_hz + 0.5)
    assert at > 0.01
    assert band(x, 500, 0, mains_hz - 1) < 0.1 * at
    assert band(x, 500, 3 * mains_hz - 1, 3 * mains_hz + 1) > 0.05 * at
    # A rate that cannot carry it has been filtered before it was sampled.
    assert not noise(100, mains_mv=0.02, mains_hz=mains_hz).any()


def test_motion_comes_in_episodes() -> None:
    x = noise(100, 30.0, motion_mv=0.2)
    assert band(x, 100, 0.5, 8) > 3 * band(x, 100, 12, 50)
    level = x.reshape(COUNT, 8, 30, -1).std(-1)
    assert np.quantile(level, 0.1) < 0.05 * np.quantile(level, 0.9)


def test_pops_jump_and_decay() -> None:
    x = noise(500, 60.0, pops_per_min=2.0)
    jump = np.abs(np.diff(x, axis=2)).max(1) > 0.02
    begins = jump & ~np.roll(jump, 1, axis=1)
    assert 30 < begins.sum() < 130  # 40 minutes at 2, most of them visible
    where = np.argwhere(begins[:, : 58 * 500])[0]
    later = np.abs(x[where[0], :, where[1] + 300 : where[1] + 400]).max()
    assert later < 0.3 * np.abs(x[where[0], :, where[1] + 1]).max()


def test_a_lost_electrode_is_flat_for_a_while() -> None:
    x = noise(white_mv=0.01, loss=1.0)
    flat = (x == 0.0).mean(2)
    assert (flat[:, :2] == 0).all()
    assert ((flat > 0.05).sum(1) <= 1).all()
    assert (flat.max(1) > 0.05).mean() > 0.7
    assert not (noise(white_mv=0.01) == 0.0).mean() > 0.01


def test_the_converter_rounds_and_clips() -> None:
    x = noise(wander_mv=1.0, step_mv=0.005, range_mv=1.5).astype(np.float64)
    assert np.abs(x / 0.005 - np.round(x / 0.005)).max() < 1e-3
    assert x.max() == pytest.approx(1.5)
    assert x.min() == pytest.approx(-1.5)


def test_the_low_pass_takes_noise_too() -> None:
    soft, sharp = noise(white_mv=0.01, low_pass_hz=40.0), noise(white_mv=0.01, low_pass_hz=150.0)
    assert band(soft, 500, 100, 250) < 0.1 * band(soft, 500, 0, 40)
    assert band(sharp, 500, 100, 250) > 0.3 * band(sharp, 500, 0, 40)
    decimated = noise(100, white_mv=0.01, low_pass_hz=150.0)
    assert band(decimated, 100, 48, 50.1) < 0.1 * band(decimated, 100, 0, 10)


def test_the_high_pass_is_the_first_order_recursion() -> None:
    x = torch.randn(2, 8, 205, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    keep = np.exp(-2 * np.pi * 0.5 / 100)
    slow, expected = x[..., 0].numpy(), []
    for sample in x.numpy().transpose(2, 0, 1):
        slow = keep * slow + (1 - keep) * sample
        expected.append(sample - slow)
    got = recorder._high_passed(x, 0.5, 100).numpy()
    assert np.abs(got - np.stack(expected, -1)).max() < 1e-12
    wander = noise(100, 30.0, wander_mv=0.1, high_pass_hz=0.5).std()
    assert wander < 0.7 * noise(100, 30.0, wander_mv=0.1).std()


def test_gain_errors_are_per_lead() -> None:
    device = dataclasses.replace(QUIET, gain_error=0.05)
    numbers, _ = draws(lone(device), 0, "train", 0, 400)
    ones = torch.ones(400, 8, 4)
    breath = torch.full((400,), 0.25, dtype=torch.float64)
    gain = recorder.record(ones, device, numbers, breath, 100)[..., 0]
    assert gain.std(0).numpy() == pytest.approx(0.05, rel=0.2)
    assert gain.mean() == pytest.approx(1.0, abs=0.01)


def test_records_differ_by_the_spread() -> None:
    wide = dataclasses.replace(QUIET, white_mv=0.01, spread=0.7)
    numbers, _ = draws(lone(wide), 0, "train", 0, 2000)
    level = recorder.white_mv(wide, numbers).log()
    assert float(level.std()) == pytest.approx(0.7, rel=0.05)
    assert float(level.median()) == pytest.approx(float(np.log(0.01)), abs=0.05)


def test_refining_a_spline_changes_nothing() -> None:
    knots = torch.randn(2, 3, 12, generator=torch.Generator().manual_seed(0))
    coarse = recorder._spline(knots, 8, 60)
    fine = recorder._spline(recorder._refined(knots, 19), 4, 60)
    assert torch.allclose(coarse, fine, atol=1e-5)


def test_defaults_are_a_clinical_recorder() -> None:
    device = Device()
    assert (device.low_pass_hz, device.mains_hz) == (150.0, 60.0)
