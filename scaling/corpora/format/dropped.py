"""Records that preparation leaves out, and why: ``dropped.csv``."""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Iterable, Sequence
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True)
class Drop:
    """A record left out.

    Attributes:
        record: its id.
        patient: its patient.
        split: where it would have been.
        damaged: whether its file is damaged, rather than unusable by the preset or source.
        reason: why, in words.
    """

    record: str
    patient: int
    split: str
    damaged: bool
    reason: str


def by_reason(drops: Iterable[Drop]) -> list[list[Drop]]:
    """Group drops whose reasons differ only in numbers and paths, the largest group first."""
    groups: dict[str, list[Drop]] = {}
    for drop in drops:
        alike = re.sub(r"\d+(\.\d+)?", "#", re.sub(r"\S*[/\\]\S*", "", drop.reason))
        groups.setdefault(alike, []).append(drop)
    return sorted(groups.values(), key=len, reverse=True)


def commonest(drops: Iterable[Drop]) -> str:
    """The commonest reason, with the number of records and one of them."""
    group = by_reason(drops)[0]
    return f"{len(group)} like record {group[0].record}: {group[0].reason}"


def write_drops(path: Path, drops: Sequence[Drop]) -> None:
    """Write ``dropped.csv``; it has a header even where nothing was dropped."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in dataclasses.fields(Drop)])
        writer.writerows(dataclasses.astuple(drop) for drop in drops)


def read_drops(path: Path) -> list[Drop]:
    """Read ``dropped.csv``."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Drop(
                row["record"], int(row["patient"]), row["split"], row["damaged"] == "True",
                row["reason"],
            )
            for row in csv.DictReader(file)
        ]  # fmt: skip
