"""What a grid file may say: pydantic models, and the JSON Schema made from them.

``python -m sweeps.schema`` rewrites ``sweeps/grid.schema.json``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

SCHEMA_FILE = Path(__file__).with_name("grid.schema.json")
SLUG = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

T = TypeVar("T")


class _ScalarToo:
    """In the JSON Schema, say that a single value may stand for a list of one."""

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core_schema)
        return {"anyOf": [schema["items"], schema]}


class _NameToo:
    """In the JSON Schema, say that ``source`` or ``source:task`` may stand for a mapping."""

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string"}, handler(core_schema)]}


def _as_task(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    source, colon, task = value.partition(":")
    return {"source": source, "task": task} if colon else {"source": source}


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | int | float) else value


Axis = Annotated[list[T], Field(min_length=1), BeforeValidator(_as_list), _ScalarToo()]

Count = Annotated[int, Field(ge=1)]
NonNegative = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Decay = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Precision = Literal["float32", "bf16"]


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


class Task(_Source):
    """A corpus and the labels of it; what is left out is taken from the training corpus."""

    fs_hz: Count | None = None
    window_s: Rate | None = None
    preprocessing: str | None = None
    seed: NonNegative | None = None


TaskOrName = Annotated[Task, BeforeValidator(_as_task), _NameToo()]


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


class StageRecipe(RecipeAxes):
    """A recipe, and what differs from it for single sizes."""

    by_size: dict[str, RecipeAxes] = Field(default_factory=dict)


class Cell(_Model):
    """One explicit combination. What is left out follows the stage."""

    family: str
    size: str
    data: Count
    seed: NonNegative | None = None
    paradigm: str | None = None
    recipe: RecipeAxes = Field(default_factory=RecipeAxes)


class Pretrain(_Model):
    """The pretrain stage: ``families`` and ``data`` are crossed, or ``cells`` listed."""

    families: Annotated[dict[str, Axis[str]], Field(min_length=1)] | None = None
    data: Axis[Count] | None = None
    cells: Annotated[list[Cell], Field(min_length=1)] | None = None
    paradigms: Axis[str] = Field(default_factory=lambda: ["sl"])
    seeds: Axis[NonNegative] = Field(default_factory=lambda: [0])
    recipe: StageRecipe = Field(default_factory=StageRecipe)
    tasks: list[TaskOrName] = Field(default_factory=list)


class Stage(_Model):
    """A stage is a mapping with one key, its name."""

    pretrain: Pretrain


class Smoke(_Model):
    """What ``--smoke`` changes: mappings are merged over the grid, other values replace."""

    corpus: dict[str, Any] = Field(default_factory=dict)
    pretrain: dict[str, Any] = Field(default_factory=dict)


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
