"""Converted codebooks: a grid names the file, the store keeps a copy under its content id."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from scaling.models.sizes import VQ_HBR
from scaling.workspace import Workspace
from sweeps.errors import ConfigurationError
from sweeps.plan.tasks import Released

ID = re.compile(r"x[0-9a-f]{16}")


def read_released(path: Path) -> Released:
    """Read the sidecar of a converted codebook.

    Raises:
        ConfigurationError: no such file, no sidecar, or a sidecar of something else.
    """
    sidecar = path.with_suffix(".json")
    how = "convert a released checkpoint by python -m scaling.convert codebook"
    for needed in (path, sidecar):
        if not needed.is_file():
            raise ConfigurationError(f"there is no file {needed}; {how}")
    try:
        about = json.loads(sidecar.read_bytes())
        name, training = str(about["id"]), about["training"]
        stage, size = training["stage"], training["size"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{sidecar} is not the sidecar of a converted codebook ({error!r}); {how}"
        raise ConfigurationError(message) from None
    if stage != "codebook" or size not in VQ_HBR or not ID.fullmatch(name):
        raise ConfigurationError(
            f"{sidecar}: stage {stage!r}, size {size!r}, id {name!r} is no converted codebook; "
            f"{how}"
        )
    return Released(id=name, path=path.resolve(), size=size, training=training)


def keep_released(released: Released, workspace: Workspace) -> None:
    """Copy a converted codebook into the store, the sidecar last; nothing where it is there.

    Raises:
        OSError: it could not be written.
    """
    to = workspace.weights_of(released.id)
    if to.exists() and to.with_suffix(".json").exists():
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    for suffix in (".safetensors", ".json"):
        part = to.with_suffix(suffix + ".part")
        shutil.copyfile(released.path.with_suffix(suffix), part)
        part.replace(to.with_suffix(suffix))
