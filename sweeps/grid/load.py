"""Grid file -> checked ``Study``; every mistake in it at once, as file:line:column."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.records.names import STAGES as PLANNED_STAGES
from scaling.records.names import suggest
from sweeps.errors import ConfigurationError, Loc, Mistake
from sweeps.grid.source import YamlSource

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from sweeps.grid.schema import Grid
    from sweeps.stages import Stage

MESSAGES = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "bool_type": "must be true or false",
}
KEY = "[key]"  # how pydantic says that it means a key and not its value


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A checked grid file."""

    grid: Grid  # with the ``smoke`` section merged when that was asked for
    source: YamlSource  # where each value stands in the file
    at_most: int | None = None  # records of each split of a source of files; None for all

    @property
    def name(self) -> str:
        """Name of the study and of its results folder."""
        return self.grid.study

    @property
    def stages(self) -> list[tuple[Loc, Stage]]:
        """Its stages in order, and where each stands."""
        stages = [item.settings for item in self.grid.stages]
        return [(("stages", i, stage.name), stage) for i, stage in enumerate(stages)]

    def resolved(self) -> dict[str, Any]:
        """The grid with all defaults filled in, as ``study.json`` keeps it.

        Folders on this machine are left out: they say nothing about a result.
        """
        value = self.grid.model_dump(mode="json", exclude_none=True, exclude={"smoke"})
        kept: dict[str, Any] = _without_folders(value)
        return kept


def load_grid(path: Path, smoke: bool = False) -> Study:
    """Read and check a grid file, and its small form where it has one.

    Args:
        path: the file.
        smoke: merge its ``smoke`` section, and end the study's name in ``-smoke``.

    Raises:
        ConfigurationError: all mistakes found, one a line, as ``file:line:col: path: message``.
    """
    source = YamlSource.load(path)
    whole = _checked(source)
    if whole.smoke is None:
        if smoke:
            raise ConfigurationError(f"{path}: --smoke needs a smoke: section in the grid")
        return Study(grid=whole, source=source)
    small = source.as_smoke()
    grid = _checked(small)
    if not smoke:
        return Study(grid=whole, source=source)
    return Study(grid=grid, source=small, at_most=whole.smoke.at_most)


def _without_folders(value: Any) -> Any:
    if isinstance(value, dict):
        if "path" in value:
            value = value | {"path": Path(value["path"]).name}
        return {key: _without_folders(item) for key, item in value.items() if key != "root"}
    return [_without_folders(item) for item in value] if isinstance(value, list) else value


def _checked(source: YamlSource) -> Grid:
    from pydantic import ValidationError

    from sweeps.grid.schema import Grid
    from sweeps.stages.keys import Context

    data = source.data()
    mistakes = list(_empty(data))
    try:
        grid = Grid.model_validate(data, context=Context())
    except ValidationError as error:
        mistakes += _translated(error.errors(include_url=False), data)
    if not mistakes:
        return grid
    first: dict[Loc, Mistake] = {}  # of each place: later ones follow from it
    for mistake in mistakes:
        first.setdefault(mistake.loc, mistake)
    raise source.error(list(first.values()))


def _empty(data: Any, loc: Loc = ()) -> Iterator[Mistake]:
    """Keys and list items without a value: YAML reads them as null."""
    children: Iterable[tuple[Any, Any]] = data.items() if isinstance(data, dict) else ()
    if isinstance(data, list):
        children = enumerate(data)
    for key, value in children:
        if value is None:
            message = "has no value; give one or remove the line"
            yield Mistake(loc=(*loc, key), message=message, at_key=True)
        else:
            yield from _empty(value, (*loc, key))


def _translated(errors: Iterable[ErrorDetails], data: dict[str, Any]) -> Iterator[Mistake]:
    from sweeps.grid.schema import SCHEMA_FILE
    from sweeps.stages.keys import MISTAKE

    schema: dict[str, Any] | None = None
    for error in errors:
        loc = _written(error["loc"], data)
        if error["type"] == MISTAKE:
            ours = error["ctx"]
            at_key = bool(ours["at_key"]) or error["loc"][-1:] == (KEY,)
            yield Mistake(loc=loc, message=ours["message"], at_key=at_key)
        elif error["type"] == "extra_forbidden":
            schema = schema or json.loads(SCHEMA_FILE.read_bytes())
            yield Mistake(loc=loc, message=_unknown_key(loc, schema), at_key=True)
        elif error["type"] == "missing":
            yield Mistake(loc=loc[:-1], message=f"the key {loc[-1]!r} is missing")
        else:
            yield Mistake(loc=loc, message=_wrong_value(error))


def _written(loc: Loc, data: Any) -> Loc:
    """A place as the file has it, where a name may stand for a mapping."""
    for i, part in enumerate(loc):
        if part == KEY or (isinstance(data, str) and isinstance(part, str)):
            return loc[:i]
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            data = None
    return loc


def _unknown_key(loc: Loc, schema: dict[str, Any]) -> str:
    from sweeps.stages import STAGES

    key = str(loc[-1])
    if len(loc) == 3 and loc[0] == "stages" and key in PLANNED_STAGES:
        there = ", ".join(STAGES)
        return f"stage {key!r} is not available yet in this version; {there} are"
    known = _keys_at(loc[:-1], schema)
    return f"unknown key {key!r}; {suggest(key, known)}"


def _wrong_value(error: ErrorDetails) -> str:
    kind, value = error["type"], error["input"]
    if kind == "too_short":
        return "empty axis; give at least one value or remove the key"
    if kind == "string_pattern_mismatch":
        return (
            f"{value!r} cannot name a folder; use letters, digits, '.', '_' and '-', "
            "starting with a letter or digit, 64 at most"
        )
    message = MESSAGES.get(kind) or error["msg"].replace("Input should be", "must be")
    return f"{message}, not {_as_written(value)}"


def _as_written(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return repr(value) if isinstance(value, str) else str(value).lower()


def _keys_at(loc: Loc, schema: dict[str, Any]) -> list[str]:
    """Legal keys of the mapping at ``loc``, read from the JSON Schema."""
    node = schema
    for part in loc:
        node = _richest(node, schema)
        if isinstance(part, int):
            node = node.get("items", {})
        else:
            rest = node.get("additionalProperties")  # False in a mapping whose keys are all known
            node = node.get("properties", {}).get(part) or (rest if isinstance(rest, dict) else {})
    return list(_richest(node, schema).get("properties", {}))


def _richest(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Follow references, and choose the richest of alternatives."""
    if "$ref" in node:
        return _richest(schema["$defs"][node["$ref"].rsplit("/", 1)[1]], schema)
    if "anyOf" in node:
        options = [_richest(option, schema) for option in node["anyOf"]]
        rich = [o for o in options if "properties" in o or "items" in o]
        return (rich or options)[0]
    return node
