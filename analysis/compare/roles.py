"""What each method is to the others in a study of students, found from how they were trained.

A block is what can be set against each other: students of one size and of the same leads, data and
share of the labels, and of one teacher. In it are, as far as there are such trials (S2, section 4):

- **baseline**: ``none``, the leads that a student is not given zero, labelled records alone;
- **KD**, and the other *published* rivals: the same with a teacher;
- **LiteHeart-I**: ``kd`` on restored leads with boxes, labelled records alone; **LiteHeart-II**:
  ``liteheart`` there; **LiteHeart**: ``liteheart`` with unlabelled records as well;
- *matched* rivals: the same restoration net, boxes and unlabelled records as LiteHeart;
- **ceiling**: the baseline with all labels; **teacher**: the trials that taught.

Where several methods have one role, such as recipes that were tried, the one with the highest
macro-AUROC on validation has it, and the block says so.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from analysis.compare.methods import KNOWN, Method, Settings

BASELINE, KD, LITEHEART_I, LITEHEART_II, LITEHEART = (
    "baseline", "kd", "liteheart_i", "liteheart_ii", "liteheart",
)  # fmt: skip
BEST, CEILING, TEACHER = "best_matched", "ceiling", "teacher"
# Published forms from the least; each is to be better than the one before.
ORDER = (BASELINE, KD, LITEHEART_I, LITEHEART)
_STAGE = "distill"
_NONE, _KD, _LITEHEART = "none", "kd", "liteheart"  # objectives
_SAME = (
    "corpus", "preprocessing", "family", "size", "leads", "input_leads", "label_set", "D",
)  # fmt: skip
_LABELS = "labels_fraction"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """Methods that are set against each other, and what each is.

    Attributes:
        settings: what its students share.
        taught_by: settings of its teacher that tell it from those of the study's other blocks of
            the same students; empty where there is one teacher.
        roles: role -> the method that has it.
        published: rivals of the baseline as they were published, the baseline among them.
        matched: rivals at LiteHeart's inputs, itself not among them.
        notes: where several methods could have a role.
    """

    settings: Settings
    taught_by: Settings
    roles: Mapping[str, Method]
    published: Sequence[Method]
    matched: Sequence[Method]
    notes: Sequence[str]

    @property
    def names(self) -> set[str]:
        """Its students, by the names of their methods."""
        own = [m for role, m in self.roles.items() if role not in (CEILING, TEACHER)]
        return {m.name for m in (*own, *self.published, *self.matched)}


def blocks_of(methods: Sequence[Method]) -> list[Block]:
    """The blocks of one task and protocol, those of most methods first; none without roles.

    Args:
        methods: with the rows of that task and protocol alone.
    """
    groups: dict[tuple[str, ...], list[Method]] = {}
    for method in methods:
        if method.settings.get("stage") == _STAGE:
            groups.setdefault((*_shared(method), _labels(method)), []).append(method)
    found = []
    for group in groups.values():
        teachers = _distinct(_taught(m) for m in group if m.settings.get("teacher"))
        for teacher in teachers:
            one = [m for m in group if _taught(m) in ({}, teacher)]
            found.append(_block(one, methods, teacher, _telling(teacher, teachers)))
    whole = [b for b in found if BASELINE in b.roles and b.names - {b.roles[BASELINE].name}]
    return sorted(whole, key=lambda b: (-len(b.names), -float(b.settings[_LABELS] or "0")))


def _shared(method: Method) -> tuple[str, ...]:
    """What the methods of a block have in common, shares of the labels apart."""
    start = [f"{k}={v}" for k, v in sorted(method.settings.items()) if k.startswith("start")]
    return (*(method.settings.get(key, "") for key in _SAME), *start)


def _taught(method: Method) -> dict[str, str]:
    """Settings of a method's teacher; empty without one."""
    if method.settings.get("teacher", KNOWN) != KNOWN:
        return {"": method.settings["teacher"]}
    return _of_parent(method, "teacher")


def _of_parent(method: Method, role: str) -> dict[str, str]:
    return {
        key.removeprefix(f"{role}."): value
        for key, value in method.settings.items()
        if key.startswith(f"{role}.")
    }


