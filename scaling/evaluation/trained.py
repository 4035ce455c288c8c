"""The kept weights of a training, as the models they belong to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scaling.compatible import cannot_read, signal_differences, weights_differences
from scaling.cost import records_per_step, training_flops
from scaling.identity import RESTORATION, CorpusSpec, Training
from scaling.models import families
from scaling.models.restorer import Restorer
from scaling.models.system import System
from scaling.objectives.base import Context, Objective, objective_of
from scaling.provenance import corpus_name
from scaling.weights import (
    MEASURED_WITH,
    WeightsError,
    backbone_of,
    frozen_models,
    load_weights,
    parents_of,
)
from scaling.workspace import Workspace

Record = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Trained:
    """One training, its record and the weights of one of its steps."""

    training: Training  # its configuration
    record: Record  # its record
    state: dict[str, Tensor]  # weights
    about: Record  # their sidecar
    workspace: Workspace  # where they are from, and its parents
    device: torch.device  # where models of it are put

    @property
    def step(self) -> int:
        """Optimiser steps behind these weights."""
        return int(self.about["step"])

    @property
    def flops(self) -> int:
        """C: training compute spent by that step."""
        macs = self.record["trial"]["macs"]
        return training_flops(macs, records_per_step(self.training), self.step)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that were trained on."""
        return tuple(self.about["classes"])

    @property
    def core(self) -> tuple[str, ...]:
        """Those of them that the training's label set keeps fixed; empty without one."""
        return tuple(self.about.get("core", ()))

    def backbone(self) -> nn.Module:
        """The backbone, frozen, in evaluation mode; it hides and restores leads as in training.

        Raises:
            WeightsError: weights of another architecture; a parent's are gone.
            ValueError: a family without a backbone to probe.
        """
        training = self.training
        model = families.build(training.family, training.size, len(training.leads))
        parents = self._parents((RESTORATION,))
        return self._system(self._filled(model, backbone_of(self.state)), parents)

    def whole(self) -> tuple[Objective, Context, nn.Module]:
        """The model as it was trained, its objective, and what that may know (its parents).

        It takes all leads as recorded, and hides and restores those that it was not given.

        Raises:
            WeightsError: weights of another architecture; a parent's are gone.
        """
        objective, parents = objective_of(self.training), self._parents(MEASURED_WITH)
        context = Context(
            training=self.training,
            outputs=len(self.classes),
            parents=parents,
            units=str(self.about.get("units", "mV")),
        )
        model = self._filled(objective.build(context), self.state)
        if not objective.hides_leads:
            model = self._system(model, parents)
        return objective, context, model

    def _parents(self, roles: Sequence[str]) -> dict[str, nn.Module]:
        parents = parents_of(self.training, self.workspace, roles)
        return frozen_models(parents, self.device)

    def _system(self, model: nn.Module, parents: Mapping[str, nn.Module]) -> nn.Module:
        """``model``, or what is deployed of it: with its leads hidden, and restored."""
        training = self.training
        if not training.hidden_leads:
            return model
        restorer = parents.get(RESTORATION)
        assert restorer is None or isinstance(restorer, Restorer)
        system = System(model, training.leads, training.input_leads, restorer)
        return system.to(self.device).eval().requires_grad_(False)

    def check_reads(self, spec: CorpusSpec, task: str) -> None:
        """Check that records of ``spec`` mean to this model what its training records did.

        The window may differ where the family can read the other length.

        Raises:
            WeightsError: names each difference, or what keeps the family from reading them.
        """
        training = self.training
        unlike = signal_differences(spec, training.corpus)
        if problem := cannot_read(training, spec):
            unlike.append(problem)
        if unlike:
            name = corpus_name(spec.source, task, spec.fold)
            raise WeightsError(
                f"{training.id} cannot be measured on {name}, which has {'; '.join(unlike)}"
            )

    def _filled(self, model: nn.Module, state: dict[str, Tensor]) -> nn.Module:
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            path = self.workspace.weights_of(self.training.id)
            size = f"{self.training.family} {self.training.size}"
            raise WeightsError(f"{path}: these are not weights of {size} ({error})") from None
        return model.to(self.device).eval().requires_grad_(False)


def load_trained(
    training: Training, record: Record, path: Path, workspace: Workspace, device: torch.device
) -> Trained:
    """Read weights and check that they are those of ``training``.

    Raises:
        WeightsError: a file is absent or damaged, or is of another architecture or other signals:
            names each difference.
    """
    state, about = load_weights(path)
    if found := weights_differences(about.get("training") or {}, training):
        raise WeightsError(
            f"{path}: these are not the weights of {training.id}: {'; '.join(found)}; "
            "delete the training's record to train it again"
        )
    return Trained(training, record, state, about, workspace, device)
