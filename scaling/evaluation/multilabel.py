"""Rows of the multi-label metrics of an evaluation, beside those that every evaluation has.

``scaling.records.multilabel`` defines them. The thresholds of F2 are chosen on validation and held
fixed, as those of F1 are, and resamples are those of all other metrics of a split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scaling.evaluation.measure import MEASURED, Scored
from scaling.identity import Evaluation
from scaling.records.multilabel import FThresholds, multilabel_metrics
from scaling.records.names import MULTILABEL
from scaling.records.patients import Estimate, Resamples, Row, estimate_row

# ``macro_auroc`` and ``macro_f1``, the others of the six, are among the rows there are.
BESIDE = ("ranking_loss", "coverage", "map", "macro_f2", "macro_f1_s2")


def multilabel_rows(
    evaluation: Evaluation, scored: Mapping[str, Scored], classes: Sequence[str]
) -> list[Row]:
    """Rows of ``validation`` and ``test``; none where the evaluation does not ask for them.

    Args:
        evaluation: what is measured.
        scored: what a model says of the records of both splits; empty where it predicts no labels.
        classes: names of the classes it scores.

    Returns:
        ``ranking_loss``, ``map``, ``macro_f2``, ``macro_f1_s2`` in [0, 1], ``coverage`` in labels,
        and ``auroc:<class>``, the name as it is, of each class with positives and negatives in
        the split; each with its interval over patients.

    Raises:
        ValueError: they are asked of a model that predicts no labels.
    """
    if evaluation.metrics != MULTILABEL:
        return []
    if not scored:
        raise ValueError(f"{evaluation.id}: no labels are predicted, which {MULTILABEL!r} measures")
    validation = scored["validation"]
    thresholds = FThresholds.choose(validation.scores_NC, validation.labels_NC)
    rows: list[Row] = []
    for split in MEASURED:
        found = scored[split]
        resamples = Resamples.draw(found.patients_N)
        scores, labels = found.scores_NC, found.labels_NC
        values = multilabel_metrics(scores, labels, thresholds, resamples, BESIDE, classes)
        rows += [
            estimate_row(split, name, Estimate.of(values_R), len(found.rows_N))
            for name, values_R in values.items()
        ]
    return rows
