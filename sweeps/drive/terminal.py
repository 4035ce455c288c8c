"""Lines for whoever reads them: none costs a run or a published study what it has written."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO


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
