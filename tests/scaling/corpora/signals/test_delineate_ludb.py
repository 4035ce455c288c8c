"""The delineator against cardiologists: the even records of LUDB; ours was made on the odd ones.

``benchmarks/bench_delineate.py`` has all numbers, beside another delineator.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from scaling.corpora.signals.presets import resample
from scaling.identity import LEADS
from tests.scaling.corpora.delineate import delineate, delineate_beats
from tests.scaling.corpora.ludb_marks import FS_HZ, RECORDS, cardiologists, intervals_ms, recording

EVEN = tuple(number for number in RECORDS if number % 2 == 0)


@pytest.fixture(scope="module")
def marked(shared: Path) -> NDArray[np.float64]:
    """P, PR, QRS and QT of the cardiologists, by record."""
    return np.array([intervals_ms(cardiologists(shared, number)) for number in EVEN])


def at(shared: Path, number: int, fs_hz: int) -> NDArray[np.float64]:
    signal = recording(shared, number).signal.astype(np.float64)
    return np.asarray(resample(signal, FS_HZ, fs_hz))


@pytest.mark.parametrize("fs_hz", [500, 100])
def test_intervals_are_those_of_the_cardiologists(
    shared: Path, marked: NDArray[np.float64], fs_hz: int
) -> None:
    found = [delineate(at(shared, number, fs_hz), fs_hz, LEADS) for number in EVEN]
    errors = np.array([(f.p_ms, f.pr_ms, f.qrs_ms, f.qt_ms) for f in found]) - marked
    assert np.isfinite(errors[:, 1]).sum() >= 0.95 * np.isfinite(marked[:, 1]).sum()
    mean, spread = np.nanmean(errors, axis=0), np.nanstd(errors, axis=0)
    assert (np.abs(mean) <= [10, 6, 6, 10]).all(), mean
    assert (np.abs(np.nanmedian(errors, axis=0)) <= [6, 6, 6, 6]).all()
    assert (spread <= [26, 18, 24, 28]).all(), spread


def test_each_beat_is_delineated_in_each_lead(shared: Path) -> None:
    """Ends of QRS and T in single leads, of the beats that a cardiologist annotated."""
    errors: list[list[float]] = [[], [], [], []]
    missed = annotated = 0
    for number in EVEN[::3]:
        waves = delineate_beats(at(shared, number, FS_HZ), FS_HZ, LEADS)
        true = cardiologists(shared, number)
        for lead in range(len(LEADS)):
            for k, (kind, found) in enumerate((("QRS", waves.qrs), ("T", waves.t))):
                for onset, _, offset in true[kind][lead]:
                    away = np.nanmin(np.abs(found[:, lead, 2] - offset), initial=np.inf)
                    annotated += np.isfinite(offset)
                    if not away <= 0.15:
                        missed += np.isfinite(offset)
                        continue
                    beat = int(np.nanargmin(np.abs(found[:, lead, 2] - offset)))
                    errors[2 * k].append(1000 * (found[beat, lead, 0] - onset))
                    errors[2 * k + 1].append(1000 * (found[beat, lead, 2] - offset))
    assert missed <= 0.01 * annotated
    mean = [float(np.nanmean(e)) for e in errors]
    assert (np.abs(mean) <= [5, 5, 12, 15]).all(), mean
