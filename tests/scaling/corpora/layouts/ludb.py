"""A small LUDB 1.0.1 in its official layout, written by csv and wfdb.

Cells end in a line break and hold one finding a line; lead names are in lower case; each lead
has its own gain and its own annotation file, named by the lead.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import wfdb

LEADS = ["i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6"]
HEADER = [
    "ID", "Sex", "Age", "Rhythms", "Electric axis of the heart", "Conduction abnormalities",
    "Extrasystolies", "Hypertrophies", "Cardiac pacing", "Ischemia",
    "Non-specific repolarization abnormalities", "Other states",
]  # fmt: skip
AXIS = "Electric axis of the heart: "
ROWS = [
    ["1", "F\n", "51\n", "Sinus bradycardia\n", AXIS + "left axis deviation\n", "", "",
     "Left atrial hypertrophy\nLeft ventricular hypertrophy\n", "", "", "", ""],
    ["2", "M\n", "64\n", "Sinus rhythm\n", AXIS + "normal.\n",
     "I degree AV block\nIncomplete right bundle branch block\n",
     "Atrial extrasystole: left atrial\n", "", "UNIpolar ventricular pacing\n",
     "STEMI: anterior wall\nScar formation: septal\n",
     "Non-specific repolarization abnormalities: septal\n", "Early repolarization syndrome\n"],
    ["34", "M\n", ">89\n", "Atrial fibrillation\n", "", "I degree AV Block\n", "", "", "", "", "",
     ""],
    ["35", "F\n", "\n", "Sinus rhythm\n", AXIS + "vertical\n", "", "", "", "", "", "", ""],
]  # fmt: skip
BEAT = [(100, "("), (120, "p"), (140, ")"), (160, "("), (180, "N"), (200, ")")]
T_WAVE = [(260, "("), (300, "t"), (340, ")")]
MARKS = BEAT + T_WAVE


def steps(number: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """(5000, 12): sample t of lead k of record n is (3 t + 50 k + n) mod 1000 - 400 steps."""
    t, k = np.arange(5000)[:, None], np.arange(12)[None, :]
    return (3 * t + 50 * k + number) % 1000 - 400


def write(root: Path, rows: list[list[str]] = ROWS) -> Path:
    """The table, and for each row a record whose lead k has 200 + 10 k steps per mV."""
    write_table(root, rows)
    (root / "data").mkdir()
    for row in rows:
        wfdb.wrsamp(
            row[0], fs=500, units=["mV"] * 12, sig_name=LEADS, d_signal=steps(int(row[0])),
            fmt=["16"] * 12, adc_gain=[200.0 + 10 * k for k in range(12)], baseline=[0] * 12,
            write_dir=str(root / "data"),
        )  # fmt: skip
    write_marks(root, "1", "ii", MARKS)
    return root


def write_table(root: Path, rows: list[list[str]], header: list[str] = HEADER) -> None:
    """Write ``ludb.csv``."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / "ludb.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def write_marks(root: Path, record: str, lead: str, marks: list[tuple[int, str]]) -> None:
    """Write the annotation file of one lead."""
    samples = np.array([sample for sample, _ in marks])
    wfdb.wrann(record, lead, samples, [mark for _, mark in marks], write_dir=str(root / "data"))
