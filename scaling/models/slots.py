"""Which records have more heartbeats than a Transformer has slots. No torch needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.format.corpus import Corpus
from scaling.models.families import FAMILIES
from scaling.models.sizes import TOKEN_WIDTH

LOSE_SOME = "heartbeats over all leads and lose some"


def slots_of(family: str, size: str) -> int | None:
    """Slots for heartbeats of a model; None for a family that does not cut records into them."""
    return FAMILIES[family].slots.get(size)


def heartbeats_lost(
    corpus: Corpus,
    tokens: int,
    rows: NDArray[np.int64] | None = None,
    leads: Sequence[str] | None = None,
) -> dict[str, int]:
    """Number of records that lose a beat of each lead, for the leads that lose any.

    Tokens are ordered by lead, so it is the last leads that lose beats.

    Args:
        corpus: a prepared corpus.
        tokens: slots for heartbeats.
        rows: (n,) rows of it to look at; None for all.
        leads: names of the leads a model reads, in order; None for all of the corpus.
    """
    offsets = corpus.r_peak_offsets
    beats = np.diff(offsets) if rows is None else offsets[rows + 1] - offsets[rows]
    # A record without R peaks is cut into whole tokens on a fixed grid.
    beats = np.where(beats > 0, beats, corpus.signals.shape[2] // TOKEN_WIDTH)
    names = corpus.leads if leads is None else tuple(leads)
    lost = {name: int(((i + 1) * beats > tokens).sum()) for i, name in enumerate(names)}
    return {name: records for name, records in lost.items() if records}


def describe(lost: Mapping[str, int], records: int, tokens: int) -> str:
    """One line on what ``heartbeats_lost`` found, the last lead first; empty without a loss.

    Args:
        lost: what it returned.
        records: how many were looked at.
        tokens: slots for heartbeats.
    """
    if not lost:
        return ""
    leads = ", ".join(f"{name} in {count:,}" for name, count in reversed(list(lost.items())))
    most = max(lost.values())
    return (
        f"{most:,} of {records:,} records ({most / records:.1%}) have more than {tokens} "
        f"{LOSE_SOME}: {leads}"
    )
