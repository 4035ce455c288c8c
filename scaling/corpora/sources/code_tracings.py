"""The HDF5 tracings of CODE-15 and CODE-test: (records, 4096, 12) at 400 Hz, in millivolts.

Recordings of 7 to 10 s were padded with zeros on both sides to 4,096 samples; the padding is
taken off again, so that a preset decides what becomes of a short recording. The READMEs
speak of a scale of 1e-4 V, but the values are millivolts.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.corpora.errors import CorpusError, UnusableError
from scaling.corpora.sources.read.amplitude import check_amplitude
from scaling.corpora.sources.read.listed import Entry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scaling.corpora.sources.read.base import Recording

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

        from scaling.corpora.sources.read.base import Recording

        name, row = entry.where
        path = self.root / name
        offset = row % BLOCK
        signal_TL = _block(path, row - offset, _changed_ns(path))[offset]
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
    from scaling.corpora.sources.read.hdf5 import open_dataset

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

    from scaling.corpora.sources.read.hdf5 import open_dataset

    rows = count_tracings(path)
    dataset = open_dataset(path, "exam_id")
    try:
        if dataset.shape != (rows,) or dataset.dtype.kind not in "iu":
            raise CorpusError(
                f"{path}: exam_id is {dataset.dtype} {dataset.shape}, but tracings has {rows} rows"
            )
        return np.asarray(dataset[:], np.int64)
    except (OSError, RuntimeError) as error:
        raise _damaged(path, error) from None
    finally:
        dataset.file.close()


def _changed_ns(path: Path) -> int:
    """When the file was changed last, so that a cached block is never one of an older file."""
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise _damaged(path, error) from None


@functools.lru_cache(maxsize=1)
def _block(path: Path, start: int, changed_ns: int) -> NDArray[Any]:
    """Rows ``start`` to ``start + BLOCK`` (fewer at the end) in one read."""
    from scaling.corpora.sources.read.hdf5 import open_dataset

    dataset = open_dataset(path, "tracings")
    try:
        block_NTL: NDArray[Any] = dataset[start : start + BLOCK]
    except (OSError, RuntimeError) as error:
        raise _damaged(path, error) from None
    finally:
        dataset.file.close()
    return block_NTL


def _damaged(path: Path, error: Exception) -> CorpusError:
    return CorpusError(f"{path}: cannot be read ({error}); download it again")
