"""Weights on disk: safetensors and a JSON sidecar, never a pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from scaling.records.files import write_json, write_whole


class WeightsError(ValueError):
    """Weights that are absent, damaged or another model's; the message names the file."""


def save_weights(path: Path, state: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Write ``state`` to ``path`` and ``about`` to the sidecar ``path.with_suffix(".json")``.

    The sidecar (classes, preprocessing, training configuration) is written last: weights
    without one are incomplete.
    """
    write_whole(path, save({k: v.contiguous().cpu() for k, v in state.items()}))
    write_json(path.with_suffix(".json"), about)


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read weights and their sidecar.

    Raises:
        WeightsError: a file is absent or cannot be read; says which and what to do.
    """
    try:
        about: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())
        return load(path.read_bytes()), about
    except FileNotFoundError as error:
        raise WeightsError(
            f"{error.filename}: weights are gone; delete the training's record to train it again"
        ) from None
    except (SafetensorError, ValueError) as error:
        raise WeightsError(f"{path}: not readable as safetensors ({error})") from None
