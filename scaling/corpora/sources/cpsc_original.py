"""The original layout of CPSC 2018: ``REFERENCE.csv`` and one MATLAB struct for each record.

``A0001.mat`` holds a struct ``ECG`` with ``sex``, ``age`` and ``data``, (12 leads, samples) in
millivolts at 500 Hz; ``REFERENCE.csv`` gives one to three classes of a record by number.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from scaling.corpora.errors import CorpusError
from scaling.corpora.sources.read.amplitude import check_amplitude
from scaling.corpora.sources.read.base import CHUNK, Chunk, Recording, Rows
from scaling.corpora.sources.read.listed import Entry, ListedChunk, check_entries
from scaling.corpora.sources.read.remarked import RemarkedSource
from scaling.corpora.sources.read.tables import file_sizes, fingerprint, patient_number, read_table
from scaling.identity import LEADS

REFERENCE = "REFERENCE.csv"
FS_HZ = 500
# The organisers' numbers 1 to 9, by the names that are used for the Challenge's copy.
NUMBERS = ("NORM", "AFIB", "1AVB", "CLBBB", "CRBBB", "PAC", "VPC", "STD", "STE")
_COLUMNS = ("First_label", "Second_label", "Third_label")
_SEX = {"male": "male", "female": "female"}


def find_reference(root: Path) -> Path | None:
    """``REFERENCE.csv`` in the root, or in one of the folders that the archives unpack to."""
    found = (root / REFERENCE, *sorted(root.glob(f"*/{REFERENCE}")))
    return next((path for path in found if path.is_file()), None)


def open_original(
    root: Path, reference: Path, classes: tuple[str, ...], tables: tuple[bytes, ...]
) -> OriginalSource:
    """List the records; no signal is read, and every record is in ``train`` as yet.

    Args:
        root: holds the ``.mat`` files, at any depth.
        reference: path of ``REFERENCE.csv``.
        classes: class names in label order, those of ``NUMBERS``.
        tables: contents of further tables, for the fingerprint.

    Raises:
        CorpusError: rows that make no sense, a record that is there twice, or no record.
    """
    sizes = file_sizes(root, root, (".mat",))
    problems: list[str] = []
    places: dict[str, str] = {}
    for path in sizes:
        first = places.setdefault(PurePosixPath(path).stem, path)
        if first != path:
            problems.append(f"{root / path}: the same record as {root / first}")
    entries: list[Entry] = []
    absent = 0
    for where, row in read_table(reference, ("Recording", *_COLUMNS)):
        record = row["Recording"].strip()
        try:
            if not record:
                raise ValueError("Recording is empty")
            labels = {"": _labels(row, classes)}
        except ValueError as error:
            problems.append(f"{where}: {error}")
            continue
        if record in places:
            entries.append(Entry(record, patient_number(record), "train", labels, places[record]))
        absent += record not in places
    check_entries(entries, problems, str(reference))
    if not entries:
        raise CorpusError(f"{root}: none of the {absent} records of {reference} is there")
    unlisted = len(places) - len(entries)
    return OriginalSource(
        classes={"": classes},
        entries=tuple(entries),
        read=StructReader(root),
        fingerprint=fingerprint(
            (reference.read_bytes(), *tables), {e.where: sizes[e.where] for e in entries}
        ),
        absent=absent,
        left_out={f".mat file that is not in {REFERENCE}": unlisted} if unlisted else {},
    )


def _labels(row: dict[str, str], classes: tuple[str, ...]) -> tuple[int, ...]:
    """Indices of the classes of one row; ValueError says what is wrong with it."""
    found = set()
    for column in _COLUMNS:
        if text := row[column].strip():
            if text.removesuffix(".0") not in map(str, range(1, len(NUMBERS) + 1)):
                raise ValueError(f"{column} {text!r} is not a class from 1 to {len(NUMBERS)}")
            found.add(classes.index(NUMBERS[int(float(text)) - 1]))
    if not found:
        raise ValueError(f"record {row['Recording']} has no class")
    return tuple(sorted(found))


@dataclasses.dataclass(frozen=True, slots=True)
class Struct:
    """What one ``.mat`` file holds.

    Attributes:
        recording: the signal.
        age: years, None where unknown.
        sex: ``female``, ``male``, or None where unknown.
    """

    recording: Recording
    age: float | None
    sex: str | None


def read_struct(path: Path) -> Struct:
    """Read one ``.mat`` file of the original.

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
    return Struct(
        Recording(data.astype(np.float32), FS_HZ, LEADS), _age(fields["age"]), _SEX.get(sex)
    )


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

    def struct(self, entry: Entry) -> Struct:
        """Read the whole file; see ``read_struct``."""
        return read_struct(self.root / entry.where)

    def __call__(self, entry: Entry) -> Recording:
        """Read the signal."""
        return self.struct(entry).recording


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OriginalSource(RemarkedSource):
    """CPSC 2018 in its original layout; see ``base.Source``."""

    def chunks(self) -> list[Chunk]:
        """The present records in order."""
        starts = range(0, len(self.entries), CHUNK)
        parts: Sequence[tuple[Entry, ...]] = [self.entries[i : i + CHUNK] for i in starts]
        return [OriginalChunk(self.classes, part, self.read) for part in parts]


@dataclasses.dataclass(frozen=True, slots=True)
class OriginalChunk(ListedChunk):
    """Some entries, whose age and sex stand beside the signal and are read with it."""

    def read(self) -> tuple[Rows, Iterable[Recording | CorpusError]]:
        """Tables and recordings. The chunk's signals are in memory together: about 50 MB."""
        assert isinstance(self.reader, StructReader)
        structs = [_struct_or_error(self.reader, entry) for entry in self.entries]
        rows, _ = ListedChunk.read(self)
        people = [(None, None) if isinstance(s, CorpusError) else (s.age, s.sex) for s in structs]
        rows = dataclasses.replace(
            rows, ages=[age for age, _ in people], sexes=[sex for _, sex in people]
        )
        return rows, [s if isinstance(s, CorpusError) else s.recording for s in structs]


def _struct_or_error(reader: StructReader, entry: Entry) -> Struct | CorpusError:
    try:
        return reader.struct(entry)
    except CorpusError as error:
        return error
