"""The generator: the same record whatever the batch, one patient over visits, exact leads."""

from __future__ import annotations

import dataclasses
import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.corpora.virtual.cohorts import COHORTS, Cohort
from scaling.corpora.virtual.generate import Batch, make, rows, twelve_leads, visits
from scaling.corpora.virtual.population import FINDINGS, Device, patient_of
from scaling.identity import LEADS
from scaling.records.names import SPLITS
from tests.scaling.corpora.virtual.lone import lone

CODE = COHORTS["virtual/code"]
SIZE = 40


@pytest.fixture(scope="module")
def batch() -> Batch:
    return make(CODE, 3, "test", 0, SIZE, 100, 600)


@functools.cache
def unrounded(noise: bool) -> Batch:
    return make(fine(CODE), 3, "test", 0, SIZE, 100, 600, noise=noise)


def fine(cohort: Cohort) -> Cohort:
    """The cohort with a converter so fine that no difference hides in its steps."""
    return dataclasses.replace(cohort, device=dataclasses.replace(cohort.device, step_mv=0.0))


@settings(max_examples=15, deadline=None)
@given(
    start=st.integers(0, SIZE - 1), size=st.integers(1, SIZE),
    threads=st.integers(1, 2), noise=st.booleans(),
)  # fmt: skip
def test_a_record_is_the_same_in_any_batch(
    start: int, size: int, threads: int, noise: bool
) -> None:
    whole = unrounded(noise)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        part = make(fine(CODE), 3, "test", start, min(start + size, SIZE), 100, 600, noise=noise)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(part.signals, whole.signals[start : start + size])
    for name, value in part.visits.findings.items():
        assert torch.equal(value, whole.visits.findings[name][start : start + size]), name


@pytest.mark.parametrize("name", COHORTS)
def test_every_cohort_at_every_rate_does_not_depend_on_the_batch(name: str) -> None:
    for fs_hz, samples in ((100, 500), (257, 900), (500, 2500)):
        cohort = fine(COHORTS[name])
        whole = make(cohort, 0, "train", 0, 24, fs_hz, samples).signals
        assert torch.equal(make(cohort, 0, "train", 7, 8, fs_hz, samples).signals[0], whole[7])
        assert whole.shape == (24, 12, samples)
        assert bool(whole.isfinite().all())


def test_blocks_of_a_batch_join_without_a_seam(
    monkeypatch: pytest.MonkeyPatch, batch: Batch
) -> None:
    monkeypatch.setattr("scaling.corpora.virtual.generate.CPU_SAMPLES", 7 * 600)
    assert torch.equal(make(CODE, 3, "test", 0, SIZE, 100, 600).signals, batch.signals)


def test_a_longer_window_begins_with_the_shorter_one(batch: Batch) -> None:
    longer = make(CODE, 3, "test", 0, SIZE, 100, 1500)
    assert torch.equal(longer.signals[..., :600], batch.signals)
    for name in ("age_years", "af", "pr_ms", "axis_deg", "qtc_ms"):
        assert torch.equal(longer.visits.findings[name], batch.visits.findings[name])


def test_other_seeds_splits_and_cohorts_are_other_patients(batch: Batch) -> None:
    renamed = dataclasses.replace(lone(), name="virtual/other")
    base = make(lone(), 3, "test", 0, 4, 100, 600).signals
    for other in (
        make(lone(), 4, "test", 0, 4, 100, 600), make(lone(), 3, "train", 0, 4, 100, 600),
        make(renamed, 3, "test", 0, 4, 100, 600),
    ):  # fmt: skip
        assert float((base - other.signals).abs().amax((1, 2)).min()) > 0.05


def test_visits_of_a_patient_share_what_lasts() -> None:
    found = visits(CODE, 0, "train", 0, 400, 10.0)
    for i in range(399):
        same = patient_of(i)[0] == patient_of(i + 1)[0]
        assert bool(found.patients[i] == found.patients[i + 1]) == same
        for name in ("age_years", "male", "lv_mass", "rbbb", "af"):
            a, b = found.findings[name][i : i + 2]
            if same:
                assert a == b
    pairs = [i for i in range(399) if found.patients[i] == found.patients[i + 1]]
    changed = [float(found.findings["pr_ms"][i] - found.findings["pr_ms"][i + 1]) for i in pairs]
    assert max(abs(c) for c in changed) > 1.0  # a visit moves PR by a few milliseconds


def test_splits_share_no_patient() -> None:
    ids = [set(visits(CODE, 0, split, 0, 60, 2.0).patients.tolist()) for split in SPLITS]
    assert not ids[0] & ids[1]
    assert not ids[0] & ids[2]
    assert not ids[1] & ids[2]


