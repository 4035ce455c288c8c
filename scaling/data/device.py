"""The device of a trial: which it is, what fits in its memory, what to do when a step does not.

Records that are only measured are halved until they fit. A batch of training is not: its size is
part of what is trained, so the trial fails and says which would fit.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from scaling.corpora.format.corpus import Corpus

SHARE = 0.5  # of the free memory that records may take; the rest is for the model and its steps
MEMINFO = Path("/proc/meminfo")
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1  # of glibc's malloc.h
KEPT = 32 << 20  # the most that glibc allows
# What a RuntimeError says when memory ran out: PyTorch's allocator on a CPU, CUDA outside of
# PyTorch's allocator, and the libraries that take memory of their own.
SAID = (
    "can't allocate memory",
    "CUDA error: out of memory",
    "CUDA out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


class OutOfMemory(RuntimeError):  # noqa: N818 - it names what happened
    """What was to be done does not fit; the message says what would."""


def pick_device() -> torch.device:
    """CUDA when there is one, the CPU otherwise."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """What the record says: the GPU's name, or the CPU with its number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu x{torch.get_num_threads()}"


def free_bytes(device: torch.device) -> int:
    """Bytes that can still be allocated on ``device``, as it says itself.

    On a CPU that is what the system could give without swapping (``MemAvailable`` on Linux,
    elsewhere its free pages).
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if MEMINFO.exists():
        for line in MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    pages, page = os.sysconf("SC_AVPHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return int(pages * page)


def signal_bytes(corpus: Corpus, records: int, leads: int) -> int:
    """Bytes of the signals of ``records`` records of ``corpus``, as splits hold them."""
    return int(records * leads * corpus.signals.shape[2] * corpus.signals.itemsize)


def fits(size: int, device: torch.device) -> bool:
    """Whether ``size`` bytes of records may be resident on ``device``."""
    return size <= SHARE * free_bytes(device)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that memory ran out, on a GPU or a CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in SAID)


def release_memory(device: torch.device) -> None:
    """Give back what nothing refers to any more.

    On a CPU the C library keeps freed memory in pieces: batches that hide ever other numbers of
    heartbeats let a worker grow from 0.8 to 3.9 GB in some ten masked trials.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library has no such call
            ctypes.CDLL("libc.so.6").malloc_trim(0)


@functools.cache
def spare_what_is_loaded() -> None:
    """Leave what is there by now, modules for the most part, out of collections to come.

    To look through it takes a quarter of a second at the end of every trial. Once a process: what
    is frozen and later falls into disuse in a cycle is never freed.
    """
    gc.collect()
    gc.freeze()


def keep_freed() -> None:
    """Let the C library keep freed blocks up to ``KEPT`` bytes for the next batch.

    Otherwise they go back to the system and are faulted in again at every batch. glibc comes to
    this by itself once a block so large was freed, which may be never or after some trials.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            library = ctypes.CDLL("libc.so.6")
            library.mallopt(M_MMAP_THRESHOLD, KEPT)
            library.mallopt(M_TRIM_THRESHOLD, 2 * KEPT)


def largest_batch(
    most: int, attempt: Callable[[int], None], device: torch.device, least: int = 1
) -> int:
    """The largest power of two from ``least`` (one as well) to ``most`` that fits, or 0.

    Whatever ``attempt`` raises on a batch of that many records, they do not fit: after memory has
    run out, CUDA and its libraries fail in many ways.
    """
    batch = 1 << (most.bit_length() - 1)
    while batch >= least:
        release_memory(device)
        try:
            attempt(batch)
        except Exception:
            batch //= 2
        else:
            return batch
    return 0


def training_advice(
    batch: int, largest: int, where: str, checkpointing: bool, least: int = 1
) -> str:
    """What happened in a step of ``batch`` records on ``where``, and what would fit.

    See ``largest_batch`` for ``largest`` and ``least``; ``checkpointing`` may be on already.
    """
    failed = f"out of memory on {where} at batch {batch}"
    less = "" if checkpointing else " or set activation_checkpointing: true in the recipe"
    if not largest:
        few = "1 record fits" if least == 1 else f"{least} records fit"
        return f"{failed}, and not even {few}: choose a smaller size{less}"
    if largest == batch:
        return (
            f"{failed}, though steps of {batch} and an evaluation fit when they are tried again: "
            "something else took the memory; run fewer workers at once"
        )
    return f"{failed}; the largest power of two that fits is {largest}: lower the batch to it{less}"


def measuring_advice(where: str) -> str:
    """What to do when an evaluation runs out of memory."""
    return (
        f"out of memory on {where} while a finished training was measured. Records are measured "
        "one at a time where more do not fit, so something else has the memory: run fewer workers "
        "at once. The same command again measures what is missing and trains nothing"
    )
