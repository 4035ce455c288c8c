"""Populations and recorders: what they refuse, and which patient a record belongs to."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from scaling.corpora.virtual.generate import visits
from scaling.corpora.virtual.latents import chances
from scaling.corpora.virtual.population import (
    DISORDERS,
    FINDINGS,
    RAISED_BY,
    RHYTHMS,
    STATES,
    UNRAISED,
    VISITS,
    Device,
    Population,
    patient_of,
)
from tests.scaling.corpora.virtual.lone import QUIET, lone


def test_bad_prevalences_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown disorders \\['gout'\\]"):
        Population(age_mean=50.0, prevalence={"gout": 0.1})
    with pytest.raises(ValueError, match="between 0 and 1"):
        Population(age_mean=50.0, prevalence={"af": 1.2})
    with pytest.raises(ValueError, match="only one"):
        Population(age_mean=50.0, prevalence={"af": 0.6, "flutter": 0.6})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("age_sd", 0.0, "age_sd 0: "), ("age_sd", -1.0, "age_sd -1 is negative"),
        ("pr_sd", -0.5, "pr_sd -0.5 is negative"), ("variety", -1.0, "variety -1 is negative"),
        ("male", 1.5, r"male 1.5 must be in \[0, 1\]"), ("male", -0.1, "male"),
        ("rate_mean", 10.0, "rate_mean 10 must be in"), ("qrs_mean", 0.08, "qrs_mean 0.08"),
        ("ef_mean", 0.6, "ef_mean 0.6"), ("mass_mean", 0.0, "mass_mean 0"),
        ("voltage_mean", float("nan"), "voltage_mean nan is not finite"),
        ("frailty_mean", float("inf"), "frailty_mean inf is not finite"),
    ],
)  # fmt: skip
def test_people_that_cannot_be_are_refused(field: str, value: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Population(**({"age_mean": 50.0} | {field: value}))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="age_mean 5 must be in"):
        Population(age_mean=5.0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"white_mv": -1.0}, "white_mv -1 is negative"),
        ({"mains_mv": float("nan")}, "mains_mv nan is not finite"),
        ({"range_mv": float("inf")}, "range_mv inf is not finite; 0 stands for none"),
        ({"loss": 1.2}, "loss 1.2 is a share"),
        ({"mains_hz": 0.0}, "mains_mv 0.004 needs the frequency mains_hz"),
        ({"low_pass_hz": 0.05}, "low_pass_hz 0.05 leaves nothing"),
        ({"low_pass_hz": 10.0, "high_pass_hz": 20.0}, "high_pass_hz 20"),
        ({"step_mv": 10.0}, "step_mv 10 is as large as range_mv 10"),
    ],
)
def test_a_recorder_that_records_nothing_is_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Device(**fields)


def test_a_recorder_may_lack_what_it_does_not_need() -> None:
    assert Device(mains_mv=0.0, mains_hz=0.0, loss=1.0).loss == 1.0
    assert Device(low_pass_hz=0.0, high_pass_hz=0.5).low_pass_hz == 0.0
    assert Device(range_mv=0.0, step_mv=0.01).step_mv == 0.01


def test_findings_are_raised_by_the_disorders_named() -> None:
    """Without them the finding stays low; with them it is read."""
    everything = dict.fromkeys(RHYTHMS, 0.06) | dict.fromkeys(STATES, 0.3)
    for finding, causes in RAISED_BY.items():
        assert finding in FINDINGS
        others = {k: v for k, v in everything.items() if k not in causes}
        without = visits(lone(QUIET, **others), 0, "train", 0, 400, 10.0)
        assert float(without.findings[finding].max()) < UNRAISED, finding
        with_ = visits(lone(QUIET, **{causes[0]: 0.9}), 0, "train", 0, 64, 10.0)
        if finding != "av_block2_type2":
            assert float(with_.findings[finding].median()) > UNRAISED, finding


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
