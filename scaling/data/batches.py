"""Records for training: resident on the device or streamed, in which order, measured in parts."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import pad

from scaling.corpora.format.corpus import Corpus
from scaling.corpora.prepare.prepare import prepare
from scaling.corpora.signals.leads import lead_order
from scaling.data.device import is_out_of_memory, release_memory
from scaling.data.label_sets import columns
from scaling.identity import CorpusSpec
from scaling.workspace import Workspace

# Records measured at once. On a CPU, what 256 need is given back to the system and faulted in again
# at every batch, which costs half as much again.
EVAL_BATCH = {"cpu": 64, "cuda": 256}
WINDOW = 1024  # records that are sorted by heartbeats: one on disk is still read nearly in order
NO_PEAK = -1  # fills the rows of records with fewer R peaks


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Records on the device."""

    x_BLT: Tensor  # (B, L, T) float32 in millivolts (or the corpus's own unit)
    # (B, P) int16 sample indices of R peaks, ``NO_PEAK`` behind the last; on the CPU, since how
    # many there are decides what is computed
    r_peaks_BP: Tensor
    labels_BC: Tensor  # (B, C) float32
    patients_B: Tensor  # (B,) int64 patient ids
    rows_B: Tensor  # (B,) int64 places in the split
    # what the objective added to the split, by name, each (B, ...)
    extra: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    # (B, L, T) all leads as recorded, where in ``x_BLT`` some are hidden or restored
    recorded_BLT: Tensor | None = None
    unlabelled: int = 0  # how many records, the last of the batch, have labels of NaN

    @property
    def all_leads_BLT(self) -> Tensor:  # noqa: N802 - the shape is part of the name
        """All leads as recorded, which a teacher sees; (B, L, T)."""
        return self.x_BLT if self.recorded_BLT is None else self.recorded_BLT

    def part(self, places: slice | Tensor) -> Self:
        """Some of the records of one set; a tensor of places is on the CPU, or the records are."""
        assert not self.unlabelled, "a batch of two sets is not cut"
        own = ("x_BLT", "r_peaks_BP", "labels_BC", "patients_B", "rows_B")
        found = type(self)(
            extra={name: value[places] for name, value in self.extra.items()},
            **{name: getattr(self, name)[places] for name in own},
        )
        if self.recorded_BLT is None:
            return found
        return dataclasses.replace(found, recorded_BLT=self.recorded_BLT[places])

    def with_unlabelled(self, other: Self) -> Self:
        """This batch and one of unlabelled records behind it, of which only those are told apart.

        What has been added to one split alone is left out.
        """
        peaks = max(self.r_peaks_BP.shape[1], other.r_peaks_BP.shape[1])
        padded = [
            pad(batch.r_peaks_BP, (0, peaks - batch.r_peaks_BP.shape[1]), value=NO_PEAK)
            for batch in (self, other)
        ]
        shared = self.extra.keys() & other.extra.keys()
        recorded = self.recorded_BLT is not None and other.recorded_BLT is not None
        both = [self.all_leads_BLT, other.all_leads_BLT]
        return type(self)(
            x_BLT=torch.cat([self.x_BLT, other.x_BLT]),
            r_peaks_BP=torch.cat(padded),
            labels_BC=torch.cat([self.labels_BC, other.labels_BC]),
            patients_B=torch.cat([self.patients_B, other.patients_B]),
            rows_B=torch.cat([self.rows_B, other.rows_B]),
            extra={n: torch.cat([self.extra[n], other.extra[n]]) for n in sorted(shared)},
            recorded_BLT=torch.cat(both) if recorded else None,
            unlabelled=len(other.rows_B),
        )


