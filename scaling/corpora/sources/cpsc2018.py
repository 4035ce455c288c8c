"""CPSC 2018 (Liu et al., J. Med. Imaging Health Inform. 8, 2018): 6,877 records, nine classes.

Two layouts, told apart by what is under the root. The copy of the PhysioNet Challenges: WFDB
headers with SNOMED CT codes, in ``g1``, ``g2``, ... or in one folder. The original:
``A0001.mat`` and so on, each a struct ``ECG`` with ``sex``, ``age`` and ``data`` in millivolts
at 500 Hz, and ``REFERENCE.csv`` with up to three classes of a record by number. A record may
have several classes.

With MERL's ``icbeb_train.csv``, ``_val`` and ``_test`` (or ``cpsc2018_*.csv``) in the root or in
``splits`` that split is used; without them the same shares, by iterative stratification.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from scaling.corpora.errors import CorpusError, RowProblems
from scaling.corpora.sources.read import tables
from scaling.corpora.sources.read.base import Recording, Rows, check_amplitude
from scaling.corpora.sources.read.headers import class_index, positives, read_headers, unusual_gains
from scaling.corpora.sources.read.listed import (
    IN_SHARES,
    NO_PATIENTS,
    Entry,
    ListedChunk,
    ListedSource,
    PublishedSplit,
    check_entries,
    published_split,
    stratified,
)
from scaling.corpora.sources.read.wfdb16 import RecordReader
from scaling.identity import LEADS, CorpusSpec

CODES = {  # class -> its code in the Challenge's copy; PVC is not one of the scored codes
    "AFIB": ("164889003",),
    "VPC": ("164884008",),
    "NORM": ("426783006",),
    "1AVB": ("270492004",),
    "CRBBB": ("59118001",),
    "STE": ("164931005",),
    "PAC": ("284470004",),
    "CLBBB": ("164909002",),
    "STD": ("429622005",),
}
CLASSES = tuple(CODES)
SHARES = (4950 / 6877, 551 / 6877, 1376 / 6877)


def open_source(spec: CorpusSpec, root: Path | None) -> ListedSource:
    """Read the headers, or ``REFERENCE.csv``; no signal is read.

    Args:
        spec: any rate and window.
        root: see the module.

    Raises:
        CorpusError: no such folder, neither or both of the layouts, or tables, headers or a
            split that cannot be used.
    """
    root = tables.existing(root, "CPSC 2018")
    published = published_split(root, ("cpsc2018", "icbeb"), "filename")
    split_files = published.tables if published else ()
    # In the root, or in one of the folders that the archives unpack to.
    candidates = (root / REFERENCE, *sorted(root.glob(f"*/{REFERENCE}")))
    reference = next((path for path in candidates if path.is_file()), None)
    wfdb = bool(tables.file_sizes(root, root, (".hea",)))
    if wfdb == bool(reference):
        which = f"both WFDB headers and {REFERENCE}" if wfdb else f"no header and no {REFERENCE}"
        raise CorpusError(f"{root}: has {which}; give the folder of one copy of CPSC 2018")
    if reference:
        source = _open_original(root, reference, split_files)
    else:
        source = _open_challenge(root, split_files)
    return dataclasses.replace(
        source,
        entries=_split(source.entries, published, root),
        remarks=("" if published else IN_SHARES, NO_PATIENTS, *(source.remarks or ())),
    )


def _split(
    entries: Sequence[Entry], published: PublishedSplit | None, root: Path
) -> tuple[Entry, ...]:
    """Entries with the published split, or a stratified one."""
    if published is None:
        strata = [entry.labels[""] for entry in entries]
        return tuple(stratified(entries, strata, len(CLASSES), SHARES))
    if missing := [e.record for e in entries if e.record not in published.splits]:
        raise CorpusError(
            f"{root}: {len(missing)} records are in none of the three files of the split, such as "
            f"{missing[0]}: the split is of another set; take its files away, or restore them"
        )
    return tuple(dataclasses.replace(e, split=published.splits[e.record]) for e in entries)


def _open_challenge(root: Path, split_files: tuple[bytes, ...]) -> ListedSource:
    headers = read_headers(root, root, tables=split_files)
    index = class_index(CODES)
    entries, problems = [], []
    for record in headers.records:
        labels = positives(record.codes, index)
        if not labels:
            problems.append(
                f"{root / record.stem}.hea: #Dx {','.join(record.codes) or 'is empty'} has none of "
                "the nine classes, so this is no record of CPSC 2018"
            )
        entries.append(record.entry({"": labels}))
    check_entries(entries, problems, str(root))
    return ListedSource(
        classes={"": CLASSES},
        entries=tuple(entries),
        read=RecordReader(root),
        fingerprint=headers.fingerprint,
        absent=headers.absent,
        left_out=headers.left_out,
        remarks=(unusual_gains(headers.records),),
    )


REFERENCE = "REFERENCE.csv"
FS_HZ = 500
# The organisers' numbers 1 to 9, by the names that are used for the Challenge's copy.
NUMBERS = ("NORM", "AFIB", "1AVB", "CLBBB", "CRBBB", "PAC", "VPC", "STD", "STE")
_COLUMNS = ("First_label", "Second_label", "Third_label")
_SEX = {"male": "male", "female": "female"}


def _open_original(root: Path, reference: Path, split_files: tuple[bytes, ...]) -> ListedSource:
    """List the ``.mat`` files, at any depth; every record is in ``train`` as yet."""
    sizes = tables.file_sizes(root, root, (".mat",))
    problems = RowProblems()
    places: dict[str, str] = {}
    for path in sizes:
        first = places.setdefault(PurePosixPath(path).stem, path)
        if first != path:
            problems.append(f"{root / path}: the same record as {root / first}")
    entries: list[Entry] = []
    absent = 0
    for where, row in tables.read_table(reference, ("Recording", *_COLUMNS)):
        record = row["Recording"].strip()
        with problems.at(where):
            if not record:
                raise ValueError("Recording is empty")
            labels, place = {"": _labels(row)}, places.get(record)
            if place is not None:
                entries.append(Entry(record, tables.patient_number(record), "train", labels, place))
            absent += place is None
    check_entries(entries, problems, str(reference))
    if not entries:
        raise CorpusError(f"{root}: none of the {absent} records of {reference} is there")
    return ListedSource(
        classes={"": CLASSES},
        entries=tuple(entries),
        read=StructReader(root),
        fingerprint=tables.fingerprint(
            (reference.read_bytes(), *split_files), {e.where: sizes[e.where] for e in entries}
        ),
        absent=absent,
        left_out={f".mat file that is not in {REFERENCE}": len(places) - len(entries)},
        chunk=OriginalChunk,
    )


def _labels(row: dict[str, str]) -> tuple[int, ...]:
    """Indices of the classes of one row; ValueError says what is wrong with it."""
    indices = set()
    for column in _COLUMNS:
        if text := row[column].strip():
            if text.removesuffix(".0") not in map(str, range(1, len(NUMBERS) + 1)):
                raise ValueError(f"{column} {text!r} is not a class from 1 to {len(NUMBERS)}")
            indices.add(CLASSES.index(NUMBERS[int(float(text)) - 1]))
    if not indices:
        raise ValueError(f"record {row['Recording']} has no class")
    return tuple(sorted(indices))


def read_struct(path: Path) -> tuple[Recording, float | None, str | None]:
    """Signal, age in years and sex of one ``.mat`` file of the original, None where unknown.

    Raises:
        CorpusError: names the file: unreadable, or not the struct described above.
        UnusableError: values that no ECG has in millivolts.
    """
    import numpy as np
    from scipy.io import loadmat

    try:
        value = loadmat(path, variable_names=["ECG"])["ECG"]
        fields = {name: value[name][0, 0] for name in ("sex", "age", "data")}
    except Exception as error:  # SciPy raises whatever a damaged file leads it to
        raise CorpusError(
            f"{path}: no MATLAB struct ECG with sex, age and data "
            f"({type(error).__name__}: {error}): download it again"
        ) from None
    data = fields["data"]
    if not isinstance(data, np.ndarray) or data.dtype.kind not in "fiu" or data.ndim != 2:
        raise CorpusError(f"{path}: ECG.data is no matrix of numbers")
    if data.shape[0] != len(LEADS) or not data.shape[1]:
        raise CorpusError(f"{path}: ECG.data is {data.shape[0]} x {data.shape[1]}, not 12 leads")
    check_amplitude(data, str(path))
    sex = "".join(np.asarray(fields["sex"]).astype(str).ravel()).strip().lower()
    recording = Recording(data.astype(np.float32), FS_HZ, LEADS)
    return recording, _age(fields["age"]), _SEX.get(sex)


def _age(value: Any) -> float | None:
    """Years; None where the file has no number or NaN."""
    import numpy as np

    number = np.asarray(value)
    if number.dtype.kind not in "fiu" or number.size != 1 or not math.isfinite(number.item()):
        return None
    return float(number.item()) if number.item() >= 0 else None


@dataclasses.dataclass(frozen=True, slots=True)
class StructReader:
    """Reads entries whose ``where`` is the path of a ``.mat`` file below the root."""

    root: Path

    def __call__(self, entry: Entry) -> Recording:
        """Read the signal; see ``read_struct``."""
        return read_struct(self.root / entry.where)[0]


@dataclasses.dataclass(frozen=True, slots=True)
class OriginalChunk(ListedChunk):
    """Some entries, whose age and sex stand beside the signal and are read with it."""

    def read(self) -> tuple[Rows, Iterable[Recording | CorpusError]]:
        """Tables and recordings. The chunk's signals are in memory together: about 50 MB."""
        assert isinstance(self.reader, StructReader)
        rows, _ = ListedChunk.read(self)
        recordings: list[Recording | CorpusError] = []
        for i, entry in enumerate(self.entries):
            try:
                recording, rows.ages[i], rows.sexes[i] = read_struct(self.reader.root / entry.where)
                recordings.append(recording)
            except CorpusError as error:
                recordings.append(error)
        return rows, recordings
