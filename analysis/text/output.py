"""What commands print."""

from __future__ import annotations

import os
import sys


def show(text: str) -> None:
    """Print a command's answer; a reader that has enough, such as ``head``, is no error.

    What the output's encoding lacks is printed as an escape.
    """
    encoding = sys.stdout.encoding or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)  # noqa: T201
    except BrokenPipeError:  # what is left must not fail again when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
