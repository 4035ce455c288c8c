"""Morphology: each disorder shows in the leads what its textbook definition says.

Most tests compare the same patients with and without one disorder: every normal is the same.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scaling.corpora.virtual.cohorts import COHORTS
from scaling.corpora.virtual.generate import Visits, rows, visits
from scaling.corpora.virtual.lead_field import (
    ATRIA_IN_CHEST,
    P_WINDOW,
    QRS_WINDOW,
    leads,
    qt_s,
    smoothing_s,
)
from scaling.corpora.virtual.waves import Waves, wave_by_wave, weighted
from tests.scaling.corpora.virtual.lone import QUIET, having, lone

LEAD = {name: k for k, name in enumerate(("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"))}
FS = 500


def clean(found: Visits, samples: int = 5000, fs_hz: float = FS) -> np.ndarray:
    signal: np.ndarray = leads(found.latents, found.heart, found.events, fs_hz, samples).numpy()
    return signal


def beat(found: Visits, row: int, kind: bool = False) -> int:
    """Index of the QRS onset of the first whole beat of a kind."""
    e = found.events
    chosen = (e.ventricular[row] == kind) & (e.premature[row] == 2 * kind)
    onset = e.qrs_s[row][chosen & (e.qrs_s[row] > 0.4)][0]
    return round(float(onset) * FS)


def complexes(found: Visits, length_ms: float = 0.0) -> list[np.ndarray]:
    """QRS (or ``length_ms``) of each record against the level before it, (8, samples)."""
    signal = clean(found)
    cut = []
    for row in range(len(signal)):
        onset = beat(found, row)
        span = length_ms or float(found.findings["qrs_ms"][row])
        stop = onset + round(span * FS / 1e3)
        level = signal[row, :, onset - 12 : onset - 6].mean(1, keepdims=True)
        cut.append(signal[row, :, onset:stop] - level)
    return cut


def pair(name: str, count: int = 64, duration_s: float = 10.0) -> tuple[Visits, Visits]:
    """The same patients without and with a disorder."""
    plain = visits(lone(), 0, "train", 0, count, duration_s)
    ill = visits(lone(QUIET, **{name: 1.0}), 0, "train", 0, count, duration_s)
    chosen = torch.nonzero(ill.latents.states[name])[:, 0]
    return rows(plain, chosen), rows(ill, chosen)


def median(values: list[float]) -> float:
    return float(np.median(values))


@pytest.fixture(scope="module")
def normal() -> Visits:
    return visits(lone(), 0, "train", 0, 64, 10.0)


def test_rendering_equals_the_sum_of_its_waves() -> None:
    """Against a plain double loop over beats and waves, on the whole window, in float64."""
    found = visits(lone(pvcs=1.0, av_block2=0.5), 0, "train", 0, 3, 10.0)
    got = leads(found.latents, found.heart, found.events, FS, 2500, dtype=torch.float64).numpy()
    for row in range(3):
        # What is cut of a wave at either end is a microvolt at most.
        assert np.abs(got[row] - _plainly(found, row)).max() < 1e-3


def _plainly(found: Visits, row: int) -> np.ndarray:
    t, smooth = np.arange(2500) / FS, smoothing_s(FS, 0.0)
    h, e, field = found.heart, found.events, found.heart.field[row].numpy()
    total = np.zeros((8, len(t)))

    def add(waves: Waves, onset: float, unit: float, scale: float, chest: np.ndarray) -> None:
        for w in range(waves.centre.shape[1]):
            sides = [float(s[row, w]) * unit for s in (waves.left, waves.right)]
            wide = [np.hypot(s, smooth) for s in sides]
            u = t - onset - float(waves.centre[row, w]) * unit
            bell = np.exp(-0.5 * (u / np.where(u < 0, *wide)) ** 2) * sum(sides) / sum(wide)
            near = 0.0 if waves.near is None else waves.near[row, w].numpy()
            shown = chest * (field @ waves.vector[row, w].numpy()) + near
            total[:] += (scale * shown)[:, None] * bell

    for slot in range(e.qrs_s.shape[1]):
        p, qrs = float(e.p_s[row, slot]), float(e.qrs_s[row, slot])
        if np.isfinite(p):
            size = _beat(found, row, slot, "p beat", 0.10)
            # The atria lie behind the ventricles: P is smaller in the chest, hardly so in V1.
            behind = np.array([1.0, 1.0, 0.92, 0.27, 0.23, 0.26, 0.32, 0.47])
            add(h.atrial[int(e.p_ectopic[row, slot])], p, 1e-3, size, behind)
        if not np.isfinite(qrs):
            continue
        kind = int(e.ventricular[row, slot])
        breath = _breath(found, row, slot)
        add(h.qrs[kind], qrs, 1e-3, breath, np.ones(8))
        qt = float(qt_s(found.latents, e)[row, slot])
        size = breath * _beat(found, row, slot, "t beat", 0.035)
        add(h.after[kind].waves, qrs, qt, size, np.ones(8))
        j = float(h.after[kind].j_ms[row]) / 1e3
        up = 1 / (1 + np.exp(-np.clip((t - qrs - j - 0.008) / 0.007, -60, 60)))
        down = 1 / (1 + np.exp(-np.clip((0.8 * qt - t + qrs) / (0.05 * qt), -60, 60)))
        total += (field @ h.after[kind].step[row].numpy())[:, None] * up * down
    return total


def _beat(found: Visits, row: int, slot: int, name: str, spread: float) -> float:
    numbers = found.latents.draws.visit.normal(name, found.events.qrs_s.shape[1])
    return float(1 + spread * numbers[row, slot].clamp(-2.5, 2.5))


def _breath(found: Visits, row: int, slot: int) -> float:
    draws, e = found.latents.draws, found.events
    phase = 2 * np.pi * float(draws.visit.uniform("breath phase", 1)[row, 0])
    depth = 0.035 * np.exp(0.5 * float(draws.at_visit("breath depth", 1)[row, 0]))
    at = 2 * np.pi * float(e.breath_hz[row]) * float(e.qrs_s[row, slot])
    return float(1 + depth * np.sin(at + phase))


def test_both_ways_to_sum_waves_agree() -> None:
    generator = torch.Generator().manual_seed(0)
    height = torch.randn(50, 8, 12, generator=generator)
    bells = torch.rand(50, 12, 31, generator=generator)
    assert torch.allclose(weighted(height, bells), wave_by_wave(height, bells), atol=1e-5)


def test_a_normal_ecg(normal: Visits) -> None:
    signal = clean(normal)
    peak = signal.max(2)
    for lead, low, high in (("I", 0.4, 1.2), ("II", 0.4, 1.3), ("V5", 0.8, 2.0)):
        assert low < median(list(peak[:, LEAD[lead]])) < high
    assert median(list(signal.min(2)[:, LEAD["V1"]])) < -0.5
    # R grows from V1 to V4.
    r = [median([c[LEAD[v]].max() for c in complexes(normal)]) for v in ("V1", "V2", "V3", "V4")]
    assert r == sorted(r)
    assert 20.0 < float(normal.findings["axis_deg"].median()) < 60.0


def test_p_waves_are_where_they_should_be(normal: Visits) -> None:
    signal = clean(normal)[:, LEAD["II"]]
    for row in range(20):
        p = normal.events.p_s[row]
        at = round(float(p[p > 0.4][0]) * FS)
        inside = signal[row, at : at + 60].max() - signal[row, at - 15 : at - 5].mean()
        assert inside > 0.02


def test_right_bundle_branch_block() -> None:
    plain, ill = pair("rbbb")
    assert float(ill.findings["qrs_ms"].min()) > 100.0
    assert float((ill.findings["qrs_ms"] >= 118.0).double().mean()) > 0.8
    late: dict[str, list[float]] = {"V1": [], "I": []}
    for c, p in zip(complexes(ill), complexes(plain), strict=True):
        third = c.shape[1] // 3
        late["V1"].append(c[LEAD["V1"], -2 * third :].max())
        late["I"].append(c[LEAD["I"], -third:].min())
        assert p[LEAD["V1"], -20:].max() < c[LEAD["V1"]].max()
    assert median(late["V1"]) > 0.4  # R' in V1
    assert median(late["I"]) < -0.12  # wide S in I


def test_left_bundle_branch_block() -> None:
    _, ill = pair("lbbb")
    assert float((ill.findings["qrs_ms"] >= 120.0).double().mean()) > 0.8
    whole = complexes(ill, 420.0)
    v1 = [c[LEAD["V1"]] for c in complexes(ill)]
    assert median([x.min() for x in v1]) < -1.0
    assert median([x.max() for x in v1]) < 0.35
    # T points against QRS: up in V1, down or flat in V6.
    assert median([c[LEAD["V1"], 120:].max() for c in whole]) > 0.2
    assert median([c[LEAD["V6"], 120:].min() for c in whole]) < -0.05


def test_fascicular_blocks_turn_the_axis() -> None:
    assert float(having("lafb").findings["axis_deg"].quantile(0.9)) < -25.0
    assert float(having("lpfb").findings["axis_deg"].quantile(0.1)) > 75.0


def test_voltage() -> None:
    for name, low, high in (("lvh", 1.1, 3.0), ("low_voltage", 0.2, 0.7), ("effusion", 0.3, 0.8)):
        plain, ill = pair(name)
        reach = [np.ptp(c, axis=1)[2:].max() for c in complexes(ill)]
        before = [np.ptp(c, axis=1)[2:].max() for c in complexes(plain)]
        ratio = median([a / b for a, b in zip(reach, before, strict=True)])
        assert low < ratio < high, name
    plain, ill = pair("limb_low_voltage")
    limb = [
        np.ptp(a[1]) / np.ptp(b[1]) for a, b in zip(complexes(ill), complexes(plain), strict=True)
    ]
    assert max(limb) < 0.75


@pytest.mark.parametrize(
    ("region", "parts"),
    [("inferior", {"II": 1.0, "I": -0.5}), ("anterior", {"V3": 1.0}), ("lateral", {"V6": 1.0})],
)
def test_an_infarct_takes_the_first_forces_away(region: str, parts: dict[str, float]) -> None:
    """From aVF, V3 and V6."""
    plain, ill = pair("infarct_" + region)
    first = 18  # samples: 36 ms
    gone = [
        sum(share * (b - a)[LEAD[lead], :first].mean() for lead, share in parts.items())
        for a, b in zip(complexes(ill, 60.0), complexes(plain, 60.0), strict=True)
    ]
    assert median(gone) > 0.08
    assert float((plain.findings["ef_percent"] - ill.findings["ef_percent"]).min()) > 0.0


@pytest.mark.parametrize(
    ("name", "lead"),
    [("st_elevation_anterior", "V2"), ("st_elevation_inferior", "II"), ("ischaemia_lateral", "V5")],
)
def test_the_st_level_found_is_the_one_in_the_lead(name: str, lead: str) -> None:
    plain, ill = pair(name)
    region = name.rsplit("_", maxsplit=1)[1]
    wanted = ill.findings[f"st_{region}_mv"] - plain.findings[f"st_{region}_mv"]
    moved = []
    for a, b in zip(complexes(ill, 160.0), complexes(plain, 160.0), strict=True):
        moved.append(float((a - b)[LEAD[lead], 62:70].mean()))  # 130 ms after QRS onset
    slope = np.median(np.array(moved) / wanted.numpy())
    assert 0.6 < slope < 1.4


def test_potassium_shapes_t_and_the_u_wave() -> None:
    def t_height(found: Visits) -> list[float]:
        return [c[LEAD["V3"], 100:].max() for c in complexes(found, 420.0)]

    plain, high = pair("hyperkalaemia")
    ratio = [a / b for a, b in zip(t_height(high), t_height(plain), strict=True)]
    assert median(ratio) > 1.4
    plain, low = pair("hypokalaemia")
    ratio = [a / b for a, b in zip(t_height(low), t_height(plain), strict=True)]
    assert median(ratio) < 0.95
    assert float(low.findings["u_wave"].min()) > float(plain.findings["u_wave"].median())


def test_the_end_of_t_follows_the_qt_interval() -> None:
    plain, long = pair("long_qt")
    assert float(long.findings["qtc_ms"].median()) > 455.0
    slow = torch.nonzero(long.findings["rate_bpm"] < 75.0)[:, 0]
    plain, long = rows(plain, slow), rows(long, slow)

    def t_peak_s(found: Visits) -> np.ndarray:
        return np.array([100 + c[LEAD["V3"], 100:].argmax() for c in complexes(found, 560.0)]) / FS

    added = (qt_s(long.latents, long.events) - qt_s(plain.latents, plain.events))[:, 5].numpy()
    ratio = (t_peak_s(long) - t_peak_s(plain)) / added
    assert 0.65 < np.median(ratio) < 0.9  # T peaks at about three quarters of QT


def test_an_accessory_pathway_begins_qrs_early() -> None:
    plain, ill = pair("preexcitation")
    assert float(ill.findings["pr_ms"].max()) < 130.0
    slow = [np.abs(c[:, 12:18]).max() for c in complexes(ill, 60.0)]
    assert median(slow) > 0.03
    assert float((ill.findings["qrs_ms"] - plain.findings["qrs_ms"]).min()) > 14.0


def test_ventricular_beats_are_wide() -> None:
    found = having("bigeminy", 24)
    signal = clean(found)
    wide = []
    for row in range(len(signal)):
        onset = beat(found, row, kind=True)
        energy = np.abs(np.diff(signal[row, :, onset - 30 : onset + 130], axis=1)).sum(0)
        at = np.flatnonzero(energy > 0.1 * energy.max())
        wide.append((at[-1] - at[0]) * 1e3 / FS)
    assert median(wide) > 105.0


def test_a_pacemaker_spikes_before_qrs() -> None:
    found = having("paced", 40)
    signal = clean(found, fs_hz=1000, samples=3000)
    spiked = 0
    for row in range(len(signal)):
        onset = found.events.qrs_s[row]
        at = round(float(onset[onset > 0.2][0]) * 1000)
        slope = np.abs(np.diff(signal[row, :, at - 14 : at])).max()
        spiked += slope > 0.05
    assert spiked > 0.7 * len(signal)


def test_fibrillation_has_f_waves_and_flutter_larger_ones() -> None:
    def activity(found: Visits) -> float:
        """Movement of V1 in the 100 ms before QRS."""
        signal = clean(found)[:, LEAD["V1"]]
        rms = []
        for row in range(len(signal)):
            onset = found.events.qrs_s[row]
            before = onset[(onset > 0.5) & (onset < 9.5)]
            cut = [
                signal[row, round(float(s) * FS) - 60 : round(float(s) * FS) - 5] for s in before
            ]
            rms.append(np.mean([np.std(np.diff(c[::5])) for c in cut]))
        return float(np.median(rms))

    assert activity(having("flutter")) > 1.5 * activity(having("af"))


def test_the_low_pass_is_that_of_the_recorder() -> None:
    """A tighter recorder changes the samples as a Gaussian filter of the same cut-off does."""
    found = visits(lone(), 0, "train", 0, 2, 4.0)
    sharp = leads(found.latents, found.heart, found.events, 1000, 4000, dtype=torch.float64).numpy()
    soft = leads(
        found.latents, found.heart, found.events, 1000, 4000, 40.0, dtype=torch.float64
    ).numpy()
    f = np.fft.rfftfreq(4000, 1e-3)
    extra = smoothing_s(1000, 40.0) ** 2 - smoothing_s(1000, 0.0) ** 2
    filtered = np.fft.irfft(np.fft.rfft(sharp) * np.exp(-2 * np.pi**2 * f**2 * extra), 4000)
    inner = slice(600, 3400)
    # Waves with two sides are widened side by side, which is not quite a convolution.
    assert np.abs(filtered - soft)[..., inner].max() < 0.02 * np.abs(sharp).max()
    gain = np.exp(-2 * np.pi**2 * 40.0**2 * smoothing_s(1000, 40.0) ** 2)
    assert gain == pytest.approx(2**-0.5)


def test_little_is_cut_off_where_waves_begin_and_end_to_be_painted() -> None:
    """Less than a microvolt in most records: they come in steps of 1 to 5."""
    found = visits(COHORTS["virtual/ptbxl"], 0, "train", 0, 400, 10.0).heart
    atria = torch.tensor(ATRIA_IN_CHEST, dtype=torch.float64)[:, None]
    for both, window, share in (
        (found.atrial, P_WINDOW, atria), (found.qrs, QRS_WINDOW, 1.0 + 0.0 * atria),
    ):  # fmt: skip
        for waves in both:
            for edge_ms in (1e3 * window[0], 1e3 * window[1]):
                sigma = torch.where(waves.centre > edge_ms, waves.left, waves.right)
                bell = torch.exp(-0.5 * ((edge_ms - waves.centre) / sigma) ** 2)
                shown = torch.einsum("blx,bwx->blw", found.field, waves.vector) * share
                if waves.near is not None:
                    shown = shown + waves.near.transpose(1, 2)
                step_uv = 1e3 * (shown * bell[:, None]).sum(-1).abs().amax(1)
                assert step_uv.median() < 0.3 and step_uv.quantile(0.99) < 1.5
