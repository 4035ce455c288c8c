"""The kinds of value in a grid file: axes, numbers in a range, names that stand for mappings."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

T = TypeVar("T")


class ScalarToo:
    """In the JSON Schema, say that a single value may stand for a list of one."""

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core_schema)
        return {"anyOf": [schema["items"], schema]}


class NameToo:
    """In the JSON Schema, say that a name may stand for a mapping."""

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string"}, handler(core_schema)]}


def as_task(value: Any) -> Any:
    """``source`` and ``source:task`` as a mapping."""
    if not isinstance(value, str):
        return value
    source, colon, task = value.partition(":")
    return {"source": source, "task": task} if colon else {"source": source}


def as_list(value: Any) -> Any:
    """A single value as a list of one."""
    return [value] if isinstance(value, str | int | float) else value


def one_to_list(value: Any) -> Any:
    """A single mapping as a list of one."""
    return [value] if isinstance(value, dict) else value


def as_codebook(value: Any) -> Any:
    """The path of a file as a mapping."""
    return {"path": value} if isinstance(value, str) else value


def as_objective(value: Any) -> Any:
    """The name of an objective as a mapping."""
    return {"name": value} if isinstance(value, str) else value


Axis = Annotated[list[T], Field(min_length=1), BeforeValidator(as_list), ScalarToo()]

Count = Annotated[int, Field(ge=1)]
NonNegative = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Decay = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(gt=0, le=1)]
Precision = Literal["float32", "bf16"]
Best = Literal["loss", "macro_auroc"]
ParentStage = Literal["pretrain", "finetune"]
Families = Annotated[dict[str, Axis[str]], Field(min_length=1)]
SmokeStage = Annotated[list[dict[str, Any]], BeforeValidator(one_to_list), ScalarToo()]
