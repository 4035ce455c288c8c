"""Records resident on the device, and the order in which training sees them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scaling.corpora.corpus import Corpus
from scaling.corpora.prepare import prepare
from scaling.identity import CorpusSpec
from scaling.trial import Workspace


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Records of one split, held as 16-bit integers on the device.

    Attributes:
        signals: (n, L, T) int16, in steps of ``mv``.
        labels: (n, C) float32.
        patients: (n,) patient ids, for standard errors by patient.
        mv: millivolts per step.
    """

    signals: Tensor
    labels: Tensor
    patients: NDArray[np.int64]
    mv: float

    def __len__(self) -> int:
        return len(self.signals)

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Signals (B, L, T) float32 in millivolts and labels (B, C) of ``rows``."""
        return self.signals[rows].float() * self.mv, self.labels[rows]


def batches(n: int, batch: int, seed: int) -> Iterator[Tensor]:
    """Rows of one batch after another, without end: shuffled epochs joined end to end.

    Every batch has exactly ``batch`` rows, so that C is a plain product.
    """
    generator = torch.Generator().manual_seed(seed)
    queue = torch.empty(0, dtype=torch.int64)
    while True:
        while len(queue) < batch:
            queue = torch.cat([queue, torch.randperm(n, generator=generator)])
        yield queue[:batch]
        queue = queue[batch:]


def open_corpus(spec: CorpusSpec, workspace: Workspace) -> Corpus:
    """The prepared corpus of ``spec``, prepared now when this machine has none."""
    return _open(spec, workspace.cache, workspace.root(spec.source))


@functools.lru_cache(maxsize=4)
def _open(spec: CorpusSpec, cache: Path, root: Path | None) -> Corpus:
    return Corpus.open(prepare(spec, cache, root, lambda done, total: None))


def split_of(corpus: Corpus, rows: NDArray[np.int64], task: str, device: torch.device) -> Split:
    """Records ``rows`` of ``corpus``, resident on ``device``."""
    return Split(
        signals=torch.from_numpy(corpus.steps(rows)).to(device),
        labels=torch.from_numpy(corpus.labels(task)[rows].astype(np.float32)).to(device),
        patients=corpus.patients[rows],
        mv=corpus.lsb,
    )
