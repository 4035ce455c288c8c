"""What a grid file may say: pydantic models, and the JSON Schema made from them.

``python -m sweeps.grid.schema`` rewrites ``sweeps/grid/grid.schema.json``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sweeps.grid.axes import (
    Axis,
    Best,
    Count,
    Decay,
    Dropout,
    Families,
    NameToo,
    NonNegative,
    ParentStage,
    Precision,
    Rate,
    Share,
    SmokeStage,
    as_codebook,
    as_objective,
    as_task,
)
from sweeps.grid.raw import STAGE_NAMES

SCHEMA_FILE = Path(__file__).with_name("grid.schema.json")
SLUG = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Source(_Model):
    """What both the training corpus and a task may say."""

    source: str
    task: str | None = None
    root: str | None = None
    records: Count | None = None
    validation: Count | None = None
    test: Count | None = None
    fold: Axis[NonNegative] | None = None


class Task(_Source):
    """A corpus and the labels of it; what is left out is taken from the training corpus."""

    fs_hz: Count | None = None
    window_s: Rate | None = None
    preprocessing: str | None = None
    seed: NonNegative | None = None


TaskOrName = Annotated[Task, BeforeValidator(as_task), NameToo()]


class Corpus(_Source):
    """The corpus trained on. ``records``, ``validation`` and ``test`` size virtual cohorts."""

    fs_hz: Count = 100
    window_s: Rate = 10.0
    preprocessing: str = "none"
    seed: NonNegative = 0


class RecipeAxes(_Model):
    """Fields of a training recipe; each may be a list, and is an axis then."""

    max_steps: Axis[Count] | None = None
    batch: Axis[Count] | None = None
    lr: Axis[Rate] | None = None
    warmup_steps: Axis[NonNegative] | None = None
    weight_decay: Axis[Decay] | None = None
    grad_clip: Axis[Decay] | None = None
    dropout: Axis[Dropout] | None = None
    eval_every: Axis[Count] | None = None
    min_steps: Axis[NonNegative] | None = None
    patience: Axis[Count] | None = None
    min_delta: Axis[Decay] | None = None
    precision: Axis[Precision] | None = None
    activation_checkpointing: Axis[bool] | None = None


class StageRecipe(RecipeAxes):
    """A recipe, and what differs from it for single sizes."""

    by_size: dict[str, RecipeAxes] = Field(default_factory=dict)


class ObjectiveChoice(_Model):
    """What is minimised: its name, and settings of its own, each of which may be a list."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    __pydantic_extra__: dict[str, Axis[Any]]

    name: str


ObjectiveOrName = Annotated[ObjectiveChoice, BeforeValidator(as_objective), NameToo()]


class Cell(_Model):
    """One explicit combination. What is left out follows the stage."""

    family: str
    size: str
    data: Count
    seed: NonNegative | None = None
    paradigm: str | None = None
    recipe: RecipeAxes = Field(default_factory=RecipeAxes)


class Parents(_Model):
    """Which trials of earlier stages a stage starts from: all that match, or the best of them."""

    stage: ParentStage | None = None
    families: Axis[str] | None = None
    sizes: Axis[str] | None = None
    paradigms: Axis[str] | None = None
    data: Axis[Count] | None = None
    seeds: Axis[NonNegative] | None = None
    best: Best | None = None


class CodebookChoice(_Model):
    """Which codebook a masked stage predicts the codes of: one trained before, or a file's."""

    size: str | None = None
    path: str | None = None


CodebookOrPath = Annotated[CodebookChoice, BeforeValidator(as_codebook), NameToo()]


class _AnyStage(_Model):
    """What every stage may say."""

    corpus: TaskOrName | None = None
    data: Axis[Count] | None = None
    seeds: Axis[NonNegative] = Field(default_factory=lambda: [0])
    objective: ObjectiveOrName | None = None
    recipe: StageRecipe = Field(default_factory=StageRecipe)


class _Measured(_AnyStage):
    """What a stage whose models are measured on tasks may say besides."""

    labels: Axis[Share] | None = None
    label_sets: Axis[str] | None = None
    tasks: list[TaskOrName] = Field(default_factory=list)
    few_shot: Axis[Share] | None = None
    trajectory: bool | None = None
    predictions: bool | None = None


class CodebookStage(_AnyStage):
    """The codebook stage: heartbeat codebooks, before the stages that predict their codes."""

    families: Families


class Pretrain(_Measured):
    """A pretrain stage: ``families`` and ``data`` crossed, ``cells`` listed, or ``parents``."""

    families: Families | None = None
    cells: Annotated[list[Cell], Field(min_length=1)] | None = None
    paradigms: Axis[str] | None = None
    parents: Parents | None = None
    codebook: CodebookOrPath | None = None


class Finetune(_Measured):
    """The finetune stage: supervised, all weights, from the backbones of ``parents``."""

    parents: Parents
    scratch: bool | None = None


class Stage(_Model):
    """A stage is a mapping with one key, its name."""

    codebook: CodebookStage | None = None
    pretrain: Pretrain | None = None
    finetune: Finetune | None = None

    @property
    def name(self) -> str:
        """``codebook``, ``pretrain`` or ``finetune``."""
        return next(name for name in STAGE_NAMES if getattr(self, name) is not None)

    @property
    def settings(self) -> CodebookStage | Pretrain | Finetune:
        """What the stage says."""
        found: CodebookStage | Pretrain | Finetune = getattr(self, self.name)
        return found


class Smoke(_Model):
    """What ``--smoke`` changes: mappings are merged over the grid, other values replace.

    A stage's part is one mapping for all stages of that name, or a list with one for each.
    ``at_most`` is the number of records that are taken of each split of a source of files.
    """

    at_most: Count | None = None
    corpus: dict[str, Any] = Field(default_factory=dict)
    codebook: SmokeStage = Field(default_factory=list)
    pretrain: SmokeStage = Field(default_factory=list)
    finetune: SmokeStage = Field(default_factory=list)


class Grid(_Model):
    """A grid file: one study."""

    study: Annotated[str, Field(pattern=SLUG)]
    corpus: Corpus
    stages: Annotated[list[Stage], Field(min_length=1)]
    smoke: Smoke | None = None


def schema_text() -> str:
    """The JSON Schema of a grid file, as it is kept in ``grid.schema.json``."""
    return json.dumps(Grid.model_json_schema(), indent=1) + "\n"


def main() -> None:
    """Rewrite ``grid.schema.json``."""
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
