"""A YAML file whose every value remembers its line and column."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sweeps.errors import ConfigurationError, Loc, Mistake


class YamlSource:
    """A parsed file: plain data, and the position of every key and value.

    Args:
        path: the file, as it is named in messages.
        tree: what ruamel.yaml returned for it.
        smoke: merge its ``smoke`` section, where positions of values that it sets are then.
    """

    def __init__(self, path: Path, tree: Any, smoke: bool = False) -> None:
        self.path = path
        self._tree = tree
        self._smoke = smoke

    @classmethod
    def load(cls, path: Path) -> YamlSource:
        """Read ``path`` (YAML 1.2, so ``1e15`` is a number and ``no`` is a string).

        Raises:
            ConfigurationError: no such file, not UTF-8, not YAML, a key given twice, or not
                a mapping at the top.
        """
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError

        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise ConfigurationError(f"{path}: no such grid file") from None
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{path}: not UTF-8 text ({error.reason})") from None
        except OSError as error:
            raise ConfigurationError(f"{path}: {error.strerror}") from None
        try:
            tree = YAML(typ="rt").load(text)
        except MarkedYAMLError as error:
            raise ConfigurationError(_describe(path, error)) from None
        except YAMLError as error:
            raise ConfigurationError(f"{path}: not YAML: {error}") from None
        if not isinstance(tree, Mapping):
            raise ConfigurationError(f"{path}:1:1: a grid file is a mapping")
        return cls(path, tree)

    def data(self) -> dict[str, Any]:
        """The file as plain dictionaries, lists and scalars."""
        plain: dict[str, Any] = _plain(self._tree)
        return merge_smoke(plain) if self._smoke else plain

    def as_smoke(self) -> YamlSource:
        """The same file, which must be right, with its ``smoke`` section merged over it."""
        return YamlSource(self.path, self._tree, smoke=True)

    def position(self, loc: Loc, at_key: bool = False) -> tuple[int, int]:
        """Line and column (from 1) of the value at ``loc``, or of its nearest parent."""
        if self._smoke and (inner := _smoke_loc(loc, self._tree)) is not None:
            found, depth = self._walk(inner, at_key)
            if depth == len(inner):
                return found
        return self._walk(loc, at_key)[0]

    def _walk(self, loc: Loc, at_key: bool) -> tuple[tuple[int, int], int]:
        node, found, depth = self._tree, (1, 1), 0
        for part in loc:
            places = getattr(getattr(node, "lc", None), "data", None) or {}
            if part not in places:
                break
            depth += 1
            place = places[part]
            last = depth == len(loc)
            line, column = place[:2] if at_key and last else place[-2:]
            found = (line + 1, column + 1)
            node = node[part]
        return found, depth

    def error(self, mistakes: Sequence[Mistake]) -> ConfigurationError:
        """All mistakes as ``file:line:col: path: message``, in the order of the file."""
        lines = {}
        for mistake in mistakes:
            line, column = self.position(mistake.loc, mistake.at_key)
            path = ".".join(map(str, mistake.loc))
            about = f"{path}: {mistake.message}" if path else mistake.message
            lines[f"{self.path}:{line}:{column}: {about}"] = (line, column)
        return ConfigurationError("\n".join(sorted(lines, key=lines.__getitem__)))


def merge_smoke(data: dict[str, Any]) -> dict[str, Any]:
    """Merge the ``smoke`` section of a right grid over it; mappings merge, other values replace.

    The part of a stage is for every stage of that name, or a list with one for each. Of its
    ``families`` a stage takes those it has. A recipe field that ``smoke`` sets also wins over
    the same field in ``by_size``.
    """
    merged = copy.deepcopy(data)
    smoke = merged.pop("smoke")
    merged["study"] += "-smoke"
    merged["corpus"] = _merge(merged["corpus"], smoke.get("corpus", {}))
    for i, item in enumerate(merged["stages"]):
        ((name, stage),) = item.items()
        part = smoke.get(name, {})
        if isinstance(part, list):
            part = part[_stages_before(merged["stages"], i, name)]
        families, recipe = part.get("families"), part.get("recipe")
        if isinstance(families, dict) and "families" in stage:
            own = {key: sizes for key, sizes in families.items() if key in stage["families"]}
            part = part | {"families": own}
        for fields in stage.get("recipe", {}).get("by_size", {}).values():
            for field in recipe if isinstance(recipe, dict) else ():
                fields.pop(field, None)
        item[name] = _merge(stage, part)
    return merged


def _stages_before(stages: Any, index: int, name: Any) -> int:
    """How many stages of that name stand before the one at ``index``."""
    return sum(name in stage for stage in stages[:index])


def _merge(base: Any, over: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return base | {key: _merge(base.get(key), value) for key, value in over.items()}


def _smoke_loc(loc: Loc, tree: Any) -> Loc | None:
    """Where ``smoke`` would set the value at ``loc``."""
    if loc[:1] == ("corpus",):
        return ("smoke", *loc)
    if len(loc) > 2 and loc[0] == "stages" and isinstance(loc[1], int):
        name = loc[2]
        if isinstance(tree["smoke"].get(name), Sequence):
            return ("smoke", name, _stages_before(tree["stages"], loc[1], name), *loc[3:])
        return ("smoke", *loc[2:])
    return None


def _plain(node: Any) -> Any:
    """Copy without the types that carry comments and formatting."""
    if isinstance(node, Mapping):
        return {_plain(key): _plain(value) for key, value in node.items()}
    if isinstance(node, Sequence) and not isinstance(node, str):
        return [_plain(value) for value in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _describe(path: Path, error: Any) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
    problem = str(error.problem or error.context).splitlines()[0]
    if type(error).__name__ == "DuplicateKeyError":
        name = problem.split('"')[1] if '"' in problem else "?"
        return f"{where}: key {name!r} is given twice; keep one of them"
    return f"{where}: not valid YAML: {problem}"
