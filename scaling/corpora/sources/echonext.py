"""EchoNext 1.x in its official layout (Elias and Finer, PhysioNet echonext).

``echonext_metadata_100k.csv`` and ``EchoNext_{train,val,test,no_split}_waveforms.npy``, each
(records, 1, 2500, 12) at 250 Hz. What is easily got wrong:

- samples are standardised over the whole dataset, after a median filter and a clip at the 0.1
  and 99.9 percentiles: they have no unit, and none can be given back;
- row i of a split's array is the i-th of that split's rows in the table;
- ``no_split`` holds earlier records of validation and test patients: it is left out;
- a flag is 0 where its item was not measured. The measured values tell: the task ``flags``
  holds a record only if each of the eleven items is known, that is, flagged or measured. (The
  tricuspid jet was not measured in 55 % of records, the pulmonary pressure in 43 %.) The task
  ``shd``, any of the eleven, is as published, for all records;
- the release names no leads: their order is the usual one, by Einthoven's law.

``EchoNext_*_tabular_features.npy`` is not read. Its columns are sex, age, ventricular rate,
atrial rate, PR, QRS, QTc, not in the order its README gives.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from scaling.corpora.errors import CorpusError, RowProblems
from scaling.corpora.sources.read import tables
from scaling.corpora.sources.read.arrays import ArrayFile, open_array
from scaling.corpora.sources.read.base import Recording, check_amplitude
from scaling.corpora.sources.read.listed import Entry, ListedSource, check_entries
from scaling.identity import LEADS, CorpusSpec

FS_HZ = 250
SHAPE = (1, 2500, 12)
METADATA = ("echonext_metadata_100k.csv", "EchoNext_metadata_100k.csv")
SHD = "shd_moderate_or_greater_flag"
# Each flag, and the measurements it was made from.
FLAGS = {
    "lvef_lte_45_flag": ("lvef_value",),
    "lvwt_gte_13_flag": ("ivs_measurement", "lvpw_measurement"),
    "aortic_stenosis_moderate_or_greater_flag": ("aortic_stenosis_value",),
    "aortic_regurgitation_moderate_or_greater_flag": ("aortic_regurgitation_value",),
    "mitral_regurgitation_moderate_or_greater_flag": ("mitral_regurgitation_value",),
    "tricuspid_regurgitation_moderate_or_greater_flag": ("tricuspid_regurgitation_value",),
    "pulmonary_regurgitation_moderate_or_greater_flag": ("pulmonary_regurgitation_value",),
    "rv_systolic_dysfunction_moderate_or_greater_flag": ("rv_systolic_function_value",),
    "pericardial_effusion_moderate_large_flag": ("pericardial_effusion_value",),
    "pasp_gte_45_flag": ("pasp_value",),
    "tr_max_gte_32_flag": ("tr_max_velocity_value",),
}
CLASSES = {
    "shd": (SHD.removesuffix("_flag"),),
    "flags": tuple(name.removesuffix("_flag") for name in FLAGS),
}
NO_SPLIT = "records of no_split, which share patients with validation and test"
_SPLITS = {"train": "train", "val": "validation", "test": "test"}
# The table has words; the README says 0 and 1.
_SEXES = {"female": "female", "male": "male", "0": "female", "1": "male", "": None}
_VALUES = tuple(value for values in FLAGS.values() for value in values)
_COLUMNS = ("ecg_key", "patient_key", "split", "sex", "age_at_ecg", SHD, *FLAGS, *_VALUES)

Labels = dict[str, tuple[int, ...]]


@dataclasses.dataclass(frozen=True, slots=True)
class EchonextReader:
    """Reads the recording of an entry whose ``where`` is (split as published, row)."""

    arrays: dict[str, ArrayFile]

    def __call__(self, entry: Entry) -> Recording:
        """The recording, without a unit.

        Raises:
            CorpusError: the array cannot be read.
            UnusableError: values that are not standardised ones of an ECG.
        """
        import numpy as np

        split, row = entry.where
        array = self.arrays[split]
        stored_LT = array.row(row)[0].T
        check_amplitude(stored_LT, f"{array.path}: record {entry.record}")
        with np.errstate(over="ignore"):  # becomes infinite, which is refused as such
            signal_LT = np.ascontiguousarray(stored_LT, np.float32)
        return Recording(signal_LT, FS_HZ, LEADS, "1")


def open_source(spec: CorpusSpec, root: Path | None) -> ListedSource:
    """Read the table and the headers of the arrays; no signal is read.

    Args:
        spec: the corpus; nothing in it changes what is read.
        root: folder of the table and the arrays. Absent arrays are left out and counted.

    Raises:
        CorpusError: a missing table or column, a row that makes no sense, a patient in two
            splits, an array of another shape or length, or no array.
    """
    root = tables.existing(root, "EchoNext")
    path = next((root / name for name in METADATA if (root / name).is_file()), root / METADATA[0])
    entries, rows = _read_metadata(path)
    files = {split: f"EchoNext_{split}_waveforms.npy" for split in _SPLITS}
    arrays = {split: _open(root / f) for split, f in files.items() if (root / f).is_file()}
    if not arrays:
        raise CorpusError(f"{root}: none of {', '.join(files.values())} is here")
    for split, array in arrays.items():
        if array.shape[0] != rows[split]:
            raise CorpusError(
                f"{array.path}: {array.shape[0]} records, but {path.name} has {rows[split]} "
                f"rows of split {split}: row i of one is row i of the other; download both again"
            )
    kept = tuple(entry for entry in entries if entry.where[0] in arrays)
    return ListedSource(
        classes=CLASSES,
        entries=kept,
        read=EchonextReader(arrays),
        fingerprint=tables.fingerprint(
            [tables.table_digest(path)],
            {array.path.name: array.path.stat().st_size for array in arrays.values()},
        ),
        absent=len(entries) - len(kept),
        left_out={NO_SPLIT: rows["no_split"]},
    )


def _read_metadata(path: Path) -> tuple[list[Entry], dict[str, int]]:
    """Entries of the three splits, and the number of rows of every split."""
    entries: list[Entry] = []
    problems = RowProblems()
    rows = dict.fromkeys((*_SPLITS, "no_split"), 0)
    table = tables.read_columns(path, _COLUMNS, what=f"EchoNext needs {METADATA[0]} and its arrays")
    for line, (key, patient, split, sex, age, shd, *cells) in table:
        with problems.at(path, line):
            if split not in rows:
                raise ValueError(f"split {split!r} is none of {', '.join(rows)}")
            row = rows[split]
            rows[split] += 1
            if split == "no_split":
                continue
            if not key:
                raise ValueError("ecg_key is empty")
            if sex.lower() not in _SEXES:
                raise ValueError(f"sex {sex!r} is neither female nor male")
            who, labels = tables.patient_number(patient), _labels(shd, cells)
            known = (tables.years(age), _SEXES[sex.lower()])
            entries.append(Entry(key, who, _SPLITS[split], labels, (split, row), *known))
    check_entries(entries, problems, str(path))
    return entries, rows


def _labels(shd: str, cells: Sequence[str]) -> Labels:
    """Labels of one record from its cells in the order of ``FLAGS`` and ``_VALUES``.

    Raises:
        ValueError: a flag is neither 0 nor 1.
    """
    flagged = [tables.flag(cell) for cell in cells[: len(FLAGS)]]
    values = zip(_VALUES, cells[len(FLAGS) :], strict=True)
    measured = {name for name, cell in values if cell.strip().lower() not in ("", "nan")}
    labels: Labels = {"shd": (0,) if tables.flag(shd) else ()}
    items = zip(flagged, FLAGS.values(), strict=True)
    if all(raised or measured.issuperset(needed) for raised, needed in items):
        labels["flags"] = tuple(i for i, raised in enumerate(flagged) if raised)
    return labels


def _open(path: Path) -> ArrayFile:
    """Array of shape (records, 1, 2500, 12).

    Raises:
        CorpusError: not such an array, truncated, or longer than its header says.
    """
    array = open_array(path, "")
    if array.shape[1:] != SHAPE or array.dtype.kind != "f":
        raise CorpusError(
            f"{path}: {array.dtype} {array.shape}, not floating point of shape "
            "(records, 1, 2500, 12)"
        )
    return array