@dataclasses.dataclass(slots=True, kw_only=True)
class Split:
    """Records of one split, held as 16-bit integers on the device.

    Look at records through ``batch`` and ``chunks``: a split that is too large for the device
    (``StreamedSplit``) holds no signals.
    """

    signals: Tensor  # (n, L, T) int16, in steps of ``mv``
    labels: Tensor  # (n, C) float32
    patients: NDArray[np.int64]  # (n,) patient ids
    mv: float  # millivolts per step
    r_peaks: Tensor  # (n, P) int16, ``NO_PEAK`` behind the last of a record; on the CPU
    # what an objective needs beside them, each (n, ...) on the device
    extra: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    # (L,) float32, 1 for a lead that models are given and 0 for one that is hidden; None: all are
    given: Tensor | None = None
    # (n, L, T) int16, signals that models are given instead; see ``scaling.training.restored``
    restored: Tensor | None = None
    _ids: Tensor | None = dataclasses.field(default=None, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.patients)

    @property
    def device(self) -> torch.device:
        """Where batches come out."""
        return self.signals.device

    def batch(self, rows: Tensor) -> Batch:
        """The records at places ``rows``, an int64 tensor on any device."""
        recorded_BLT = self.steps(rows).float() * self.mv
        restored_BLT = self.restored_steps(rows)
        x_BLT = recorded_BLT
        if restored_BLT is not None:
            x_BLT = restored_BLT.float() * self.mv
        elif self.given is not None:
            x_BLT = recorded_BLT * self.given[:, None]
        r_peaks_BP = self.r_peaks[rows.cpu()]
        rows = rows.to(self.device)
        if self._ids is None:  # on the device, since a step must not wait for a copy to it
            self._ids = torch.from_numpy(self.patients).to(self.device)
        return Batch(
            x_BLT=x_BLT,
            r_peaks_BP=r_peaks_BP,
            labels_BC=self.labels[rows],
            patients_B=self._ids[rows],
            rows_B=rows,
            extra={name: value[rows] for name, value in self.extra.items()},
            recorded_BLT=None if x_BLT is recorded_BLT else recorded_BLT,
        )

    def restored_steps(self, rows: Tensor) -> Tensor | None:
        """Restored signals as stored at places ``rows``, (B, L, T) int16; None without any."""
        return None if self.restored is None else self.restored[rows.to(self.device)]

    def steps(self, rows: Tensor) -> Tensor:
        """Signals as stored at places ``rows``, (B, L, T) int16 on the device."""
        return self.signals[rows.to(self.device)]

    def first(self, n: int) -> Self:
        """The first ``n`` records."""
        return dataclasses.replace(
            self,
            signals=self.signals[:n],
            labels=self.labels[:n],
            patients=self.patients[:n],
            r_peaks=self.r_peaks[:n],
            extra={name: value[:n] for name, value in self.extra.items()},
            restored=None if self.restored is None else self.restored[:n],
        )

    def chunks(self, size: int | None = None) -> Iterator[Batch]:
        """All records in order, ``size`` (``EVAL_BATCH``) at a time."""
        for rows in torch.split(torch.arange(len(self)), size or EVAL_BATCH[self.device.type]):
            yield self.batch(rows)


@dataclasses.dataclass(slots=True, kw_only=True)
class StreamedSplit(Split):
    """Records read from the corpus's memory map as they are asked for.

    The numbers are those of a resident split. Labels, R peaks and ``extra`` are resident.

    Attributes:
        corpus: where the signals are.
        corpus_rows: (n,) row of each record in it.
        leads: (L,) places of the leads in the corpus; None for all of them.
        restored_map: (records of the corpus, L, T) int16 in a memory map, with the leads of the
            split; None where models are given what was recorded.
        signals: empty, (0, L, T); it says where batches come out.
    """

    corpus: Corpus
    corpus_rows: NDArray[np.int64]
    leads: NDArray[np.int64] | None = None
    restored_map: NDArray[np.int16] | None = None

    def restored_steps(self, rows: Tensor) -> Tensor | None:
        """Restored signals as stored at places ``rows``, (B, L, T) int16; None without any."""
        if self.restored_map is None:
            return None
        found = self.restored_map[self.corpus_rows[rows.cpu().numpy()]]
        return torch.from_numpy(found).to(self.device)

    def steps(self, rows: Tensor) -> Tensor:
        """Signals as stored at places ``rows``, (B, L, T) int16 on the device."""
        steps_BLT = self.corpus.steps(self.corpus_rows[rows.cpu().numpy()])
        if self.leads is not None:
            steps_BLT = steps_BLT[:, self.leads]
        return torch.from_numpy(steps_BLT).to(self.device)

    def first(self, n: int) -> Self:
        """The first ``n`` records."""
        rows = self.corpus_rows[:n]
        return dataclasses.replace(super(StreamedSplit, self).first(n), corpus_rows=rows)


