"""Errors that a user can mend, as opposed to faults of this program."""

from __future__ import annotations

import dataclasses

Loc = tuple[str | int, ...]  # keys and list positions, from the outside in


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing that is wrong with a grid file.

    Attributes:
        loc: where, from the top of the file or from the mapping that is looked at.
        message: what is wrong and what to do.
        at_key: point at the key instead of its value.
    """

    loc: Loc
    message: str
    at_key: bool = False


class ConfigurationError(ValueError):
    """The grid, the command line or a folder is not usable; the command exits with code 2.

    The message is complete: what is wrong, where, and what to do.
    """


class StorageError(OSError):
    """A record or table could not be written: the disk is full, or the folder is gone."""


class ClusterError(RuntimeError):
    """Ray died, was started again and died again; the message is complete."""
