"""Comparisons as they were published: read where the predictions behind them are not there.

What is published is what was computed from predictions, as JSON. It can be narrowed to a task, a
protocol or some metrics, and cannot be made anew for other resamples or other methods.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.compare.method_text import methods_as_text
from scaling.records.tables import ResultsError

_METHOD_KEYS = ("study", "resamples", "seed", "margin", "metrics", "comparisons", "notes")
_NEED = "which are not published: run the study, or do not ask for"


def read_published(
    path: Path, study: str, schema: int, keys: Sequence[str], given: Mapping[str, float]
) -> dict[str, Any]:
    """The numbers of a published comparison, with its path under ``published``.

    Args:
        path: of the file.
        study: name that it must be of.
        schema: version of the file that is understood.
        keys: that it must have.
        given: key -> value that it must have been made with.

    Raises:
        ResultsError: it cannot be read, is of another study or version, or was made otherwise.
    """
    try:
        numbers = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path}: cannot be read ({error})") from None
    if not isinstance(numbers, dict) or numbers.get("schema") != schema:
        raise ResultsError(f"{path}: not a comparison of schema {schema}, which this version reads")
    if missing := [key for key in keys if key not in numbers]:
        raise ResultsError(f"{path}: no key {', '.join(missing)}")
    if numbers["study"] != study:
        raise ResultsError(f"{path}: compares {numbers['study']!r}, but study.json is {study!r}")
    for name, asked in given.items():
        if asked != numbers[name]:
            what = "another margin needs" if name == "margin" else "other resamples need"
            raise ResultsError(
                f"{path}: published with {name} {numbers[name]}, not {asked}: {what} "
                f"the predictions, {_NEED} them"
            )
    numbers["published"] = str(path)
    return numbers


def nothing_of(path: Path, task: str | None, protocol: str | None) -> ResultsError:
    """What to raise where there is no such task or protocol in a file."""
    of = "/".join(filter(None, (task, protocol)))
    return ResultsError(f"{path}: no comparison{f' of {of}' if of else ''}")


def read_methods(
    path: Path,
    study: str,
    schema: int,
    given: Mapping[str, float],
    *,
    named: Sequence[str],
    metrics: Sequence[str] | None,
    task: str | None,
    protocol: str | None,
) -> dict[str, Any]:
    """The published comparison of a study's methods, or part of it.

    Args:
        path: of the file.
        study: name that it must be of.
        schema: version of the file that is understood.
        given: key -> value that it must have been made with.
        named: methods to be compared by name, which takes predictions.
        metrics: that are wanted; None for all that it has.
        task: that is wanted; None for all.
        protocol: likewise.

    Raises:
        ResultsError: see ``read_published``; methods are named; or it lacks what is wanted.
    """
    numbers = read_published(path, study, schema, _METHOD_KEYS, given)
    if named:
        raise ResultsError(
            f"{path}: published without naming {named[0]!r}, which takes the predictions, {_NEED} "
            "methods by name"
        )
    try:
        if missing := [m for m in metrics or () if m not in numbers["metrics"]]:
            raise ResultsError(f"{path}: published without {', '.join(missing)}")
        numbers["metrics"] = list(metrics or numbers["metrics"])
        numbers["comparisons"] = [
            one
            for one in numbers["comparisons"]
            if task in (None, one["task"]) and protocol in (None, one["protocol"])
        ]
        methods_as_text(numbers, every=True)
    except (KeyError, TypeError, AttributeError) as error:
        raise ResultsError(f"{path}: broken ({error!r})") from None
    if not numbers["comparisons"]:
        raise nothing_of(path, task, protocol)
    return numbers