class Order:
    """Rows of one batch after another, without end: shuffled epochs joined end to end.

    Every batch has exactly ``batch`` of the ``n`` rows, so that C is a plain product.
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


def predict(model: nn.Module, split: Split) -> Tensor:
    """Outputs of ``model`` in evaluation mode on every record, (n, ...) float32 on the CPU."""
    return evaluated(model, lambda b: model(b.x_BLT, b.r_peaks_BP).float().cpu(), split)


@torch.no_grad()
def evaluated(
    model: nn.Module, measure: Callable[[Batch], Tensor], split: Split, size: int | None = None
) -> Tensor:
    """``measure`` of all records of a split, (n, ...) in their order; see ``in_parts``.

    ``model`` is in evaluation mode meanwhile. Within ``WINDOW``, records with like numbers of
    heartbeats are measured together, ``size`` or ``EVAL_BATCH`` at once: a Transformer has little
    padding then.
    """
    was_training = model.training
    model.eval()
    beats_N = (split.r_peaks >= 0).sum(dim=1)
    window_N = torch.arange(len(split)) // WINDOW
    order_N = (window_N * (split.r_peaks.shape[1] + 1) + beats_N).argsort(stable=True)
    parts = torch.split(order_N, size or EVAL_BATCH[split.device.type])
    found = torch.cat([in_parts(measure, split.batch(rows)) for rows in parts])
    model.train(was_training)
    return found[order_N.argsort().to(found.device)]


def in_parts(measure: Callable[[Batch], Tensor], batch: Batch) -> Tensor:
    """``measure(batch)``, of two halves one after the other where the whole does not fit.

    It maps n records to (n, ...), each by itself: no batch statistics. The last digits of a record
    may depend on how many are measured at once.

    Raises:
        RuntimeError: not even one record fits.
    """
    try:
        return measure(batch)
    except Exception as error:
        if len(batch.x_BLT) == 1 or not is_out_of_memory(error):
            raise
    # Out of the ``except`` block, since the exception holds on to what was computed.
    release_memory(batch.x_BLT.device)
    middle = len(batch.x_BLT) // 2
    halves = (batch.part(slice(middle)), batch.part(slice(middle, None)))
    return torch.cat([in_parts(measure, half) for half in halves])


def open_corpus(spec: CorpusSpec, workspace: Workspace) -> Corpus:
    """The prepared corpus of ``spec``, prepared now when this machine has none."""
    return _open(spec, workspace.cache, workspace.root(spec.source))


@functools.lru_cache(maxsize=4)
def _open(spec: CorpusSpec, cache: Path, root: Path | None) -> Corpus:
    return Corpus.open(prepare(spec, cache, root, lambda done, total: None))


def split_of(
    corpus: Corpus,
    rows: NDArray[np.int64],
    task: str,
    device: torch.device,
    leads: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    *,
    streamed: bool = False,
    given: Sequence[str] = (),
    restored: NDArray[np.int16] | None = None,
) -> Split:
    """Records ``rows`` of ``corpus``, in any order, with the labels of a task, on ``device``.

    Leads and classes are those named, in that order, or all. ``streamed`` leaves the signals in
    the memory map; see ``device.fits``. Models are given the leads ``given``, or all, the others
    being zero; or else ``restored`` signals, of all records of the corpus.

    Raises:
        CorpusError: a lead or task the corpus does not hold.
        ValueError: a class the task does not have.
    """
    labels_NC = corpus.labels(task)[rows]
    if classes is not None:
        labels_NC = labels_NC[:, columns(corpus.classes(task), classes)]
    split = unlabelled(corpus, rows, device, leads)
    split.labels = torch.from_numpy(labels_NC.astype(np.float32)).to(device)
    if given:
        names = corpus.leads if leads is None else leads
        split.given = torch.tensor([float(name in given) for name in names], device=device)
    split.restored_map = restored
    return split if streamed else resident(split)


def resident(split: StreamedSplit) -> Split:
    """The same records with their signals on the device."""
    every = torch.arange(len(split))
    return Split(
        signals=split.steps(every),
        labels=split.labels,
        patients=split.patients,
        mv=split.mv,
        r_peaks=split.r_peaks,
        given=split.given,
        restored=split.restored_steps(every),
    )


def unlabelled(
    corpus: Corpus,
    rows: NDArray[np.int64],
    device: torch.device,
    leads: Sequence[str] | None = None,
) -> StreamedSplit:
    """Records ``rows`` of ``corpus`` without labels, left in the memory map; see ``split_of``.

    Raises:
        CorpusError: a lead the corpus does not hold.
    """
    order = None
    if leads is not None and tuple(leads) != corpus.leads:
        order = np.asarray(lead_order(corpus.leads, leads), dtype=np.int64)
    shape = (0, len(corpus.leads) if order is None else len(order), corpus.signals.shape[2])
    return StreamedSplit(
        signals=torch.empty(shape, dtype=torch.int16, device=device),
        labels=torch.empty(len(rows), 0, device=device),
        patients=corpus.patients[rows],
        mv=corpus.lsb,
        r_peaks=torch.from_numpy(padded_r_peaks(corpus, rows)),
        corpus=corpus,
        corpus_rows=rows,
        leads=order,
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
