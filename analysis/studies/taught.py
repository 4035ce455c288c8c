"""What a law of distillation needs of a student's teacher, and of the student alone.

A distillation law says a student's loss L_S as a function of its size, its data and the loss L_T of
its teacher, and holds it against the loss of the same student without a teacher (Busbridge et al.
2025, "Distillation Scaling Laws", Eq. 8). All of them are of the same test records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from scaling.records.names import HELD_OUT, USED

COLUMNS = ("L_T", "N_T", "D_T", "L_alone")
_STAGE, _ALONE = "distill", "none"
_SAME = (
    "corpus", "preprocessing", "family", "size", "leads", "input_leads", "label_set", "D",
    "labels_fraction", "labelled_draw", "seed", "start",
)  # fmt: skip


def with_teachers(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame of values and trials with what is known of the teacher of each student.

    Args:
        frame: every evaluation joined with its trial, as ``load`` makes it.

    Returns:
        The frame with the columns ``L_T`` (nats: binary cross-entropy of the teacher on the test
        records of the student's task), ``N_T`` and ``D_T`` (the teacher's N and D, the latter of
        its own training and not of what it began as), and ``L_alone`` (nats: that of the same
        student by ``none``: same size, D, labels, draw, seed and input leads, the others zero, no
        boxes; of the student's recipe, or else of the one best on validation). NaN where there is
        none: of trials without a teacher, of teachers of another study, and for ``L_alone`` of
        all stages but ``distill``.
    """
    trials = frame.drop_duplicates("trial").set_index("trial")
    students = trials[trials["stage"] == _STAGE]
    if students.empty:
        return frame.assign(**dict.fromkeys(COLUMNS, float("nan")))
    losses = {split: _losses(frame, split) for split in ("validation", "test")}
    teacher = students["teacher"].fillna("")
    sizes = trials[["N", "D"]].astype("float64")
    known = pd.DataFrame(
        {
            "L_T": teacher.map(losses["test"]),
            "N_T": teacher.map(sizes["N"]),
            "D_T": teacher.map(sizes["D"]),
            "L_alone": _alone(students, losses),
        },
        index=students.index,
    )
    return frame.assign(**{c: frame["trial"].map(known[c]).astype("float64") for c in COLUMNS})


def _losses(frame: pd.DataFrame, split: str) -> pd.Series[float]:
    """Held-out binary cross-entropy of each trial on its own task, by trial.

    Of a model that was trained with another loss it stands beside that loss.
    """
    own = (frame["protocol"] == HELD_OUT) & (frame["task"] == frame["corpus"])
    own &= (frame["split"] == split) & frame["status"].isin(USED) & frame["value"].notna()
    rows = frame[own & frame["metric"].isin(["loss", "bce"])]
    # "bce" comes before "loss", and of each trial the first counts.
    first = rows.sort_values("metric", kind="stable").drop_duplicates("trial")
    return first.set_index("trial")["value"].astype("float64")


def _alone(students: pd.DataFrame, losses: Mapping[str, pd.Series[float]]) -> pd.Series[float]:
    """Test loss of the same student without a teacher, by trial."""
    students = students.assign(
        start=[
            _others(p, (t, r))
            for p, t, r in zip(
                students["parents"], students["teacher"], students["restoration"], strict=True
            )
        ]
    )
    key = students[list(_SAME)].astype("string").fillna("").agg("|".join, axis=1)
    plain = students["objective"].eq(_ALONE) & students["restoration"].fillna("").eq("")
    plain &= ~students["options"].fillna("").str.contains("boxes")
    tried = pd.DataFrame(
        {
            "key": key, "recipe": students["recipe"],
            "validation": losses["validation"].reindex(students.index),
            "test": losses["test"].reindex(students.index),
        }
    )  # fmt: skip
    tried = tried[plain & tried["test"].notna()].sort_values("validation", kind="stable")
    best = tried.drop_duplicates("key").set_index("key")["test"]
    same = tried.drop_duplicates(["key", "recipe"]).set_index(["key", "recipe"])["test"]
    recipes = pd.MultiIndex.from_arrays([key, students["recipe"]])
    own = pd.Series(same.reindex(recipes).to_numpy(), index=students.index)
    return own.fillna(key.map(best)).astype("float64")


def _others(parents: str, known: Iterable[str]) -> str:
    """What a student began as: its parents less teacher and restoration net."""
    return ";".join(p for p in str(parents).split(";") if p and p not in set(known))
