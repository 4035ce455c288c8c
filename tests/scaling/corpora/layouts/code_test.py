"""A small CODE-test in its official layout, written by csv and h5py."""

from __future__ import annotations

import csv
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

CLASSES = ["1dAVb", "RBBB", "LBBB", "SB", "AF", "ST"]
LEADS = ["I", "II", "III", "aVL", "aVF", "aVR", "V1", "V2", "V3", "V4", "V5", "V6"]
GOLD = [[0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0]]
ATTRIBUTES = [["49", "F"], ["75", "M"], ["20", "F"]]
SAMPLES = [2800, 4000, 4000]


def heart_mv(row: int, samples: int) -> NDArray[np.float32]:
    """(samples, 12) millivolts: limb leads of two potentials, by Einthoven and Goldberger."""
    t = np.arange(samples)
    one = 0.001 * ((t * 11 + row * 17) % 401 + 1)
    two = 0.001 * ((t * 5 + row * 29) % 601 + 2)
    limb = {
        "I": one,
        "II": two,
        "III": two - one,
        "aVL": one - two / 2,
        "aVF": two - one / 2,
        "aVR": -(one + two) / 2,
    }
    chest = {f"V{k}": 0.1 * k * one for k in range(1, 7)}
    return np.stack([(limb | chest)[lead] for lead in LEADS], axis=1).astype(np.float32)


def write(root: Path) -> Path:
    """Write tracings and tables."""
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    tracings = np.zeros((len(GOLD), 4096, 12), np.float32)
    for row, samples in enumerate(SAMPLES):
        before = (4096 - samples) // 2
        tracings[row, before : before + samples] = heart_mv(row, samples)
    write_tracings(root, tracings)
    write_table(root / "annotations/gold_standard.csv", CLASSES, GOLD)
    write_table(root / "attributes.csv", ["age", "sex"], ATTRIBUTES)
    return root


def write_tracings(root: Path, tracings: NDArray[np.float32]) -> None:
    with h5py.File(root / "ecg_tracings.hdf5", "w") as file:
        file["tracings"] = tracings


def write_table(path: Path, columns: list[str], rows: list[list[int]] | list[list[str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
