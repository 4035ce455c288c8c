"""The objective of a stage: one that its families can have, with settings that it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scaling.objectives.registry import OBJECTIVES, ObjectiveInfo
from scaling.records.names import suggest
from sweeps.grid.raw import as_axis, as_dict, as_items
from sweeps.grid.source import Loc, Problem

CODES = "codes"  # the size of the codebook: known from the codebook


def check_objective(
    loc: Loc, name: str, stage: dict[str, Any], paradigms: list[str]
) -> Iterator[Problem]:
    """Problems of the key ``objective`` of a stage.

    Args:
        loc: where the stage stands.
        name: name of the stage.
        stage: what it says.
        paradigms: those of its trials.
    """
    given = stage.get("objective")
    here: Loc = (*loc, "objective")
    mapping = as_dict(given)
    word = given if isinstance(given, str) else mapping.get("name")
    if not isinstance(word, str):
        return
    where = (*here, "name") if mapping else here
    if word not in OBJECTIVES:
        yield Problem(loc=where, message=f"no objective {word!r}; {suggest(word, OBJECTIVES)}")
        return
    info = OBJECTIVES[word]
    if message := _unfit(info, name, stage, paradigms):
        yield Problem(loc=where, message=message)
    yield from _options(here, info, {k: v for k, v in mapping.items() if k != "name"})


def _unfit(
    info: ObjectiveInfo, name: str, stage: dict[str, Any], paradigms: list[str]
) -> str | None:
    if name not in info.stages:
        return f"objective {info.name!r} belongs to a {' or '.join(info.stages)} stage"
    if any(paradigm != info.paradigm for paradigm in paradigms):
        return (
            f"objective {info.name!r} is of the paradigm {info.paradigm!r}; "
            f"this stage trains {', '.join(dict.fromkeys(paradigms))}"
        )
    families: list[Any] = [*as_dict(stage.get("families"))]
    families += [as_dict(cell).get("family") for cell in as_items(stage.get("cells"))]
    for family in families:
        if family not in info.families:
            return f"objective {info.name!r} trains {', '.join(info.families)}, not {family}"
    return None


def _options(loc: Loc, info: ObjectiveInfo, given: dict[str, Any]) -> Iterator[Problem]:
    known = {key: value for key, value in info.options if key != CODES}
    for key, axis in given.items():
        if key == CODES and info.codebook:
            message = "the number of codes is that of the codebook; remove 'codes'"
            yield Problem(loc=(*loc, key), message=message, at_key=True)
        elif key not in known:
            about = suggest(key, known) if known else "it has none"
            message = f"objective {info.name!r} has no setting {key!r}; {about}"
            yield Problem(loc=(*loc, key), message=message, at_key=True)
        else:
            for i, value in enumerate(as_axis(axis)):
                if wrong := info.problem(key, value):
                    place = (*loc, key, i) if isinstance(axis, list) else (*loc, key)
                    yield Problem(loc=place, message=wrong)
