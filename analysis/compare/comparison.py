"""Which model is best, and by how much the frozen features of trained models beat random ones.

Everything here is of models tested on the same records: the folds of a cross-validation are put
together so that every record is tested once, by a model that saw neither it nor its patient.

The unit of resampling is the patient. A resample gives every patient a count, the same for all
models, so that what makes a patient easy or hard for all of them cancels in a difference. Where a
configuration was trained with several seeds, each resample draws from them too, so that its
interval says what other seeds would give, and not only what other patients would.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.compare.evaluations import (
    MissingResultError,
    Predictions,
    check_same_records,
    predictions_of,
)
from analysis.fit.intervals import t_quantile
from analysis.laws import FloatArray
from analysis.text import NORMAL
from scaling.records.patients import Estimate, Resamples, macro_auroc

_BLOCK = 4_000_000  # numbers in one block of records x resamples
# Losses of different objectives are not ranked together: a focal loss is smaller than the binary
# cross-entropy of the same model. By column of ``evaluations_on_test``: is the smallest best?
VALIDATION_RULES = {
    "bce": (True, "in each fold the training with the lowest binary cross-entropy on the "
            "validation split of that fold"),
    "auroc": (False, "in each fold the training with the highest macro-AUROC on the validation "
              "split of that fold, as not all were measured by binary cross-entropy"),
}  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrainingDraws:
    """Which trainings of a configuration are in each resample.

    A mean of n values drawn with replacement scatters by sqrt((n - 1) / n) too little, and
    so few values call for Student's t: deviations are stretched by both (the expanded
    percentile interval of Hesterberg 2015, The American Statistician 69:371).

    Attributes:
        shares: of each training in a resample (1 + R, n), equal in the first row; they sum to 1.
        stretch: of deviations from the mean over all trainings.
    """

    shares: FloatArray
    stretch: float

    @classmethod
    def draw(cls, runs: int, resamples: int, rng: np.random.Generator) -> TrainingDraws:
        """Draw ``runs`` of as many with replacement; one alone says nothing of others."""
        if runs == 1:
            return cls(shares=np.ones((1 + resamples, 1)), stretch=1.0)
        shares = rng.multinomial(runs, np.full(runs, 1.0 / runs), size=1 + resamples) / runs
        shares[0] = 1.0 / runs  # the records as they are: the mean itself
        stretch = math.sqrt(runs / (runs - 1)) * (t_quantile(runs - 1) / NORMAL)
        return cls(shares=shares, stretch=stretch)

    def mean(self, values: Sequence[FloatArray]) -> FloatArray:
        """Mean over the trainings drawn, of values (1 + R,) of each on the same resamples."""
        middle: FloatArray = np.mean(values, axis=0)
        if len(values) == 1:
            return middle
        drawn = (self.shares.T * values).sum(axis=0)
        stretched: FloatArray = middle + self.stretch * (drawn - middle)
        return stretched


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Macro-AUROC of a model on the records as they are and on resamples.

    Attributes:
        pooled: over the records of all folds together (1 + R,).
        by_fold: mean over folds of the macro-AUROC within each (1 + R,).
    """

    pooled: FloatArray
    by_fold: FloatArray

    @classmethod
    def over_seeds(cls, scores: Sequence[Scores], rng: np.random.Generator) -> Scores:
        """Mean over the trainings of a configuration; its resamples draw among them as well.

        Args:
            scores: of each training, on the same resamples of the same patients. One alone
                comes back as it is: it says nothing of other seeds.
            rng: draws the trainings.
        """
        draws = TrainingDraws.draw(len(scores), len(scores[0].pooled) - 1, rng)
        return cls(
            pooled=draws.mean([s.pooled for s in scores]),
            by_fold=draws.mean([s.by_fold for s in scores]),
        )

    def less(self, other: Scores) -> Scores:
        """Difference, resample by resample."""
        return Scores(pooled=self.pooled - other.pooled, by_fold=self.by_fold - other.by_fold)


def scores(predictions: Predictions, resamples: int, seed: int) -> Scores:
    """Macro-AUROC on the records as they are and on ``resamples`` resamples of the patients.

    Two calls with the same patients, ``resamples`` and ``seed`` use the same resamples.
    """
    weights = Resamples.draw(predictions.patient, seed, resamples)
    folds = [predictions.fold == f for f in np.unique(predictions.fold)]
    pooled, by_fold = [], []
    for part in weights.parts(_BLOCK):
        logits, labels = predictions.logits, predictions.labels
        pooled.append(macro_auroc(logits, labels, part))
        within = [macro_auroc(logits[f], labels[f], part.of(f)) for f in folds]
        by_fold.append(np.mean(within, axis=0))
    return Scores(pooled=np.concatenate(pooled), by_fold=np.concatenate(by_fold))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ResampleOptions:
    """How models are compared."""

    resamples: int = 2000  # of the patients
    seed: int = 0  # of the resamples


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BestModel:
    """The best model of a kind, chosen on validation."""

    kind: dict[str, str]  # task, protocol, family and paradigm
    rule: str  # how it was chosen
    considered: int  # trainings chosen from, in the fold with most
    # what was chosen in each fold: ``fold, size, objective, D, seed, validation``
    folds: tuple[dict[str, Any], ...]
    pooled: Estimate  # macro-AUROC over the records of all folds together
    by_fold: Estimate  # mean over folds of the macro-AUROC within each
    records: int  # tested
    patients: int  # tested


