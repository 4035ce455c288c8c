"""A small MIMIC-IV-ECG with both label tables, written by wfdb and csv."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import wfdb
from numpy.typing import NDArray

LEADS = ["I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6"]
LIST_COLUMNS = ["subject_id", "study_id", "file_name", "ecg_time", "path"]
DIAGNOSES_COLUMNS = [
    "", "file_name", "study_id", "subject_id", "ecg_time", "ed_diag_ed", "all_diag_hosp",
    "all_diag_all", "gender", "age", "fold", "strat_fold",
]  # fmt: skip
TARGETS = [
    "severe_hypoxemia", "icu_24h", "icu_stay", "mortality_1d", "mortality_7d", "mortality_28d",
    "mortality_90d", "mortality_180d", "mortality_365d", "mortality_stay",
]  # fmt: skip
OUTCOME_COLUMNS = [
    "general_subject_id", "general_study_id", "general_data", "general_strat_fold",
    "demographics_age", *(f"deterioration_{name}" for name in TARGETS),
]  # fmt: skip


@dataclasses.dataclass
class Study:
    """One record and what the two tables say of it; None where a table lacks it."""

    subject: int
    study: int
    fold: str | None = None
    codes: str = "[]"
    gender: str = "F"
    age: str = "52.0"
    outcomes: str | None = None  # one character a target: 0, 1, or - for missing
    outcome_fold: str = ""

    def path(self) -> str:
        who = str(self.subject)
        return f"files/p{who[:4]}/p{who}/s{self.study}/{self.study}"

    def list_cells(self) -> list[str]:
        when = "2180-07-23 08:44:00"
        return [str(self.subject), str(self.study), str(self.study), when, self.path()]

    def diagnosis_cells(self) -> list[str]:
        # all_diag_hosp holds other codes: the benchmark's labels are those of all_diag_all.
        return [
            "0", f"mimic-iv-ecg/{self.path()}", str(self.study), str(self.subject),
            "2180-07-23 08:44:00", "[]", "['Z9999']", self.codes, self.gender, self.age, "0",
            self.fold or "",
        ]  # fmt: skip

    def outcome_cells(self) -> list[str]:
        values = [{"-": "-999.0"}.get(c, f"{c}.0") for c in self.outcomes or ""]
        return [
            str(self.subject), str(self.study), "7", self.outcome_fold, "52", *values,
        ]  # fmt: skip


STUDIES = [
    Study(10000032, 40689238, "3", "['I4819', 'E785', 'I10']", outcomes="0110011110",
          outcome_fold="3"),
    Study(10000032, 44458630, "3", "[]", outcomes="-10000000-", outcome_fold="3"),
    Study(10000117, 48831784, "18", "['I4891', 'W19XXXA', 'I10']", "M"),
    Study(10000285, 46989724, "19", "['I10', 'E7800']", "M", "71.0", "00-0000000", "4"),
    Study(10000690, 47330122, None, outcomes="0010000001", outcome_fold="19.0"),
    Study(10000764, 42804971, None),
    Study(10000826, 49036311, "0", "['Q999']", "", ""),
]  # fmt: skip


def signal_mv(study: int) -> NDArray[np.float64]:
    """(5000, 12) millivolts in steps of 5 uV, some samples missing in V1."""
    t = np.arange(5000)[:, None]
    k = np.arange(12)[None, :]
    signal = ((t * 3 + k * 23 + study % 1000) % 801 - 400) / 200.0
    signal[100:103, 6] = np.nan
    return signal


def write(root: Path, studies: list[Study] = STUDIES, labels: str = "labels") -> Path:
    """Write records, their list and the label tables."""
    (root / labels).mkdir(parents=True, exist_ok=True)
    write_table(root / "record_list.csv", LIST_COLUMNS, [s.list_cells() for s in studies])
    (root / "machine_measurements.csv").write_text("subject_id,study_id,rr_interval\n1,2,65535\n")
    write_labels(root / labels, studies)
    for study in studies:
        write_record(root, study)
    return root


def write_labels(folder: Path, studies: list[Study]) -> None:
    rows = [s.diagnosis_cells() for s in studies if s.fold is not None]
    write_table(folder / "records_w_diag_icd10.csv", DIAGNOSES_COLUMNS, rows)
    rows = [s.outcome_cells() for s in studies if s.outcomes is not None]
    write_table(folder / "mds_ed.csv", OUTCOME_COLUMNS, rows)


def write_table(path: Path, columns: list[str], rows: list[list[str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def write_record(root: Path, study: Study) -> None:
    folder = (root / study.path()).parent
    folder.mkdir(parents=True, exist_ok=True)
    wfdb.wrsamp(
        str(study.study), fs=500, units=["mV"] * 12, sig_name=LEADS,
        p_signal=signal_mv(study.study), fmt=["16"] * 12, adc_gain=[200.0] * 12,
        baseline=[0] * 12, write_dir=str(folder),
    )  # fmt: skip
