"""Chapman-Shaoxing on figshare (Zheng et al., Scientific Data 7, 48, 2020), four rhythm groups.

``Diagnostics.xlsx`` and ``ECGData/*.csv``, or ``ECGDataDenoised/*.csv``: 5000 rows of 12 leads
at 500 Hz in microvolts. The unfiltered ``ECGData`` is read where it is there. Its files name
their leads in the first line; the denoised ones have no such line, and the order is I, II, III,
aVR, aVL, aVF, V1 to V6. One record of each patient. Eleven rhythms make four groups, as its
authors proposed; the splits are 8:1:1, stratified over the eleven.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scaling.corpora.errors import CorpusError, RowProblems
from scaling.corpora.sources.read import tables
from scaling.corpora.sources.read.base import Recording, check_amplitude
from scaling.corpora.sources.read.listed import Entry, ListedSource, check_entries, stratified
from scaling.identity import LEADS, CorpusSpec

DIAGNOSTICS = "Diagnostics.xlsx"
FOLDERS = ("ECGData", "ECGDataDenoised")
FS_HZ = 500
SAMPLES = 5000
MV_PER_UV = 1e-3
GROUPS = {  # sinus irregularity is SI in the first version of the sheet, SA in the second
    "AFIB": ("AFIB", "AF"),
    "GSVT": ("SVT", "AT", "SAAWR", "ST", "AVNRT", "AVRT"),
    "SB": ("SB",),
    "SR": ("SR", "SA", "SI"),
}
CLASSES = tuple(GROUPS)
_GROUP_OF = {rhythm: i for i, rhythms in enumerate(GROUPS.values()) for rhythm in rhythms}
_RHYTHMS = tuple(_GROUP_OF)
_COLUMNS = ("FileName", "Rhythm", "PatientAge", "Gender")
_SEX = {"MALE": "male", "FEMALE": "female"}


def open_source(spec: CorpusSpec, root: Path | None) -> ListedSource:
    """Read the sheet and list the files; no signal is read.

    Args:
        spec: any rate and window.
        root: folder that holds ``Diagnostics.xlsx``.

    Raises:
        CorpusError: missing folder, sheet or column; a row that makes no sense; no record.
    """
    root = tables.existing(root, "Chapman-Shaoxing")
    folder = next((name for name in FOLDERS if (root / name).is_dir()), None)
    if folder is None:
        raise CorpusError(f"{root}: holds neither {' nor '.join(FOLDERS)}: unpack one of them")
    sizes = tables.file_sizes(root / folder, root, (".csv",))
    path = root / DIAGNOSTICS
    listed, problems = [], RowProblems()
    for where, row in _rows(path):
        with problems.at(where):
            listed.append(_entry(row, folder))
    check_entries([entry for entry, _ in listed], problems, str(path))
    present = [(entry, rhythm) for entry, rhythm in listed if entry.where in sizes]
    if not present:
        raise CorpusError(f"{root / folder}: none of the {len(listed)} records of {path} is there")
    entries = stratified([e for e, _ in present], [(r,) for _, r in present], len(_RHYTHMS))
    used = {entry.where: sizes[entry.where] for entry in entries}
    return ListedSource(
        classes={"": CLASSES},
        entries=tuple(entries),
        read=CsvReader(root),
        fingerprint=tables.fingerprint((path.read_bytes(),), used),
        absent=len(listed) - len(present),
        left_out={f"file that is not in {DIAGNOSTICS}": len(sizes) - len(used)},
        remarks=(f"signals of {folder}", "split 8:1:1 by iterative stratification of the rhythms"),
    )


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of the sheet, each with its ``file:row``."""
    import openpyxl

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        with contextlib.closing(book):
            cells = list(book.worksheets[0].iter_rows(values_only=True))
    except FileNotFoundError:
        raise CorpusError(f"{path}: no such file; Chapman-Shaoxing needs it") from None
    except Exception as error:  # zip, zlib and XML raise whatever a damaged file leads them to
        raise CorpusError(
            f"{path}: is no Excel workbook ({type(error).__name__}: {error}); download it again"
        ) from None
    header = [str(name or "").strip() for name in next(iter(cells), ())]
    if absent := [name for name in _COLUMNS if name not in header]:
        raise CorpusError(f"{path}: column {', '.join(absent)} is missing")
    for number, row in enumerate(cells[1:], start=2):
        if any(cell is not None for cell in row):
            yield f"{path}:{number}", dict(zip(header, row, strict=False))


def _entry(row: dict[str, Any], folder: str) -> tuple[Entry, int]:
    """One row and the number of its rhythm; ValueError says what is wrong with it."""
    name = str(row["FileName"] or "").strip()
    if len(tables.inside(name).parts) != 1:
        raise ValueError(f"FileName {name!r} is not the name of a file")
    rhythm = str(row["Rhythm"] or "").strip().upper()
    if rhythm not in _GROUP_OF:
        raise ValueError(f"Rhythm {rhythm!r} is not one of {', '.join(_RHYTHMS)}")
    age = row["PatientAge"]
    entry = Entry(
        record=name,
        patient=tables.patient_number(name),
        split="train",
        labels={"": (_GROUP_OF[rhythm],)},
        where=f"{folder}/{name}.csv",
        age=float(age) if isinstance(age, int | float) and age >= 0 else None,
        sex=_SEX.get(str(row["Gender"]).strip().upper()),
    )
    return entry, _RHYTHMS.index(rhythm)


@dataclasses.dataclass(frozen=True, slots=True)
class CsvReader:
    """Reads entries whose ``where`` is the path of a CSV below the root."""

    root: Path

    def __call__(self, entry: Entry) -> Recording:
        """Read one record.

        Raises:
            CorpusError: names the file: unreadable, a cell that is no number, or not 5000 rows
                of 12 leads.
            UnusableError: values that no ECG has in microvolts.
        """
        import numpy as np

        path = self.root / entry.where
        try:
            with path.open(encoding="utf-8-sig") as file:
                names = tuple(name.strip() for name in file.readline().split(","))
                named = not _is_number(names[0])
                if not named:
                    file.seek(0)
                lines = [line for line in file if line.strip()]
            signal_TL = np.loadtxt(lines, np.float64, delimiter=",", ndmin=2) if lines else None
        except (OSError, ValueError) as error:
            raise CorpusError(f"{path}: cannot be read ({error})") from None
        leads = names if named else LEADS
        if signal_TL is None or signal_TL.shape[1] != len(LEADS) or len(leads) != len(LEADS):
            raise CorpusError(f"{path}: not a table of 12 leads: truncated; unpack it again")
        if len(signal_TL) != SAMPLES:
            raise CorpusError(
                f"{path}: {len(signal_TL)} rows of samples, not {SAMPLES}: truncated or damaged; "
                "unpack it again"
            )
        signal_LT = signal_TL.T * MV_PER_UV
        check_amplitude(signal_LT, str(path))
        return Recording(signal_LT.astype(np.float32), FS_HZ, leads)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
