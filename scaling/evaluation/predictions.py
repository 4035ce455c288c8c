"""Predictions kept for later comparison: one compressed array file an evaluation.

Arrays, over validation and test records: ``split`` (0 validation, 1 test), ``row`` in the
prepared corpus, ``record`` id, ``patient``, ``labels`` (n, C) and ``logits`` (n, C), the
log-odds of ``classes`` (C,). They are read with ``numpy.load(path, allow_pickle=False)``.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from scaling.corpora.format.corpus import Corpus
from scaling.evaluation.measure import MEASURED, Scored
from scaling.records.files import write_whole


def save_predictions(
    path: Path, corpus: Corpus, scored: Mapping[str, Scored], classes: Sequence[str]
) -> None:
    """Write the predictions of ``scored``, atomically.

    Args:
        path: see ``LiveStore.predictions_of``.
        corpus: where the records are.
        scored: ``validation`` and ``test``.
        classes: names of the columns.

    Raises:
        OSError: they could not be written; nothing half-written is left.
    """
    parts = [scored[split] for split in MEASURED]
    rows = np.concatenate([part.rows_N for part in parts])
    ids = corpus.record_ids
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        split=np.repeat(np.arange(len(parts), dtype=np.int8), [len(p.rows_N) for p in parts]),
        row=rows,
        record=np.array([ids[row] for row in rows], dtype=np.str_),
        patient=np.concatenate([part.patients_N for part in parts]),
        labels=np.concatenate([part.labels_NC for part in parts]).astype(np.uint8),
        logits=np.concatenate([part.scores_NC for part in parts]).astype(np.float32),
        classes=np.array(classes, dtype=np.str_),
    )
    write_whole(path, buffer.getvalue())
