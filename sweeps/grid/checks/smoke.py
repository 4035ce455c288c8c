"""The ``smoke`` section: parts that belong to stages there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scaling.records.names import suggest
from sweeps.grid.raw import STAGE_NAMES, as_dict, as_items, stages
from sweeps.grid.source import Problem


def check_smoke(data: dict[str, Any]) -> Iterator[Problem]:
    """Problems of the section itself; what it changes is checked in the merged grid."""
    smoke = as_dict(data.get("smoke"))
    for name in STAGE_NAMES:
        part = smoke.get(name)
        if part is None:
            continue
        here = [stage for _, found, stage in stages(data) if found == name]
        if not here:
            message = f"the grid has no {name} stage; remove {name!r}"
            yield Problem(loc=("smoke", name), message=message, at_key=True)
        elif isinstance(part, list) and len(part) != len(here):
            message = (
                f"{len(part)} parts for {len(here)} {name} stage(s); give one mapping for each"
            )
            yield Problem(loc=("smoke", name), message=message)
        elif isinstance(part, dict):
            yield from _families(name, part, here)


def _families(name: str, part: dict[str, Any], here: list[dict[str, Any]]) -> Iterator[Problem]:
    known = {family for stage in here for family in as_dict(stage.get("families"))}
    known |= {
        str(as_dict(cell).get("family")) for stage in here for cell in as_items(stage.get("cells"))
    }
    for family in as_dict(part.get("families")):
        if known and family not in known:
            message = f"no {name} stage has the family {family!r}; {suggest(str(family), known)}"
            yield Problem(loc=("smoke", name, "families", family), message=message, at_key=True)
