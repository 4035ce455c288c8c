"""A small CPSC 2018 in both of its layouts, with a published split."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from tests.scaling.corpora.layouts import wfdb_mat

# record number -> numbers of REFERENCE.csv (1 normal, 2 AF, 3 I-AVB, 4 LBBB, 5 RBBB, 6 PAC,
# 7 PVC, 8 ST depression, 9 ST elevation), and the codes of the Challenge's copy
ROWS = {
    1: ((1,), "426783006"),
    2: ((2, 5), "164889003,59118001"),
    3: ((3,), "270492004"),
    4: ((4,), "164909002"),
    5: ((6,), "284470004"),
    6: ((7,), "164884008"),
    7: ((8,), "429622005"),
    8: ((9,), "164931005"),
    9: ((8, 3, 4), "270492004,164909002,429622005"),
}
SPLIT = {"train": (1, 4, 5, 6, 7, 8, 9), "val": (3,), "test": (2,)}


def write_challenge(root: Path, copies: int = 1) -> Path:
    """Write WFDB records in ``g1``; ``copies`` more records with the same codes."""
    for copy in range(copies):
        for number, (_, codes) in ROWS.items():
            name = f"A{number + 100 * copy:04d}"
            wfdb_mat.write(root / "g1", name, number, codes, samples=3000 if copy == 0 else 5)
    return root


def write_struct(path: Path, data: NDArray[np.float64], age: float = 50, sex: str = "Male") -> None:
    """Write one struct as the organisers did."""
    savemat(path, {"ECG": {"sex": sex, "age": age, "data": data}}, do_compression=True)


def write_original(root: Path) -> Path:
    """Write ``REFERENCE.csv`` and, in ``TrainingSet1``, a struct for each record."""
    folder = root / "TrainingSet1"
    folder.mkdir(parents=True, exist_ok=True)
    for number in ROWS:
        t, lead = np.arange(3000 + 100 * number)[None], np.arange(12)[:, None]
        data = number + lead / 10 + (t % 100) / 1000  # millivolts
        age = float("nan") if number == 3 else 60 + number
        write_struct(folder / f"A{number:04d}.mat", data, age, "Female" if number == 2 else "Male")
    with (root / "REFERENCE.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Recording", "First_label", "Second_label", "Third_label"])
        for number, (labels, _) in ROWS.items():
            writer.writerow([f"A{number:04d}", *labels, *[""] * (3 - len(labels))])
    return root


def write_split(folder: Path) -> None:
    """Write the three files under MERL's names, with its columns as far as they are read."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, numbers in SPLIT.items():
        with (folder / f"icbeb_{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["patient_id", "ecg_id", "filename", "validation", "age"])
            writer.writerows([n, n, f"A{n:04d}", "False", "61.0"] for n in numbers)
