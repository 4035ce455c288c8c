"""Words that records, grids and laws share, and the nearest of them to one that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

STAGES = ("codebook", "pretrain", "restore", "finetune", "distill", "compress")
PARADIGMS = ("sl", "ssl", "random")  # random: weights as initialised, the baseline of probes
SPLITS = ("train", "validation", "test")  # their order enters what virtual patients are

STATUSES = ("done", "budget_limited", "diverged", "failed")
FINISHED = ("done", "budget_limited", "diverged")  # a failed trial is run again
USED = ("done", "budget_limited")  # trials whose values laws are fitted to
LOST = ("diverged", "failed")  # trials without a value

HELD_OUT, LINEAR_PROBE, EXTERNAL = "held-out", "linear-probe", "external"  # protocols
OF_THE_HEAD = (HELD_OUT, EXTERNAL)  # those of a model as it was trained, with no fit of their own
BEST, TRAJECTORY = "best-validation", "trajectory"  # which weights of a training are measured
MULTILABEL = "multilabel"  # metrics that an evaluation may have beside those that all have

# Ways for a student to learn, with a teacher and without; held out all are measured by labels.
METHODS = (
    "none", "kd", "dkd", "cc", "rkd", "dist", "pkt", "psm", "wkd", "mvkt", "liteheart",
)  # fmt: skip
LOSSES = {  # what each objective's held-out loss is
    "supervised": "binary cross-entropy",
    "focal": "focal loss",
    "categorical": "categorical cross-entropy",
    "contrastive": "contrastive loss",
    "masked": "cross-entropy of masked codes",
    "codebook": "reconstruction and commitment",
    "restoration": "mean squared error",
    **dict.fromkeys(METHODS, "binary cross-entropy"),
}
UNITS = {"codebook": "mV²", "restoration": "mV²"}  # of those losses that are not in nats


def nearest(word: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?`` when a known word is near, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.55)
    return f"did you mean {close[0]!r}?" if close else ""


def suggest(word: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?`` when a known word is near, else the list of known words."""
    words = list(known)
    return nearest(word, words) or f"known here: {', '.join(words)}"
