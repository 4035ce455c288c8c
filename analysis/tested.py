"""Which models were tested on which records, and whether they could have seen them before."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from analysis.folds import pooled
from analysis.predictions import Predictions, joined, read_test
from analysis.records import ResultsError
from analysis.selection import USED

CONFIGURATION = (
    "stage", "family", "paradigm", "objective", "corpus", "preprocessing", "labels_fraction",
    "leads", "num_labels", "size", "N", "D", "recipe",
)  # fmt: skip
_EVALUATION = (*CONFIGURATION, "task", "protocol", "fold", "seed", "trial", "evaluation", "parents")


def evaluations(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per evaluation that has a macro-AUROC on a test split.

    Returns:
        The columns of a configuration, ``task, protocol, fold, seed, trial, evaluation`` and
        ``validation``: the loss on the validation split.

    Raises:
        ResultsError: a model was tested on a fold other than the one it was trained for.
    """
    frame = pooled(frame)
    rows = frame[frame["status"].isin(USED) & frame["value"].notna()]
    test = rows[(rows["metric"] == "macro_auroc") & (rows["split"] == "test")]
    # The loss a probe or a head was trained with; a focal loss orders models of one objective.
    loss = rows[(rows["metric"] == "loss") & (rows["split"] == "validation")]
    validation = loss.drop_duplicates("evaluation").set_index("evaluation")["value"]
    found = test.drop_duplicates("evaluation")[[*_EVALUATION, "corpus_fold"]]
    found = found.assign(validation=found["evaluation"].map(validation))
    _check_folds(frame, found)
    return found.drop(columns="corpus_fold").reset_index(drop=True)


def _check_folds(frame: pd.DataFrame, found: pd.DataFrame) -> None:
    """Refuse models that, or whose parents, were trained on records they are tested on."""
    trials = frame.drop_duplicates("trial").set_index("trial")
    learnt = trials[trials["paradigm"] != "random"]
    trained_on = {
        str(t): (str(c).split(":", maxsplit=1)[0], int(f), str(p))
        for t, c, f, p in zip(
            learnt.index, learnt["corpus"], learnt["corpus_fold"], learnt["parents"], strict=True
        )
    }
    for row in found[found["fold"] > 0].to_dict("records"):
        source, todo = str(row["task"]).split(":", maxsplit=1)[0], [str(row["trial"])]
        while todo:
            trial = todo.pop()
            if trial not in trained_on:
                continue
            corpus, fold, parents = trained_on[trial]
            if corpus == source and fold != row["fold"]:
                raise ResultsError(
                    f"trial {trial} was trained on {corpus} for fold {fold} "
                    f"(0: the official split) but is tested on fold {row['fold']} of it "
                    f"(evaluation {row['evaluation']}): it may have seen those records"
                )
            todo += [p for p in parents.split(";") if p]


def folds_of(found: pd.DataFrame, task: str) -> tuple[int, ...]:
    """The folds of a task in a study, or (0,) for the official split.

    Raises:
        ResultsError: some are missing between 1 and the largest.
    """
    folds = sorted(int(f) for f in found.loc[found["task"] == task, "fold"].unique())
    if folds != [0]:
        missing = sorted(set(range(1, folds[-1] + 1)) - set(folds))
        if missing:
            raise ResultsError(f"{task}: no result of {_names(missing)}: run the study to its end")
    return tuple(f for f in folds if f > 0) or (0,)


def _names(folds: Iterable[int]) -> str:
    listed = [str(f) for f in folds]
    return f"fold{'s' * (len(listed) > 1)} {', '.join(listed)}"


def gather(rows: pd.DataFrame, folds: tuple[int, ...], store: Path, name: str) -> Predictions:
    """Test predictions of one model configuration and seed, every record once.

    Args:
        rows: of ``evaluations``, one for each fold.
        folds: that must be there.
        store: folder of the predictions.
        name: for messages.

    Raises:
        ResultsError: a fold is missing or there twice, or a file of predictions is unusable.
    """
    have = [int(f) for f in rows["fold"]]
    if missing := sorted(set(folds) - set(have)):
        raise ResultsError(f"{name}: no result of {_names(missing)}: run the study to its end")
    wanted = rows[rows["fold"].isin(folds)].sort_values("fold")
    if wanted["fold"].duplicated().any():
        again = wanted.loc[wanted["fold"].duplicated(), "fold"].iloc[0]
        raise ResultsError(f"{name}: several results of fold {again}, none of which is the one")
    parts = [
        read_test(store / f"{row['evaluation']}.npz", int(row["fold"]))
        for row in wanted.to_dict("records")
    ]
    return joined(parts, name)
