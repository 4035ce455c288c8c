"""A small PTB-XL in its official layout, written by wfdb and csv rather than by our reader."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import wfdb

LEADS = ["I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"]
STATEMENTS = [  # code, diagnostic, form, rhythm, class, subclass: as in the official file
    ("NDT", "1.0", "1.0", "", "STTC", "STTC"),
    ("NORM", "1.0", "", "", "NORM", "NORM"),
    ("IMI", "1.0", "", "", "MI", "IMI"),
    ("ASMI", "1.0", "", "", "MI", "AMI"),
    ("LVH", "1.0", "", "", "HYP", "LVH"),
    ("CRBBB", "1.0", "", "", "CD", "CRBBB"),
    ("PVC", "", "1.0", "", "", ""),
    ("SR", "", "", "1.0", "", ""),
    ("AFIB", "", "", "1.0", "", ""),
]
DATABASE_COLUMNS = [
    "ecg_id", "patient_id", "age", "sex", "scp_codes", "strat_fold", "filename_lr", "filename_hr",
]  # fmt: skip


@dataclasses.dataclass
class Row:
    """One record: what the database says of it."""

    ecg_id: int
    patient: int
    fold: int
    codes: dict[str, float]
    age: str = "56.0"
    sex: str = "1"

    def cells(self) -> list[str]:
        number = f"{self.ecg_id:05d}"
        return [
            str(self.ecg_id), f"{self.patient}.0", self.age, self.sex, str(self.codes),
            str(self.fold), f"records100/00000/{number}_lr", f"records500/00000/{number}_hr",
        ]  # fmt: skip


ROWS = [
    Row(1, 11, 1, {"NORM": 100.0, "SR": 0.0}),
    Row(2, 11, 1, {"IMI": 15.0, "ASMI": 0.0, "PVC": 0.0, "SR": 0.0}, sex="0"),
    Row(3, 12, 8, {"NDT": 100.0, "AFIB": 0.0}, age="300.0"),
    Row(4, 13, 4, {"PVC": 0.0, "SR": 0.0}, age=""),
    Row(5, 14, 9, {"LVH": 100.0, "SR": 0.0}),
    Row(6, 15, 10, {"CRBBB": 100.0}),
    Row(7, 16, 10, {"NORM": 80.0, "SR": 0.0}),
]


def signal_mv(
    ecg_id: int, samples: int = 1000
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """(samples, 12) millivolts, whole microvolts; sample t of lead k is readable by eye."""
    t = np.arange(samples)[:, None]
    k = np.arange(12)[None, :]
    return ((t * 7 + k * 31 + ecg_id * 101) % 2001 - 1000) / 1000.0


def write(root: Path, rows: list[Row] = ROWS, records: bool = True) -> Path:
    """Write the tables and, at 100 Hz, the records."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / "scp_statements.csv").open("w", newline="") as file:
        names = ["diagnostic", "form", "rhythm", "diagnostic_class", "diagnostic_subclass"]
        csv.writer(file).writerows([["", *names], *STATEMENTS])
    write_database(root, [row.cells() for row in rows])
    folder = root / "records100/00000"
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows if records else []:
        wfdb.wrsamp(
            f"{row.ecg_id:05d}_lr",
            fs=100,
            units=["mV"] * 12,
            sig_name=LEADS,
            p_signal=signal_mv(row.ecg_id),
            fmt=["16"] * 12,
            adc_gain=[1000.0] * 12,
            baseline=[0] * 12,
            write_dir=str(folder),
        )
    return root


def write_database(
    root: Path, cells: list[list[str]], columns: list[str] = DATABASE_COLUMNS
) -> None:
    """Write ``ptbxl_database.csv``."""
    with (root / "ptbxl_database.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *cells])


def edit_header(root: Path, ecg_id: int, old: str, new: str) -> None:
    """Replace text in a .hea file; it must be there."""
    path = stem(root, ecg_id).with_suffix(".hea")
    text = path.read_text()
    assert old in text, text
    path.write_text(text.replace(old, new))


def stem(root: Path, ecg_id: int) -> Path:
    """Path of a record without extension."""
    return root / f"records100/00000/{ecg_id:05d}_lr"
