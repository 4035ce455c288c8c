"""Students of a study: which are shown beside each other, and what they reach at what cost.

Students of one **setting** were trained on the same corpus, D, share of the labels, label set and
leads, by a teacher that was trained alike (or without one). What sets them apart is the method, the
size, and the size of the net that restores their leads.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.compare.evaluations import evaluations_on_test
from analysis.compare.methods import Settings, method_names, methods_of
from analysis.studies.rows import pooled
from scaling.records.names import HELD_OUT, METHODS, suggest
from scaling.records.tables import ResultsError

STAGE = "distill"
TEACHER = "teacher"  # what the teacher is called among names of methods
SHOWN = ("none", "kd", "liteheart")  # methods whose signals and features are drawn, if there
MACRO, CLASS = "macro_auroc", "auroc:"
_SETTING = (
    "corpus", "preprocessing", "labels_fraction", "label_set", "D", "leads", "input_leads",
)  # fmt: skip
_SIZE = ("family", "size")
_COSTS = ("N", "N_system", "macs_system")
_VALUES = ("value", "low", "high")
_UNSEEN = ("recipe.", "restoration.")  # settings that do not make another series of a method


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Student:
    """A finished student that was measured on the task it was trained on.

    Attributes:
        trial: its training id.
        settings: of its method; see ``analysis.compare.methods``.
        row: of the frame of the study, folds named apart (``pooled``).
        validation: macro-AUROC on validation records; NaN where not measured.
    """

    trial: str
    settings: Settings
    row: Mapping[str, Any]
    validation: float

    @property
    def objective(self) -> str:
        """Its method."""
        return self.settings["objective"]

    def parent(self, role: str) -> str:
        """Training id of its parent of a role; empty without one."""
        value = self.row.get(role)
        return value if isinstance(value, str) else ""

    def only(self, *prefixes: str) -> dict[str, str]:
        """Its settings whose keys begin so."""
        return {k: v for k, v in self.settings.items() if k.startswith(prefixes)}


class _Shown(NamedTuple):
    """Students that could be shown together; ``order`` is least for those that are."""

    order: tuple[Any, ...]
    students: list[Student]


def students_of(frame: pd.DataFrame) -> list[Student]:
    """All finished students of a study.

    Args:
        frame: from ``load``.

    Raises:
        ResultsError: there is none.
    """
    rows = evaluations_on_test(frame)
    own = (rows["stage"] == STAGE) & (rows["protocol"] == HELD_OUT)
    rows = rows[own & (rows["task"] == rows["corpus"])]
    if rows.empty:
        stages = ", ".join(sorted(set(frame["stage"]) - {""}))
        raise ResultsError(
            f"the study has no finished students: no measured trial is of the stage {STAGE}, only "
            f"of {stages}"
        )
    trials = pooled(frame).drop_duplicates("trial").set_index("trial", drop=False)
    by_trial = {str(row["trial"]): row for row in trials.to_dict("records")}
    return [
        Student(
            trial=str(row["trial"]),
            settings=method.settings,
            row={str(k): v for k, v in by_trial[str(row["trial"])].items()},
            validation=math.nan if pd.isna(row["auroc"]) else float(row["auroc"]),
        )
        for method in methods_of(frame, rows)
        for row in method.rows.drop_duplicates("trial").to_dict("records")
    ]


def choose(students: Sequence[Student], ids: Sequence[str] = ()) -> list[Student]:
    """The students to show: those named, or the best documented of one training of each method.

    These are ``none``, ``kd`` and ``liteheart`` of one fold, draw, seed, size, teacher and
    restoration net, each as like LiteHeart in its options as there is (and others where of the
    three some are lacking). Taken is where most of the three are, then where leads are restored,
    a teacher teaches, most methods are, and N is largest; of equals the first.

    Args:
        students: from ``students_of``.
        ids: training ids; may be empty.

    Raises:
        ResultsError: an id that is none of a finished student.
    """
    if ids:
        known = {s.trial: s for s in students}
        for name in ids:
            if name not in known:
                raise ResultsError(f"{name} is no finished student; {suggest(name, known)}")
        return [known[name] for name in dict.fromkeys(ids)]
    return min(_candidates(students), key=lambda c: c.order).students


def _candidates(students: Sequence[Student]) -> Iterator[_Shown]:
    cells: dict[tuple[str, ...], list[Student]] = {}
    for student in students:
        cells.setdefault(_cell(student), []).append(student)
    for cell, all_of in sorted(cells.items()):
        for teacher in _parents(all_of, "teacher"):
            for net in _parents(all_of, "restoration"):
                wanted = (("", teacher), ("", net))
                able = [
                    s for s in all_of
                    if s.parent("teacher") in wanted[0] and s.parent("restoration") in wanted[1]
                ]  # fmt: skip
                yield _Shown(_order(able, teacher, net, cell), _one_of_each(able, net))


def _cell(student: Student) -> tuple[str, ...]:
    """What students that are shown together share."""
    chance = (str(student.row.get(c, "")) for c in ("corpus_fold", "labelled_draw", "seed"))
    return (*chance, *(student.settings.get(key, "") for key in (*_SETTING, *_SIZE)))


def _parents(students: Iterable[Student], role: str) -> list[str]:
    """Ids of all parents of a role; an empty one where there is none."""
    return sorted({s.parent(role) for s in students} - {""}) or [""]


def _order(
    able: Sequence[Student], teacher: str, net: str, cell: tuple[str, ...]
) -> tuple[Any, ...]:
    there = {s.objective for s in able}
    largest = [-max((float(s.row[c]) for s in able), default=0.0) for c in ("N", "D")]
    best = -len(there & set(SHOWN)), not net, not teacher, -len(there)
    return (*best, *largest, cell, teacher, net)


def _one_of_each(able: Sequence[Student], net: str) -> list[Student]:
    """A student of each of three methods, as like LiteHeart's as there is."""
    like = next((s.only("options.") for s in able if s.objective == "liteheart"), {})

    def fit(student: Student) -> tuple[bool, int, float, str]:
        same = len(like.items() & student.only("options.").items())
        validation = -math.inf if math.isnan(student.validation) else student.validation
        return student.parent("restoration") == net, same, validation, student.trial

    there = {s.objective for s in able}
    rest = [name for name in METHODS if name in there and name not in SHOWN]
    names = [name for name in SHOWN if name in there]
    names += rest[: max(0, len(SHOWN) - len(names))]
    return [max((s for s in able if s.objective == name), key=fit) for name in names]


