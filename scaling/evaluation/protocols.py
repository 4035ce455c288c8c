"""How the tables name what an evaluation does. Standard library only."""

from __future__ import annotations

from scaling.identity import Evaluation
from scaling.records.names import BEST, HELD_OUT, LINEAR_PROBE, TRAJECTORY


def protocol_name(evaluation: Evaluation) -> str:
    """The *protocol* column of an evaluation's rows.

    ``linear-probe@0.1`` is a probe on a tenth of the labelled records, and
    ``linear-probe-trajectory`` one at every kept step.

    Raises:
        ValueError: a protocol, checkpoint rule or combination that does not exist.
    """
    name = evaluation.protocol
    if name not in (HELD_OUT, LINEAR_PROBE):
        raise ValueError(f"{evaluation.id}: unknown protocol {name!r}")
    if evaluation.checkpoint not in (BEST, TRAJECTORY):
        raise ValueError(f"{evaluation.id}: unknown checkpoint rule {evaluation.checkpoint!r}")
    fraction, along = evaluation.labels_fraction, evaluation.checkpoint == TRAJECTORY
    if name == HELD_OUT:
        if along or fraction != 1.0:
            raise ValueError(
                f"{evaluation.id}: held-out measures the trained head at the best step with all "
                "labels; only linear-probe takes a trajectory or a labels_fraction"
            )
        return name
    if along and evaluation.predictions:
        raise ValueError(f"{evaluation.id}: predictions are kept at the best step only")
    share = f"@{fraction:g}" if fraction != 1.0 else ""
    return f"{name}{share}" + ("-trajectory" if along else "")
