"""Arrays of signals in .npy, .npz and HDF5 files, read row by row and never whole.

Nothing is unpickled: arrays of objects are refused. A member of an .npz is mapped where it
lies in the archive, which works as long as it is stored and not compressed. HDF5 can hold links,
raw data and virtual datasets that lie in any other file of the machine; all of these are refused,
and so are soft links, which may lead to one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import math
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from scaling.corpora.errors import CorpusError

if TYPE_CHECKING:
    import h5py
    import numpy as np
    from numpy.typing import NDArray

HDF5 = (".h5", ".hdf5", ".hdf")
_BLOCK_BYTES = 32 << 20  # of an HDF5 dataset read at once, in at most _BLOCK rows
_BLOCK = 32
_PROBES, _PROBE_BYTES = 64, 4096


@dataclasses.dataclass(frozen=True, slots=True)
class ArrayFile:
    """One array on disk, its first axis the records.

    Attributes:
        path: the file.
        dataset: key in an .npz, dataset in an HDF5 file, "" for an .npy.
    """

    path: Path
    dataset: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def row(self, index: int) -> NDArray[Any]:
        """One row, as stored.

        Raises:
            CorpusError: the file cannot be read, or changed its shape since it was opened.
        """
        if self.path.suffix.lower() not in HDF5:
            array = _mapped(self.path, self.dataset, _changed_ns(self.path))
            self._check(array.shape)
            row: NDArray[Any] = array[index]
            return row
        row, shape = dataset_row(self.path, self.dataset, index, _rows_at_once(self.shape))
        self._check(shape)
        return row

    def _check(self, shape: tuple[int, ...]) -> None:
        if shape != self.shape:
            raise CorpusError(f"{self.path}: is {shape} now, and was {self.shape}")


def open_array(path: Path, dataset: str) -> ArrayFile:
    """Look at the header of an array; no data are read.

    Args:
        path: .npy, .npz or HDF5 by its suffix.
        dataset: see ``ArrayFile``.

    Raises:
        CorpusError: absent, truncated, compressed where it must not be, not an array of
            numbers; another suffix, or a dataset where there is none to name.
    """
    suffix = path.suffix.lower()
    if suffix not in (".npy", ".npz", *HDF5):
        raise CorpusError(f"{path}: is not .npy, .npz, {', '.join(HDF5)} by its name")
    if (suffix == ".npy") == bool(dataset):
        need = "has no 'dataset' to name" if dataset else "needs the name of its 'dataset'"
        raise CorpusError(f"{path}: {need}")
    if suffix not in HDF5:
        shape, kind = (array := _map(path, dataset)).shape, array.dtype
    else:
        with open_dataset(path, dataset) as stored:
            shape, kind = stored.shape, stored.dtype
    if kind.kind not in "fiu":
        raise CorpusError(f"{path}: holds {kind}, not real numbers")
    return ArrayFile(path, dataset, tuple(int(n) for n in shape), kind)


def probe(path: Path) -> bytes:
    """SHA-256 of 64 pieces of 4 KiB spread over a file: cheap, and another for other signals.

    Raises:
        CorpusError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        last = max(0, path.stat().st_size - _PROBE_BYTES)
        with path.open("rb") as file:
            for i in range(_PROBES):
                file.seek(last * i // (_PROBES - 1))
                digest.update(file.read(_PROBE_BYTES))
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error})") from None
    return digest.digest()


def _changed_ns(path: Path) -> int:
    """When a file was changed last, so that what is kept of it is never of an older one."""
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error})") from None