def names_of(students: Sequence[Student], shown: Sequence[Student]) -> dict[str, str]:
    """What to call students that are shown together, by training id: as in the other tables.

    Args:
        students: from ``students_of``.
        shown: some of them.
    """
    names: dict[str, str] = {}
    for one in shown:
        series = _series(_of_setting(students, one))
        same = (name for name, points in series if any(_alike(one, p[0]) for p in points))
        names[one.trial] = next(same)
    for trial, size in {s.trial: s.settings["size"] for s in shown}.items():
        if list(names.values()).count(names[trial]) > 1:
            names[trial] += f", {size}, {trial}"
    return names


def setting_words(student: Student) -> str:
    """The setting of a student in words."""
    share = float(student.settings.get("labels_fraction", "1"))
    leads = student.settings.get("input_leads", "").replace("+", ", ")
    words = [
        student.settings["corpus"],
        f"lead{'s' * (',' in leads)} {leads}" if leads else "all leads",
        f"D {int(float(student.settings['D'])):,}",
        f"{100 * share:g} % labels",
        student.settings.get("label_set", ""),
    ]
    return ", ".join(filter(None, words))


def class_areas(frame: pd.DataFrame, students: Sequence[Student], like: Student) -> pd.DataFrame:
    """AUROC of each class on test records by method, of one setting, size and restoration net.

    Args:
        frame: from ``load``.
        students: from ``students_of``.
        like: whose setting, size and net are meant; methods that restore nothing are there too.

    Returns:
        Columns ``method``, ``class`` (empty for the mean over classes), ``value``, ``low`` and
        ``high`` (95 % interval over test patients of one training); means over its trainings
        (draws, seeds, folds); ``trainings`` says how many. The method ``teacher`` is theirs. Empty
        where no AUROC of a class was measured.
    """
    same = [
        s for s in _of_setting(students, like)
        if all(s.settings[key] == like.settings[key] for key in _SIZE) and _same_net(s, like)
    ]  # fmt: skip
    series = _series(same)
    rows = _areas(frame, lambda metric: metric.startswith(CLASS) or metric == MACRO)
    if not any(metric.startswith(CLASS) for metric in rows["metric"]):
        return pd.DataFrame(columns=["method", "class", "value", "low", "high", "trainings"])
    groups = [(name, [s.trial for s in best]) for name, points in series for best in points]
    found = []
    for name, trials in [*groups, (TEACHER, _parents(same, "teacher"))]:
        of = rows[rows["trial"].isin(trials)]
        for metric, part in of.groupby("metric", sort=False):
            class_ = "" if metric == MACRO else str(metric).removeprefix(CLASS)
            found.append({"method": name, "class": class_, **_mean(part)})
    return pd.DataFrame(found)


