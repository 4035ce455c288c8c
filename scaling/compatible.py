"""What goes with what: parents, weights, signals and heartbeats, for a plan and for a trial.

No torch. What differs is said in words: a plan says where in the grid that is, a trial which
weights are meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scaling.identity import CODEBOOK, RESTORATION, START, TEACHER, CorpusSpec, Training
from scaling.models import families
from scaling.models.sizes import TOKEN_WIDTH
from scaling.objectives.registry import OBJECTIVES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from scaling.corpora.format.corpus import Corpus

SAME_MODEL = ("family", "size", "leads")
SAME_SIGNALS = ("fs_hz", "preprocessing")
# By role, of any other only what both are given to read: leads.
SAME_AS_PARENT = {
    START: SAME_MODEL,
    TEACHER: ("paradigm", "leads", "task", "label_set"),
    RESTORATION: ("leads", "input_leads"),
}
# What configurations leave out at its default, of a training and of a corpus.
LEFT_OUT: Mapping[str, Any] = {"corpus": None, "input_leads": [], "label_set": "", "fold": 0}
ONLY_OF = {CODEBOOK: "codebook", RESTORATION: "restore"}  # the stage that a role is of
SAME_RECORDS = ("source", "seed", "fold", "window_s", *SAME_SIGNALS)
LOSE_SOME = "heartbeats over all leads and lose some"


def parent_differences(role: str, config: Mapping[str, Any], training: Training) -> list[str]:
    """What keeps a parent from having a role in ``training``, one entry a field.

    A model to start from must be of the same family, size and leads; a codebook be one; a teacher
    must tell the same classes apart on the same records, with all leads, and a restoration net be
    given the same leads; and all must have seen signals of the same sampling rate and
    preprocessing. The window may differ, but for a teacher.

    A field that its sidecar, ``config``, does not say is not compared: that of a converted
    checkpoint may lack the corpus.
    """
    theirs, ours = ({**LEFT_OUT, **one} for one in (config, training.to_dict()))
    found = _differences(theirs, ours, SAME_AS_PARENT.get(role, ("leads",)))
    theirs, ours = ({**LEFT_OUT, **(one["corpus"] or {})} for one in (theirs, ours))
    found += _differences(theirs, ours, SAME_RECORDS if role == TEACHER else SAME_SIGNALS)
    stage = config.get("stage")
    for only, of in ONLY_OF.items():
        if role == only and stage not in (None, of):
            found.insert(0, f"stage {stage} instead of {of}")
    if role == TEACHER and config.get("input_leads"):
        found.append(f"input leads {_text(config['input_leads'])} instead of all")
    return found


def weights_differences(config: Mapping[str, Any], training: Training) -> list[str]:
    """What tells that weights whose sidecar says ``config`` are not those of ``training``."""
    return _of_training(config, training, SAME_MODEL)


def signal_differences(found: CorpusSpec, wanted: CorpusSpec) -> list[str]:
    """How the signals of a corpus differ from those wanted, one entry a field.

    The window is not among them: it may differ where a family can read the other length.
    """
    return _differences(found.to_dict(), wanted.to_dict(), SAME_SIGNALS)


def cannot_read(training: Training, spec: CorpusSpec, *, trained_on: bool = False) -> str | None:
    """What keeps the model of a training from reading the records of a corpus; None for nothing.

    Some objectives train by halves of a record, which counts where it is ``trained_on`` it.
    """
    parts = 2 if trained_on and OBJECTIVES[training.objective].asks == "halves" else 1
    size = (training.family, training.size)
    return families.problem(*size, spec.fs_hz, spec.samples // parts, len(training.leads))


def slots_of(family: str, size: str) -> int | None:
    """Slots for heartbeats of a model; None for a family that does not cut records into them."""
    return families.FAMILIES[family].slots.get(size)


def heartbeats_lost(
    corpus: Corpus,
    tokens: int,
    rows: NDArray[np.int64] | None = None,
    leads: Sequence[str] | None = None,
) -> dict[str, int]:
    """Number of records that lose a beat of each lead, for the leads that lose any.

    Tokens are ordered by lead, so it is the last leads that lose beats. Without ``rows`` or
    ``leads`` all of the corpus are looked at.
    """
    import numpy as np

    offsets = corpus.r_peak_offsets
    beats = np.diff(offsets) if rows is None else offsets[rows + 1] - offsets[rows]
    # A record without R peaks is cut into whole tokens on a fixed grid.
    beats = np.where(beats > 0, beats, corpus.signals.shape[2] // TOKEN_WIDTH)
    names = corpus.leads if leads is None else tuple(leads)
    lost = {name: int(((i + 1) * beats > tokens).sum()) for i, name in enumerate(names)}
    return {name: records for name, records in lost.items() if records}


def describe(lost: Mapping[str, int], records: int, tokens: int) -> str:
    """What ``heartbeats_lost`` found in so many records, the last lead first; empty for no loss."""
    if not lost:
        return ""
    leads = ", ".join(f"{name} in {count:,}" for name, count in reversed(list(lost.items())))
    most = max(lost.values())
    return (
        f"{most:,} of {records:,} records ({most / records:.1%}) have more than {tokens} "
        f"{LOSE_SOME}: {leads}"
    )


def _of_training(config: Mapping[str, Any], training: Training, names: Iterable[str]) -> list[str]:
    ours, corpus = training.to_dict(), config.get("corpus") or {}
    found = _differences(config, ours, names)
    return found + _differences(corpus, ours["corpus"], SAME_SIGNALS)


def _differences(
    found: Mapping[str, Any], wanted: Mapping[str, Any], names: Iterable[str]
) -> list[str]:
    return [
        f"{name} {_text(found[name])} instead of {_text(wanted[name])}"
        for name in names
        if found.get(name) is not None and found[name] != wanted[name]
    ]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(value) or "all"  # input leads
    return str(value) or "''"
