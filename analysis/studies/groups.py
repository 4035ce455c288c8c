"""Groups of runs that one law may describe: what they are called, and which may be compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import pandas as pd

from analysis.studies.rows import GROUP, check_study, pooled

LAW_STAGE = "pretrain"
_NAMED = {"labels_fraction": "labels", "num_labels": "classes", "label_set": "label set"}
Kind = tuple[str, str]
_SETTING = ("preprocessing", "labels_fraction", "leads")  # beside the source of the corpus
_LABELS = ("corpus", "objective", "num_labels", "label_set")  # what supervised models learnt


def groups(frame: pd.DataFrame) -> Iterable[tuple[dict[str, Any], pd.DataFrame]]:
    """Parts of a frame that one law may describe, with what sets each apart.

    Only pretraining has laws: codebooks, random weights and fine-tuned models have tables.
    """
    check_study(frame)
    frame = frame if "fold" in frame.columns else pooled(frame)
    part = frame[(frame["stage"] == LAW_STAGE) & (frame["paradigm"] != "random")]
    key = part[list(GROUP)].copy()
    rest = [c for c in GROUP if c != "num_labels"]
    # A trial that failed early does not know its number of labels.
    known = key.groupby(rest, dropna=False)["num_labels"].transform("min")
    key["num_labels"] = key["num_labels"].fillna(known)
    for values, rows in part.groupby([key[c] for c in GROUP], dropna=False, sort=True):
        yield dict(zip(GROUP, values, strict=True)), rows


def titles(keys: Sequence[dict[str, Any]]) -> list[str]:
    """Family, paradigm and corpus of each group, and what sets it apart from others of them."""
    return _told_apart(keys, [f"{_name(k)} on {k['corpus']}" for k in keys])


def _name(key: dict[str, Any]) -> str:
    return f"{key['family']}-{str(key['paradigm']).upper()}"


def _told_apart(keys: Sequence[dict[str, Any]], names: Sequence[str]) -> list[str]:
    """Each of ``names``, with the columns of its group in which others of the same name differ."""
    titles = []
    for key, name in zip(keys, names, strict=True):
        same = [k for k, other in zip(keys, names, strict=True) if other == name]
        apart = [
            f"{_NAMED.get(c, c)} {key[c]}"
            for c in GROUP
            if len({str(k[c]) for k in same}) > 1 and str(key[c]) not in ("", "<NA>")
        ]
        titles.append(f"{name} ({', '.join(apart)})" if apart else name)
    return titles


def with_names(cells: pd.DataFrame) -> pd.DataFrame:
    """With a column ``name``: family and paradigm, and what else sets a configuration apart.

    Args:
        cells: with the columns of ``GROUP``.
    """
    keys: list[dict[str, Any]] = [
        {c: row[c] for c in GROUP} for row in cells[list(GROUP)].to_dict("records")
    ]
    distinct = {str(k): k for k in keys}
    each = list(distinct.values())
    known = dict(zip(distinct, _told_apart(each, [_name(k) for k in each]), strict=True))
    return cells.assign(name=pd.Series([known[str(k)] for k in keys], index=cells.index, dtype=str))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunGroup:
    """Runs that one law may describe."""

    key: dict[str, Any]  # what sets them apart
    title: str  # in words
    rows: pd.DataFrame  # of the frame
    trials: int  # how many
    # whether they were trained in the setting in which configurations are compared
    comparable: bool = True

    @property
    def kind(self) -> Kind:
        """Family and paradigm."""
        return str(self.key["family"]), str(self.key["paradigm"])

    @property
    def setting(self) -> tuple[str, ...]:
        """What must be equal for configurations to be compared."""
        source = str(self.key["corpus"]).split(":", maxsplit=1)[0]
        return (source, *(str(self.key[c]) for c in _SETTING))

    @property
    def labels(self) -> tuple[str, ...]:
        """What must be equal for supervised configurations to be compared."""
        return tuple(str(self.key[c]) for c in _LABELS)


def chosen_groups(frame: pd.DataFrame) -> tuple[list[RunGroup], list[str]]:
    """One group for each family and paradigm, and notes on the others.

    The setting (corpus, preprocessing, share of labels, leads) that most configurations share is
    taken, and for supervised ones the labels and objective that most share; then the group
    with most trials. A configuration without a group in that setting is given for itself but
    compared with no other.
    """
    parts = list(groups(frame))
    named = titles([key for key, _ in parts])
    every = [
        RunGroup(key=key, title=title, rows=rows, trials=rows["trial"].nunique())
        for (key, rows), title in zip(parts, named, strict=True)
    ]
    setting = _commonest(every, lambda g: g.setting)
    inside = [g for g in every if g.setting == setting]
    labels = _commonest([g for g in inside if g.kind[1] == "sl"], lambda g: g.labels)
    chosen, notes = [], []
    for kind in sorted({g.kind for g in every}):
        own = [g for g in every if g.kind == kind]
        same = [g for g in own if g in inside and (kind[1] != "sl" or g.labels == labels)]
        best = max(same or own, key=lambda g: g.trials)
        chosen.append(dataclasses.replace(best, comparable=bool(same)))
        notes += [
            f"{g.title}: {g.trials} trials left out, {best.title} is used"
            for g in own
            if g is not best
        ]
        if not same:
            notes.append(
                f"{best.title}: compared with no other configuration, as its corpus, labels, "
                "preprocessing or leads are not theirs"
            )
    return chosen, notes


def _commonest(parts: Sequence[RunGroup], of: Callable[[RunGroup], Hashable]) -> Hashable:
    """The value that most kinds share, then most trials."""

    def size(value: Hashable) -> tuple[int, int]:
        same = [g for g in parts if of(g) == value]
        return len({g.kind for g in same}), sum(g.trials for g in same)

    return max((of(g) for g in parts), key=size, default=None)
