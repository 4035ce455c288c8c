"""Labels of records: drawn once, from random numbers that depend on the record and the name."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from scaling.corpora.virtual.reading import Errors
from scaling.corpora.virtual.rng import Stream, mix

if TYPE_CHECKING:
    from scaling.corpora.virtual.cohorts.base import Cohort

Array = NDArray[np.float64]


class Reader(Errors):
    """The reader of each record: errors that depend on the record alone."""

    def __init__(self, stream: Stream, slip: float) -> None:
        super().__init__(slip)
        self._stream = stream

    def drawn(self, key: str) -> Array:
        """Uniform on (0, 1) for each record."""
        return uniforms(self._stream, (key,))[:, 0]


def draw_labels(
    cohort: Cohort, findings: Mapping[str, Array], stream: Stream
) -> tuple[dict[str, NDArray[np.uint8]], dict[str, NDArray[np.bool_]]]:
    """Draw the labels of some records.

    Args:
        cohort: the cohort.
        findings: finding -> (n,).
        stream: the random numbers of the same n records.

    Returns:
        Task -> labels (n, classes), 0 or 1, and task -> whether the record belongs to it (n,).
    """
    drawn = cohort.draw(findings, Reader(stream, cohort.slip))
    labels: dict[str, NDArray[np.uint8]] = {}
    valid: dict[str, NDArray[np.bool_]] = {}
    for name, task in cohort.tasks.items():
        columns = [np.any([drawn[part] for part in p], axis=0) for p in task.members.values()]
        labels[name] = np.stack(columns, axis=1).astype(np.uint8)
        valid[name] = labels[name].max(axis=1) >= (1 if task.needs_label else 0)
    return labels, valid


def uniforms(stream: Stream, names: tuple[str, ...]) -> Array:
    """Uniform on (0, 1) for each record and name, (n, len(names)): one hash each."""
    words = torch.tensor([_word(name) for name in names], device=stream.keys.device)
    bits = mix(mix(stream.keys[:, None] ^ words))
    top = (bits >> 12) & 0xFFFFFFFFFFFFF
    found: Array = ((top.double() + 0.5) * 2.0**-52).cpu().numpy()
    return found


@functools.lru_cache(maxsize=8192)
def _word(name: str) -> int:
    digest = hashlib.sha256(f"label/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "little", signed=True)
