"""Files that are complete or absent."""

from __future__ import annotations

import errno
import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FULL = (errno.ENOSPC, errno.EDQUOT)
# The disk cannot take more: whatever was being written, nobody's work is to blame.
STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def write_whole(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` completely or not at all (temporary name, fsync, replace).

    Raises:
        OSError: no space, no permission; it names ``path``, the temporary file is removed and
            an older file at ``path`` is left as it was.
    """
    try:
        _write_and_replace(path, data)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None


def _write_and_replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), 0o644)  # mkstemp lets only its owner read
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def without_nan(value: Any) -> Any:
    """Replace NaN and infinities by None, which is what JSON can hold."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {k: without_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(v) for v in value]
    return value


def write_json(path: Path, value: Any) -> None:
    """Write JSON completely or not at all; NaN becomes null."""
    write_whole(path, json.dumps(without_nan(value), indent=1, allow_nan=False).encode())


def reraise_storage(error: Exception) -> None:
    """Raise ``error`` again when it says that the disk can take no more."""
    if isinstance(error, OSError) and error.errno in STORAGE:
        raise error


def why(error: OSError) -> str:
    """What is wrong, without the file: ``the disk is full``, or what the system says."""
    return "the disk is full" if error.errno in FULL else (error.strerror or str(error))
