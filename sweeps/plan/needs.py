"""What an objective needs that a trial would not have: leads, records beside each other, classes.

A trial that lacks them fails after it was waited for; a plan knows it before anything runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from scaling.corpora.signals.presets import PRESETS
from scaling.identity import TEACHER, CorpusSpec, Training
from scaling.objectives.registry import OBJECTIVES, ObjectiveInfo, unlabelled_records
from sweeps.errors import Loc, Mistake

if TYPE_CHECKING:
    from sweeps.stages.base import Stage

UNLABELLED = "unlabelled"  # a setting: unlabelled records of a step for each labelled one


def unmet_needs(stage: Stage, training: Training, classes: int) -> Iterator[Mistake]:
    """Why a trial of ``stage`` cannot run; places are those below the stage.

    Args:
        stage: what the grid says.
        training: one of its trials.
        classes: how many its task has.
    """
    if training.family == "simulated":
        return
    info = OBJECTIVES[training.objective]
    if not training.label_set and classes < info.least_classes:
        message = (
            f"the objective {info.name!r} compares classes: it needs at least "
            f"{info.least_classes}, and the task has {classes}; take another objective or task"
        )
        yield Mistake(loc=stage.place_of_objective(info.name), message=message)
    if training.recipe.batch < info.least_batch:
        message = (
            f"the objective {info.name!r} compares the records of a batch: it needs at least "
            f"{info.least_batch}, not {training.recipe.batch}"
        )
        yield Mistake(loc=_place_of_batch(stage, training), message=message)
    elif TEACHER in info.roles:
        yield from _small_sets(stage, training, info)


def lacking_leads(spec: CorpusSpec, leads: Sequence[str]) -> str | None:
    """That a corpus does not hold some of ``leads``, and why; None where it does."""
    held = PRESETS[spec.preprocessing].leads
    if lacking := [lead for lead in leads if lead not in held]:
        return (
            f"preprocessing {spec.preprocessing!r} keeps {', '.join(held)}, and models are made "
            f"for {len(leads)} leads: there is no {', '.join(lacking)}; take another preset"
        )
    return None


def _small_sets(stage: Stage, training: Training, info: ObjectiveInfo) -> Iterator[Mistake]:
    """Labelled or unlabelled records that are too few to be compared, or none at all."""
    share = float(info.settings(training.options).get(UNLABELLED, 0.0))
    labelled, batch = training.labelled, training.recipe.batch
    shares, data = _place_of_labels(stage, training), ("data", *_place(stage.data, training.data))
    enough = f"the objective {info.name!r} needs {info.least_batch} different records in a step"
    least = 2 * info.least_batch - 1
    if labelled < info.least_batch:
        message = f"{enough}, and only {labelled} of {training.data} are labelled; give more data"
        yield Mistake(loc=data, message=message)
    elif (found := fewest_different(batch, labelled)) < info.least_batch:
        message = f"{enough}, and where an epoch ends {batch} may be {found}; use {least} or more"
        yield Mistake(loc=_place_of_batch(stage, training), message=message)
    if not share:
        return
    unlabelled, size = training.data - labelled, unlabelled_records(batch, share)
    if not unlabelled:
        message = (
            f"the objective {info.name!r} uses unlabelled records, and {labelled} of "
            f"{training.data} are labelled; give fewer labels, or set its 'unlabelled' to 0"
        )
        yield Mistake(loc=shares, message=message)
    elif unlabelled < info.least_batch:
        message = f"{enough}, and only {unlabelled} are unlabelled; give fewer labels"
        yield Mistake(loc=shares, message=message)
    elif (found := fewest_different(size, unlabelled)) < info.least_batch:
        few = (
            f"it has {size}"
            if size < info.least_batch
            else f"where an epoch ends {size} may be {found}"
        )
        message = f"{enough}, and of unlabelled ones {few}; let it have {least} or more"
        yield Mistake(loc=stage.place_of_setting(training, UNLABELLED), message=message)


def fewest_different(size: int, records: int) -> int:
    """Fewest different records in a batch of ``size`` cut from epochs joined end to end.

    A batch that lies across the end of an epoch may hold what it began with once more.
    """
    if records % size == 0 or size % records == 0:
        return min(size, records)  # no batch lies across
    return min(records, (size + 1) // 2)


def _place_of_batch(stage: Stage, training: Training) -> Loc:
    """Where a stage says how many records a step of a trial has."""
    here: Loc = ("recipe", "batch")
    axis, batch = stage.recipe.batch, training.recipe.batch
    own = stage.recipe.by_size.get(training.size)
    if own is not None and own.batch is not None:
        here, axis = ("recipe", "by_size", training.size, "batch"), own.batch
    for i, cell in enumerate(stage.listed):
        if cell.recipe.batch and (cell.family, cell.size) == (training.family, training.size):
            here, axis = ("cells", i, "recipe", "batch"), cell.recipe.batch
    return (*here, *_place(axis, batch))


def _place_of_labels(stage: Stage, training: Training) -> Loc:
    """Where a stage says how many records of a trial are labelled."""
    return ("labels", *_place(stage.label_axes[0], training.labels_fraction))


def _place(axis: Sequence[float] | None, value: float) -> Loc:
    return (list(axis).index(value),) if axis is not None and value in axis else ()
