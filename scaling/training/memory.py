"""Memory: whether a corpus fits on the device, and what to do when a step does not."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path

import torch

from scaling.corpora.corpus import Corpus

SHARE = 0.5  # of the free memory that records may take; the rest is for the model and its steps
MEMINFO = Path("/proc/meminfo")


class OutOfMemory(RuntimeError):  # noqa: N818 - it names what happened
    """A training step does not fit; the message says which batch would."""


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
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def release(device: torch.device) -> None:
    """Give back what nothing refers to any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def largest_batch(most: int, step: Callable[[int], None], device: torch.device) -> int:
    """The largest power of two up to ``most`` that ``step`` can take; 0 when not even 1 fits.

    Args:
        most: the batch that did not fit.
        step: a forward and a backward pass of that many records.
        device: where it runs.
    """
    batch = 1 << (most.bit_length() - 1)
    while batch:
        release(device)
        try:
            step(batch)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        else:
            return batch
        batch //= 2
    return 0


def advice(batch: int, largest: int, where: str, checkpointing: bool) -> str:
    """What happened and what would fit.

    Args:
        batch: records of the step that failed.
        largest: what ``largest_batch`` found.
        where: name of the device.
        checkpointing: whether activation checkpointing is on already.
    """
    failed = f"out of memory on {where} at batch {batch}"
    less = "" if checkpointing else " or set activation_checkpointing: true in the recipe"
    if not largest:
        return f"{failed}, and not even 1 record fits: choose a smaller size{less}"
    if largest == batch:
        return (
            f"{failed}, though a step of {batch} fits when it is tried again: something else took "
            "the memory; run fewer workers at once"
        )
    return f"{failed}; the largest power of two that fits is {largest}: lower the batch to it{less}"
