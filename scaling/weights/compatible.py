"""What goes with what: parents, weights and signals, as a plan and a trial both check it.

No torch. Each function returns what differs, in words: a plan says where in the grid that is, a
trial which weights are meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scaling.identity import CODEBOOK, START, CorpusSpec, Training
from scaling.models import families
from scaling.objectives.registry import OBJECTIVES

SAME_MODEL = ("family", "size", "leads")
SAME_SIGNALS = ("fs_hz", "preprocessing")
SAME_AS_PARENT = {START: SAME_MODEL}  # of any other role only what both are given to read


def parent_differences(role: str, config: Mapping[str, Any], training: Training) -> list[str]:
    """What keeps a parent from having a role in ``training``, one entry a field.

    A model to start from must be of the same family, size and leads; a codebook be one; and all
    must have seen signals of the same sampling rate and preprocessing. The window may differ.

    Args:
        role: one of ``scaling.identity.ROLES``.
        config: what the parent's sidecar says of its training; a field that it does not say (that
            of a converted checkpoint may lack the corpus) is not compared.
        training: what it is to be a parent of.
    """
    found = _of_training(config, training, SAME_AS_PARENT.get(role, ("leads",)))
    stage = config.get("stage")
    if role == CODEBOOK and stage not in (None, CODEBOOK):
        found.insert(0, f"stage {stage} instead of {CODEBOOK}")
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

    Args:
        training: of the model.
        spec: the corpus.
        trained_on: whether it is trained on it, which some objectives do by halves of a record.
    """
    parts = 2 if trained_on and OBJECTIVES[training.objective].asks == "halves" else 1
    size = (training.family, training.size)
    return families.problem(*size, spec.fs_hz, spec.samples // parts, len(training.leads))


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
    return ",".join(value) if isinstance(value, list) else str(value)
