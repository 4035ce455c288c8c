"""The real recordings of ``shared``, read plainly, without the readers tested elsewhere."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from scaling.corpora.sources.read.base import Recording


@functools.cache
def ptbxl(shared: Path, fs_hz: int) -> dict[int, Recording]:
    """``ecg_id`` -> recording, at 100 Hz (1,987) or 500 Hz (100)."""
    folder = shared / "data/ptb-xl" / f"records{fs_hz}"
    return {int(head.stem[:5]): read(head, ".dat", 0) for head in sorted(folder.rglob("*.hea"))}


@functools.cache
def challenge(shared: Path) -> dict[str, Recording]:
    """Record name -> recording (123)."""
    folder = shared / "data/challenge-2021"
    return {head.stem: read(head, ".mat", 24) for head in sorted(folder.rglob("*.hea"))}


def read(head: Path, suffix: str, skip: int) -> Recording:
    """A record of format 16, after ``skip`` bytes."""
    first, *lines = head.read_text().splitlines()
    _, leads, fs_hz, samples = first.split()[:4]
    fields = [line.split() for line in lines[: int(leads)]]
    gains = [float(field[2].split("(")[0].split("/")[0]) for field in fields]
    raw = np.fromfile(head.with_suffix(suffix), "<i2", offset=skip)
    signal = raw.reshape(int(samples), int(leads)).T / np.array(gains)[:, None]
    return Recording(signal.astype(np.float32), int(fs_hz), tuple(f[-1] for f in fields))
