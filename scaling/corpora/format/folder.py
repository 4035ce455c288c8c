"""The files of a prepared corpus: their names, and how they are sealed and checked.

Besides ``corpus.json``, which holds what the corpus is and the size and SHA-256 of every other
file, a folder holds
``signals.npy`` (int16, records x leads x samples), ``records.parquet`` (one row a record:
ids, split, age, sex, quality), ``dropped.csv`` (records left out, with the reason),
``r_peaks.npy`` (int32, all records end to end) and ``r_peaks-offsets.npy`` (int64, records + 1),
``signatures.npy`` (uint64, records x 4), ``quality.csv`` and ``quality.html``, and for each task
``labels-<task>.npy`` (uint8, records x classes) and ``valid-<task>.npy`` (bool, records). A
source's only task has no name: ``labels.npy``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.corpora.errors import CorpusError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = 2
INFO, SIGNALS, RECORDS, DROPPED = "corpus.json", "signals.npy", "records.parquet", "dropped.csv"
R_PEAKS, R_PEAK_OFFSETS, SIGNATURES = "r_peaks.npy", "r_peaks-offsets.npy", "signatures.npy"
QUALITY, PAGE = "quality.csv", "quality.html"
BLOCK = 65_536  # records whose labels are looked at at a time
AGAIN = "delete the folder and prepare it again"


def task_file(kind: str, task: str) -> str:
    """File name of a task's ``labels`` or ``valid`` array."""
    return f"{kind}-{task}.npy" if task else f"{kind}.npy"


def signal_bytes(records: int, leads: int, samples: int) -> int:
    """Bytes of the signals of a corpus, for plans and free-space checks."""
    return 2 * records * leads * samples


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(folder: Path, info: dict[str, Any], files: dict[str, Any] | None = None) -> dict[str, Any]:
    """Sync every file of the folder and write ``corpus.json`` with their sizes and hashes.

    Args:
        folder: all files written.
        info: what the corpus is; ``files`` and ``sha256`` are filled in.
        files: entries of files hashed by an earlier call and not changed since.

    Returns:
        ``info`` as written.
    """
    known = dict(files or {})
    for path in sorted(p for p in folder.iterdir() if p.name not in known and p.name != INFO):
        sync(path)
        known[path.name] = {"bytes": path.stat().st_size, "sha256": digest(path)}
    info = info | {"files": dict(sorted(known.items()))}
    info["sha256"] = _own_digest(info)
    (folder / INFO).write_text(json.dumps(info, indent=1, allow_nan=False))
    sync(folder / INFO)
    sync(folder)
    return info


def sync(path: Path) -> None:
    """Have a file or folder written to the disk now."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_info(path: Path) -> dict[str, Any]:
    """``corpus.json`` of a folder.

    Raises:
        CorpusError: absent, not JSON, of another format, or changed after preparation.
    """
    try:
        info: dict[str, Any] = json.loads((path / INFO).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise CorpusError(f"{path} is not a prepared corpus: it has no {INFO}") from None
    except ValueError as error:
        raise CorpusError(f"{path / INFO}: not JSON ({error}); {AGAIN}") from None
    if not isinstance(info, dict) or info.get("format") != FORMAT:
        found = info.get("format") if isinstance(info, dict) else None
        raise CorpusError(
            f"{path / INFO}: format {found!r}, but this version reads {FORMAT}; {AGAIN}"
        )
    if info.get("sha256") != _own_digest(info):
        raise CorpusError(f"{path / INFO}: changed after preparation; {AGAIN}")
    return info


def _own_digest(info: dict[str, Any]) -> str:
    rest = {key: value for key, value in info.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def check_sizes(path: Path, info: dict[str, Any]) -> None:
    """Compare the size of every file with ``corpus.json``.

    Raises:
        CorpusError: names the first file that is absent or of another size.
    """
    for name, file in info["files"].items():
        size = (path / name).stat().st_size if (path / name).exists() else None
        if size != file["bytes"]:
            raise CorpusError(
                f"{path / name}: {'absent' if size is None else f'{size} bytes'}, not the "
                f"{file['bytes']} bytes of {INFO}; {AGAIN}"
            )


def check_content(path: Path, info: dict[str, Any], name: str) -> None:
    """Hash one file and compare it with ``corpus.json``.

    Raises:
        CorpusError: the file was changed.
    """
    if digest(path / name) != info["files"][name]["sha256"]:
        raise CorpusError(f"{path / name}: changed after preparation; {AGAIN}")


def map_array(path: Path, dtype: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
    """Memory-map an array read-only and check its type and shape; None allows any length.

    Raises:
        CorpusError: not an array, or not the one ``corpus.json`` describes.
    """
    import numpy as np

    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError) as error:
        raise CorpusError(f"{path}: cannot be read ({error}); {AGAIN}") from None
    fits = len(array.shape) == len(shape) and all(
        want in (None, length) for want, length in zip(shape, array.shape, strict=True)
    )
    if array.dtype != np.dtype(dtype) or not fits:
        expected = f"{dtype} ({', '.join('any' if n is None else str(n) for n in shape)})"
        raise CorpusError(
            f"{path}: {array.dtype} {array.shape}, but {INFO} says {expected}; {AGAIN}"
        )
    return np.asarray(array)


def blocks(path: Path, records: int = BLOCK) -> Iterator[NDArray[Any]]:
    """Read an array a few records at a time, in order.

    Plain reads: the pages of a memory map that were touched count as memory of the process, and
    the labels of a million records are a gigabyte.
    """
    import numpy as np

    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    shape, dtype, start = mapped.shape, mapped.dtype, mapped.offset
    width = int(np.prod(shape[1:]))
    with path.open("rb") as file:
        file.seek(start)
        for i in range(0, shape[0], records):
            rows = min(records, shape[0] - i)
            yield np.fromfile(file, dtype, rows * width).reshape(rows, *shape[1:])