def _rows_at_once(shape: tuple[int, ...]) -> int:
    return max(1, min(_BLOCK, _BLOCK_BYTES // max(1, 8 * math.prod(shape[1:]))))


def dataset_row(
    path: Path, dataset: str, index: int, at_once: int
) -> tuple[NDArray[Any], tuple[int, ...]]:
    """One row of an HDF5 dataset, read with those beside it, and the shape of the dataset.

    Args:
        path: the file.
        dataset: its name.
        index: of the row.
        at_once: consecutive rows that are read together and kept until others are.

    Raises:
        CorpusError: the file cannot be read.
    """
    start = index - index % at_once
    block, shape = _block(path, dataset, start, at_once, _changed_ns(path))
    return block[index - start], shape


@functools.lru_cache(maxsize=1)
def _block(
    path: Path, dataset: str, start: int, rows: int, changed_ns: int
) -> tuple[NDArray[Any], tuple[int, ...]]:
    """Some rows of an HDF5 dataset, and its shape."""
    with open_dataset(path, dataset) as stored:
        return stored[start : start + rows], tuple(stored.shape)


@functools.lru_cache(maxsize=4)
def _mapped(path: Path, dataset: str, changed_ns: int) -> NDArray[Any]:
    return _map(path, dataset)


def _map(path: Path, dataset: str) -> NDArray[Any]:
    """Map an .npy, or a member of an .npz, into memory."""
    try:
        with path.open("rb") as file:
            end = path.stat().st_size
            if dataset:
                end = _seek_member(file, path, dataset)
            return _map_npy(file, path, end)
    except FileNotFoundError:
        raise CorpusError(f"{path}: no such file") from None
    except CorpusError:
        raise
    except (OSError, ValueError, zipfile.BadZipFile, struct.error, NotImplementedError) as error:
        raise CorpusError(f"{path}: cannot be read ({error}); get it again") from None


def _seek_member(file: BinaryIO, path: Path, dataset: str) -> int:
    """Go to where a member's data begin; returns where they end."""
    with zipfile.ZipFile(file) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if dataset not in members:
        raise CorpusError(f"{path}: has no array {dataset!r}; there is {', '.join(members)}")
    info = members[dataset]
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        raise CorpusError(
            f"{path}: {dataset} is compressed, so its rows cannot be read one by one: write it "
            "again with numpy.savez, or as .npy with numpy.save"
        )
    file.seek(info.header_offset)
    # The local header of APPNOTE.TXT 4.3.7: 30 bytes that end in the lengths of two fields.
    signature, name_bytes, extra_bytes = struct.unpack("<4s22xHH", file.read(30))
    if signature != b"PK\3\4":
        raise zipfile.BadZipFile("no local header where the directory says")
    file.seek(name_bytes + extra_bytes, 1)
    return file.tell() + info.file_size


def _map_npy(file: BinaryIO, path: Path, end: int) -> NDArray[Any]:
    """Map the array whose .npy header begins where ``file`` stands."""
    import numpy as np
    from numpy.lib import format as npy

    try:
        version = npy.read_magic(file)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran_order, dtype = read(file)
    except Exception as error:  # the header is parsed as Python, and may fail in any way of it
        raise CorpusError(f"{path}: is no .npy array, or damaged ({error}); get it again") from None
    if dtype.hasobject:
        raise CorpusError(f"{path}: holds objects, which would have to be unpickled: refused")
    begin = file.tell()
    size = dtype.itemsize * math.prod(shape)
    if end - begin != size or end > path.stat().st_size or not size:
        raise CorpusError(
            f"{path}: {end - begin:,} bytes of data, but its header says {size:,} (shape {shape}): "
            "truncated or damaged; get it again"
        )
    mapped: NDArray[Any] = np.memmap(
        path, dtype, "r", begin, shape, order="F" if fortran_order else "C"
    )
    return mapped


@contextlib.contextmanager
def open_dataset(path: Path, name: str) -> Iterator[h5py.Dataset]:
    """Open a file for reading and give one of its datasets, whose rows are read when it is sliced.

    Args:
        path: the file.
        name: of the dataset, with ``/`` between groups.

    Raises:
        CorpusError: absent, not HDF5, truncated or damaged, no such dataset (names those there
            are), objects instead of numbers, or data that lie in another file.
    """
    import h5py

    try:
        file = h5py.File(path, "r")
    except FileNotFoundError:
        raise CorpusError(f"{path}: no such file") from None
    except OSError as error:
        raise CorpusError(
            f"{path}: is not an HDF5 file, or truncated ({error}); get it again"
        ) from None
    with file:
        try:
            yield _dataset(file, path, name)
        except (OSError, RuntimeError, KeyError) as error:
            raise CorpusError(f"{path}: {name} cannot be read ({error}); get it again") from None


def _dataset(file: h5py.File, path: Path, name: str) -> h5py.Dataset:
    import h5py

    item = file
    for step in (steps := name.strip("/").split("/")):
        if not isinstance(item, h5py.Group) or step not in item.keys():  # noqa: SIM118
            there = ", ".join(item.keys()) if isinstance(item, h5py.Group) else "nothing"
            raise CorpusError(f"{path}: has no dataset {name!r}; there is {there}")
        if not isinstance(item.get(step, getlink=True), h5py.HardLink):
            raise CorpusError(
                f"{path}: {'/'.join(steps)} is a link to somewhere else: not followed; copy the "
                "data into the file"
            )
        item = item[step]
    if not isinstance(item, h5py.Dataset):
        raise CorpusError(f"{path}: {name} is a group of {', '.join(item.keys())}")
    if item.is_virtual or item.external:
        raise CorpusError(f"{path}: the data of {name} lie in another file: not followed")
    if item.dtype.kind == "O":
        raise CorpusError(f"{path}: {name} holds objects, not numbers")
    return item
