"""The parents of a training, with their weights: what each is for is the role it has."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from scaling.identity import CODEBOOK, ROLES, SEVERAL, Parent, Training
from scaling.weights.compatible import parent_differences
from scaling.weights.files import WeightsError, load_weights
from scaling.workspace import Workspace

BACKBONE = "backbone"  # the part of a model that another can start from
FROZEN = (CODEBOOK,)  # roles of models that an objective calls beside the one it trains

ParentsByRole = Mapping[str, Sequence["ParentWeights"]]


class ParentError(ValueError):
    """A parent that does not go with the training; the message names each difference."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ParentWeights:
    """The kept weights of another training.

    Attributes:
        id: its id.
        role: what it is for, one of ``ROLES``.
        state: its weights.
        config: its configuration, as its sidecar has it.
    """

    id: str
    role: str
    state: dict[str, Tensor]
    config: Mapping[str, Any]


def parents_of(
    training: Training, workspace: Workspace, roles: Collection[str] = ROLES
) -> dict[str, list[ParentWeights]]:
    """The parents of ``training`` by role, each checked to go with it.

    Args:
        training: whose parents are meant.
        workspace: where their weights are kept.
        roles: those that are wanted.

    Raises:
        WeightsError: weights are absent or damaged; names the parent.
        ParentError: more parents of one role than it can use, or one that does not go with the
            training.
    """
    found: dict[str, list[ParentWeights]] = {}
    for parent in training.parents:
        if parent.role not in roles:
            continue
        same = found.setdefault(parent.role, [])
        if same and parent.role not in SEVERAL:
            raise ParentError(
                f"{training.id} has two parents that are a {parent.role}, {same[0].id} and "
                f"{parent.id}: name one"
            )
        same.append(_loaded(parent, workspace))
        check_goes_with(training, same[-1])
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
    return ParentWeights(id=parent.id, role=parent.role, state=state, config=config)


def check_goes_with(training: Training, parent: ParentWeights) -> None:
    """Check that the weights of ``parent`` mean the same in ``training``.

    Raises:
        ParentError: names each difference; see ``parent_differences``.
    """
    if found := parent_differences(parent.role, parent.config, training):
        raise ParentError(
            f"parent {parent.id} does not go with {training.id}: it has {'; '.join(found)}"
        )


def frozen_parents(
    training: Training, workspace: Workspace, device: torch.device
) -> dict[str, nn.Module]:
    """Models an objective needs beside the one it trains, frozen, in evaluation mode.

    Returns:
        The codebook (``VqHbr``) under ``codebook`` where there is one.

    Raises:
        WeightsError: weights are absent or damaged; names the parent.
        ParentError: see ``parents_of``.
    """
    return frozen(parents_of(training, workspace, FROZEN), device)


def frozen(parents: ParentsByRole, device: torch.device) -> dict[str, nn.Module]:
    """The same of parents that were loaded already."""
    from scaling.models.vq_hbr import VqHbr

    models: dict[str, nn.Module] = {}
    for parent in parents.get(CODEBOOK, ()):
        model = VqHbr(parent.config["size"])
        _load(model, parent.state, parent)
        models[CODEBOOK] = model.to(device).eval().requires_grad_(False)
    return models


def start_from(model: nn.Module, parent: ParentWeights) -> None:
    """Give the backbone of ``model`` the weights of ``parent``'s; its head stays as it is.

    Raises:
        ParentError: weights that are not this backbone's.
    """
    prefix = f"{BACKBONE}."
    state = {k.removeprefix(prefix): v for k, v in parent.state.items() if k.startswith(prefix)}
    _load(model.get_submodule(BACKBONE), state, parent)


def _load(model: nn.Module, state: dict[str, Tensor], parent: ParentWeights) -> None:
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ParentError(f"parent {parent.id}: its weights do not fit ({error})") from None
