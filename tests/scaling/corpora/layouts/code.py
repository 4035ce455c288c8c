"""A small CODE as its authors share it: MATLAB v4 files by SciPy, headers as text."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import scipy.io
from numpy.typing import NDArray

COLUMNS = [
    "id_exam", "id_patient", "date_exam", "sex", "age", "1dAVb", "RBBB", "LBBB", "SB", "AF", "ST",
]  # fmt: skip
LEADS = ["I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"]


@dataclasses.dataclass
class Exam:
    """One annotated exam and how many tracings it has."""

    exam: int
    patient: int
    positive: tuple[str, ...] = ()
    sex: str = "F"
    tracings: int = 1
    fs_hz: int = 400

    def cells(self) -> list[str]:
        flags = [str(int(name in self.positive)) for name in COLUMNS[5:]]
        return [str(self.exam), str(self.patient), "2012-03-04", self.sex, "61", *flags]

    def path(self, number: int = 1) -> str:
        return f"S{self.exam // 10_000 * 10_000:07d}/TNMG{self.exam}_N{number}"


EXAMS = [
    Exam(120_345, 11, ("AF", "LBBB"), tracings=3),
    Exam(9, 12, (), sex="M", fs_hz=600),
    Exam(10, 11, ("ST",)),
]
UNKNOWN = Exam(77, 0)  # recorded, but not annotated


def signal(exam: int, number: int, samples: int) -> NDArray[np.int16]:
    """(12, samples) in steps of 5 uV."""
    t = np.arange(samples)[None, :]
    k = np.arange(12)[:, None]
    return ((t * 3 + k * 19 + exam + number * 100) % 901 - 450).astype(np.int16)


def write(root: Path, exams: list[Exam] = EXAMS, folder: str = "wfdb") -> Path:
    """Write annotations, records and their list."""
    below = root / folder
    below.mkdir(parents=True, exist_ok=True)
    write_annotations(root, [exam.cells() for exam in exams])
    paths = []
    for exam in [UNKNOWN, *exams]:
        # The first tracing is not listed first.
        for number in range(exam.tracings, 0, -1):
            paths.append(exam.path(number))
            write_record(below / exam.path(number), exam, number)
    (below / "RECORDS.txt").write_text("\n".join(paths) + "\n")
    return root


def write_annotations(root: Path, cells: list[list[str]]) -> None:
    with (root / "annotations.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *cells])


def write_record(stem: Path, exam: Exam, number: int) -> None:
    steps = signal(exam.exam, number, exam.fs_hz * 7)
    stem.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(stem.with_name(stem.name + ".mat"), {"val": steps}, format="4")
    lines = [f"{stem.name} 12 {exam.fs_hz} {steps.shape[1]}"]
    for name, values in zip(LEADS, steps, strict=True):
        total = int(values.sum()) % 65536
        checksum = total - 65536 if total >= 32768 else total
        lines.append(f"{stem.name}.mat 16+24 200(0)/mV 16 0 {values[0]} {checksum} 0 {name}")
    stem.with_name(stem.name + ".hea").write_text("\n".join(lines) + "\n")
