"""Populations and recorders: what they refuse, and which patient a record belongs to."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from scaling.corpora.virtual.device import Device
from scaling.corpora.virtual.disorders import chances
from scaling.corpora.virtual.generate import visits
from scaling.corpora.virtual.population import (
    DISORDERS,
    RHYTHMS,
    STATES,
    VISITS,
    Population,
    patient_of,
)
from tests.corpora.virtual.lone import QUIET, lone


def test_bad_prevalences_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown disorders \\['gout'\\]"):
        Population(age_mean=50.0, prevalence={"gout": 0.1})
    with pytest.raises(ValueError, match="between 0 and 1"):
        Population(age_mean=50.0, prevalence={"af": 1.2})
    with pytest.raises(ValueError, match="only one"):
        Population(age_mean=50.0, prevalence={"af": 0.6, "flutter": 0.6})


def test_a_negative_noise_is_refused() -> None:
    with pytest.raises(ValueError, match="white_mv -1"):
        Device(white_mv=-1.0)
    with pytest.raises(ValueError, match="mains_mv nan"):
        Device(mains_mv=float("nan"))


def test_patients_have_one_to_four_visits() -> None:
    owners = [patient_of(i) for i in range(1600)]
    per_patient = np.bincount([patient for patient, _ in owners])
    assert tuple(per_patient[:8]) == VISITS
    assert per_patient.mean() == 2.0
    assert all(b[0] - a[0] in (0, 1) for a, b in itertools.pairwise(owners))


def test_disorders_are_as_common_as_stated() -> None:
    wanted = dict.fromkeys(RHYTHMS, 0.02) | dict.fromkeys(STATES, 0.06)
    # What others bring along or rule out is left out.
    for name in ("lvh", "cardiomyopathy", "left_atrium", "pvcs", "lafb", "t_low", "digitalis",
                 "ischaemia_lateral", "rbbb", "irbbb", "ilbbb", "lpfb", "tachycardia",
                 "bigeminy"):  # fmt: skip
        del wanted[name]
    states = visits(lone(QUIET, **wanted), 0, "train", 0, 12_000, 10.0).latents.states
    for name, share in wanted.items():
        found = float(states[name].double().mean())
        # Visits of a patient go together: about 2.5 a patient, weighted.
        assert abs(found - share) < 4.0 * (share * (1 - share) * 2.5 / 12_000) ** 0.5, name
    assert int(torch.stack([states[name] for name in RHYTHMS]).sum(0).max()) == 1


def test_age_shifts_who_has_a_disorder() -> None:
    population = Population(age_mean=54.0, prevalence={"af": 0.1, "early_repolarisation": 0.1})
    chance = chances(population, torch.tensor([-1.5, 0.0, 1.5], dtype=torch.float64))
    assert chance["af"][0] < 0.5 * chance["af"][2]
    assert chance["early_repolarisation"][0] > 2.0 * chance["early_repolarisation"][2]
    assert float(chance["svt"].max()) == 0.0


def test_every_disorder_has_a_meaning() -> None:
    assert all(DISORDERS.values())
    assert not set(RHYTHMS) & set(STATES)
