"""One HDF5 dataset, and nothing outside its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from scaling.corpora.errors import CorpusError
from scaling.corpora.sources.read.arrays import open_dataset

Write = Callable[[h5py.File, Path], None]


def test_a_dataset_in_a_group(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["set/ecg"] = np.arange(6.0).reshape(2, 3)
    with open_dataset(tmp_path / "a.h5", "/set/ecg") as dataset:
        assert dataset[1].tolist() == [3.0, 4.0, 5.0]


def external_link(file: h5py.File, secret: Path) -> None:
    file["ecg"] = h5py.ExternalLink(str(secret), "ecg")


def external_group(file: h5py.File, secret: Path) -> None:
    file["set"] = h5py.ExternalLink(str(secret), "/")


def soft_link(file: h5py.File, secret: Path) -> None:
    file["away"] = h5py.ExternalLink(str(secret), "ecg")
    file["ecg"] = h5py.SoftLink("/away")


def external_storage(file: h5py.File, secret: Path) -> None:
    file.create_dataset("ecg", (4,), "u1", external=[(str(secret), 0, 4)])


def virtual(file: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource(str(secret), "ecg", (3,))
    file.create_virtual_dataset("ecg", layout)


def objects(file: h5py.File, secret: Path) -> None:
    file.create_dataset("ecg", data=["a", "b"], dtype=h5py.string_dtype())


def group(file: h5py.File, secret: Path) -> None:
    file["ecg/inner"] = [1.0]


def nothing(file: h5py.File, secret: Path) -> None:
    file["other"] = [1.0]


@pytest.mark.parametrize(
    ("write", "name", "message"),
    [
        (external_link, "ecg", "ecg is a link to somewhere else: not followed"),
        (external_group, "set/ecg", "is a link to somewhere else"),
        (soft_link, "ecg", "is a link to somewhere else"),
        (external_storage, "ecg", "the data of ecg lie in another file"),
        (virtual, "ecg", "the data of ecg lie in another file"),
        (objects, "ecg", "holds objects"),
        (group, "ecg", "ecg is a group of inner"),
        (nothing, "ecg", "has no dataset 'ecg'; there is other"),
        (nothing, "other/ecg", "has no dataset 'other/ecg'"),
    ],
)
def test_what_is_refused(tmp_path: Path, write: Write, name: str, message: str) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["ecg"] = [1.0, 2.0, 3.0]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write(file, tmp_path / "secret.h5")
    with pytest.raises(CorpusError, match=message), open_dataset(tmp_path / "a.h5", name):
        pass
    (tmp_path / "a.h5").unlink()  # and the file is closed again


def read(path: Path) -> None:
    with open_dataset(path, "ecg") as dataset:
        dataset[:]


def test_files_that_are_no_hdf5(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"a\.h5: no such file"):
        read(tmp_path / "a.h5")
    (tmp_path / "a.h5").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"a\.h5: is not an HDF5 file, or truncated"):
        read(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["ecg"] = np.zeros((100, 100))
    content = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(content[: len(content) // 2])
    with pytest.raises(CorpusError, match=r"a\.h5: is not an HDF5 file, or truncated"):
        read(tmp_path / "a.h5")
