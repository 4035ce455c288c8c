"""A small CODE-15 in its official layout, written by csv and h5py."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

# The order of the official table: SB, ST, AF.
COLUMNS = [
    "exam_id", "age", "is_male", "nn_predicted_age", "1dAVb", "RBBB", "LBBB", "SB", "ST", "AF",
    "patient_id", "death", "timey", "normal_ecg", "trace_file",
]  # fmt: skip


@dataclasses.dataclass
class Exam:
    """One exam: its row of the table, and how long its recording is."""

    exam: int
    patient: int
    part: int
    positive: tuple[str, ...] = ()
    samples: int = 4000
    age: str = "54"
    male: str = "True"

    def cells(self) -> list[str]:
        flags = [str(name in self.positive) for name in COLUMNS[4:10]]
        part = f"exams_part{self.part}.hdf5"
        return [
            str(self.exam), self.age, self.male, "50.1", *flags,
            str(self.patient), "", "", "False", part,
        ]  # fmt: skip


# In the order of the parts; the table is written in another.
EXAMS = [
    Exam(7, 102, 0, ("AF",), 2800),
    Exam(3, 100, 0, ("ST", "RBBB")),
    Exam(11, 105, 0, male="False", age="31"),
    Exam(5, 100, 1, ("SB",), 2801),
    Exam(2, 122, 1),
]


def tracing_mv(exam: int, samples: int) -> NDArray[np.float32]:
    """(samples, 12) millivolts; sample t of lead k is readable by eye."""
    t = np.arange(samples)[:, None]
    k = np.arange(12)[None, :]
    return (((t * 7 + k * 31 + exam * 101) % 2001 - 1000) / 1000.0).astype(np.float32)


def padded(exam: Exam) -> NDArray[np.float32]:
    """(4096, 12): zeros on both sides."""
    before = (4096 - exam.samples) // 2
    full = np.zeros((4096, 12), np.float32)
    full[before : before + exam.samples] = tracing_mv(exam.exam, exam.samples)
    return full


def write(root: Path, exams: list[Exam] = EXAMS) -> Path:
    """Write the table and its parts, each of which ends with a row of zeros."""
    root.mkdir(parents=True, exist_ok=True)
    write_table(root, [exam.cells() for exam in sorted(exams, key=lambda e: e.exam)])
    for part in sorted({exam.part for exam in exams}):
        own = [exam for exam in exams if exam.part == part]
        tracings = np.stack([*map(padded, own), np.zeros((4096, 12), np.float32)])
        write_part(root, part, [exam.exam for exam in own] + [0], tracings)
    return root


def write_table(root: Path, cells: list[list[str]]) -> None:
    with (root / "exams.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *cells])


def write_part(root: Path, part: int, exam_ids: list[int], tracings: NDArray[np.float32]) -> None:
    with h5py.File(root / f"exams_part{part}.hdf5", "w") as file:
        file["exam_id"] = np.array(exam_ids, np.int64)
        file["tracings"] = tracings
