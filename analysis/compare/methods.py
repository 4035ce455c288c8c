"""What the methods of a study are, and what they are called.

A method is all trials that differ in nothing but fold, seed and draw of the labelled records. Its
parents (teacher, restoration net, start) have folds, seeds and draws of their own, so what counts
of them is how they were trained, and not which they are. Its name is the objective and, in
brackets, what tells it apart from the others of that objective: ``kd (restored, boxes)``.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

import pandas as pd

from analysis.studies.rows import pooled

_COLUMNS = (
    "stage", "family", "size", "paradigm", "objective", "corpus", "preprocessing",
    "labels_fraction", "leads", "input_leads", "label_set", "D",
)  # fmt: skip
_JSON = ("options", "recipe")  # columns that hold several settings
# Columns of ids of parents, and what a method with such a parent is called. ``start`` has none: it
# is the parents that are nothing else.
ROLES = {"restoration": "restored", "teacher": "taught", "codebook": "", "start": "pretrained"}
# Said of each method of an objective wherever two of them differ in it, in this order; all else is
# said only of methods that would have one name without it.
_FIRST = (
    "restoration", "input_leads", "options", "labels_fraction", "label_set", "size", "D", "start",
    "teacher", "stage",
)  # fmt: skip

KNOWN = "yes"  # value of a role whose parent is a trial of the study
_DIGITS = "0123456789"  # of a second parent of a role

Settings = Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Method:
    """Trials that differ in nothing but fold, seed and draw.

    Attributes:
        name: in a few words.
        settings: what they share. A key is a column, a setting in one that holds several
            (``options.tau``, ``recipe.lr``), or one of a parent (``teacher.size``).
        rows: of ``evaluations_on_test``: their evaluations, with the columns ``draw`` of the
            labelled records and ``ancestors``, the seeds and draws of their parents.
    """

    name: str
    settings: Settings
    rows: pd.DataFrame


def methods_of(frame: pd.DataFrame, rows: pd.DataFrame) -> list[Method]:
    """The methods that evaluations are of, by name.

    Args:
        frame: from ``load``; columns that older ones lack are taken as empty.
        rows: of ``evaluations_on_test``.
    """
    trials = _Trials(frame)
    chances = [trials.chance(str(trial)) for trial in rows["trial"]]
    rows = rows.assign(draw=[c[1] for c in chances], ancestors=[c[2] for c in chances])
    settings = {str(t): trials.settings(str(t)) for t in rows["trial"].unique()}
    key = rows["trial"].map(lambda trial: json.dumps(settings[trial], sort_keys=True))
    parts = [part for _, part in rows.groupby(key, sort=True)]
    each = [settings[str(part["trial"].iloc[0])] for part in parts]
    ids = [str(part["trial"].min()) for part in parts]
    found = [
        Method(name=name, settings=of, rows=part)
        for name, of, part in zip(method_names(each, ids), each, parts, strict=True)
    ]
    return sorted(found, key=lambda method: method.name)


class _Trials:
    """The trials of a study by id, and what each was trained with."""

    def __init__(self, frame: pd.DataFrame) -> None:
        once = pooled(frame).drop_duplicates("trial")
        self.rows = {str(row["trial"]): row for row in once.to_dict("records")}

    def cell(self, trial: str, column: str) -> str:
        """A cell as text, empty where there is nothing, or no such column."""
        value: Any = self.rows[trial].get(str(column))
        if value is None or value is pd.NA or value != value:  # noqa: PLR0124 (NaN)
            return ""
        return f"{value:g}" if isinstance(value, float) else str(value)

    def parents(self, trial: str) -> Iterator[tuple[str, str]]:
        """Role and id of each parent, by role."""
        named: set[str] = set()
        for role in ROLES:
            ids = _ids(self.cell(trial, role))
            named |= set(ids)
            if role == "start":
                ids = [i for i in _ids(self.cell(trial, "parents")) if i not in named]
            yield from ((role, i) for i in ids)

    def settings(self, trial: str) -> dict[str, str]:
        """All that sets a trial apart but for folds, seeds and draws; empty settings left out."""
        found = {column: self.cell(trial, column) for column in _COLUMNS}
        for column in _JSON:
            found |= {f"{column}.{k}": v for k, v in _several(self.cell(trial, column)).items()}
        taken = Counter[str]()
        for role, parent in self.parents(trial):
            taken[role] += 1
            name = role if taken[role] == 1 else f"{role}{taken[role]}"
            # A parent of another study, or a converted one, is known by its id alone.
            known = parent in self.rows
            found[name] = KNOWN if known else parent
            its = self.settings(parent) if known else {}
            found |= {f"{name}.{key}": value for key, value in its.items()}
        return {key: value for key, value in found.items() if value}

    def chance(self, trial: str) -> tuple[str, str, str]:
        """Seed and draw of a trial, and those of all that it rests on."""
        own = self.cell(trial, "seed"), self.cell(trial, "labelled_draw")
        parents = [self.chance(p) for _, p in self.parents(trial) if p in self.rows]
        return (*own, " ".join(filter(None, (part for parent in parents for part in parent))))


def _ids(cell: str) -> list[str]:
    return [i for i in cell.split(";") if i]


def _several(cell: str) -> dict[str, str]:
    """The settings in a cell of JSON; one that holds anything else is a setting itself."""
    try:
        value = json.loads(cell) if cell else {}
    except ValueError:
        value = cell
    if not isinstance(value, dict):
        return {"": cell}
    return {str(k): v if isinstance(v, str) else json.dumps(v) for k, v in value.items()}


def units_of(rows: pd.DataFrame) -> dict[str, list[pd.DataFrame]]:
    """What chance made different in the trials of a method that were tested on one task.

    Draws of the labelled records where there are several, since the trainings on one draw (and
    their teachers) share what is lucky about it; else seeds.

    Args:
        rows: of ``Method.rows``: one method, task and protocol.

    Returns:
        Name of the unit -> evaluations of each of its trainings, one a fold.
    """
    run, folds = rows["run"].astype(str), ["run", "draw", "fold"]
    if rows.duplicated(folds).any():  # children of several parents
        run = run + " from " + rows["ancestors"].astype(str)
    by_draw = len(set(rows["draw"])) > 1
    unit = "draw " + rows["draw"].astype(str) if by_draw else "seed " + run
    named = rows.assign(unit=unit, run=run)
    return {
        str(name): [part for _, part in of.groupby("run", sort=True)]
        for name, of in named.groupby("unit", sort=True)
    }


def method_names(each: Sequence[Settings], ids: Sequence[str]) -> list[str]:
    """A name for each method, no two alike.

    Args:
        each: settings of the methods.
        ids: what to call those that their settings do not tell apart in words.
    """
    names, parts = [s.get("objective", "") for s in each], [list[str]() for _ in each]
    for objective in dict.fromkeys(names):
        same = [i for i, name in enumerate(names) if name == objective]
        for key in _keys(each[i] for i in same):
            if key.partition(".")[0] in _FIRST and (key in _FIRST or key.startswith("options.")):
                _tell(key, same, each, parts)
    while alike := _alike(names, parts):
        for key in _keys(each[i] for i in alike):
            before = [list(p) for p in parts]
            _tell(key, alike, each, parts)
            if len({str(parts[i]) for i in alike}) > 1:
                break
            parts[:] = before
        else:
            for i in alike:
                parts[i].append(ids[i])
    return [f"{n} ({', '.join(p)})" if p else n for n, p in zip(names, parts, strict=True)]


def _keys(settings: Iterable[Settings]) -> list[str]:
    """Keys in the order in which they are said."""
    keys = {key for one in settings for key in one}

    def order(key: str) -> tuple[int, int, str]:
        first = key.partition(".")[0]
        place = _FIRST.index(first) if first in _FIRST else len(_FIRST)
        return key.count("."), place, key

    by_place = sorted(keys, key=order)
    # Options are said in their place among the columns, though their keys have a dot.
    own = [k for k in by_place if k.startswith("options.") or "." not in k]
    own.sort(key=lambda k: order(k)[1:])
    return own + [k for k in by_place if k not in own]


def _alike(names: Sequence[str], parts: Sequence[Sequence[str]]) -> list[int]:
    """The first methods of one name; none where all differ."""
    full = [(name, *part) for name, part in zip(names, parts, strict=True)]
    twice = next((name for name, count in Counter(full).items() if count > 1), None)
    return [i for i, name in enumerate(full) if name == twice]


def _tell(
    key: str, among: Sequence[int], each: Sequence[Settings], parts: Sequence[list[str]]
) -> None:
    """Add to the name of each of these methods its value of ``key``, if they differ in it."""
    values = {i: each[i].get(key, "") for i in among}
    if len(set(values.values())) > 1:
        for i, value in values.items():
            parts[i] += filter(None, [_words(key, value, set(values.values()))])


def _words(key: str, value: str, among: Set[str]) -> str:
    """A setting in words, among those that it is told apart from; empty where there is none."""
    *path, name = key.split(".")
    if path and path[0].rstrip(_DIGITS) in ROLES:  # of a parent
        inner = _words(key.partition(".")[2], value, among)
        return f"{path[0]} {inner}" if inner else ""
    if path == ["options"]:
        return _option_words(name, value, among)
    if not value:
        return ""
    if path:
        return f"{name} {_rounded(value)}".strip()
    if (role := name.rstrip(_DIGITS)) in ROLES:
        return ROLES[role] if value == KNOWN else f"{name} {value}"
    return _PHRASES.get(name, str)(value)


def _option_words(name: str, value: str, among: Set[str]) -> str:
    """``tau 2``; of a switch its name alone, also where what is not off is one word."""
    if value and among <= {"", "0", "1"}:
        return name if value == "1" else f"no {name}"
    words = among - {"", "none"}
    if value and len(words) == 1 and not any(map(_is_number, words)):
        return name if value in words else f"no {name}"
    return f"{name} {_rounded(value)}" if value else ""


def leads_words(value: str) -> str:
    """``lead I`` or ``leads II, V1, V5``, however they are joined."""
    leads = re.findall(r"\w+", value)
    return f"lead{'s' * (len(leads) > 1)} {', '.join(leads)}"


_PHRASES: Mapping[str, Callable[[str], str]] = {
    "labels_fraction": lambda value: f"{100 * float(value):g} % labels",
    "input_leads": leads_words,
    "leads": "{} leads".format,
    "D": "D {}".format,
}


def _rounded(value: str) -> str:
    """A number without the zeros that JSON gives it; anything else as it is."""
    return f"{float(value):g}" if _is_number(value) else value


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