def _distinct(each: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for one in each:
        if one not in found:
            found.append(one)
    return found


def _telling(one: Settings, among: Sequence[Settings]) -> dict[str, str]:
    """Settings in which one differs from any of the others."""
    return {k: v for k, v in one.items() if any(other.get(k) != v for other in among)}


def _block(
    group: Sequence[Method], methods: Sequence[Method], teacher: Settings, differs: Settings
) -> Block:
    """Give the methods of a block their roles.

    Args:
        group: students of one teacher, or of none, at one share of the labels.
        methods: all, among them the ceiling and the teacher.
        teacher: its settings.
        differs: those of them that tell it from other teachers of such students.
    """
    notes: list[str] = []
    plain = [m for m in group if not (_boxed(m) or _restored(m) or _is(m, _LITEHEART))]
    mixed = [m for m in group if _boxed(m) and _restored(m)]
    labelled_only = [m for m in mixed if not _unlabelled(m)]
    all_labels = [
        m for m in methods
        if _labels(group[0]) != "1" and _labels(m) == "1" and m.settings.get("stage") == _STAGE
        and _shared(m) == _shared(group[0]) and _is(m, _NONE) and not (_boxed(m) or _restored(m))
    ]  # fmt: skip
    published = _one_each("as published", [m for m in plain if not _unlabelled(m)], notes)
    found = {
        BASELINE: next((m for m in published if _is(m, _NONE)), None),
        KD: next((m for m in published if _is(m, _KD)), None),
        LITEHEART_I: _best("LiteHeart-I", [m for m in labelled_only if _is(m, _KD)], notes),
        LITEHEART_II: _best(
            "LiteHeart-II", [m for m in labelled_only if _is(m, _LITEHEART)], notes
        ),
        LITEHEART: _best(
            "LiteHeart", [m for m in mixed if _is(m, _LITEHEART) and _unlabelled(m)], notes
        ),
        CEILING: _best("ceiling", all_labels, notes),
        TEACHER: next((m for m in methods if dict(m.settings) == teacher), None),
    }
    ours = found[LITEHEART]
    matched = _one_each(
        "matched",
        [m for m in mixed if ours and not _is(m, _LITEHEART) and _matches(m, ours)],
        notes,
    )
    found[BEST] = max(matched, key=validation_auroc, default=None)
    if any(math.isnan(validation_auroc(m)) for m in matched):
        found[BEST] = None
        notes.append("no best matched rival: not all have a macro-AUROC on validation")
    return Block(
        settings={key: group[0].settings.get(key, "") for key in (*_SAME, _LABELS)},
        taught_by=differs,
        roles={role: method for role, method in found.items() if method is not None},
        published=published,
        matched=matched,
        notes=notes,
    )


def _labels(method: Method) -> str:
    return method.settings.get(_LABELS, "")


def _is(method: Method, objective: str) -> bool:
    return method.settings.get("objective") == objective


def _restored(method: Method) -> bool:
    return bool(method.settings.get("restoration"))


def _boxed(method: Method) -> bool:
    return method.settings.get("options.boxes", "none") != "none"


def _unlabelled(method: Method) -> bool:
    return float(method.settings.get("options.unlabelled", "0")) > 0


def _inputs(method: Method) -> dict[str, str]:
    """Boxes and the restoration net of a method."""
    boxes = {k: v for k, v in method.settings.items() if k.startswith("options.box")}
    return boxes | _of_parent(method, "restoration") | {"net": method.settings["restoration"]}


def _matches(method: Method, ours: Method) -> bool:
    """Whether a method has the inputs of ours; one without a teacher has no unlabelled records."""
    share = "options.unlabelled"
    same = method.settings.get(share) == ours.settings.get(share)
    return _inputs(method) == _inputs(ours) and (same or not method.settings.get("teacher"))


def validation_auroc(method: Method) -> float:
    """Mean macro-AUROC on validation of the trials of a method; NaN where one has none."""
    each = method.rows["auroc"]
    return math.nan if each.isna().any() else float(each.astype(float).mean())


def _best(name: str, candidates: Sequence[Method], notes: list[str]) -> Method | None:
    """The best of several on validation, which a note says."""
    best = max(candidates, key=lambda m: np.nan_to_num(validation_auroc(m)), default=None)
    if best is not None and len(candidates) > 1:
        notes.append(f"{name}: {best.name}, the best of {len(candidates)} on validation")
    return best


def _one_each(what: str, methods: Sequence[Method], notes: list[str]) -> list[Method]:
    """One method of each objective, by objective."""
    each = [
        _best(f"{objective} {what}", [m for m in methods if _is(m, objective)], notes)
        for objective in sorted({m.settings.get("objective", "") for m in methods})
    ]
    return [m for m in each if m is not None]
