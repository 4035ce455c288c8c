"""What a stage trains: families and sizes, paradigms and objectives, labels, parents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from scaling.objectives.registry import OBJECTIVES, default_objective
from scaling.records.names import PARADIGMS, suggest
from sweeps.grid.checks.objective import check_objective
from sweeps.grid.checks.parents import check_codebook, check_parents
from sweeps.grid.checks.recipe import check_recipe
from sweeps.grid.raw import as_axis, as_dict, as_items
from sweeps.grid.source import Loc, Problem

Earlier = Sequence[tuple[str, dict[str, Any]]]


def check_stage(loc: Loc, name: str, stage: dict[str, Any], earlier: Earlier) -> Iterator[Problem]:
    """Every problem of what one stage trains.

    Args:
        loc: where the stage stands.
        name: ``codebook``, ``pretrain`` or ``finetune``.
        stage: what it says.
        earlier: name and content of the stages before it.
    """
    if name != "finetune":
        yield from _families(loc, name, stage)
        yield from _paradigms(loc, stage)
        yield from _cells(loc, stage)
    yield from _data(loc, name, stage)
    if set(trained(name, stage)) != {"random"}:
        yield from check_recipe(loc, stage)
    yield from check_objective(loc, name, stage, trained(name, stage))
    yield from _labels(loc, name, stage)
    yield from _probes(loc, stage)
    yield from check_parents(loc, name, stage, earlier)
    yield from check_codebook(loc, stage, objectives(name, stage), earlier)


def trained(name: str, stage: dict[str, Any]) -> list[str]:
    """Paradigms of a stage, cells included; those of its parents where it says none."""
    if name != "pretrain":
        return ["sl" if name == "finetune" else "ssl"]
    given = as_axis(stage.get("paradigms"))
    if not given:
        given = as_axis(as_dict(stage.get("parents")).get("paradigms")) or ["sl"]
    cells = [as_dict(cell).get("paradigm") for cell in as_items(stage.get("cells"))]
    return [word for word in (*given, *cells) if isinstance(word, str)]


def objectives(name: str, stage: dict[str, Any]) -> set[str]:
    """Objectives of a stage, as far as its words are valid."""
    chosen = stage.get("objective")
    chosen = as_dict(chosen).get("name", chosen)
    if isinstance(chosen, str):
        return {chosen} & OBJECTIVES.keys()
    families: list[Any] = [*as_dict(stage.get("families"))]
    families += [as_dict(cell).get("family") for cell in as_items(stage.get("cells"))]
    if "parents" in stage:
        families = as_axis(as_dict(stage["parents"]).get("families")) or ["resnet", "transformer"]
    found = {default_objective(p, str(f)) for p in trained(name, stage) for f in families}
    return {word for word in found if word is not None}


def _families(loc: Loc, name: str, stage: dict[str, Any]) -> Iterator[Problem]:
    from scaling.models.families import FAMILIES

    crossed = [key for key in ("families", "data") if stage.get(key) is not None]
    if "cells" in stage and crossed:
        message = "give either families and data, or cells, not both"
        yield Problem(loc=(*loc, "cells"), message=message, at_key=True)
    elif not {"cells", "families", "parents"} & stage.keys():
        listed = " (or list 'cells')" if name == "pretrain" else ""
        yield Problem(loc=loc, message=f"the key 'families' is missing{listed}")
    for family, sizes in as_dict(stage.get("families")).items():
        here = (*loc, "families", family)
        if family not in FAMILIES:
            message = f"no family {family!r}; {suggest(str(family), FAMILIES)}"
            yield Problem(loc=here, message=message, at_key=True)
            continue
        if (family == "vq-hbr") != (name == "codebook"):
            message = "a codebook stage trains the family 'vq-hbr', other stages all others"
            yield Problem(loc=here, message=message, at_key=True)
        for i, size in enumerate(as_axis(sizes)):
            if isinstance(size, str) and (bad := _no_size(family, size)):
                yield Problem(loc=(*here, i), message=bad)


def _data(loc: Loc, name: str, stage: dict[str, Any]) -> Iterator[Problem]:
    if not {"cells", "data"} & stage.keys():
        plain = name == "pretrain" and "parents" not in stage
        listed = " (or list 'cells')" if plain else ""
        yield Problem(loc=loc, message=f"the key 'data' is missing{listed}")


def _no_size(family: str, size: str) -> str | None:
    from scaling.models.families import FAMILIES

    info = FAMILIES[family]
    if info.has(size):
        return None
    known = suggest(size, info.sizes) if info.sizes else f"sizes look like {info.pattern}"
    return f"family {family!r} has no size {size!r}; {known}"


def _no_paradigm(paradigm: str, families: Iterable[str]) -> str | None:
    from scaling.models.families import FAMILIES

    if paradigm not in PARADIGMS:
        return f"no paradigm {paradigm!r}; {suggest(paradigm, PARADIGMS)}"
    for family in families:
        if family in FAMILIES and default_objective(paradigm, family) is None:
            return f"family {family!r} is not trained as {paradigm!r}"
    return None


def _paradigms(loc: Loc, stage: dict[str, Any]) -> Iterator[Problem]:
    families = list(as_dict(stage.get("families")))
    for i, paradigm in enumerate(as_axis(stage.get("paradigms"))):
        if isinstance(paradigm, str) and (message := _no_paradigm(paradigm, families)):
            yield Problem(loc=(*loc, "paradigms", i), message=message)


def _cells(loc: Loc, stage: dict[str, Any]) -> Iterator[Problem]:
    from scaling.models.families import FAMILIES

    for i, item in enumerate(as_items(stage.get("cells"))):
        here, cell = (*loc, "cells", i), as_dict(item)
        family, size, paradigm = (cell.get(key) for key in ("family", "size", "paradigm"))
        if isinstance(family, str) and family not in FAMILIES:
            message = f"no family {family!r}; {suggest(family, FAMILIES)}"
            yield Problem(loc=(*here, "family"), message=message)
        elif isinstance(family, str) and isinstance(size, str) and (bad := _no_size(family, size)):
            yield Problem(loc=(*here, "size"), message=bad)
        if isinstance(paradigm, str) and (bad := _no_paradigm(paradigm, [str(family)])):
            yield Problem(loc=(*here, "paradigm"), message=bad)


def _labels(loc: Loc, name: str, stage: dict[str, Any]) -> Iterator[Problem]:
    """Label sets that can be read; labels only where labels are used."""
    from scaling.data.label_sets import parse

    for i, label_set in enumerate(as_axis(stage.get("label_sets"))):
        try:
            if isinstance(label_set, str):
                parse(label_set)
        except ValueError as error:
            yield Problem(loc=(*loc, "label_sets", i), message=str(error))
    for key in ("labels", "label_sets"):
        if key in stage and "sl" not in trained(name, stage):
            message = f"no trial of this stage uses labels; remove {key!r}"
            yield Problem(loc=(*loc, key), message=message, at_key=True)


def _probes(loc: Loc, stage: dict[str, Any]) -> Iterator[Problem]:
    for key in ("few_shot", "trajectory"):
        if stage.get(key) and not as_items(stage.get("tasks")):
            message = f"{key!r} is about the probes of tasks, and there is no task; add 'tasks'"
            yield Problem(loc=(*loc, key), message=message, at_key=True)
