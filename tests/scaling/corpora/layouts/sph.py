"""A small SPH in its official layout, written by csv and h5py."""

from __future__ import annotations

import csv
from pathlib import Path

import h5py
import numpy as np

CODES = [  # Category, Code, Description: as in the official file, a part of it
    ("A", "1", "Normal ECG"),
    ("C", "22", "Sinus bradycardia"),
    ("D", "30", "Atrial premature complex(es)"),
    ("D", "31", "Atrial premature complexes, nonconducted"),
    ("F", "60", "Ventricular premature complex(es)"),
    ("L", "147", "T-wave abnormality"),
    ("Modifier", "310", "Frequent"),
    ("Modifier", "347", "Paroxysmal"),
]
HEADER = ["ECG_ID", "AHA_Code", "Patient_ID", "Age", "Sex", "N", "Date"]
ROWS = [
    ["A00001", "22;31", "S00001", "55", "M", "5000", "2020-03-04"],
    ["A00002", "1", "S00002", "32", "M", "6000", "2019-09-03"],
    ["A00003", "60+310;147", "S00001", "56", "M", "5000", "2020-07-16"],
    ["A02322", "1;1", "S00003", "63", "F", "5000", "2020-07-14"],
    ["A00005", "310+30", "S00004", "46", "F", "5000", "2020-01-07"],
]


def signal_mv(number: int, samples: int) -> np.ndarray[tuple[int, int], np.dtype[np.float16]]:
    """(12, samples): sample t of lead k of row n is ((t + 2 k + n) mod 64) / 32 - 1 mV, exactly."""
    t, k = np.arange(samples)[None, :], np.arange(12)[:, None]
    return (((t + 2 * k + number) % 64) / 32 - 1).astype(np.float16)


def write(root: Path, rows: list[list[str]] = ROWS) -> Path:
    """Tables and records."""
    write_tables(root, rows)
    (root / "records").mkdir()
    for number, row in enumerate(rows):
        write_record(root, row[0], signal_mv(number, int(row[5])))
    return root


def write_tables(
    root: Path, rows: list[list[str]], codes: list[tuple[str, str, str]] = CODES
) -> None:
    """Write ``metadata.csv`` and ``code.csv``."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
    with (root / "code.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("Category", "Code", "Description"), *codes])


def write_record(root: Path, record: str, array: object, name: str = "ecg") -> None:
    """Write one HDF5 file."""
    with h5py.File(root / f"records/{record}.h5", "w") as file:
        file.create_dataset(name, data=array)
