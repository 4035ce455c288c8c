"""Which records and classes a training sees."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from scaling.compatible import describe, heartbeats_lost, slots_of
from scaling.corpora.format.corpus import Corpus
from scaling.corpora.format.splits import labelled_subset
from scaling.data.batches import Split, split_of
from scaling.data.device import fits, signal_bytes
from scaling.data.label_sets import choose
from scaling.identity import Training
from scaling.models.restorer import check_leads

UNLABELLED = "unlabelled"  # the split of training records whose labels are not shown
CURVE_TEST_RECORDS = 1024  # records of the test split whose loss the curve has


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Records and classes of one training."""

    # ``train``, ``validation``, the test records of the curve, and ``unlabelled`` training records
    # where there are and the objective uses them; their labels are NaN
    splits: dict[str, Split]
    rows: NDArray[np.int64]  # rows of the training records in the corpus
    classes: tuple[str, ...]  # names of the classes trained on, in the task's order
    core: tuple[str, ...]  # those a label set keeps fixed; empty without one
    notes: tuple[str, ...]  # sentences the user should read

    @property
    def patients(self) -> int:
        """How many patients the training records come from, unlabelled ones included."""
        parts = [
            self.splits[name].patients for name in ("train", UNLABELLED) if name in self.splits
        ]
        return len(np.unique(np.concatenate(parts)))


def select(
    corpus: Corpus,
    training: Training,
    device: torch.device,
    *,
    unlabelled: bool = False,
    hide: bool = True,
    restored: NDArray[np.int16] | None = None,
) -> Selection:
    """The D training records (nested by patient), validation and test, for ``device``.

    They are resident there where they fit, else streamed from the memory map, which is said.

    Args:
        corpus: what is trained on.
        training: what is run.
        device: where batches come out.
        unlabelled: whether training records without labels are wanted too.
        hide: whether leads that the training is not given are zero; else its model hides them.
        restored: (records, L, T) restored signals of the corpus; see ``scaling.training.restored``.

    Raises:
        CorpusError: more records than there are, or leads or a task the corpus does not hold.
        ValueError: a label set that cannot be chosen, no unlabelled record, or leads to be given
            that there are not.
    """
    task = training.task
    if training.input_leads:
        check_leads(training.leads, training.input_leads)
    rows = training_rows(corpus, training)
    classes, core = training_classes(corpus, training)
    chosen = {
        "train": rows,
        "validation": corpus.rows("validation", task),
        "test": corpus.rows("test", task)[:CURVE_TEST_RECORDS],
    }
    if unlabelled:
        chosen[UNLABELLED] = np.setdiff1d(corpus.subset(task, training.data), rows)
        if not len(chosen[UNLABELLED]):
            raise ValueError(
                f"{training.id}: all of its {len(rows)} records are labelled, and its objective "
                "wants unlabelled ones: lower labels_fraction or set its option unlabelled to 0"
            )
    hidden = hide and bool(training.hidden_leads)
    size = signal_bytes(corpus, sum(map(len, chosen.values())), len(training.leads))
    streamed = not fits(size * (1 if restored is None else 2), device)
    splits = {
        name: split_of(
            corpus, found, task, device, training.leads, classes, streamed=streamed,
            given=training.input_leads if hidden else (), restored=restored,
        )
        for name, found in chosen.items()
    }  # fmt: skip
    if unlabelled:  # so that a use of them cannot go unseen
        splits[UNLABELLED].labels.fill_(math.nan)
    notes = []
    if streamed:
        notes.append(
            f"the records ({size / 2**30:.1f} GiB) do not fit on {device.type}: read from disk"
        )
    if training.paradigm == "sl" and (empty := empty_classes(splits["train"], classes)):
        notes.append(f"no positive training record of {', '.join(empty)}")
    if lost := _lost_heartbeats(corpus, training, rows):
        notes.append(lost)
    return Selection(splits=splits, rows=rows, classes=classes, core=core, notes=tuple(notes))


def _lost_heartbeats(corpus: Corpus, training: Training, rows: NDArray[np.int64]) -> str:
    """Training records with more heartbeats than the model has slots, in words."""
    tokens = slots_of(training.family, training.size)
    if tokens is None:
        return ""
    text = describe(heartbeats_lost(corpus, tokens, rows, training.leads), len(rows), tokens)
    return f"{corpus.spec.source}, training: {text}" if text else ""


def training_rows(corpus: Corpus, training: Training) -> NDArray[np.int64]:
    """The D records; of these only the labelled ones where labels are what is trained on.

    Which records are labelled depends on all classes of the task, whatever the label set.
    """
    rows = corpus.subset(training.task, training.data)
    if training.paradigm != "sl" or training.labels_fraction == 1.0:
        return rows
    labels = corpus.labels(training.task)
    fraction, draw = training.labels_fraction, training.labelled_draw
    return labelled_subset(corpus.patients, labels, rows, fraction, draw)


def training_classes(corpus: Corpus, training: Training) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the classes trained on and of the core among them (see ``label_sets``)."""
    names = corpus.classes(training.task)
    if not training.label_set:
        return names, ()
    rows = corpus.rows("train", training.task)
    shares = corpus.prevalence(training.task, rows)
    counts = [round(share * len(rows)) for share in shares]
    chosen, core = choose(training.label_set, counts)
    return tuple(names[i] for i in chosen), tuple(names[i] for i in core)


def empty_classes(split: Split, classes: Sequence[str]) -> list[str]:
    """Names of the classes without a positive record in ``split``, in class order.

    Nothing can be learned of them and metrics of them are undefined, but losses stay finite.
    """
    positives = split.labels.sum(dim=0).tolist()
    return [name for name, count in zip(classes, positives, strict=True) if not count]
