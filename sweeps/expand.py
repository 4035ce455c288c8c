"""Study -> trainings and their evaluations, with ids, in the order of the grid."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from scaling.identity import CorpusSpec, Evaluation, Job, Recipe, Training, Versions
from scaling.numerics import versions
from sweeps.check import OBJECTIVES

if TYPE_CHECKING:
    from sweeps.grid import Study
    from sweeps.resolve import Target, Targets
    from sweeps.schema import Pretrain, RecipeAxes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Combination:
    """One point of the axes of a stage."""

    family: str
    size: str
    paradigm: str
    data: int
    seed: int
    recipe: Recipe


def expand(study: Study, targets: Targets) -> list[tuple[str, list[Job]]]:
    """Return (stage name, jobs) for each stage; a job lists *all* evaluations of its training.

    The same training may appear more than once where the grid repeats itself.
    """
    stages = []
    for stage, tasks in zip(study.grid.stages, targets.tasks, strict=True):
        combinations = _combinations(stage.pretrain)
        jobs = [_job("pretrain", c, targets.corpus, tasks) for c in combinations]
        stages.append(("pretrain", jobs))
    return stages


def _combinations(stage: Pretrain) -> Iterator[_Combination]:
    if stage.cells is not None:
        for cell in stage.cells:
            base = _axes(stage.recipe) | _axes(stage.recipe.by_size.get(cell.size))
            paradigms = stage.paradigms if cell.paradigm is None else [cell.paradigm]
            seeds = stage.seeds if cell.seed is None else [cell.seed]
            yield from _cross(
                cell.family,
                cell.size,
                paradigms=paradigms,
                data=[cell.data],
                seeds=seeds,
                axes=base | _axes(cell.recipe),
            )
        return
    for family, sizes in (stage.families or {}).items():
        for size in sizes:
            axes = _axes(stage.recipe) | _axes(stage.recipe.by_size.get(size))
            yield from _cross(
                family,
                size,
                paradigms=stage.paradigms,
                data=stage.data or [],
                seeds=stage.seeds,
                axes=axes,
            )


def _cross(
    family: str,
    size: str,
    *,
    paradigms: list[str],
    data: list[int],
    seeds: list[int],
    axes: dict[str, list[Any]],
) -> Iterator[_Combination]:
    recipes = [
        Recipe(**dict(zip(axes, values, strict=True)))
        for values in itertools.product(*axes.values())
    ]
    for paradigm, count, recipe, seed in itertools.product(paradigms, data, recipes, seeds):
        yield _Combination(
            family=family, size=size, paradigm=paradigm, data=count, seed=seed, recipe=recipe
        )


def _axes(recipe: RecipeAxes | None) -> dict[str, list[Any]]:
    if recipe is None:
        return {}
    return recipe.model_dump(exclude_none=True, exclude={"by_size"})


def _job(stage: str, point: _Combination, corpus: Target, tasks: tuple[Target, ...]) -> Job:
    objective = OBJECTIVES[point.paradigm]
    training = Training(
        stage=stage,
        corpus=corpus.spec,
        task=corpus.task,
        family=point.family,
        size=point.size,
        paradigm=point.paradigm,
        objective=objective,
        data=point.data,
        recipe=point.recipe,
        seed=point.seed,
        numerics=_training_numerics(corpus.spec, point.family, objective),
    )
    evaluations = [_evaluation(training, corpus, "held-out")]
    evaluations += [_evaluation(training, task, "linear-probe") for task in tasks]
    return Job(training=training, evaluations=tuple(evaluations))


def _evaluation(training: Training, target: Target, protocol: str) -> Evaluation:
    module = f"evaluation.{protocol.replace('-', '_')}"
    return Evaluation(
        training=training.id,
        corpus=target.spec,
        task=target.task,
        protocol=protocol,
        numerics=_numerics(target.spec, module, "evaluation.held_out", "evaluation.metrics"),
    )


def _training_numerics(spec: CorpusSpec, family: str, objective: str) -> Versions:
    from scaling.models.families import FAMILIES

    # Early stopping looks at held-out losses, so their version can change the weights.
    modules = (FAMILIES[family].numerics, f"objectives.{objective}", "evaluation.held_out")
    return _numerics(spec, "training", *modules)


def _numerics(spec: CorpusSpec, *modules: str) -> Versions:
    kind = spec.source.split("/")[0]
    if kind == "simulated":
        return versions("simulated")
    return versions(*{f"corpora.{kind}", "corpora.signal", "corpora.splits", *modules})
