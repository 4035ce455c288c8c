"""Weights on disk, safetensors and a JSON sidecar and never a pickle; and those of parents.

What a parent is for in a training is the role it has.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from scaling.compatible import parent_differences
from scaling.identity import CODEBOOK, RESTORATION, ROLES, START, Parent, Training
from scaling.models.vq_hbr import VqHbr
from scaling.objectives.base import Context, objective_of
from scaling.records.files import write_json, write_whole
from scaling.records.record import AUXILIARY
from scaling.workspace import Workspace

BACKBONE = "backbone"  # the part of a model that another can start from
# Roles of models that are called where a trained model is measured; a teacher is not.
MEASURED_WITH = (CODEBOOK, RESTORATION)


class WeightsError(ValueError):
    """Weights that are absent, damaged or another model's; the message names the file."""


class ParentError(ValueError):
    """A parent that does not go with the training; the message names each difference."""


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


def backbone_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the backbone in those of a model, under its own names."""
    prefix = f"{BACKBONE}."
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ParentWeights:
    """The kept weights of another training, and its configuration as its sidecar has it."""

    id: str
    state: dict[str, Tensor]
    config: Mapping[str, Any]
    classes: tuple[str, ...] = ()  # what it was trained to tell apart
    units: str = "mV"  # of the signals it was trained on

    def put_into(self, model: nn.Module, state: dict[str, Tensor]) -> None:
        """Give ``model`` these of its weights.

        Raises:
            ParentError: they are not this model's.
        """
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            raise ParentError(f"parent {self.id}: its weights do not fit ({error})") from None


def parents_of(
    training: Training, workspace: Workspace, roles: Collection[str] = ROLES
) -> dict[str, list[ParentWeights]]:
    """The parents of ``training`` that have one of ``roles``, by role, each checked to go with it.

    Raises:
        WeightsError: weights are absent or damaged; names the parent.
        ParentError: more parents of one role than it can use, or one whose weights do not mean the
            same in the training; names each difference.
    """
    found: dict[str, list[ParentWeights]] = {}
    for parent in training.parents:
        if parent.role not in roles:
            continue
        same = found.setdefault(parent.role, [])
        if same:
            raise ParentError(
                f"{training.id} has two parents that are a {parent.role}, {same[0].id} and "
                f"{parent.id}: name one"
            )
        same.append(_loaded(parent, workspace))
        if differences := parent_differences(parent.role, same[-1].config, training):
            raise ParentError(
                f"parent {parent.id} does not go with {training.id}: "
                f"it has {'; '.join(differences)}"
            )
    return found


def _loaded(parent: Parent, workspace: Workspace) -> ParentWeights:
    path = workspace.weights_of(parent.id)
    try:
        state, about = load_weights(path)
    except WeightsError as error:
        raise WeightsError(f"parent {parent.id}: {error}") from None
    config = about.get("training")
    if not isinstance(config, Mapping):
        sidecar = path.with_suffix(".json")
        raise WeightsError(f"parent {parent.id}: {sidecar} does not say how it was trained")
    classes = tuple(about.get("classes", ()))
    units = str(about.get("units", "mV"))
    return ParentWeights(id=parent.id, state=state, config=config, classes=classes, units=units)


def frozen_models(
    parents: Mapping[str, Sequence[ParentWeights]], device: torch.device
) -> dict[str, nn.Module]:
    """Models that are called beside the one that is trained, by role, in evaluation mode.

    They are the codebook (``VqHbr``), the teacher (``Classifier``) and the restoration net
    (``Restorer``), where there are.

    Raises:
        ParentError: weights that are not of what their sidecars say.
    """
    models: dict[str, nn.Module] = {}
    for role, same in parents.items():
        for parent in same:
            if role == START:
                continue
            model = VqHbr(parent.config["size"]) if role == CODEBOOK else _as_trained(parent)
            parent.put_into(model, parent.state)
            models[role] = model.to(device).eval().requires_grad_(False)
    return models


def _as_trained(parent: ParentWeights) -> nn.Module:
    """The untrained model of a parent."""
    training = Training.from_dict(parent.config)
    context = Context(training=training, outputs=len(parent.classes), units=parent.units)
    return objective_of(training).build(context)


def kept(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a model without those that only its training needed."""
    return {k: v for k, v in state.items() if not k.startswith(f"{AUXILIARY}.")}


def start_from(model: nn.Module, parent: ParentWeights) -> None:
    """Give the backbone of ``model`` the weights of ``parent``'s; its head stays as it is.

    Raises:
        ParentError: weights that are not this backbone's.
    """
    parent.put_into(model.get_submodule(BACKBONE), backbone_of(parent.state))
