"""The axes of a stage: every combination of recipe, objective, data, labels and seed."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from scaling.identity import Options, Recipe
from scaling.objectives.registry import OBJECTIVES, default_objective

if TYPE_CHECKING:
    from sweeps.grid.schema import Cell, CodebookStage, Finetune, Pretrain, RecipeAxes

    AnyStage = CodebookStage | Pretrain | Finetune

UNTRAINED = "untrained"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a trial begins as.

    Attributes:
        family: architecture.
        size: point on its ladder.
        paradigm: ``sl``, ``ssl`` or ``random``.
        parent: id of the training whose backbone it starts from, or "".
        cell: the explicit combination it is of, if any.
    """

    family: str
    size: str
    paradigm: str
    parent: str = ""
    cell: Cell | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One combination of everything that a stage leaves to its axes."""

    objective: str
    options: Options
    recipe: Recipe
    data: int
    labels: float
    label_set: str
    seed: int


def points(stage: AnyStage, start: Start) -> Iterator[Point]:
    """Every combination for a start.

    What cannot change a trial is not an axis of it: the recipe of a model that is not trained,
    and labels where none are used.
    """
    objective = objective_of(stage, start)
    cell = start.cell
    for recipe, options, data, labels, label_set, seed in itertools.product(
        [Recipe()] if objective == UNTRAINED else _recipes(stage, start),
        _options(stage, objective),
        [cell.data] if cell else stage.data or [],
        (getattr(stage, "labels", None) or [1.0]) if start.paradigm == "sl" else [1.0],
        (getattr(stage, "label_sets", None) or [""]) if start.paradigm == "sl" else [""],
        [cell.seed] if cell and cell.seed is not None else stage.seeds,
    ):
        yield Point(
            objective=objective,
            options=options,
            recipe=recipe,
            data=data,
            labels=float(labels),
            label_set=label_set,
            seed=seed,
        )


def objective_of(stage: AnyStage, start: Start) -> str:
    """The objective a stage names, or the one its paradigm means for the family."""
    if stage.objective is not None:
        return stage.objective.name
    # Paradigm and family are checked to go together; 'simulated' names what it stands for.
    return default_objective(start.paradigm, start.family) or "supervised"


def _recipes(stage: AnyStage, start: Start) -> list[Recipe]:
    axes = _axes(stage.recipe) | _axes(stage.recipe.by_size.get(start.size))
    if start.cell is not None:
        axes |= _axes(start.cell.recipe)
    return [
        Recipe(**dict(zip(axes, values, strict=True)))
        for values in itertools.product(*axes.values())
    ]


def _axes(recipe: RecipeAxes | None) -> dict[str, list[Any]]:
    if recipe is None:
        return {}
    return recipe.model_dump(exclude_none=True, exclude={"by_size"})


def _options(stage: AnyStage, objective: str) -> list[Options]:
    """Settings that differ from the objective's defaults, sorted by name."""
    given = (stage.objective.model_extra or {}) if stage.objective is not None else {}
    defaults = dict(OBJECTIVES[objective].options)
    found = []
    for values in itertools.product(*given.values()):
        settings = {k: type(defaults[k])(v) for k, v in zip(given, values, strict=True)}
        found.append(tuple(sorted((k, v) for k, v in settings.items() if v != defaults[k])))
    return found
