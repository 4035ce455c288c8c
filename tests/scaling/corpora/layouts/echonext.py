"""A small EchoNext in its official layout, written by csv and NumPy."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FLAGS = [
    "lvef_lte_45_flag", "lvwt_gte_13_flag", "aortic_stenosis_moderate_or_greater_flag",
    "aortic_regurgitation_moderate_or_greater_flag",
    "mitral_regurgitation_moderate_or_greater_flag",
    "tricuspid_regurgitation_moderate_or_greater_flag",
    "pulmonary_regurgitation_moderate_or_greater_flag",
    "rv_systolic_dysfunction_moderate_or_greater_flag",
    "pericardial_effusion_moderate_large_flag", "pasp_gte_45_flag", "tr_max_gte_32_flag",
    "shd_moderate_or_greater_flag",
]  # fmt: skip
VALUES = {
    "aortic_stenosis_value": "presumed none", "aortic_regurgitation_value": "none",
    "mitral_regurgitation_value": "mild", "tricuspid_regurgitation_value": "none",
    "pulmonary_regurgitation_value": "none", "rv_systolic_function_value": "normal",
    "pericardial_effusion_value": "none", "ivs_measurement": "0.9", "lvpw_measurement": "0.8",
    "pasp_value": "28.0", "tr_max_velocity_value": "2.1", "lvef_value": "60.0",
}  # fmt: skip
COLUMNS = [
    "", "ecg_key", "patient_key", "acquisition_year", "sex", "ventricular_rate", "age_at_ecg",
    *VALUES, *FLAGS, "split",
]  # fmt: skip


@dataclasses.dataclass
class Ecg:
    """One row: raised flags, and values that were not measured."""

    key: str
    patient: str
    split: str
    flags: tuple[str, ...] = ()
    unmeasured: tuple[str, ...] = ()
    sex: str = "female"
    age: str = "67"

    def cells(self) -> list[str]:
        values = ["" if name in self.unmeasured else text for name, text in VALUES.items()]
        flags = [str(int(name in self.flags)) for name in FLAGS]
        return [
            "0", self.key, self.patient, "2015", self.sex, "71", self.age, *values, *flags,
            self.split,
        ]  # fmt: skip


SHD = "shd_moderate_or_greater_flag"
ECGS = [  # the splits are mixed: the row of an array counts only its own split
    Ecg("e1", "11", "test", (SHD, "pasp_gte_45_flag", "lvef_lte_45_flag")),
    Ecg("e2", "12", "train"),
    Ecg("e3", "11", "no_split", (SHD,)),
    Ecg("e4", "13", "train", (), ("tr_max_velocity_value",), sex="male", age=""),
    Ecg("e5", "14", "val"),
    Ecg("e6", "12", "train", (SHD, "lvwt_gte_13_flag"), ("lvpw_measurement",)),
]


def wave(row: int) -> NDArray[np.float64]:
    """(1, 2500, 12), without a unit."""
    t = np.arange(2500)[:, None]
    k = np.arange(12)[None, :]
    return (((t * 5 + k * 37 + row * 400) % 1201 - 600) / 100.0)[None]


def write(root: Path, ecgs: list[Ecg] = ECGS) -> Path:
    """Write the table and an array for each split."""
    root.mkdir(parents=True, exist_ok=True)
    write_table(root, [ecg.cells() for ecg in ecgs])
    for split in ("train", "val", "test", "no_split"):
        rows = sum(ecg.split == split for ecg in ecgs)
        write_array(root, split, np.stack([wave(row) for row in range(rows)]))
    # Features in their true order, which no test may need.
    np.save(root / "EchoNext_train_tabular_features.npy", np.zeros((3, 7)))
    return root


def write_table(root: Path, cells: list[list[str]]) -> None:
    with (root / "echonext_metadata_100k.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *cells])


def write_array(root: Path, split: str, array: NDArray[np.generic]) -> None:
    np.save(root / f"EchoNext_{split}_waveforms.npy", array)
