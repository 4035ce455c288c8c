"""Rhythms: each shows in the beats what its textbook definition says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scaling.corpora.virtual.atria import p_duration_ms
from scaling.corpora.virtual.generate import Visits, rows, visits
from scaling.corpora.virtual.population import RHYTHMS
from scaling.corpora.virtual.rhythm import EARLIEST_S, events, flutter_cycle_s
from tests.scaling.corpora.virtual.lone import having, lone


def intervals(found: Visits, row: int) -> np.ndarray:
    times = found.events.qrs_s[row].numpy()
    steps: np.ndarray = np.diff(times[~np.isnan(times)])
    return steps


def spread(found: Visits) -> np.ndarray:
    """Standard deviation of RR over its mean, of each record."""
    rr = [intervals(found, row) for row in range(len(found.patients))]
    return np.array([np.std(x) / np.mean(x) for x in rr])


@pytest.fixture(scope="module")
def sinus() -> Visits:
    return visits(lone(), 0, "train", 0, 48, 10.0)


def test_sinus_beats_follow_their_p_wave_by_pr(sinus: Visits) -> None:
    e = sinus.events
    delay = (e.qrs_s - e.p_s)[(e.premature == 0) & ~e.qrs_s.isnan()]
    pr = sinus.findings["pr_ms"][:, None].expand_as(e.qrs_s)[(e.premature == 0) & ~e.qrs_s.isnan()]
    assert float((delay - pr / 1e3).abs().max()) < 0.02
    assert float(e.qrs_s[:, 0].max()) < -EARLIEST_S + 2.5


def test_the_rate_found_is_that_of_the_rhythm(sinus: Visits) -> None:
    rate = sinus.findings["rate_bpm"]
    assert float((rate - 60.0 / sinus.events.mean_rr_s).abs().quantile(0.9)) < 4.0


def test_slow_fast_and_respiratory_sinus_rhythm(sinus: Visits) -> None:
    assert float(having("bradycardia").findings["rate_bpm"].max()) < 62.0
    assert float(having("tachycardia").findings["rate_bpm"].min()) > 96.0
    assert np.median(spread(having("sinus_arrhythmia"))) > 2.5 * np.median(spread(sinus))


def test_fibrillation_is_irregular_and_has_no_p(sinus: Visits) -> None:
    found = having("af")
    assert bool(found.events.p_s.isnan().all())
    assert np.quantile(spread(found), 0.1) > np.quantile(spread(sinus), 0.9)


def test_flutter_conducts_every_nth_wave() -> None:
    found = having("flutter")
    cycle = flutter_cycle_s(found.latents).numpy()
    for row, length in enumerate(cycle):
        ratio = intervals(found, row) / length
        assert np.abs(ratio - np.round(ratio)).max() < 0.25
        assert ratio.min() > 1.7


def test_wenckebach_lengthens_pr_until_a_beat_is_dropped() -> None:
    found = having("av_block2", 96)
    x, e = found.latents, found.events
    assert bool(e.qrs_s.isnan().any(1).all())
    for row in range(len(found.patients)):
        pr = (e.qrs_s - e.p_s)[row].numpy()
        step = np.diff(pr)
        within = step[~np.isnan(step)]
        if x["av_block2_type2"][row] > 0.3:
            # Beats scatter by 4 ms each; Wenckebach's first step is at least 37 ms.
            assert np.abs(within).max(initial=0.0) < 0.03
        elif len(within):  # group of three or more
            assert within.min() > 0.01


def test_in_complete_block_the_clocks_are_independent() -> None:
    found = having("av_block3")
    e = found.events
    assert float(found.findings["rate_bpm"].max()) < 60.0
    atrial = (e.p_s[:, 1:] - e.p_s[:, :-1]).nanmean(1)
    assert bool((atrial < e.mean_rr_s).all())
    beats = (e.qrs_s[:, :12, None] - e.p_s[:, None]).remainder(1e9).amin(2)  # since the last P
    assert float(beats.std(1).median()) > 0.1


def test_a_ventricular_beat_is_early_and_its_pause_compensatory() -> None:
    found = having("pvcs")
    e = found.events
    early = (e.premature == 2)[:, 1:-1] & ~e.qrs_s[:, 2:].isnan() & ~e.qrs_s[:, :-2].isnan()
    before = (e.qrs_s[:, 1:-1] - e.qrs_s[:, :-2])[early]
    both = (e.qrs_s[:, 2:] - e.qrs_s[:, :-2])[early]
    mean = e.mean_rr_s[:, None].expand_as(early)[early]
    assert float((before / mean).max()) < 0.85
    assert float((both / mean - 2.0).abs().median()) < 0.05
    assert bool(e.ventricular[e.premature == 2].all())


def test_an_atrial_beat_resets_the_clock() -> None:
    e = having("pacs").events
    early = (e.premature == 1)[:, 1:-1]
    both = (e.qrs_s[:, 2:] - e.qrs_s[:, :-2])[early]
    mean = e.mean_rr_s[:, None].expand_as(early)[early]
    assert float((both / mean).median()) < 1.9
    assert bool(e.p_ectopic[e.premature == 1].all())
    assert not bool(e.ventricular[e.premature == 1].any())


@pytest.mark.parametrize(("name", "period"), [("bigeminy", 2), ("trigeminy", 3)])
def test_every_nth_beat_is_premature(name: str, period: int) -> None:
    kind = having(name).events.premature
    for row in kind:
        places = torch.nonzero(row)[:, 0]
        assert set((places[1:] - places[:-1]).tolist()) == {period}


def test_reentrant_ventricular_and_paced_rhythms() -> None:
    svt = having("svt")
    assert float(svt.findings["rate_bpm"].median()) > 140.0
    assert np.median(spread(svt)) < 0.02
    vt = having("vt")
    assert bool(vt.events.ventricular.all())
    assert bool(vt.events.p_s.isnan().all())
    paced = having("paced").events
    assert bool(paced.ventricular[paced.premature == 0].all())


def test_junctional_p_is_absent_or_backward() -> None:
    e = having("junctional", 96).events
    hidden = e.p_s.isnan().all(1)
    assert 0.2 < float(hidden.double().mean()) < 0.8
    assert bool(e.p_ectopic[~hidden].all())


def test_beats_never_crowd_and_peaks_ascend() -> None:
    everyone = lone(pvcs=0.5, pacs=0.5, tachycardia=0.5, af=0.3, svt=0.2)
    found = visits(everyone, 0, "train", 0, 400, 10.0)
    for row in range(400):
        assert intervals(found, row).min() > 0.2
        peaks = found.r_peaks_s[row]
        assert bool((peaks[~peaks.isnan()].diff() > 0).all())


def test_a_longer_window_begins_with_the_shorter_one() -> None:
    cohort = lone(af=0.2, flutter=0.2, pvcs=0.3, pacs=0.3, av_block2=0.2, av_block3=0.1, paced=0.1)
    found = visits(cohort, 0, "train", 0, 64, 10.0)
    short, long = found.events, events(found.latents, 25.0)
    slots = short.qrs_s.shape[1]
    assert torch.equal(short.qrs_s.nan_to_num(-1), long.qrs_s[:, :slots].nan_to_num(-1))
    assert torch.equal(short.p_s.nan_to_num(-1), long.p_s[:, :slots].nan_to_num(-1))
    assert torch.equal(short.premature, long.premature[:, :slots])


def test_p_waves_end_before_a_long_pr() -> None:
    found = rows(having("av_block1"), slice(0, 30))
    assert bool((p_duration_ms(found.latents) < found.findings["pr_ms"]).all())
    assert float(found.findings["pr_ms"].min()) > 195.0


@pytest.mark.parametrize("rhythm", sorted(RHYTHMS))
def test_no_rhythm_with_ectopy_stops_the_heart(rhythm: str) -> None:
    found = having(rhythm, 256, pacs=0.5, pvcs=0.5, bigeminy=0.4, trigeminy=0.3)
    for row in range(len(found.patients)):
        times = found.r_peaks_s[row].numpy()
        inside = times[(times >= 0) & (times < 10)]
        assert len(inside) >= 3, (rhythm, row)


@pytest.mark.parametrize("rhythm", sorted(RHYTHMS))
def test_a_pattern_of_premature_beats_has_premature_beats(rhythm: str) -> None:
    found = having(rhythm, 256, bigeminy=0.6, trigeminy=0.3)
    named = (found.findings["bigeminy"] > 0.5) | (found.findings["trigeminy"] > 0.5)
    assert bool((found.findings["pvcs"][named] > 0).all())
    early = found.events.premature[named] == 2
    assert bool(found.events.ventricular[named][early].all())


def test_what_a_ventricular_rhythm_hides_is_absent() -> None:
    for rhythm in ("paced", "vt", "av_block3"):
        found = having(rhythm, 64, rbbb=0.5, lbbb=0.4, lafb=0.5, infarct_anterior=0.5)
        wide = found.events.ventricular.all(1)
        assert bool(wide.any())
        for name in ("rbbb", "lbbb", "lafb", "scar_anterior"):
            assert float(found.findings[name][wide].max()) < 0.2
    conducted = having("av_block3", 64, rbbb=0.9)
    assert float(conducted.findings["rbbb"].max()) > 0.6
