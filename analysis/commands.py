"""What the commands of ``analysis`` share; as their ``--help``, it needs no numpy or pandas."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence


def add_bootstrap(command: argparse.ArgumentParser) -> None:
    """The option ``--bootstrap``."""
    command.add_argument(
        "--bootstrap", type=int, default=1000, metavar="N", help="refits (default: 1000)"
    )


def parse(
    command: argparse.ArgumentParser,
    arguments: Sequence[str] | None,
    not_negative: Sequence[str] = ("--bootstrap",),
) -> argparse.Namespace:
    """Values by option; a negative one of those ``not_negative`` ends the command, as argparse."""
    options = command.parse_args(arguments)
    for option in not_negative:
        value = getattr(options, option.strip("-").replace("-", "_"))
        if value is not None and value < 0:
            command.error(f"{option} must not be negative")
    return options


def exit_code(
    run: Callable[[argparse.Namespace], None],
    options: argparse.Namespace,
    refused: type[ValueError] | None = None,
) -> int:
    """0 where ``run`` ends; 2 where input is ``refused`` or a file fails, which stderr names.

    Refused is, as a rule, a ``ResultsError``.
    """
    from scaling.records.tables import ResultsError

    bad_input = refused or ResultsError
    try:
        run(options)
    except bad_input as error:
        text = str(error)
    except OSError as error:
        text = f"{error.filename or 'output'}: {error.strerror}"
    else:
        return 0
    print(f"error: {text}", file=sys.stderr)  # noqa: T201
    return 2


def print_text(text: str) -> None:
    """Print a command's answer; a reader that has enough, such as ``head``, is no error.

    What the output's encoding lacks is printed as an escape.
    """
    encoding = sys.stdout.encoding or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)  # noqa: T201
    except BrokenPipeError:  # what is left must not fail again when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
