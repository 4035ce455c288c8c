"""``python -m scaling.convert``: released checkpoints to safetensors and a sidecar."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

OK, BAD_CHECKPOINT = 0, 2


def parser() -> argparse.ArgumentParser:
    """The command line; needs no torch."""
    parse = argparse.ArgumentParser(
        prog="python -m scaling.convert",
        description="Convert a released checkpoint to safetensors and a JSON sidecar.",
        epilog="exit code: 0 done, 2 the checkpoint cannot be converted",
    )
    add = parse.add_subparsers(dest="command", required=True, metavar="MODEL")
    codebook = add.add_parser("codebook", help="HeartLang's VQ-HBR, as the codebook of a grid")
    codebook.add_argument("checkpoint", type=Path, help="its .pth file")
    codebook.add_argument("out", type=Path, help="the .safetensors file to write")
    codebook.add_argument(
        "--trust-pickle",
        action="store_true",
        help="read objects of any kind, which lets the file run code: only from a trusted source",
    )
    return parse


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one conversion; returns the exit code."""
    given = parser().parse_args(arguments)
    from scaling.convert.heartlang import ConversionError, convert_codebook

    try:
        found = convert_codebook(given.checkpoint, given.out, given.trust_pickle)
    except ConversionError as error:
        sys.stderr.write(f"error: {error}\n")
        return BAD_CHECKPOINT
    sys.stdout.write(f"{given.out}: codebook {found}; its sidecar is beside it\n")
    return OK


if __name__ == "__main__":
    sys.exit(main())
