"""Which group of runs stands for a family and paradigm, and which may be compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import pandas as pd

from analysis.studies.rows import groups, titles

Kind = tuple[str, str]
_SETTING = ("preprocessing", "labels_fraction", "leads")  # beside the source of the corpus
_LABELS = ("corpus", "objective", "num_labels", "label_set")  # what supervised models learnt


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Runs that one law may describe.

    Attributes:
        key: what sets them apart.
        title: in words.
        rows: of the frame.
        trials: how many.
        alike: whether they were trained in the setting in which configurations are compared.
    """

    key: dict[str, Any]
    title: str
    rows: pd.DataFrame
    trials: int
    alike: bool = True

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


def chosen_groups(frame: pd.DataFrame) -> tuple[list[Group], list[str]]:
    """One group for each family and paradigm, and notes on the others.

    The setting (corpus, preprocessing, share of labels, leads) that most configurations share is
    taken, and for supervised ones the labels and objective that most share; then the group
    with most trials. A configuration without a group in that setting is given for itself but
    compared with no other.
    """
    found = list(groups(frame))
    named = titles([key for key, _ in found])
    every = [
        Group(key=key, title=title, rows=rows, trials=rows["trial"].nunique())
        for (key, rows), title in zip(found, named, strict=True)
    ]
    setting = _commonest(every, lambda g: g.setting)
    inside = [g for g in every if g.setting == setting]
    labels = _commonest([g for g in inside if g.kind[1] == "sl"], lambda g: g.labels)
    chosen, notes = [], []
    for kind in sorted({g.kind for g in every}):
        own = [g for g in every if g.kind == kind]
        alike = [g for g in own if g in inside and (kind[1] != "sl" or g.labels == labels)]
        best = max(alike or own, key=lambda g: g.trials)
        chosen.append(dataclasses.replace(best, alike=bool(alike)))
        notes += [
            f"{g.title}: {g.trials} trials left out, {best.title} is used"
            for g in own if g is not best
        ]  # fmt: skip
        if not alike:
            notes.append(
                f"{best.title}: compared with no other configuration, as its corpus, labels, "
                "preprocessing or leads are not theirs"
            )
    return chosen, notes


def _commonest(found: Sequence[Group], of: Callable[[Group], Hashable]) -> Hashable:
    """The value that most kinds share, then most trials."""

    def size(value: Hashable) -> tuple[int, int]:
        same = [g for g in found if of(g) == value]
        return len({g.kind for g in same}), sum(g.trials for g in same)

    return max((of(g) for g in found), key=size, default=None)
