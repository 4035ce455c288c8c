"""Records resident on the device, and the order in which training sees them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from scaling.corpora.corpus import Corpus
from scaling.corpora.prepare import prepare
from scaling.identity import CorpusSpec
from scaling.trial import Workspace

EVAL_BATCH = 256
NO_PEAK = -1  # fills the rows of records with fewer R peaks


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Records on the device.

    Attributes:
        x_BLT: (B, L, T) float32 in millivolts (or the corpus's own unit).
        r_peaks_BP: (B, P) int16 sample indices of R peaks, ``NO_PEAK`` behind the last.
        labels_BC: (B, C) float32.
        patients_B: (B,) int64 patient ids.
        rows_B: (B,) int64 places in the split.
        extra: what the objective added to the split, by name, each (B, ...).
    """

    x_BLT: Tensor
    r_peaks_BP: Tensor
    labels_BC: Tensor
    patients_B: Tensor
    rows_B: Tensor
    extra: dict[str, Tensor] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(slots=True, kw_only=True)
class Split:
    """Records of one split, held as 16-bit integers on the device.

    Attributes:
        signals: (n, L, T) int16, in steps of ``mv``.
        labels: (n, C) float32.
        patients: (n,) patient ids.
        mv: millivolts per step.
        r_peaks: (n, P) int16, ``NO_PEAK`` behind the last of a record.
        extra: what an objective needs beside them, each (n, ...) on the device.
    """

    signals: Tensor
    labels: Tensor
    patients: NDArray[np.int64]
    mv: float
    r_peaks: Tensor
    extra: dict[str, Tensor] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.signals)

    @property
    def device(self) -> torch.device:
        """Where batches come out."""
        return self.signals.device

    def batch(self, rows: Tensor) -> Batch:
        """The records at places ``rows``, an int64 tensor on any device."""
        rows = rows.to(self.device)
        return Batch(
            x_BLT=self.signals[rows].float() * self.mv,
            r_peaks_BP=self.r_peaks[rows],
            labels_BC=self.labels[rows],
            patients_B=torch.from_numpy(self.patients[rows.cpu().numpy()]).to(self.device),
            rows_B=rows,
            extra={name: value[rows] for name, value in self.extra.items()},
        )

    def chunks(self, size: int = EVAL_BATCH) -> Iterator[Batch]:
        """All records in order, ``size`` at a time."""
        for rows in torch.split(torch.arange(len(self)), size):
            yield self.batch(rows)


class Order:
    """Rows of one batch after another, without end: shuffled epochs joined end to end.

    Every batch has exactly ``batch`` rows, so that C is a plain product.

    Args:
        n: records.
        batch: rows of a batch.
        seed: of the shuffles.
    """

    def __init__(self, n: int, batch: int, seed: int) -> None:
        self.n, self.size = n, batch
        self.generator = torch.Generator().manual_seed(seed)
        self.queue = torch.empty(0, dtype=torch.int64)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Tensor:
        while len(self.queue) < self.size:
            self.queue = torch.cat([self.queue, torch.randperm(self.n, generator=self.generator)])
        rows, self.queue = self.queue[: self.size], self.queue[self.size :]
        return rows


@torch.no_grad()
def predict(model: nn.Module, split: Split) -> Tensor:
    """Outputs of ``model`` in evaluation mode on every record, (n, ...) float32 on the CPU."""
    was_training = model.training
    model.eval()
    parts = [model(batch.x_BLT, batch.r_peaks_BP).float().cpu() for batch in split.chunks()]
    model.train(was_training)
    return torch.cat(parts)


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
        r_peaks=torch.from_numpy(padded_r_peaks(corpus, rows)).to(device),
    )


def padded_r_peaks(corpus: Corpus, rows: NDArray[np.int64]) -> NDArray[np.int16]:
    """(n, P) R peaks of ``rows``, ``NO_PEAK`` behind the last; P is the most any record has."""
    starts, stops = corpus.r_peak_offsets[rows], corpus.r_peak_offsets[rows + 1]
    counts = stops - starts
    place = np.arange(max(1, int(counts.max(initial=0))))
    inside = place < counts[:, None]
    found = np.full(inside.shape, NO_PEAK, np.int16)
    found[inside] = corpus.all_r_peaks[(starts[:, None] + place)[inside]]
    return found
