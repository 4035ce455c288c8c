"""What the CODE datasets share: six abnormalities, and the HDF5 tracings of CODE-15 and CODE-test.

The order of the abnormalities is that of Ribeiro et al., Nature Communications 11, 1760 (2020):
SB, AF, ST. The table of CODE-15 has them as SB, ST, AF; columns are therefore taken by name. A
record without any of the six is a valid negative. It need not be normal: most carry other findings,
and CODE-15 marks only 134,657 of 308,004 as ``normal_ecg``.

Tracings are (records, 4096, 12) at 400 Hz, in millivolts. Recordings of 7 to 10 s were padded with
zeros on both sides to 4,096 samples; the padding is taken off again, so that a preset decides what
becomes of a short recording. The READMEs speak of a scale of 1e-4 V, but the values are millivolts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.corpora.errors import CorpusError, UnusableError
from scaling.corpora.sources.read.arrays import dataset_row, open_dataset
from scaling.corpora.sources.read.base import Recording, check_amplitude
from scaling.corpora.sources.read.listed import Entry
from scaling.corpora.sources.read.tables import flag

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLASSES = ("1dAVb", "RBBB", "LBBB", "SB", "AF", "ST")
SEXES = {"F": "female", "M": "male", "": None}

# Millions of records share these few dictionaries.
_SHARED: dict[tuple[int, ...], dict[str, tuple[int, ...]]] = {}


def code_labels(cells: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Labels of an ``Entry`` from the six cells in the order of ``CLASSES``.

    Raises:
        ValueError: a cell that is neither yes nor no, by class.
    """
    positives = []
    for i, (name, cell) in enumerate(zip(CLASSES, cells, strict=True)):
        try:
            if flag(cell):
                positives.append(i)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    indices = tuple(positives)
    return _SHARED.setdefault(indices, {"": indices})


FS_HZ = 400
SAMPLES = 4096
N_LEADS = 12
BLOCK = 32  # consecutive rows read at once: 6 MB
EDGE = 4  # samples, 10 ms: how far two sides of the same padding may differ


@dataclasses.dataclass(frozen=True, slots=True)
class TracingsReader:
    """Reads the recording of an entry whose ``where`` is (file name, row).

    Attributes:
        root: folder of the files.
        leads: lead names in the order of the last axis.
    """

    root: Path
    leads: tuple[str, ...]

    def __call__(self, entry: Entry) -> Recording:
        """The recording without its padding.

        Raises:
            CorpusError: the file cannot be read.
            UnusableError: nothing but zeros, or values that no ECG has.
        """
        import numpy as np

        name, row = entry.where
        path = self.root / name
        signal_TL, _ = dataset_row(path, "tracings", row, BLOCK)
        start, stop = unpadded(signal_TL)
        where = f"{path}: record {entry.record} (row {row})"
        if start == stop:
            raise UnusableError(f"{where} holds only zeros")
        check_amplitude(signal_TL[start:stop].T, where)
        signal_LT = np.ascontiguousarray(signal_TL[start:stop].T, np.float32)
        return Recording(signal_LT, FS_HZ, self.leads)


def unpadded(signal_TL: NDArray[Any]) -> tuple[int, int]:
    """First sample of the recording, and the one after its last, within its zero padding.

    The padding is as long on both sides, give or take one. A recording may itself begin or
    end with zeros: where both sides agree within ``EDGE`` samples, the shorter one is the
    padding. Otherwise the longer side holds more than padding, and all its zeros go.

    Args:
        signal_TL: (samples, leads).
    """
    import numpy as np

    sounding = np.flatnonzero((signal_TL != 0).any(axis=1))
    if not len(sounding):
        return 0, 0
    samples = len(signal_TL)
    before, after = int(sounding[0]), samples - 1 - int(sounding[-1])
    if abs(before - after) <= EDGE:
        before = after = min(before, after)
    return before, samples - after


def count_tracings(path: Path) -> int:
    """Number of rows of ``tracings``, after a check of its shape.

    Raises:
        CorpusError: not HDF5, truncated, without such a dataset, or of another shape or type.
    """
    dataset = open_dataset(path, "tracings")
    try:
        if (
            dataset.ndim != 3
            or dataset.shape[1:] != (SAMPLES, N_LEADS)
            or dataset.dtype.kind != "f"
        ):
            raise CorpusError(
                f"{path}: tracings is {dataset.dtype} {dataset.shape}, not floating point of "
                f"shape (records, {SAMPLES}, {N_LEADS})"
            )
        return int(dataset.shape[0])
    finally:
        dataset.file.close()


def read_exam_ids(path: Path) -> NDArray[Any]:
    """(records,) int64 ids of the rows of a part.

    Raises:
        CorpusError: no such dataset, or not one whole number for each row of ``tracings``.
    """
    import numpy as np

    rows = count_tracings(path)
    dataset = open_dataset(path, "exam_id")
    try:
        if dataset.shape != (rows,) or dataset.dtype.kind not in "iu":
            raise CorpusError(
                f"{path}: exam_id is {dataset.dtype} {dataset.shape}, but tracings has {rows} rows"
            )
        return np.asarray(dataset[:], np.int64)
    except (OSError, RuntimeError) as error:
        raise CorpusError(f"{path}: cannot be read ({error}); download it again") from None
    finally:
        dataset.file.close()
