"""Reading a grid's plain data, whatever is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sweeps.grid.source import Loc

STAGE_NAMES = ("codebook", "pretrain", "finetune")


def as_dict(value: Any) -> dict[str, Any]:
    """The mapping, or an empty one where something else stands."""
    return value if isinstance(value, dict) else {}


def as_items(value: Any) -> list[Any]:
    """The list, or an empty one where something else stands."""
    return value if isinstance(value, list) else []


def as_axis(value: Any) -> list[Any]:
    """The list, or the one value; nothing for None."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def stages(data: dict[str, Any]) -> Iterator[tuple[Loc, str, dict[str, Any]]]:
    """Where each stage stands, its name, and what it says."""
    for i, stage in enumerate(as_items(data.get("stages"))):
        for name in STAGE_NAMES:
            settings = as_dict(stage).get(name)
            if isinstance(settings, dict):
                yield ("stages", i, name), name, settings
