"""Grid file -> checked ``Study``; every mistake in it at once, as file:line:column."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.records.names import STAGES, suggest
from sweeps.errors import ConfigurationError
from sweeps.grid.checks.grid import check
from sweeps.grid.raw import STAGE_NAMES
from sweeps.grid.source import Loc, Problem, YamlSource

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from sweeps.grid.schema import Grid

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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A checked grid file.

    Attributes:
        grid: its content, with the ``smoke`` section merged when that was asked for.
        source: where each value stands in the file.
        at_most: records taken of each split of a source of files; None for all.
    """

    grid: Grid
    source: YamlSource
    at_most: int | None = None

    @property
    def name(self) -> str:
        """Name of the study and of its results folder."""
        return self.grid.study

    def resolved(self) -> dict[str, Any]:
        """The grid with all defaults filled in, as ``study.json`` keeps it.

        Folders on this machine are left out: they say nothing about a result.
        """
        value = self.grid.model_dump(mode="json", exclude_none=True, exclude={"smoke"})
        plain: dict[str, Any] = _without_folders(json.loads(json.dumps(value)))
        return plain


def load_grid(path: Path, smoke: bool = False) -> Study:
    """Read and check a grid file.

    Args:
        path: the file.
        smoke: merge its ``smoke`` section, and end the study's name in ``-smoke``.

    Raises:
        ConfigurationError: all mistakes found, one a line, as ``file:line:col: path: message``.
    """
    source = YamlSource.load(path)
    plain = _validated(source, source.data())
    if plain.smoke is None:
        if smoke:
            raise ConfigurationError(f"{path}: --smoke needs a smoke: section in the grid")
        return Study(grid=plain, source=source)
    tiny = _validated(source.as_smoke(), source.smoke_data())
    if not smoke:
        return Study(grid=plain, source=source)
    return Study(grid=tiny, source=source.as_smoke(), at_most=plain.smoke.at_most)


def _without_folders(value: Any) -> Any:
    if isinstance(value, dict):
        if "path" in value:
            value = value | {"path": Path(value["path"]).name}
        return {key: _without_folders(item) for key, item in value.items() if key != "root"}
    return [_without_folders(item) for item in value] if isinstance(value, list) else value


def _validated(source: YamlSource, data: dict[str, Any]) -> Grid:
    from pydantic import ValidationError

    from sweeps.grid.schema import Grid

    grid: Grid | None = None
    problems = list(_empty(data))
    try:
        grid = Grid.model_validate(data)
    except ValidationError as error:
        problems += _translate(error.errors(include_url=False))
    problems += check(data)
    if problems or grid is None:
        raise source.error(_without_followers(problems))
    return grid


def _empty(data: Any, loc: Loc = ()) -> Iterator[Problem]:
    """Keys and list items without a value: YAML reads them as null."""
    children: Iterable[tuple[str | int, Any]] = ()
    if isinstance(data, Mapping):
        children = data.items()
    elif isinstance(data, list):
        children = enumerate(data)
    for key, value in children:
        if value is None:
            yield Problem(
                loc=(*loc, key), message="has no value; give one or remove the line", at_key=True
            )
        else:
            yield from _empty(value, (*loc, key))


def _without_followers(problems: list[Problem]) -> list[Problem]:
    """Keep the first problem of each place: later ones follow from it."""
    kept: dict[Loc, Problem] = {}
    for problem in problems:
        kept.setdefault(problem.loc, problem)
    return list(kept.values())


def _translate(errors: Iterable[ErrorDetails]) -> Iterator[Problem]:
    from sweeps.grid.schema import Grid

    schema = Grid.model_json_schema()
    for error in errors:
        loc = error["loc"]
        if error["type"] == "extra_forbidden":
            yield Problem(loc=loc, message=_unknown_key(loc, schema), at_key=True)
        elif error["type"] == "missing":
            yield Problem(loc=loc[:-1], message=f"the key {loc[-1]!r} is missing")
        else:
            yield Problem(loc=loc, message=_wrong_value(error))


def _unknown_key(loc: Loc, schema: dict[str, Any]) -> str:
    key = str(loc[-1])
    if len(loc) == 3 and loc[0] == "stages" and key in STAGES:
        there = ", ".join(STAGE_NAMES)
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
    if kind in MESSAGES:
        return f"{MESSAGES[kind]}, not {_show(value)}"
    message = error["msg"].replace("Input should be", "must be")
    return f"{message}, not {_show(value)}"


def _show(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return repr(value) if isinstance(value, str) else str(value).lower()


def _keys_at(loc: Loc, schema: dict[str, Any]) -> list[str]:
    """Legal keys of the mapping at ``loc``, read from the JSON Schema."""
    node = schema
    for part in loc:
        node = _resolve(node, schema)
        if isinstance(part, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(part) or node.get("additionalProperties", {})
    return list(_resolve(node, schema).get("properties", {}))


def _resolve(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Follow references, and choose the richest of alternatives."""
    if "$ref" in node:
        return _resolve(schema["$defs"][node["$ref"].rsplit("/", 1)[1]], schema)
    if "anyOf" in node:
        options = [_resolve(option, schema) for option in node["anyOf"]]
        rich = [o for o in options if "properties" in o or "items" in o]
        return (rich or options)[0]
    return node