@pytest.mark.parametrize("name", COHORTS)
def test_limb_lead_identities_hold_with_noise(name: str) -> None:
    x = make(COHORTS[name], 0, "train", 0, 32, 100, 1000).signals.double()
    lead = {name: x[:, k] for k, name in enumerate(LEADS)}
    tolerance = 2e-6  # float32 of a few millivolts
    assert float((lead["I"] + lead["III"] - lead["II"]).abs().max()) < tolerance
    assert float((lead["aVR"] + (lead["I"] + lead["II"]) / 2).abs().max()) < tolerance
    assert float((lead["aVL"] - (lead["I"] - lead["III"]) / 2).abs().max()) < tolerance
    assert float((lead["aVF"] - (lead["II"] + lead["III"]) / 2).abs().max()) < tolerance


def test_twelve_leads_by_hand() -> None:
    eight = torch.tensor([1.0, 3.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])[None, :, None]
    got = twelve_leads(eight)[0, :, 0].tolist()
    assert got == pytest.approx([1.0, 3.0, 2.0, -2.0, -0.5, 2.5, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


@pytest.mark.parametrize("name", COHORTS)
def test_every_finding_is_there_and_in_range(name: str) -> None:
    found = visits(COHORTS[name], 0, "train", 0, 600, 10.0).findings
    assert list(found) == list(FINDINGS)
    limits = {
        "age_years": (18, 96), "ef_percent": (8, 90), "potassium": (1, 9), "pr_ms": (80, 430),
        "qrs_ms": (60, 290), "rate_bpm": (15, 230), "axis_deg": (-180, 180), "qtc_ms": (250, 800),
    }  # fmt: skip
    for finding, value in found.items():
        assert value.shape == (600,)
        assert value.dtype == torch.float64
        low, high = limits.get(finding, (-250, 330))
        assert low <= float(value.min()) <= float(value.max()) <= high, finding


def test_disorders_go_together_as_they_should() -> None:
    found = visits(CODE, 0, "train", 0, 4000, 10.0).findings

    def corr(a: str, b: str) -> float:
        return float(torch.corrcoef(torch.stack([found[a], found[b]]))[0, 1])

    assert corr("age_years", "af") > 0.03
    assert corr("age_years", "pr_ms") > 0.05
    assert corr("scar_anterior", "ef_percent") < -0.2
    assert corr("ef_percent", "qrs_ms") < -0.1
    assert corr("ef_percent", "poor_progression") < -0.2
    assert corr("lv_mass", "t_lateral") > 0.2
    assert corr("effusion", "log_voltage") < -0.15
    assert corr("potassium", "u_wave") < -0.1


def test_rate_and_premature_beats_are_those_of_the_window() -> None:
    found = visits(lone(pvcs=1.0), 0, "train", 0, 64, 10.0)
    e = found.events
    inside = (e.qrs_s >= 0) & (e.qrs_s < 10.0)
    for row in range(64):
        times = e.qrs_s[row][inside[row]]
        rate = 60 * (len(times) - 1) / float(times[-1] - times[0])
        assert float(found.findings["rate_bpm"][row]) == pytest.approx(rate)
        assert int(found.findings["pvcs"][row]) == int((e.premature[row][inside[row]] == 2).sum())


def test_the_sampling_rate_only_samples() -> None:
    cohort = lone(Device(low_pass_hz=100.0), af=0.3, pvcs=0.3, paced=0.2)
    slow = make(cohort, 0, "train", 0, 12, 500, 1500, noise=False).signals
    fast = make(cohort, 0, "train", 0, 12, 1000, 3000, noise=False).signals
    assert float((fast[..., ::2] - slow).abs().max()) < 1e-4


def test_rows_takes_records_of_everything(batch: Batch) -> None:
    some = rows(batch.visits, torch.tensor([5, 5, 2]))
    assert torch.equal(some.patients, batch.visits.patients[[5, 5, 2]])
    assert torch.equal(some.latents.draws.one("x"), batch.visits.latents.draws.one("x")[[5, 5, 2]])
    assert some.heart.qrs[0].left is some.heart.qrs[0].right


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown split 'dev'"):
        make(CODE, 0, "dev", 0, 1, 100, 100)
    with pytest.raises(ValueError, match="5 to 5"):
        make(CODE, 0, "train", 5, 5, 100, 100)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_noiseless_signal_is_the_same_on_cuda() -> None:
    here = make(CODE, 0, "train", 0, 256, 500, 5000, noise=False)
    there = make(CODE, 0, "train", 0, 256, 500, 5000, "cuda", noise=False)
    assert float((here.signals - there.signals.cpu()).abs().max()) < 1e-4
    for name, value in here.visits.findings.items():
        assert torch.allclose(value, there.visits.findings[name].cpu(), rtol=1e-9, atol=1e-9), name
    again = make(CODE, 0, "train", 100, 117, 500, 5000, "cuda", noise=False)
    assert torch.equal(again.signals, there.signals[100:117])
