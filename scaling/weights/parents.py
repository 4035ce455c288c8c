"""Parents of a training: the codebook it predicts the codes of, the backbone it starts from.

``Training.parents`` are ids; what an id is for follows from the stage its sidecar names: a
parent of stage ``codebook`` is the codebook, any other the backbone to start from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from scaling.compatible import SAME_MODEL, differences
from scaling.identity import Training
from scaling.weights.files import WeightsError, load_weights
from scaling.workspace import Workspace

CODEBOOK, BACKBONE = "codebook", "backbone"


class ParentError(ValueError):
    """A parent that does not go with the training; the message names each difference."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """The kept weights of another training.

    Attributes:
        id: its id.
        role: ``codebook`` or ``backbone``.
        state: its weights.
        config: its configuration, as its sidecar has it.
    """

    id: str
    role: str
    state: dict[str, Tensor]
    config: Mapping[str, Any]


def parents_of(training: Training, workspace: Workspace) -> dict[str, Parent]:
    """The parents of ``training`` by role, each checked to go with it.

    Raises:
        WeightsError: weights are absent or damaged; names the parent.
        ParentError: two parents of one role, or one that does not go with the training.
    """
    found: dict[str, Parent] = {}
    for name in training.parents:
        parent = _parent(name, workspace)
        if parent.role in found:
            raise ParentError(
                f"{training.id} has two parents that are a {parent.role}, "
                f"{found[parent.role].id} and {name}: name one"
            )
        check_goes_with(training, parent)
        found[parent.role] = parent
    return found


def _parent(name: str, workspace: Workspace) -> Parent:
    try:
        state, about = load_weights(workspace.weights_of(name))
    except WeightsError as error:
        raise WeightsError(f"parent {name}: {error}") from None
    config = about.get("training")
    if not isinstance(config, Mapping):
        path = workspace.weights_of(name).with_suffix(".json")
        raise WeightsError(f"parent {name}: {path} does not say how it was trained")
    role = CODEBOOK if config.get("stage") == CODEBOOK else BACKBONE
    return Parent(id=name, role=role, state=state, config=config)


def check_goes_with(training: Training, parent: Parent) -> None:
    """Check that the weights of ``parent`` mean the same in ``training``.

    A backbone must be of the same family, size and leads, and both must have seen signals of
    the same sampling rate and preprocessing; the window may differ. What a sidecar does not
    say (that of a converted checkpoint may lack the corpus) is not compared.

    Raises:
        ParentError: names each difference.
    """
    names = ("leads",) if parent.role == CODEBOOK else SAME_MODEL
    if found := differences(parent.config, training, names):
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
    return frozen(parents_of(training, workspace), device)


def frozen(parents: Mapping[str, Parent], device: torch.device) -> dict[str, nn.Module]:
    """The same of parents that were loaded already."""
    if CODEBOOK not in parents:
        return {}
    from scaling.models.vq_hbr import VqHbr

    parent = parents[CODEBOOK]
    model = VqHbr(parent.config["size"])
    _load(model, parent.state, parent)
    return {CODEBOOK: model.to(device).eval().requires_grad_(False)}


def start_from(model: nn.Module, parent: Parent) -> None:
    """Give the backbone of ``model`` the weights of ``parent``'s; its head stays as it is.

    Raises:
        ParentError: weights that are not this backbone's.
    """
    prefix = f"{BACKBONE}."
    state = {k.removeprefix(prefix): v for k, v in parent.state.items() if k.startswith(prefix)}
    _load(model.get_submodule(BACKBONE), state, parent)


def _load(model: nn.Module, state: dict[str, Tensor], parent: Parent) -> None:
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ParentError(f"parent {parent.id}: its weights do not fit ({error})") from None
