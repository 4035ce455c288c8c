"""Read a PyTorch checkpoint without running what it may hold.

A ``.pth`` file is a pickle, and reading one can run any code. It is read with PyTorch's restricted
reader, which takes tensors, plain containers and the settings of a command line
(``argparse.Namespace``, which many training scripts store and which does nothing when read).
What needs more is refused unless the user says that its source is trusted.
"""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


class ConversionError(ValueError):
    """A checkpoint that cannot be converted; the message names the file and what is wrong."""


def read_state(path: Path, key: str, trust_pickle: bool = False) -> dict[str, Tensor]:
    """The tensors under ``key`` of a checkpoint, on the CPU.

    Args:
        path: of the ``.pth`` file.
        key: entry of the outer dictionary that holds the weights, such as ``model``.
        trust_pickle: read objects of any kind, which lets the file run code.

    Raises:
        ConversionError: no such file, not a checkpoint, or one that needs ``trust_pickle``.
    """
    checkpoint = _read(path, trust_pickle)
    if not isinstance(checkpoint, dict):
        raise ConversionError(f"{path}: holds a {type(checkpoint).__name__}, not a dictionary")
    if key not in checkpoint:
        held = ", ".join(map(str, list(checkpoint)[:8])) or "nothing"
        raise ConversionError(
            f"{path}: no {key!r} in it, where the weights should be; it has {held}"
        )
    state = checkpoint[key]
    if not isinstance(state, dict):
        raise ConversionError(f"{path}: {key!r} is a {type(state).__name__}, not weights by name")
    if strange := [str(name) for name, value in state.items() if not isinstance(value, Tensor)]:
        raise ConversionError(f"{path}: {key!r} holds {strange[0]}, which is no tensor")
    return state


def _read(path: Path, trust_pickle: bool) -> Any:
    if not path.is_file():
        raise ConversionError(f"{path}: no such file")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=not trust_pickle)
    except pickle.UnpicklingError as error:
        if "Unsupported" in str(error) or "GLOBAL" in str(error):
            raise ConversionError(
                f"{path}: holds objects other than tensors ({_first_line(error)}), and reading "
                "them can run any code. If you trust where the file comes from, add --trust-pickle"
            ) from None
        raise ConversionError(f"{path}: not a PyTorch checkpoint ({_first_line(error)})") from None
    except (RuntimeError, EOFError, OSError, ImportError, AttributeError) as error:
        raise ConversionError(f"{path}: cannot be read ({_first_line(error)})") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].strip()[:200]
