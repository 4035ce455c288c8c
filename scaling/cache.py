"""Where prepared corpora, counted ladders and measured speeds are kept between studies."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """``$ECG_CACHE``, else ``ecg-scaling`` in the XDG cache folder (``~/.cache``).

    The folder may not exist yet; whoever writes makes it.
    """
    if chosen := os.environ.get("ECG_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ecg-scaling"
