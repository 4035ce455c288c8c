"""Which models were tested on which records, and whether they could have seen them before."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from analysis.studies.predictions import Predictions, joined_folds, read_test
from analysis.studies.rows import pooled
from scaling.records.names import HELD_OUT, USED
from scaling.records.tables import ResultsError

CONFIGURATION = (
    "stage", "family", "paradigm", "objective", "corpus", "preprocessing", "labels_fraction",
    "leads", "num_labels", "label_set", "size", "N", "D", "recipe",
)  # fmt: skip
_EVALUATION = (
    *CONFIGURATION, "task", "protocol", "corpus_fold", "task_fold", "seed", "trial", "evaluation",
    "parents",
)  # fmt: skip
_BCE = ("supervised",)  # objectives whose own loss is binary cross-entropy


class MissingResultError(ResultsError):
    """Models without a result that a comparison needs; the others can still be compared."""


def evaluations_on_test(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per evaluation that has a macro-AUROC on a test split.

    Returns:
        The columns of a configuration, ``task, protocol, seed, trial, evaluation``; ``fold`` of
        the test records (0 for an official split); ``run``, which tells apart models that were
        tested on the same records: the seed, with the fold trained on where the test records are
        an official split; and by what a model may be chosen: ``bce`` and ``auroc``, binary
        cross-entropy and macro-AUROC on the validation split (NaN where not measured).

    Raises:
        ResultsError: a model was tested on a fold other than the one it was trained for.
    """
    frame = pooled(frame)
    rows = frame[frame["status"].isin(USED) & frame["value"].notna()]
    test = rows[(rows["metric"] == "macro_auroc") & (rows["split"] == "test")]
    tested = test.drop_duplicates("evaluation")[[*_EVALUATION]]
    _check_folds(frame, tested)
    trained = tested["corpus_fold"].where(tested["task_fold"] == 0, 0)
    run = tested["seed"].astype("string")
    run = run.where(trained == 0, run + " of fold " + trained.astype("string"))
    validation = rows[rows["split"] == "validation"].drop_duplicates(["evaluation", "metric"])
    by = validation.pivot_table(index="evaluation", columns="metric", values="value")
    known = by.reindex(columns=["bce", "loss", "macro_auroc"])
    own = tested["evaluation"].map(known["loss"])
    probe = tested["protocol"] != HELD_OUT  # whose loss is binary cross-entropy
    own_is_bce = tested["objective"].isin(_BCE) | probe
    return tested.assign(
        fold=tested["task_fold"], run=run,
        bce=tested["evaluation"].map(known["bce"]).fillna(own.where(own_is_bce)),
        auroc=tested["evaluation"].map(known["macro_auroc"]),
    ).drop(columns=["corpus_fold", "task_fold"]).reset_index(drop=True)  # fmt: skip


def _check_folds(frame: pd.DataFrame, tested: pd.DataFrame) -> None:
    """Refuse models that, or whose parents, were trained on records they are tested on.

    Within one corpus the split tested on must be the one trained for: a fold's training records
    hold those of other folds, and of the official test split.
    """
    trials = frame.drop_duplicates("trial").set_index("trial")
    learnt = trials[trials["paradigm"] != "random"]
    trained_on = {
        str(t): (str(c).split(":", maxsplit=1)[0], int(f), str(p))
        for t, c, f, p in zip(
            learnt.index, learnt["corpus"], learnt["corpus_fold"], learnt["parents"], strict=True
        )
    }
    for row in tested.to_dict("records"):
        source, todo = str(row["task"]).split(":", maxsplit=1)[0], [str(row["trial"])]
        while todo:
            trial = todo.pop()
            if trial not in trained_on:
                continue
            corpus, fold, parents = trained_on[trial]
            if corpus == source and fold != row["task_fold"]:
                raise ResultsError(
                    f"trial {trial} was trained on {corpus} for {_split(fold)} but is tested on "
                    f"{_split(int(row['task_fold']))} of it (evaluation {row['evaluation']}): it "
                    "may have seen those records"
                )
            todo += [p for p in parents.split(";") if p]


def _split(fold: int) -> str:
    return f"fold {fold}" if fold else "the official split"


def folds_of(rows: pd.DataFrame, task: str) -> tuple[int, ...]:
    """The folds of a task in a study, or (0,) for the official split.

    Raises:
        MissingResultError: some are missing between 1 and the largest.
    """
    folds = sorted(int(f) for f in rows.loc[rows["task"] == task, "fold"].unique())
    if folds != [0]:
        missing = sorted(set(range(1, folds[-1] + 1)) - set(folds))
        if missing:
            raise MissingResultError(
                f"{task}: no result of {_names(missing)}: run the study to its end"
            )
    return tuple(f for f in folds if f > 0) or (0,)


def _names(folds: Iterable[int]) -> str:
    listed = [str(f) for f in folds]
    return f"fold{'s' * (len(listed) > 1)} {', '.join(listed)}"


def predictions_of(
    rows: pd.DataFrame, folds: tuple[int, ...], store: Path, name: str
) -> Predictions:
    """Test predictions of one model configuration and seed, every record once.

    Args:
        rows: of ``evaluations_on_test``, one for each fold.
        folds: that must be there.
        store: folder of the predictions.
        name: for messages.

    Raises:
        MissingResultError: a fold is missing.
        ResultsError: a fold is there twice, or a file of predictions is unusable.
    """
    have = [int(f) for f in rows["fold"]]
    if missing := sorted(set(folds) - set(have)):
        raise MissingResultError(
            f"{name}: no result of {_names(missing)}: run the study to its end"
        )
    wanted = rows[rows["fold"].isin(folds)].sort_values("fold")
    if wanted["fold"].duplicated().any():
        again = wanted.loc[wanted["fold"].duplicated(), "fold"].iloc[0]
        raise ResultsError(f"{name}: several results of fold {again}, none of which is the one")
    parts = [
        read_test(store / f"{row['evaluation']}.npz", int(row["fold"]))
        for row in wanted.to_dict("records")
    ]
    return joined_folds(parts, name)
