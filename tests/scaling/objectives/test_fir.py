"""Restoration of leads: known filters are found, quality is numpy's, differences are paired."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from scaling.corpora.errors import CorpusError
from scaling.corpora.signals.leads import lead_order
from scaling.corpora.signals.presets import preset, quantise
from scaling.data.batches import NO_PEAK, Split
from scaling.identity import LEADS
from scaling.objectives.fir import (
    QUIET,
    Fir,
    fit_fir,
    hidden_quality,
    lead_quality,
    relative_to,
    restoration_rows,
)
from scaling.records.patients import Estimate, Resamples
from tests.scaling.corpora.real import ptbxl

Array = NDArray[Any]
STEP = 2.0**-10  # signals in whole steps of it are exact in float32


def split_of(steps_NLT: Array, patients: Array | None = None, step: float = STEP) -> Split:
    """Records from whole numbers, each of a patient of its own."""
    n = len(steps_NLT)
    return Split(
        signals=torch.from_numpy(steps_NLT.astype(np.int16)),
        labels=torch.zeros(n, 0),
        patients=np.arange(n) if patients is None else patients,
        mv=step,
        r_peaks=torch.full((n, 1), NO_PEAK, dtype=torch.int16),
    )


def noise(n: int, leads: int, samples: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(-100, 101, size=(n, leads, samples))


def filtered(x_NT: Array, weights: dict[int, int]) -> Array:
    """Sum of the signal at each place relative to the sample, times its weight; zeros outside."""
    reach = max(abs(place) for place in weights)
    padded, samples = np.pad(x_NT, ((0, 0), (reach, reach))), x_NT.shape[-1]
    parts = (w * padded[:, reach + at : reach + at + samples] for at, w in weights.items())
    return np.asarray(sum(parts))


def known(n: int, samples: int = 60, seed: int = 0) -> Split:
    """Leads I, II, III, V1 of which I and III give the others by filters of whole numbers."""
    x = noise(n, 4, samples, seed)
    x[:, 1] = filtered(x[:, 0], {-3: 2, 0: 1, 2: -4}) + filtered(x[:, 2], {1: 3})
    x[:, 3] = filtered(x[:, 2], {0: -2})
    return split_of(x)


NAMES, INPUTS = ("I", "II", "III", "V1"), ("I", "III")


def test_a_known_filter_of_several_leads_is_found() -> None:
    fir = fit_fir(known(20), known(5, seed=1), NAMES, INPUTS, taps=(1, 7, 15))
    assert (fir.hidden, fir.weights_HKT.shape) == (("II", "V1"), (2, 2, fir.weights_HKT.shape[-1]))
    middle = fir.weights_HKT.shape[-1] // 2
    wanted_HKT = torch.zeros_like(fir.weights_HKT)
    for at, weight in {-3: 2, 0: 1, 2: -4}.items():
        wanted_HKT[0, 0, middle + at] = weight
    wanted_HKT[0, 1, middle + 1], wanted_HKT[1, 1, middle] = 3, -2
    torch.testing.assert_close(fir.weights_HKT, wanted_HKT, atol=1e-6, rtol=0)
    x_BLT = known(3, seed=2).batch(torch.arange(3)).x_BLT
    torch.testing.assert_close(fir.restore(x_BLT), x_BLT, atol=1e-4, rtol=0)


def test_hidden_leads_are_not_looked_at_and_observed_ones_stay() -> None:
    fir = fit_fir(known(20), known(5, seed=1), NAMES, INPUTS, taps=(7,))
    x_BLT = known(3, seed=2).batch(torch.arange(3)).x_BLT
    seen_BLT = x_BLT.clone()
    seen_BLT[:, [1, 3]] = 7.0
    before_BLT = seen_BLT.clone()
    torch.testing.assert_close(fir.restore(seen_BLT), fir.restore(x_BLT))
    assert torch.equal(seen_BLT, before_BLT)
    assert torch.equal(fir.restore(seen_BLT)[:, [0, 2]], x_BLT[:, [0, 2]])


@pytest.mark.parametrize(("samples", "taps"), [(60, 1), (60, 21), (30, 41), (7, 21)])
def test_weights_are_the_least_squares_of_all_samples(samples: int, taps: int) -> None:
    """Edges count too, and records may be shorter than the filter.

    Squares are as they are or relative to the lead's variance, whichever is better on validation.
    """
    x = noise(100, 4, samples)
    fir = fit_fir(split_of(x), split_of(x), NAMES, INPUTS, taps=(taps,))
    observed = np.pad(x[:, [0, 2]].astype(float), ((0, 0), (0, 0), (taps // 2, taps // 2)))
    within = np.lib.stride_tricks.sliding_window_view(observed, taps, axis=-1)
    features = within.transpose(0, 2, 1, 3).reshape(100, samples, 2 * taps)
    for h, lead in enumerate((1, 3)):
        target, best = x[:, lead].astype(float), []
        for sd in (np.ones(100), np.maximum(target.std(axis=1), QUIET / STEP)):
            scaled = (features / sd[:, None, None]).reshape(-1, 2 * taps)
            weights = np.linalg.lstsq(scaled, (target / sd[:, None]).ravel(), rcond=None)[0]
            rest = target - features @ weights
            error = ((rest**2).mean(axis=1) / target.var(axis=1)).mean()
            best.append((error, weights))
        wanted = min(best, key=lambda pair: pair[0])[1].reshape(2, taps)
        np.testing.assert_allclose(fir.weights_HKT[h].numpy(), wanted, atol=1e-7)


def test_records_of_small_voltage_count_as_much_as_others() -> None:
    """One loud record has the lead upside down: absolute squares would follow it."""
    x = noise(40, 2, 60)
    x[:, 1] = x[:, 0]
    x[0] *= np.array([[50], [-50]])
    fir = fit_fir(split_of(x), split_of(x[1:]), ("I", "II"), ("I",), (1,))
    assert float(fir.weights_HKT) == pytest.approx(1 - 2 / 40, abs=1e-3)
    true_BLT = torch.tensor([[[0.3, -0.3], [0.001, -0.001], [0.0, 0.0]]])
    found = relative_to(true_BLT)
    torch.testing.assert_close(found, torch.tensor([[0.09, QUIET**2, torch.inf]]))


def test_taps_are_chosen_on_validation_for_each_lead() -> None:
    """II needs five samples, III is the input with noise: few records overfit a wide filter."""

    def made(n: int, seed: int) -> Split:
        x = noise(n, 4, 60, seed)
        x[:, 1] = filtered(x[:, 0], {-2: 1, 2: 1})
        x[:, 2] += x[:, 0]
        x[:, 3] = 0
        return split_of(x)

    train, names = made(2, 0), ("I", "II", "III", "V1")
    fir = fit_fir(train, made(30, 1), names, ("I",), taps=(41, 1, 5))
    assert dict(zip(fir.hidden, fir.taps, strict=True)) == {"II": 5, "III": 1, "V1": 1}
    assert fir.weights_HKT.shape == (3, 1, 5)  # no wider than is needed
    on_train = fit_fir(train, train, names, ("I",), taps=(1, 5, 41))
    assert on_train.taps[1] == 41


def test_leads_that_determine_each_other_are_no_obstacle() -> None:
    x = noise(20, 4, 60)
    x[:, 1] = x[:, 0] + x[:, 2]
    x[:, 3] = x[:, 0] - x[:, 2]
    fir = fit_fir(split_of(x), split_of(x), ("I", "II", "III", "V1"), ("I", "II", "III"), (1, 5))
    assert hidden_quality(fir.restore, split_of(x), fir)[1].max() < 1e-6
    silent = split_of(np.where(np.arange(4)[:, None] == 3, x, 0))
    fir = fit_fir(silent, silent, NAMES, ("I",), (5,))
    assert not fir.weights_HKT.any()


def test_what_cannot_be_fitted_is_refused() -> None:
    few = known(2)
    with pytest.raises(CorpusError, match="lead X is missing"):
        fit_fir(few, few, NAMES, ("X",))
    with pytest.raises(CorpusError, match="lead V6 is missing"):
        fit_fir(few, few, NAMES, ("V6",))
    with pytest.raises(CorpusError, match="lead I appears twice"):
        fit_fir(few, few, NAMES, ("I", "I"))
    with pytest.raises(ValueError, match="0 hidden and 4 inputs"):
        fit_fir(few, few, NAMES, NAMES)
    with pytest.raises(ValueError, match="4 hidden and 0 inputs"):
        fit_fir(few, few, NAMES, ())
    with pytest.raises(ValueError, match=r"taps \(1, 4\)"):
        fit_fir(few, few, NAMES, INPUTS, (1, 4))
    with pytest.raises(ValueError, match="needs training and validation records"):
        fit_fir(few, few.first(0), NAMES, INPUTS)


def test_quality_is_numpys() -> None:
    true, restored = np.random.default_rng(3).normal(size=(2, 3, 2, 50))
    restored += true
    found = lead_quality(torch.from_numpy(true), torch.from_numpy(restored))
    for b in range(3):
        for lead in range(2):
            x, y = true[b, lead], restored[b, lead]
            assert found[0][b, lead] == pytest.approx(np.corrcoef(x, y)[0, 1])
            assert found[1][b, lead] == pytest.approx(((x - y) ** 2).mean() / x.var())


def test_quality_at_its_limits() -> None:
    wave = torch.sin(torch.arange(100) / 5.0) + 0.3
    flat = torch.full((100,), 0.7)
    true_BLT = torch.stack([wave, wave, wave, wave, flat])[None]
    restored_BLT = torch.stack([wave, -wave, flat, wave.mean().expand(100), wave])[None]
    correlations_BL, errors_BL = lead_quality(true_BLT, restored_BLT)
    assert correlations_BL[0].tolist() == pytest.approx([1, -1, 0, 0, np.nan], nan_ok=True)
    assert errors_BL[0, [0, 3]].tolist() == pytest.approx([0, 1], abs=1e-6)
    assert errors_BL[0, 1] > 4 and errors_BL[0, 2] > 1 and errors_BL[0, 4].isnan()


def noisy(n: int, seed: int) -> Split:
    """Leads I, II, V1, two records a patient; V1 is flat in every fifth record."""
    x = noise(n, 3, 80, seed)
    x[:, 1] += filtered(x[:, 0], {-1: 1, 1: 1})
    x[:, 2] += x[:, 0]
    x[::5, 2] = 4
    return split_of(x, np.arange(n) // 2)


def rows_by_metric(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    assert len({row["metric"] for row in rows}) == len(rows)
    return {row["metric"]: row for row in rows}


@pytest.fixture(scope="module")
def records() -> Split:
    return noisy(60, 1)


@pytest.fixture(scope="module")
def fir() -> Fir:
    return fit_fir(noisy(40, 0), noisy(20, 2), ("I", "II", "V1"), ("I",), (1, 5, 11))


def twice(x_BLT: Tensor) -> Tensor:
    """A restoration that knows half of the filter of II, and V1."""
    return torch.stack([x_BLT[:, 0], x_BLT[:, 0].roll(1, dims=-1), x_BLT[:, 0]], dim=1)


def test_rows_of_a_restoration_beside_the_filter(records: Split, fir: Fir) -> None:
    rows = rows_by_metric(restoration_rows("test", records, twice, fir))
    per_lead = ("correlation", "error", "correlation_fir", "error_fir", "correlation_gain")
    assert set(rows) == {
        *(f"{metric}:{lead}" for metric in (*per_lead, "taps_fir") for lead in ("II", "V1")),
        "error", "error_fir", "error_ratio",
    }  # fmt: skip
    assert {row["split"] for row in rows.values()} == {"test"}
    assert {rows[f"{metric}:II"]["n"] for metric in per_lead} == {60}
    assert {rows[f"{metric}:V1"]["n"] for metric in per_lead} == {48}
    assert rows["taps_fir:II"]["value"] == fir.taps[0] == 5
    ours, rival = (hidden_quality(of, records, fir) for of in (twice, fir.restore))
    for h, lead in enumerate(("II", "V1")):
        for suffix, found in (("", ours), ("_fir", rival)):
            assert rows[f"correlation{suffix}:{lead}"]["value"] == pytest.approx(
                np.nanmean(found[0][:, h])
            )
            assert rows[f"error{suffix}:{lead}"]["value"] == pytest.approx(
                np.nanmean(found[1][:, h])
            )
    means = [np.nanmean(found[1], axis=0).mean() for found in (ours, rival)]
    assert rows["error"]["value"] == pytest.approx(means[0])
    assert rows["error_fir"]["value"] == pytest.approx(means[1])
    assert rows["error_ratio"]["value"] == pytest.approx(means[0] / means[1])
    assert rows["error_ratio"]["low"] < means[0] / means[1] < rows["error_ratio"]["high"]


def test_differences_are_paired_and_by_patient(records: Split, fir: Fir) -> None:
    rows = rows_by_metric(restoration_rows("test", records, twice, fir))
    ours, rival = (hidden_quality(of, records, fir)[0] for of in (twice, fir.restore))
    resamples = Resamples.draw(records.patients)
    wanted = Estimate.of(resamples.mean(ours[:, 0] - rival[:, 0]))
    row = rows["correlation_gain:II"]
    assert row["value"] < 0  # half of the filter
    assert (row["value_se"], row["low"], row["high"]) == (wanted.se, wanted.low, wanted.high)
    same = rows_by_metric(restoration_rows("test", records, fir.restore, fir))
    gain, ratio = same["correlation_gain:V1"], same["error_ratio"]
    assert (gain["value"], gain["low"], gain["high"]) == (0.0, 0.0, 0.0)
    assert (ratio["value"], ratio["low"], ratio["high"]) == (1.0, 1.0, 1.0)


def test_a_restoration_is_given_the_observed_leads_alone(records: Split, fir: Fir) -> None:
    seen: list[Tensor] = []

    def copies(x_BLT: Tensor) -> Tensor:
        seen.append(x_BLT)
        return x_BLT

    correlations, errors = hidden_quality(copies, records, fir)
    assert not torch.cat(seen)[:, 1:].any() and torch.cat(seen)[:, 0].any()
    assert np.nanmax(correlations) == 0.0 and np.nanmin(errors) >= 1.0


def records_are_restored_in_parts_where_memory_is_short(records: Split, fir: Fir) -> None:
    def small(x_BLT: Tensor) -> Tensor:
        if len(x_BLT) > 8:
            raise torch.OutOfMemoryError("out of memory")
        return fir.restore(x_BLT)

    found, whole = (hidden_quality(of, records, fir) for of in (small, fir.restore))
    np.testing.assert_allclose(found, whole, rtol=1e-4, atol=1e-6)


def test_leads_that_are_flat_in_every_record_have_no_value(fir: Fir) -> None:
    x = noise(6, 3, 80)
    x[:, 2] = 4
    rows = rows_by_metric(restoration_rows("test", split_of(x), twice, fir))
    assert np.isnan(rows["error:V1"]["value"]) and rows["error:V1"]["n"] == 0
    assert rows["error"]["value"] == rows["error:II"]["value"]
    x[:, 1] = 4
    nothing = rows_by_metric(restoration_rows("test", split_of(x), twice, fir))
    assert np.isnan([row["value"] for name, row in nothing.items() if "taps" not in name]).all()


def test_a_restoration_that_is_not_finite_is_not_taken_for_a_flat_lead(
    records: Split, fir: Fir
) -> None:
    def broken(x_BLT: Tensor) -> Tensor:
        return twice(x_BLT).masked_fill(x_BLT[:, :1, :1] > 0, torch.nan)

    rows = rows_by_metric(restoration_rows("test", records, broken, fir))
    for metric in ("correlation:II", "error:II", "correlation_gain:II", "error", "error_ratio"):
        assert np.isnan(rows[metric]["value"])
    assert rows["error:II"]["n"] == 60 and np.isfinite(rows["error_fir"]["value"])


def real(shared: Path, name: str) -> dict[str, Split]:
    """PTB-XL's official folds, 5 s at 100 Hz, of which 1,000 records for training."""
    with (shared / "data/ptb-xl/ptbxl_database.csv").open() as file:
        folds = {int(row["ecg_id"]): int(row["strat_fold"]) for row in csv.DictReader(file)}
    recordings = ptbxl(shared, 100)
    ids = {"train": [i for i in recordings if folds[i] < 9][:1000]}
    ids |= {
        split: [i for i in recordings if folds[i] == fold]
        for split, fold in (("validation", 9), ("test", 10))
    }

    def steps(record: int) -> Array:
        recording = recordings[record]
        signal = recording.signal[lead_order(recording.leads)]
        return quantise(preset(name).apply(signal, 100, 100, 500))[0]

    return {
        split: split_of(np.stack([steps(i) for i in of]), step=1e-3) for split, of in ids.items()
    }


# II, III, aVR, aVL, aVF, V1-V6 of the pilot: another thousand records, other patients tested on.
PILOT = (0.71, 0.23, 0.91, 0.78, 0.20, 0.67, 0.47, 0.52, 0.71, 0.82, 0.83)


def test_the_filter_on_real_records_is_as_good_as_in_the_pilot(shared: Path) -> None:
    """Correlations of signals in millivolts, the error of signals that were z-scored.

    The pilot knew no relative squares, which give a better aVF.
    """
    splits = real(shared, "s1")
    fir = fit_fir(splits["train"], splits["validation"], LEADS, ("I",), (41,))
    gains = np.nanmean(hidden_quality(fir.restore, splits["test"], fir)[0], axis=0) - PILOT
    assert (gains > -0.07).all() and (gains < 0.12).all()
    assert gains.mean() == pytest.approx(0.0, abs=0.04)
    splits = real(shared, "liteheart")
    fir = fit_fir(splits["train"], splits["validation"], LEADS, ("I",), (41,))
    _, errors = hidden_quality(fir.restore, splits["test"], fir)
    assert np.nanmean(errors, axis=0).mean() == pytest.approx(0.518, abs=0.02)
