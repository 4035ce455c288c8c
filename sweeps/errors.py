"""Errors that a user can mend, as opposed to faults of this program, and lines that tell of them.

No line costs a run or a published study what it has written.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NamedTuple, TextIO

SOME_FAILED, BAD_CONFIGURATION = 1, 2  # exit codes, beside 128 + the signal that ended a command

Loc = tuple[str | int, ...]  # keys and list positions, from the outside in


class Mistake(NamedTuple):
    """One thing that is wrong with a grid file."""

    loc: Loc  # from the top of the file or from the mapping that is looked at
    message: str  # what is wrong and what to do
    at_key: bool = False  # point at the key instead of its value


class ConfigurationError(ValueError):
    """The grid, the command line or a folder is not usable; the command exits with code 2.

    The message is complete: what is wrong, where, and what to do.
    """


class StorageError(OSError):
    """A record or table could not be written: the disk is full, or the folder is gone."""


class ClusterError(RuntimeError):
    """Ray died, was started again and died again; the message is complete."""


def say(line: str) -> None:
    """Write a line to the standard output."""
    write(line, sys.stdout)


def tell(line: str) -> None:
    """Write a line to the standard error."""
    write(line, sys.stderr)


def write(line: str, stream: TextIO) -> None:
    r"""Write a line at once.

    What the encoding of the stream lacks is written as an escape (``\xe9``). A terminal or pipe
    that nobody reads, or a disk that is full, is no error.
    """
    try:
        try:
            stream.write(f"{line}\n")
        except UnicodeEncodeError as error:
            text = line.encode(error.encoding, "backslashreplace").decode(error.encoding)
            stream.write(f"{text}\n")
        stream.flush()
    except OSError:
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())  # else Python fails once more at its exit
            os.close(nowhere)
