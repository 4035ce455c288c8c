"""Restored signals: what a restoration net makes of the given leads, once for a whole corpus.

Boxes are drawn over signals after they are restored (S2, Eq. 5), so that a frozen net sees each
record once and not at every step. The signals lie beside the prepared corpora as 16-bit integers
in the corpus's own steps, and all trials with that net read them through a memory map.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from scaling.corpora.format.corpus import Corpus
from scaling.data.batches import evaluated, unlabelled
from scaling.identity import Training, content_id

CHUNK = 4096  # records that are restored before they are written
LIMITS = np.iinfo(np.int16)


def restored_signals(
    corpus: Corpus, training: Training, net_id: str, net: nn.Module, cache: Path
) -> NDArray[np.int16]:
    """(records, L, T) int16 restored signals of all records of ``corpus``, in steps of its own.

    They are made now where no trial has made them before.

    Args:
        corpus: what is restored.
        training: whose leads are wanted, and which of them the net is given.
        net_id: id of the training of the net.
        net: from signals (B, L, T) in millivolts to restored ones, in evaluation mode.
        cache: folder of prepared corpora.

    Raises:
        OSError: they could not be written; nothing half-written is taken for whole.
        CorpusError: a lead the corpus does not hold.
    """
    about = {"corpus": corpus.spec.key, "net": net_id, "leads": training.leads}
    path = cache / "restored" / f"{content_id('r', about)}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of workers that need them at once, one makes them
        if not path.exists():
            _make(corpus, training, net, path)
    found: NDArray[np.int16] = np.load(path, mmap_mode="r", allow_pickle=False)
    return found


def _make(corpus: Corpus, training: Training, net: nn.Module, path: Path) -> None:
    device = next(net.parameters()).device
    part = path.with_suffix(".part")
    shape = (len(corpus), len(training.leads), corpus.signals.shape[2])
    # Not through a memory map: a disk that is full would end the process, and say nothing.
    with part.open("wb") as file:
        header = {"descr": "<i2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(file, header)
        for start in range(0, len(corpus), CHUNK):
            rows = np.arange(start, min(start + CHUNK, len(corpus)))
            split = unlabelled(corpus, rows, device, training.leads)
            found = evaluated(net, lambda b: net(b.x_BLT, b.r_peaks_BP).float(), split)
            steps = torch.round(found / corpus.lsb).clamp_(LIMITS.min, LIMITS.max)
            file.write(steps.to(torch.int16).cpu().numpy().astype("<i2", copy=False).tobytes())
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
