"""The delineator on signals drawn here with known intervals, and on real recordings."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scaling.corpora.errors import CorpusError, UnusableError
from scaling.corpora.format.corpus import Corpus
from scaling.corpora.virtual.cohorts import COHORTS
from scaling.corpora.virtual.generate import make
from scaling.identity import LEADS
from tests.scaling.areas import auroc
from tests.scaling.corpora.delineate import Delineation, delineate, delineate_beats
from tests.scaling.corpora.median_beat import feet

OUTSIDE_MS = 12

# Amplitudes of one beat in the leads of LEADS, in mV.
WAVES = {
    "P": (0.08, 0.12, 0.04, -0.10, 0.02, 0.08, 0.03, 0.06, 0.06, 0.06, 0.05, 0.05),
    "R": (0.8, 1.0, 0.2, -0.9, 0.3, 0.6, 0.15, 0.4, 0.8, 1.3, 1.3, 1.0),
    "S": (-0.1, -0.1, 0.0, 0.1, -0.05, -0.05, -0.9, -1.1, -0.7, -0.4, -0.2, -0.1),
    "T": (0.2, 0.3, 0.1, -0.25, 0.05, 0.2, 0.05, 0.4, 0.45, 0.4, 0.3, 0.25),
}


def draw(
    beats_s: NDArray[np.float64],
    *,
    pr_ms: float = 160.0,
    qrs_ms: float = 90.0,
    qt_ms: float = 390.0,
    fs_hz: int = 500,
    p: float = 1.0,
    noise_mv: float = 0.01,
    seconds: float = 10.0,
) -> NDArray[np.float64]:
    """Leads with raised-cosine waves, whose ends are where they are put.

    QRS begins at each of ``beats_s`` and R and S fill ``qrs_ms``; P is 100 ms long and begins
    ``pr_ms`` earlier; T, 160 ms long, ends at ``qt_ms``.
    """
    t = np.arange(round(seconds * fs_hz)) / fs_hz
    spans = {
        "P": (-pr_ms / 1000, -pr_ms / 1000 + 0.1, p),
        "R": (0.0, 0.6 * qrs_ms / 1000, 1.0),
        "S": (0.4 * qrs_ms / 1000, qrs_ms / 1000, 1.0),
        "T": (qt_ms / 1000 - 0.16, qt_ms / 1000, 1.0),
    }
    rng = np.random.default_rng(0)
    signal = rng.normal(0.0, noise_mv, (len(LEADS), len(t)))
    for name, (start, stop, scale) in spans.items():
        shape = np.zeros_like(t)
        for beat in beats_s:
            phase = (t - beat - start) / (stop - start)
            inside = (phase > 0) & (phase < 1)
            shape += np.where(inside, 0.5 - 0.5 * np.cos(2 * np.pi * phase), 0.0)
        signal += scale * np.array(WAVES[name])[:, None] * shape
    return signal


def regular(rate_bpm: float) -> NDArray[np.float64]:
    return np.arange(0.3, 9.5, 60.0 / rate_bpm)


def irregular() -> NDArray[np.float64]:
    return 0.3 + np.cumsum(np.random.default_rng(1).uniform(0.45, 1.1, 12))


@pytest.mark.parametrize("fs_hz", [100, 500])
@pytest.mark.parametrize(
    ("rate", "pr", "qrs", "qt"),
    [(70.0, 160.0, 90.0, 390.0), (48.0, 150.0, 100.0, 440.0), (75.0, 260.0, 90.0, 370.0),
     (80.0, 170.0, 150.0, 430.0), (105.0, 140.0, 85.0, 320.0)],
)  # fmt: skip
def test_intervals_drawn_are_measured(
    fs_hz: int, rate: float, pr: float, qrs: float, qt: float
) -> None:
    signal = draw(regular(rate), pr_ms=pr, qrs_ms=qrs, qt_ms=qt, fs_hz=fs_hz)
    found = delineate(signal, fs_hz, LEADS)
    assert found.rate_bpm == pytest.approx(rate, abs=1.5)
    assert found.rr_irregularity < 0.03
    assert found.p_coherence > 0.8
    # Cardiologists mark QRS some 12 ms outside of where its slope sets in, and so does this.
    assert found.p_ms == pytest.approx(100, abs=30)
    assert found.pr_ms == pytest.approx(pr - OUTSIDE_MS, abs=20)
    assert found.qrs_ms == pytest.approx(qrs + 2 * OUTSIDE_MS, abs=10)
    assert found.qt_ms == pytest.approx(qt + OUTSIDE_MS, abs=20)


def test_fibrillation_is_irregular_without_p() -> None:
    signal = draw(irregular(), p=0.0)
    found = delineate(signal, 500, LEADS)
    assert found.rr_irregularity > 0.15
    assert found.p_coherence < 0.4
    assert math.isnan(found.p_ms) and math.isnan(found.pr_ms)
    assert found.qrs_ms == pytest.approx(90 + 2 * OUTSIDE_MS, abs=10)


def test_a_premature_beat_is_not_fibrillation() -> None:
    beats = regular(70.0)
    beats[5] -= 0.3
    found = delineate(draw(beats), 500, LEADS)
    assert found.rr_irregularity < 0.05


def test_gain_offset_and_lead_order_do_not_matter() -> None:
    signal = draw(regular(72.0))
    plain = delineate(signal, 500, LEADS)
    order = list(reversed(range(12)))
    names = [LEADS[i] for i in order]
    peaks = np.round((regular(72.0) + 0.027) * 500).astype(np.int64)
    again = delineate(3.0 * signal[order] + 1.0, 500, names, peaks)
    assert (again.pr_ms, again.qrs_ms) == pytest.approx((plain.pr_ms, plain.qrs_ms), abs=4)
    assert again.qt_ms == pytest.approx(plain.qt_ms, abs=4)


def test_one_lead_is_enough() -> None:
    signal = draw(regular(70.0), noise_mv=0.005)[1:2]
    found = delineate(signal, 500, ("II",))
    assert found.pr_ms == pytest.approx(160, abs=24)
    assert found.qrs_ms == pytest.approx(90, abs=20)


def test_a_flat_recording_has_nothing_to_measure() -> None:
    found = delineate(np.zeros((12, 5000)), 500, LEADS, np.empty(0, np.int64))
    assert found.beats == 0
    numbers = (found.rate_bpm, found.rr_irregularity, found.pr_ms, found.qrs_ms, found.qt_ms)
    assert all(math.isnan(number) for number in numbers)


def test_bad_input_is_named() -> None:
    signal = draw(regular(70.0))
    with pytest.raises(CorpusError, match=r"shape \(12, 5000\) for 2 leads"):
        delineate(signal, 500, ("I", "II"))
    with pytest.raises(CorpusError, match=r"250\.5 Hz is no whole number: resample"):
        delineate(signal, 250.5, LEADS)
    assert delineate(signal, 500.0, LEADS) == delineate(signal, 500, LEADS)  # wfdb's headers
    with pytest.raises(CorpusError, match="50 Hz is too slow"):
        delineate(signal, 50, LEADS)
    with pytest.raises(CorpusError, match=r"0\.8 s long"):
        delineate(signal[:, :400], 500, LEADS)
    with pytest.raises(CorpusError, match="none of I, II"):
        delineate(signal[:1], 500, ("aVF",))
    for peaks, why in (([900, 900], "ascend"), ([900, 400], "ascend"), ([-1, 400], "from -1 to"),
                       ([400, 5000], "of 5000 samples"), ([[400]], "ascend")):  # fmt: skip
        for measure in (delineate, delineate_beats):
            with pytest.raises(CorpusError, match=why):
                measure(signal, 500, LEADS, np.array(peaks))
    signal[3, 7] = np.nan
    with pytest.raises(UnusableError, match="not numbers"):
        delineate(signal, 500, LEADS)


@given(seed=st.integers(0, 2**32 - 1), fs_hz=st.sampled_from([100, 250, 500]))
@settings(max_examples=25, deadline=None)
def test_noise_is_measured_or_not_but_never_an_error(seed: int, fs_hz: int) -> None:
    rng = np.random.default_rng(seed)
    seconds, leads = rng.integers(1, 12), int(rng.integers(2, 13))
    signal = rng.normal(0, rng.uniform(0, 2), (leads, seconds * fs_hz)).cumsum(axis=1)
    found = delineate(signal, fs_hz, LEADS[:leads])
    assert math.isnan(found.qrs_ms) or 0 <= found.qrs_ms <= 530
    assert math.isnan(found.pr_ms) or 0 < found.pr_ms <= 500
    assert math.isnan(found.p_coherence) or found.p_coherence <= 1
    waves = delineate_beats(signal, fs_hz, LEADS[:leads])
    for wave in (waves.p, waves.qrs, waves.t):
        assert wave.shape == (found.beats, leads, 3)
        there = wave[np.isfinite(wave).all(axis=-1)]
        assert there.size == np.isfinite(wave).sum()
        assert (np.diff(there, axis=-1) >= 0).all()
        assert (there >= 0).all() and (there < seconds).all()


@pytest.mark.parametrize("step", [1, -1])
def test_a_foot_is_where_a_ramp_ends(step: int) -> None:
    x = np.array([np.interp(np.arange(100), [0, 20, 20 + n], [5, 5, 1]) for n in (10, 30)])
    start, stop = np.array([22, 22]), np.array([80, 90])
    if step < 0:
        x, start, stop = x[:, ::-1], 99 - start, 99 - stop
    corners = np.array([30, 50]) if step > 0 else 99 - np.array([30, 50])
    assert feet(x, start, stop).tolist() == corners.tolist()


def test_waves_of_each_beat_lie_where_they_were_drawn() -> None:
    beats = regular(70.0)
    waves = delineate_beats(draw(beats, noise_mv=0.003), 500, (*LEADS[:-1], "V9"))
    assert waves.leads == LEADS[:-1]
    assert waves.qrs.shape == (len(beats), 11, 3)
    ms = [1000 * (wave - beats[:, None, None]) for wave in (waves.p, waves.qrs, waves.t)]
    found = np.array([np.nanmedian(wave, axis=(0, 1)) for wave in ms])
    drawn = np.array([[-160, -110, -60], [0, 27, 54], [230, 310, 390]], np.float64)
    drawn[1, [0, 2]] += -OUTSIDE_MS, OUTSIDE_MS
    assert np.abs(found - drawn).max() <= 14
    assert np.isfinite(waves.qrs[:-1]).all() and np.isfinite(waves.t[:-1]).all()
    assert np.isfinite(waves.p[1:]).all()


def test_onset_peak_and_offset_come_in_that_order_at_the_ends_too() -> None:
    made = make(COHORTS["virtual/ptbxl"], 0, "train", 0, 12, 500, 5000).signals
    for signal in made.numpy():
        waves = delineate_beats(signal, 500, LEADS, np.array([0, 4999]))
        for wave in (waves.p, waves.qrs, waves.t):
            there = wave[np.isfinite(wave).all(axis=-1)]
            assert (np.diff(there, axis=-1) >= 0).all() and (there[:, 2] > there[:, 0]).all()


def test_waves_that_the_recording_cuts_are_left_out() -> None:
    signal = draw(regular(70.0))[:, 100:4550]  # the first P, and the T of 8.87 s
    waves = delineate_beats(signal, 500, LEADS)
    assert np.isnan(waves.p[0]).all() and np.isfinite(waves.qrs[0]).all()
    assert waves.qrs[-1, :, 0].mean() > 8.6 and np.isnan(waves.t[-1]).all()


def test_a_beat_unlike_the_others_has_its_own_waves_and_no_p() -> None:
    beats = regular(70.0)
    signal, wide = draw(beats), draw(beats[4:5] - 0.25, qrs_ms=170.0, p=0.0, noise_mv=0.0)
    t = np.arange(signal.shape[1]) / 500
    gone = (t > beats[4] - 0.35) & (t < beats[4] + 0.45)
    signal[:, gone] = -2.0 * wide[:, gone]
    waves = delineate_beats(signal, 500, LEADS)
    assert len(waves.qrs) == len(beats)
    widths = 1000 * np.median(waves.qrs[:, :, 2] - waves.qrs[:, :, 0], axis=1)
    assert widths[4] > np.delete(widths, 4).max() + 30
    assert np.isnan(waves.p[4]).all() and np.isfinite(waves.p[3]).all()


def test_fibrillation_has_no_p_in_any_beat() -> None:
    waves = delineate_beats(draw(irregular(), p=0.0), 500, LEADS)
    assert np.isnan(waves.p).all() and np.isfinite(waves.qrs[1:-1]).all()


# Against the labels that cardiologists gave to PTB-XL: the validation the delineator rests on.

ILL = ("1AVB", "CRBBB", "CLBBB", "AFIB")


@pytest.fixture(scope="module")
def labels(real: Corpus) -> dict[str, NDArray[np.bool_]]:
    """Whether each record carries a statement."""
    table = real.labels("all").astype(bool)
    return {name: table[:, i] for i, name in enumerate(real.classes("all"))}


@pytest.fixture(scope="module")
def normal(labels: dict[str, NDArray[np.bool_]]) -> list[int]:
    """Rows of 200 normal recordings in sinus rhythm."""
    rows: list[int] = np.flatnonzero(labels["NORM"] & labels["SR"])[:200].tolist()
    return rows


@pytest.fixture(scope="module")
def measured(
    real: Corpus, labels: dict[str, NDArray[np.bool_]], normal: list[int]
) -> dict[int, Delineation]:
    """Row -> what the delineator finds, for the normal ones and all that are ill."""
    ill = np.flatnonzero(np.any([labels[name] for name in ILL], axis=0))
    rows = np.union1d(ill, normal).astype(np.int64)
    found = (delineate(signal, 100, real.leads) for signal in real.batch(rows))
    return dict(zip(rows.tolist(), found, strict=True))


def test_normal_intervals_are_those_of_the_textbook(
    measured: dict[int, Delineation], normal: list[int]
) -> None:
    """But for QRS, which the outermost marks of twelve leads make longer than one lead is."""
    found = [measured[row] for row in normal]
    assert 145 <= np.nanmedian([f.pr_ms for f in found]) <= 170
    assert 105 <= np.nanmedian([f.qrs_ms for f in found]) <= 120
    assert 370 <= np.nanmedian([f.qt_ms for f in found]) <= 420
    assert np.mean([f.qrs_ms < 140 for f in found]) >= 0.95
    assert np.mean([f.p_coherence > 0.4 for f in found]) >= 0.95


@pytest.mark.parametrize(
    ("label", "quantity", "sign", "least"),
    [("CRBBB", "qrs_ms", 1, 0.98), ("CLBBB", "qrs_ms", 1, 0.98), ("1AVB", "pr_ms", 1, 0.88),
     ("AFIB", "rr_irregularity", 1, 0.94), ("AFIB", "p_coherence", -1, 0.95)],
)  # fmt: skip
def test_labels_are_told_from_normal(
    measured: dict[int, Delineation],
    labels: dict[str, NDArray[np.bool_]],
    normal: list[int],
    label: str,
    quantity: str,
    sign: int,
    least: float,
) -> None:
    ill = np.flatnonzero(labels[label]).tolist()
    values = np.array([getattr(measured[row], quantity) for row in ill + normal], np.float64)
    scores = np.nan_to_num(sign * values, nan=float(np.nanmedian(sign * values)))
    area = auroc(scores, np.arange(len(scores)) < len(ill))
    print(f"{label} by {quantity}: AUROC {area:.3f}")
    assert area >= least
