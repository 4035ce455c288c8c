"""Open one dataset of an HDF5 file, and never another file behind it.

HDF5 can hold links, raw data and virtual datasets that lie in any other file of the machine;
all of these are refused, and so are soft links, which may lead to one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scaling.corpora.errors import CorpusError

if TYPE_CHECKING:
    import h5py


def open_dataset(path: Path, name: str) -> h5py.Dataset:
    """Open a file for reading and return one of its datasets.

    Rows are read when the dataset is sliced; a slice may raise OSError where the file is
    damaged. Close the file with ``dataset.file.close()``.

    Args:
        path: the file.
        name: of the dataset, with ``/`` between groups.

    Raises:
        CorpusError: absent, not HDF5 or truncated, no such dataset (names those there are),
            objects instead of numbers, or data that lie in another file.
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
    try:
        return _dataset(file, path, name)
    except (OSError, RuntimeError, KeyError) as error:
        file.close()
        raise CorpusError(f"{path}: {name} cannot be read ({error}); get it again") from None
    except CorpusError:
        file.close()
        raise


def _dataset(file: h5py.File, path: Path, name: str) -> h5py.Dataset:
    import h5py

    found = file
    for step in (steps := name.strip("/").split("/")):
        if not isinstance(found, h5py.Group) or step not in found.keys():  # noqa: SIM118
            there = ", ".join(found.keys()) if isinstance(found, h5py.Group) else "nothing"
            raise CorpusError(f"{path}: has no dataset {name!r}; there is {there}")
        if not isinstance(found.get(step, getlink=True), h5py.HardLink):
            raise CorpusError(
                f"{path}: {'/'.join(steps)} is a link to somewhere else: not followed; copy the "
                "data into the file"
            )
        found = found[step]
    if not isinstance(found, h5py.Dataset):
        raise CorpusError(f"{path}: {name} is a group of {', '.join(found.keys())}")
    if found.is_virtual or found.external:
        raise CorpusError(f"{path}: the data of {name} lie in another file: not followed")
    if found.dtype.kind == "O":
        raise CorpusError(f"{path}: {name} holds objects, not numbers")
    return found
