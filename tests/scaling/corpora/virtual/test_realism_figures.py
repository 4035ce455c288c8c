"""What ``benchmarks/bench_realism.py`` measures, on made recordings of known values."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from scaling.identity import LEADS
from scaling.records.patients import Estimate, Resamples
from tests.scaling.corpora.median_beat import AFTER, BEFORE

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "benchmarks"))

import realism_figures as rf
from bench_realism import apart, main
from realism_tell import Halves, filtered, filtered_beat, gaussian_model, told

RR_S = 0.8
T_S = np.arange(1000) / 100
R_S = np.arange(0.43, 10.0, RR_S)
QRS_S, T_PEAK_S = 0.012, 0.25
LEAD = {name: k for k, name in enumerate(LEADS)}
# Direction of QRS and T in I, II, V1-V6, in mV.
QRS = np.array([0.8, 1.0, -0.9, -0.6, 0.5, 1.2, 1.1, 0.9])
T = np.array([0.2, 0.3, -0.12, 0.4, 0.4, 0.35, 0.3, 0.2])


def twelve(eight_LT: NDArray[np.float64]) -> NDArray[np.float64]:
    one, two = eight_LT[0], eight_LT[1]
    limb = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    return np.stack([*limb, *eight_LT[2:]])


def bells(centre_s: float, width_s: float) -> NDArray[np.float64]:
    """A wave that far from every R, of height 1."""
    away = T_S - R_S[:, None] - centre_s
    return np.asarray(np.exp(-0.5 * (away / width_s) ** 2).sum(axis=0))


def strip(
    qrs: NDArray[np.float64] = QRS,
    t: NDArray[np.float64] = T,
    p_mv: float = 0.1,
    before_p_mv: float = 0.0,
    noise_mv: float = 0.0,
) -> NDArray[np.float64]:
    """Twelve leads of regular beats: P at -150, R at 0, T at 250 ms.

    The level from 420 to 550 ms, where P begins, is ``before_p_mv`` in every one of I, II, V1-V6.
    """
    eight = np.outer(qrs, bells(0.0, QRS_S)) + np.outer(t, bells(T_PEAK_S, 0.04))
    eight += p_mv * bells(-0.15, 0.018)
    phase = (T_S[None] - R_S[:1, None]) % RR_S
    eight += before_p_mv * ((phase > 0.42) & (phase < 0.55))
    eight += noise_mv * np.random.default_rng(0).normal(size=eight.shape)
    return twelve(eight)


def test_waves_of_known_size() -> None:
    found = rf.features(strip())
    assert found["rate"] == pytest.approx(75.0, abs=0.5)
    for name, k in (("I", 0), ("II", 1), ("V4", 5)):
        assert found[f"R {name}"] == pytest.approx(QRS[k], rel=0.05)
        assert found[f"T {name}"] == pytest.approx(T[k], abs=0.01)
        assert found[f"P {name}"] == pytest.approx(0.1, abs=0.01)
    assert found["S V1"] == pytest.approx(-0.9, rel=0.05)
    assert found["T V1"] == pytest.approx(-0.12, abs=0.01)
    assert found["P III"] == pytest.approx(0.0, abs=0.01)  # II - I, alike here


@pytest.mark.parametrize("step_uv", [0.0, 25.0, -40.0])
def test_level_before_p(step_uv: float) -> None:
    found = rf.features(strip(before_p_mv=step_uv / 1000))
    assert found["before P II"] == pytest.approx(step_uv, abs=2.0)
    assert found["before P III"] == pytest.approx(0.0, abs=2.0)
    wandering = strip(before_p_mv=step_uv / 1000) + 0.2 * np.sin(2 * np.pi * 0.15 * T_S)
    assert rf.features(wandering)["before P II"] == pytest.approx(step_uv, abs=4.0)


def test_a_fast_heart_has_no_level_before_p() -> None:
    fast = np.concatenate(
        [strip()[:, 43 + 80 * k - 25 : 43 + 80 * k + 35] for k in range(1, 11)], 1
    )
    found = rf.features(fast)
    assert found["rate"] == pytest.approx(100.0, abs=1.0)
    assert "before P II" not in found
    assert "T II" in found


@pytest.mark.parametrize("axis", [-60.0, 0.0, 45.0, 100.0, 170.0])
def test_axis(axis: float) -> None:
    """Lead II lies at 60 degrees, I at 0, in a body where both see the heart alike."""
    limb = np.cos(np.radians(axis - np.array([0.0, 60.0])))
    found = rf.features(strip(qrs=np.concatenate([limb, QRS[2:]]), t=0 * T))
    assert found["axis"] == pytest.approx(axis, abs=2.0)


@pytest.mark.parametrize("noise_uv", [2.0, 8.0])
def test_noise_floor(noise_uv: float) -> None:
    """Two thirds of white noise, more beside waves; III has that of I and II together."""
    found = rf.features(strip(noise_mv=noise_uv / 1000))
    still = rf.noise_floor_uv(strip(0 * QRS, 0 * T, p_mv=0.0, noise_mv=noise_uv / 1000))
    for name, times in (("II", 1.0), ("V3", 1.0), ("III", np.sqrt(2.0))):
        assert still[LEAD[name]] == pytest.approx(0.66 * times * noise_uv, rel=0.1)
        assert 1.0 <= found[f"floor {name}"] / still[LEAD[name]] < 1.2 + 1.0 / noise_uv


def test_q_comes_before_r_and_wide_s_after() -> None:
    q = strip(qrs=0 * QRS) - 0.3 * bells(-0.035, 0.008) + 0.9 * bells(0.0, QRS_S)
    assert rf.features(q)["q II"] == pytest.approx(-0.3, abs=0.04)
    late = strip() - 0.4 * bells(0.09, 0.01)
    found = rf.features(late)
    assert found["wide S V4"] == pytest.approx(-0.4, abs=0.04)
    assert found["S V4"] > -0.2


def test_energy_beyond_three_components() -> None:
    """Of two directions none; of four orthogonal parts that of the smallest."""
    assert rf.features(strip())["beyond"] < 0.05
    beat = np.zeros((12, BEFORE + AFTER))
    for size, lead, at in ((4.0, "I", 0), (3.0, "II", 30), (2.0, "V1", 60), (1.0, "V5", 90)):
        beat[LEAD[lead], BEFORE + at] = size
    assert rf.beyond_three(beat) == pytest.approx(100 / 30)


def test_without_beats_only_what_needs_none() -> None:
    found = rf.features(np.zeros((12, 1000)))
    assert {name.split()[0] for name in found} <= {"rate", "floor"}


# --- figures of many recordings --------------------------------------------------------------


@pytest.fixture
def recordings() -> rf.Recordings:
    """Four called normal, of which one has an upright T in V1, an infarct, and one unmeasured."""
    upright = T.copy()
    upright[2] = 0.1
    signals = [strip(t=t) for t in (T, T, T, upright, T, T)]
    said = [("NORM", "SR")] * 4 + [("IMI", "SR"), ("AFIB", "SARRH")]
    names = ("NORM", "SR", "AFIB", "SARRH", *rf.ILL)
    statements = pd.DataFrame([[n in row for n in names] for row in said], columns=list(names))
    return rf.Recordings(
        signals=np.stack(signals).astype(np.float32),
        patients=np.array([1, 1, 2, 3, 4, 5]),
        statements=statements,
        superclasses=pd.DataFrame(
            {"NORM": statements["NORM"], "MI": [0, 0, 0, 1, 1, 0]}, dtype=bool
        ),
        rhythms=statements[["SR", "AFIB", "SARRH"]],
    )


def test_figures_are_about_the_records_they_name(recordings: rf.Recordings) -> None:
    rows = rf.table(recordings)
    figures = {f.name: f for f in [*rf.named_figures(), *rf.other_figures()]}
    value = {name: figure.of(figure.values(rows)) for name, figure in figures.items()}
    assert value["negative T in V1"] == 75.0
    assert value["axis outside -30 to 90"] == 0.0
    assert value["SR: rate"] == pytest.approx(75.0, abs=0.5)
    assert value["NORM beside another class"] == 25.0
    assert value["two rhythms or more"] == pytest.approx(100 / 6)
    assert value["statements a record"] == 2.0
    assert np.isnan(value["CRBBB: S in V1"])
    assert np.isfinite(figures["IMI: q in III"].values(rows)).tolist() == [False] * 4 + [
        True,
        False,
    ]
    assert rows["R II"].isna().tolist() == [False] * 5 + [True]  # no figure is about the last


def test_names_are_unique() -> None:
    names = [f.name for f in [*rf.named_figures(), *rf.other_figures()]]
    assert len(set(names)) == len(names)
    assert all(f.named for f in rf.named_figures())
    assert not any(f.named for f in rf.other_figures())


def test_interval_is_over_patients() -> None:
    """A hundred records of four people say no more than four records."""
    figure = rf.Figure(name="x", unit="", value=rf.column("x"), among=(), statistic="mean")
    people = np.array([0, 1, 2, 3])
    few = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]})
    many = few.loc[np.repeat(people, 25)].reset_index(drop=True)
    one = figure.estimate(few, Resamples.draw(people, count=500).weights_NR)
    two = figure.estimate(many, Resamples.draw(np.repeat(people, 25), count=500).weights_NR)
    assert (one.low, one.value, one.high) == pytest.approx((two.low, two.value, two.high))
    assert one.value == 1.5
    assert one.low < 0.7
    assert one.high > 2.3


@pytest.mark.parametrize(
    ("now", "said"),
    [(1.0, "inside"), (1.3, "inside"), (0.5, "halfway"), (0.0, "halfway"), (-0.1, "no"),
     (2.0, "halfway"), (2.1, "no")],
)  # fmt: skip
def test_verdict(now: float, said: str) -> None:
    assert rf.verdict(now, -1.0, Estimate(1.0, 0.2, 0.6, 1.4)) == said


# --- told apart ------------------------------------------------------------------------------


def noisy(count: int, seed: int, height: float = 1.0) -> NDArray[np.float32]:
    """Bumps of some height in eight leads of noise."""
    rng = np.random.default_rng(seed)
    bump = np.exp(-0.5 * ((np.arange(82) - 40) / 6) ** 2)
    sizes = height + 0.2 * rng.normal(size=(count, 8, 1))
    return np.asarray(sizes * bump + 0.1 * rng.normal(size=(count, 8, 82)), np.float32)


def test_the_network_tells_what_differs_and_nothing_else() -> None:
    torch.set_num_threads(1)
    real = Halves(noisy(128, 0), noisy(128, 1))
    assert told(real, Halves(noisy(128, 2), noisy(128, 3)), 4, 0) == pytest.approx(0.5, abs=0.12)
    assert told(real, Halves(noisy(128, 4, 1.5), noisy(128, 5, 1.5)), 4, 0) > 0.98


def test_gaussian_model_has_mean_and_covariance() -> None:
    beats = noisy(400, 0)
    made = gaussian_model(beats, (300, 700))
    assert made.train_NLT.shape == (300, 8, 82)
    assert made.test_NLT.shape == (700, 8, 82)
    both = np.concatenate([made.train_NLT, made.test_NLT])
    assert np.abs(both.mean(axis=0) - beats.mean(axis=0)).max() < 0.06
    assert np.allclose(both.std(axis=0), beats.std(axis=0), rtol=0.25)


def test_halves_share_no_patient() -> None:
    patients = np.array([0, 0, 1, 1, 1, 2, 3, 3, 4])
    first, second = apart(patients, [3, 3])
    assert first.tolist() == [0, 1, 2]
    assert second.tolist() == [5, 6, 7]
    with pytest.raises(ValueError, match="too few"):
        apart(patients, [3, 5])


def test_filtered_beat_is_centred_on_r() -> None:
    raw = strip().astype(np.float32)
    beat = filtered_beat(raw, filtered(raw[None])[0])
    assert beat is not None
    assert beat.shape == (8, 82)
    assert abs(int(np.abs(beat).sum(axis=0).argmax()) - 32) <= 1
    assert beat[1].max() == pytest.approx(1.0, rel=0.15)
    flat = np.zeros((12, 1000), np.float32)
    assert filtered_beat(flat, filtered(flat[None])[0]) is None


def test_without_ptb_xl_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench_realism", "--root", str(tmp_path)])
    assert main() == 0
    assert f"no PTB-XL at {tmp_path}" in capsys.readouterr().out
