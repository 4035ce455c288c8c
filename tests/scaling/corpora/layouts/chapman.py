"""A small Chapman-Shaoxing as on figshare: an Excel sheet and CSV files in microvolts."""

from __future__ import annotations

import functools
from pathlib import Path

import openpyxl

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
COLUMNS = ("FileName", "Rhythm", "Beat", "PatientAge", "Gender", "VentricularRate")
RHYTHMS = ("AFIB", "AF", "SVT", "AT", "SAAWR", "ST", "AVNRT", "AVRT", "SB", "SR", "SA")
ROWS: tuple[tuple[object, ...], ...] = tuple(
    (f"MUSE_20180111_15{number:04d}_00000", rhythm, "NONE", 50 + number, "FEMALE", 70)
    for number, rhythm in enumerate(RHYTHMS)
)


def write_sheet(root: Path, rows: tuple[tuple[object, ...], ...] = ROWS) -> None:
    """Write ``Diagnostics.xlsx``."""
    root.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in (COLUMNS, *rows):
        book.active.append(row)
    book.save(root / "Diagnostics.xlsx")


def write_signals(folder: Path, header: bool = True) -> None:
    """Write a CSV for each row, of 5000 samples in microvolts.

    Sample t of lead k of record n is n + 10 k + 0.5 (t mod 400).
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(ROWS):
        names = ",".join(LEADS) + "\r\n" if header else ""
        (folder / f"{row[0]}.csv").write_text(names + _samples(number), newline="")


@functools.cache
def _samples(number: int) -> str:
    rows = (
        ",".join(f"{number + 10 * k + 0.5 * (t % 400):.4f}" for k in range(12)) for t in range(5000)
    )
    return "".join(f"{row}\r\n" for row in rows)


def write(root: Path) -> Path:
    """Write the sheet and the raw signals."""
    write_sheet(root)
    write_signals(root / "ECGData")
    return root
