"""Files of arrays that are damaged, old or incomplete are refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scaling.records.explained import ARRAYS, SCHEMA, Explained
from scaling.records.tables import ResultsError


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "explained.npz"
    path.write_bytes(b"PK\x03\x04 nothing of a zip file")
    with pytest.raises(ResultsError, match=r"explained\.npz: cannot be read"):
        Explained.read(path)
    with pytest.raises(FileNotFoundError):
        Explained.read(tmp_path / "nowhere.npz")


def test_another_version_or_a_lost_array_is_named(tmp_path: Path) -> None:
    path = tmp_path / "explained.npz"
    np.savez(path, schema=np.array(SCHEMA + 1))
    with pytest.raises(ResultsError, match="of another version"):
        Explained.read(path)
    there = {name: np.zeros(2) for name in ARRAYS if name != "tsne"}
    np.savez(path, schema=np.array(SCHEMA), features_0=np.zeros(2), **there)  # type: ignore[arg-type]
    with pytest.raises(ResultsError, match="no array tsne, features_1"):
        Explained.read(path)


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "explained.npz"
    np.savez(path, schema=np.array([{"any": "object"}], dtype=object))
    with pytest.raises(ResultsError, match="cannot be read"):
        Explained.read(path)