def best_on_validation(
    rows: pd.DataFrame, folds: tuple[int, ...], store: Path, options: ResampleOptions
) -> BestModel:
    """Choose in each fold the training that is best on validation, and test it.

    Args:
        rows: of ``evaluations_on_test``: one task, protocol, family and paradigm.
        folds: of the task.
        store: folder of the predictions.
        options: of the resamples.

    Raises:
        MissingResultError: a fold has no result, or no measure on validation is there for all.
        ResultsError: the predictions are unusable.
    """
    kind = {k: str(rows[k].iloc[0]) for k in ("task", "protocol", "family", "paradigm")}
    name = f"{kind['family']}-{kind['paradigm'].upper()} on {kind['task']}, {kind['protocol']}"
    by = next((column for column in VALIDATION_RULES if rows[column].notna().all()), None)
    if by is None:
        raise MissingResultError(
            f"{name}: neither binary cross-entropy nor macro-AUROC on validation was measured for "
            "all trainings"
        )
    smallest, rule = VALIDATION_RULES[by]
    ordered = rows.sort_values([by, "N"], ascending=[smallest, True], kind="stable")
    winners = ordered.drop_duplicates("fold")
    predictions = predictions_of(winners, folds, store, name)
    score = scores(predictions, options.resamples, options.seed)
    winners = winners[winners["fold"].isin(folds)].sort_values("fold")
    return BestModel(
        kind=kind,
        rule=rule,
        considered=int(ordered.groupby("fold").size().max()),
        folds=tuple(
            {
                "fold": int(row["fold"]), "size": str(row["size"]), "stage": str(row["stage"]),
                "objective": str(row["objective"]), "D": int(row["D"]), "seed": int(row["seed"]),
                "validation": float(row[by]),
            }
            for row in winners.to_dict("records")
        ),
        pooled=Estimate.of(score.pooled), by_fold=Estimate.of(score.by_fold),
        records=len(predictions.record),
        patients=len(set(predictions.patient.tolist())),
    )  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TwinComparison:
    """One configuration against the mean of its randomly initialised twins.

    Intervals hold the patients, and the seeds of either side where it has several.
    """

    configuration: dict[str, Any]  # what sets it apart
    pooled: Estimate  # its macro-AUROC, mean over its seeds, folds together
    by_fold: Estimate  # the same within folds
    runs: dict[str, float]  # macro-AUROC of each of its seeds (and fold trained on), folds together
    # macro-AUROC of each twin by seed (and fold trained on), folds together
    twins: dict[str, float]
    difference: Estimate  # macro-AUROC less the mean of the twins', folds together
    difference_by_fold: Estimate  # the same within folds
    seeds: int  # of the configuration
    records: int  # tested
    patients: int  # tested


def against_twins(
    rows: pd.DataFrame,
    twins: pd.DataFrame,
    folds: tuple[int, ...],
    store: Path,
    options: ResampleOptions,
) -> TwinComparison:
    """Compare the runs of one configuration with randomly initialised twins, patient by patient.

    Args:
        rows: of ``evaluations_on_test``: one configuration, several seeds, all folds.
        twins: the same task, protocol, family and size with random weights.
        folds: of the task.
        store: folder of the predictions.
        options: of the resamples.

    Raises:
        MissingResultError: a fold is missing.
        ResultsError: the models were not tested on the same records.
    """
    first = rows.iloc[0]
    name = f"{first['family']} {first['size']} {str(first['paradigm']).upper()} (D {first['D']})"
    ours, theirs = _by_run(rows, folds, store, name), _by_run(twins, folds, store, "random twin")
    reference = next(iter(ours.values()))
    for group, label in ((ours, name), (theirs, "random twin")):
        for run, predictions in group.items():
            check_same_records(reference, predictions, (name, f"{label}, seed {run}"))
    own, random = (
        {s: scores(p, options.resamples, options.seed) for s, p in group.items()}
        for group in (ours, theirs)
    )
    draws = np.random.default_rng((options.seed, 1)).spawn(2)  # of seeds, apart from patients
    mine = Scores.over_seeds(list(own.values()), draws[0])
    difference = mine.less(Scores.over_seeds(list(random.values()), draws[1]))
    return TwinComparison(
        configuration={
            **{c: str(first[c]) for c in ("task", "protocol", "family", "size", "paradigm")},
            **{c: str(first[c]) for c in ("stage", "objective", "corpus")},
            "N": int(first["N"]), "D": int(first["D"]),
        },
        pooled=Estimate.of(mine.pooled),
        by_fold=Estimate.of(mine.by_fold),
        runs={run: float(score.pooled[0]) for run, score in own.items()},
        twins={run: float(score.pooled[0]) for run, score in random.items()},
        difference=Estimate.of(difference.pooled),
        difference_by_fold=Estimate.of(difference.by_fold),
        seeds=rows["seed"].nunique(),
        records=len(reference.record),
        patients=len(set(reference.patient.tolist())),
    )  # fmt: skip


def _by_run(
    rows: pd.DataFrame, folds: tuple[int, ...], store: Path, name: str
) -> dict[str, Predictions]:
    return {
        run: predictions_of(rows[rows["run"] == run], folds, store, f"{name}, seed {run}")
        for run in sorted({str(r) for r in rows["run"]})
    }
