"""The noise of a recorder: its spectrum against noise that the recorder makes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from scaling.corpora.virtual import sensitivity
from scaling.corpora.virtual.cohorts import COHORTS
from scaling.corpora.virtual.population import Device
from scaling.corpora.virtual.recorder import record
from scaling.corpora.virtual.reproducible import Draws, Stream


def made(device: Device, count: int, samples: int) -> tuple[torch.Tensor, list[Draws]]:
    """Noise alone, and the random numbers of each record."""
    keys = torch.arange(count) * 15485863 + 11
    draws = Draws(Stream(keys), Stream(keys + 1))
    breath = torch.full((count,), 0.25, dtype=torch.float64)
    signal = record(torch.zeros(count, 8, samples), device, draws, breath, 100.0)
    each = [Draws(Stream(keys[i : i + 1]), Stream(keys[i : i + 1] + 1)) for i in range(count)]
    return signal.double(), each


def powers(name: str) -> np.ndarray:
    """Power of the whitened noise of 48 records in 8 leads at 501 frequencies."""
    device = dataclasses.replace(COHORTS[name].device, high_pass_hz=0.0)
    signal, each = made(device, 48, 1000)
    numbers = np.concatenate(
        [
            sensitivity.whitened(
                signal[i : i + 1].numpy(), sensitivity.spectrum(device, d, 100.0, 1000)
            )
            for i, d in enumerate(each)
        ]
    )
    found: np.ndarray = (numbers.reshape(48, 2, 8, 501) ** 2).sum(axis=1)
    return found


@pytest.mark.parametrize("name", ["virtual/code", "virtual/shifted", "virtual/wearable"])
def test_whitened_noise_has_unit_variance(name: str) -> None:
    # Real and imaginary parts of 8 leads at 501 frequencies; their squares add up to one for
    # each sample, but for bursts and uneven electrodes, which the typical spectrum leaves out.
    squares = powers(name)
    fast = np.median(squares[:, :, 100:400], axis=(1, 2)) / np.log(2.0) / 2.0
    assert 0.5 < np.median(fast) < 2.0
    slow = np.median(squares[:, :, 3:12]) / np.log(2.0) / 2.0
    assert 0.4 < slow < 2.5


def test_where_limbs_are_louder_the_spectrum_is_that_of_the_chest() -> None:
    """Of ``virtual/ptbxl``: II and most of all I, where the arms tremble, have more noise."""
    squares = powers("virtual/ptbxl")
    one, two, *chest = np.median(squares[:, :, 100:400], axis=(0, 2)) / np.log(2.0) / 2.0
    assert 0.8 < min(chest) and max(chest) < 1.5
    assert 1.2 < two < 2.0 and 2.5 < one < 6.0


def test_white_noise_by_hand() -> None:
    quiet = Device(
        white_mv=0.01, muscle_mv=0.0, wander_mv=0.0, respiration_mv=0.0, mains_mv=0.0,
        spread=0.0, pops_per_min=0.0, step_mv=0.0, low_pass_hz=0.0, high_pass_hz=0.0,
    )  # fmt: skip
    signal, each = made(quiet, 1, 1000)
    power = sensitivity.spectrum(quiet, each[0], 100.0, 1000)
    # Unit energy of the recorder's filter: the mean over frequency is the variance.
    assert power.mean() == pytest.approx(1e-4, rel=0.1)
    assert signal[0, 0].var().item() == pytest.approx(2e-4, rel=0.2)  # lead I: two electrodes


def test_power_is_kept_by_whitening() -> None:
    rng = np.random.default_rng(0)
    for samples in (64, 65):
        electrodes = rng.normal(size=(200, 9, samples))
        leads = sensitivity.lead_mixing() @ electrodes
        flat = np.full(samples // 2 + 1, 1.0)
        numbers = sensitivity.whitened(leads, flat)
        assert (numbers**2).sum(axis=1).mean() == pytest.approx(8 * samples, rel=0.02)
        # Four times the noise, half the numbers.
        assert np.allclose(sensitivity.whitened(leads, 4 * flat), numbers / 2)