def accuracy_and_cost(
    frame: pd.DataFrame, students: Sequence[Student], like: Student
) -> pd.DataFrame:
    """Macro-AUROC on test records against cost, by method and size, of one setting.

    Where several recipes were tried, a point is the one best on validation.

    Args:
        frame: from ``load``.
        students: from ``students_of``.
        like: whose setting is meant.

    Returns:
        Columns ``method``, ``size`` (with that of the restoration net), ``N`` (backbone
        parameters), ``N_system`` and ``macs_system`` (parameters and multiply-accumulates of what
        is deployed: restoration and student; NaN where not counted), ``value``, ``low``, ``high``
        and ``trainings`` as in ``class_areas``. The method ``teacher`` is theirs.
    """
    same = _of_setting(students, like)
    rows = _areas(frame, lambda metric: metric == MACRO)
    trials = frame.drop_duplicates("trial").set_index("trial")
    found = []

    def point(method: str, size: str, ids: Sequence[str]) -> None:
        of = rows[rows["trial"].isin(ids)]
        if of.empty:
            return
        costs = trials.loc[[*ids], [*_COSTS]].astype("float64").mean()
        own = {name: float(costs[name]) for name in _COSTS}
        found.append({"method": method, "size": size, **own, **_mean(of)})

    for name, points in _series(same):
        for best in points:
            net = best[0].settings.get("restoration.size", "")
            size = " + ".join(filter(None, (net, best[0].settings["size"])))
            point(name, size, [s.trial for s in best])
    if teachers := [t for t in _parents(same, "teacher") if t in trials.index]:
        point(TEACHER, str(trials.loc[teachers[0], "size"]), teachers)
    return pd.DataFrame(found)


def _of_setting(students: Sequence[Student], like: Student) -> list[Student]:
    same = [s for s in students if all(s.settings.get(k) == like.settings.get(k) for k in _SETTING)]
    taught = (s.only("teacher") for s in (like, *same) if s.parent("teacher"))
    teacher = next(taught, {})
    return [s for s in same if s.only("teacher") in ({}, teacher)]


def _key(student: Student) -> tuple[tuple[str, str], ...]:
    """Settings of a method whatever its size, recipe and restoration net."""
    seen = {k: v for k, v in student.settings.items() if k not in _SIZE}
    return tuple(sorted((k, v) for k, v in seen.items() if not k.startswith(_UNSEEN)))


def _alike(one: Student, other: Student) -> bool:
    return _key(one) == _key(other)


def _same_net(student: Student, like: Student) -> bool:
    own, others = student.only("restoration"), like.only("restoration")
    return not own or not others or own == others


def _series(students: Sequence[Student]) -> list[tuple[str, list[list[Student]]]]:
    """Methods whatever their size: name, and of each size the students of the best recipe."""
    series: dict[tuple[tuple[str, str], ...], list[Student]] = {}
    for student in students:
        series.setdefault(_key(student), []).append(student)
    keys = list(series)
    names = method_names([dict(key) for key in keys], [series[key][0].trial for key in keys])
    found = [(name, _best_of_sizes(series[key])) for name, key in zip(names, keys, strict=True)]

    def order(one: tuple[str, list[list[Student]]]) -> tuple[int, str]:
        method = one[1][0][0].objective
        return METHODS.index(method) if method in METHODS else len(METHODS), one[0]

    return sorted(found, key=order)


def _best_of_sizes(students: Sequence[Student]) -> list[list[Student]]:
    sizes: dict[tuple[str, ...], dict[str, list[Student]]] = {}
    for s in students:
        size = tuple(s.settings.get(key, "") for key in (*_SIZE, "restoration.size"))
        recipes = sizes.setdefault(size, {})
        recipes.setdefault(repr(sorted(s.settings.items())), []).append(s)

    def on_validation(same: Sequence[Student]) -> float:
        known = [s.validation for s in same if not math.isnan(s.validation)]
        return float(np.mean(known)) if known else -math.inf

    found = [max(recipes.values(), key=on_validation) for recipes in sizes.values()]
    return sorted(found, key=lambda same: float(same[0].row["N"]))


def _areas(frame: pd.DataFrame, wanted: Callable[[str], bool]) -> pd.DataFrame:
    """Rows of held-out metrics of trials on the test records of their own task."""
    own = (frame["task"] == frame["corpus"]) & (frame["protocol"] == HELD_OUT)
    rows = frame[own & (frame["split"] == "test") & frame["value"].notna()]
    return rows[rows["metric"].map(wanted).astype(bool)]


def _mean(rows: pd.DataFrame) -> dict[str, float]:
    means = rows[[*_VALUES]].astype("float64").mean()
    return {name: float(means[name]) for name in _VALUES} | {"trainings": rows["trial"].nunique()}
