"""What the trials of a stage begin as: its families and sizes, its cells, or its parents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from scaling.identity import Training
from sweeps.grid.source import Loc
from sweeps.plan.combinations import Start

if TYPE_CHECKING:
    from sweeps.grid.schema import Finetune, Pretrain, Stage


def starts(stage: Stage, parents: Mapping[str, Training]) -> Iterator[Start]:
    """Every start of a stage.

    Args:
        stage: the stage.
        parents: the trainings it may start from, by id; empty where it names none.
    """
    if stage.finetune is not None:
        yield from _finetuned(stage.finetune, parents)
    elif stage.pretrain is not None and stage.pretrain.parents is not None:
        yield from _continued(stage.pretrain, parents)
    elif stage.pretrain is not None and stage.pretrain.cells is not None:
        yield from _listed(stage.pretrain)
    else:
        families = getattr(stage.settings, "families", None) or {}
        paradigms = ["ssl"]  # of a codebook stage
        if stage.pretrain is not None:
            paradigms = stage.pretrain.paradigms or ["sl"]
        for family, sizes in families.items():
            for size in sizes:
                for paradigm in paradigms:
                    yield Start(family=family, size=size, paradigm=paradigm)


def _finetuned(stage: Finetune, parents: Mapping[str, Training]) -> Iterator[Start]:
    for name, parent in parents.items():
        yield Start(family=parent.family, size=parent.size, paradigm="sl", parent=name)
    if stage.scratch:
        for family, size in dict.fromkeys((t.family, t.size) for t in parents.values()):
            yield Start(family=family, size=size, paradigm="sl")


def _continued(stage: Pretrain, parents: Mapping[str, Training]) -> Iterator[Start]:
    for name, parent in parents.items():
        for paradigm in stage.paradigms or [parent.paradigm]:
            yield Start(family=parent.family, size=parent.size, paradigm=paradigm, parent=name)


def _listed(stage: Pretrain) -> Iterator[Start]:
    for cell in stage.cells or ():
        for paradigm in [cell.paradigm] if cell.paradigm else stage.paradigms or ["sl"]:
            yield Start(family=cell.family, size=cell.size, paradigm=paradigm, cell=cell)


def place_of(stage: Stage, training: Training) -> Loc:
    """Where a stage names the family and size of one of its trainings."""
    families = getattr(stage.settings, "families", None) or {}
    if training.size in families.get(training.family, ()):
        return ("families", training.family, families[training.family].index(training.size))
    for i, cell in enumerate(getattr(stage.settings, "cells", None) or ()):
        if (cell.family, cell.size) == (training.family, training.size):
            return ("cells", i, "size")
    return ("parents",)
