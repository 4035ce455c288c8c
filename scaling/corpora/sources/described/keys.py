"""Check the keys and values of a ``dataset.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scaling.corpora.errors import CorpusError
from scaling.records.names import nearest


def check_keys(file: Path, prefix: str, value: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise CorpusError for a key that nobody reads; the message suggests the nearest."""
    for key in value:
        if key not in known:
            hint = "; ".join(filter(None, (", ".join(known), nearest(key, known))))
            raise CorpusError(f"{file}: unknown key {prefix + key!r}; there is {hint}")


def text_of(file: Path, key: str, value: object) -> str:
    """A text that is not empty, or CorpusError."""
    if not isinstance(value, str) or not value:
        raise CorpusError(f"{file}: {key!r} is {value!r}, not a text")
    return value


def object_of(file: Path, key: str, value: object) -> dict[str, Any]:
    """An object, or CorpusError."""
    if not isinstance(value, dict):
        raise CorpusError(f"{file}: {key!r} is {value!r}, not an object")
    return value


def texts(file: Path, key: str, value: object) -> tuple[str, ...]:
    """A list of different texts that is not empty.

    Raises:
        CorpusError: it is something else.
    """
    if not isinstance(value, list) or not value:
        raise CorpusError(f"{file}: {key!r} is {value!r}, not a list of texts")
    found = tuple(text_of(file, key, item) for item in value)
    if len(set(found)) < len(found):
        raise CorpusError(f"{file}: {key!r} names one twice")
    return found
