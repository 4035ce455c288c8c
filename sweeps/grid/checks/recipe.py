"""Recipes: sizes that exist, and steps that fit into the cap."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from scaling.identity import Recipe
from sweeps.grid.raw import as_axis, as_dict, as_items
from sweeps.grid.source import Loc, Problem


def check_recipe(loc: Loc, stage: dict[str, Any]) -> Iterator[Problem]:
    """Problems of the recipe of a stage and of its cells."""
    base = as_dict(stage.get("recipe"))
    by_size = as_dict(base.get("by_size"))
    yield from _steps((*loc, "recipe"), base)
    for size, over in by_size.items():
        if not _size_in_stage(str(size), stage):
            message = f"no family of this stage has a size {size!r}"
            yield Problem(loc=(*loc, "recipe", "by_size", size), message=message, at_key=True)
        yield from _steps((*loc, "recipe", "by_size", size), base | as_dict(over))
    for i, cell in enumerate(as_items(stage.get("cells"))):
        if over := as_dict(as_dict(cell).get("recipe")):
            yield from _steps((*loc, "cells", i, "recipe"), base | over)


def _size_in_stage(size: str, stage: dict[str, Any]) -> bool:
    """Whether a family of the stage has the size; any family's will do where parents give it."""
    from scaling.models.families import FAMILIES

    names: list[Any] = [*as_dict(stage.get("families"))]
    names += [as_dict(cell).get("family") for cell in as_items(stage.get("cells"))]
    if "parents" in stage:
        names = list(FAMILIES)
    return any(FAMILIES[name].has(size) for name in names if name in FAMILIES)


def _steps(loc: Loc, recipe: dict[str, Any]) -> Iterator[Problem]:
    """Warm-up and the first evaluation must come before the cap on steps."""
    defaults = dataclasses.asdict(Recipe())
    caps = as_axis(recipe.get("max_steps", defaults["max_steps"]))
    if not all(isinstance(cap, int) for cap in caps) or not caps:
        return
    for key in ("warmup_steps", "eval_every"):
        given = key in recipe
        values = as_axis(recipe.get(key, defaults[key]))
        worst = max((v for v in values if isinstance(v, int)), default=0)
        if worst > min(caps) or (key == "warmup_steps" and worst == min(caps)):
            origin = "" if given else " (the default)"
            message = f"{key} {worst}{origin} does not fit in max_steps {min(caps)}; set {key}"
            yield Problem(loc=(*loc, key) if given else (*loc, "max_steps"), message=message)
