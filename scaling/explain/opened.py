"""The students of a study with their teacher, opened, and refused where they cannot be compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import nn

from scaling.data.device import pick_device
from scaling.evaluation.trained import Trained, load_trained
from scaling.identity import RESTORATION, TEACHER, Training
from scaling.models.restorer import Restorer
from scaling.models.system import System
from scaling.objectives.labels import Classifier, LabelObjective
from scaling.workspace import Workspace


class ExplainError(ValueError):
    """Models that cannot be shown beside each other; the message says which and why."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """One model, frozen and in evaluation mode."""

    training: Training
    classes: tuple[str, ...]
    objective: LabelObjective
    model: nn.Module  # from all leads as recorded, with R peaks, to logits (B, C)
    classifier: Classifier  # its part that predicts

    @property
    def restorer(self) -> Restorer | None:
        """The net that restores its leads; None where it has none."""
        return self.model.restorer if isinstance(self.model, System) else None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """Students that may be compared, with the teacher and the restoration net they share."""

    students: tuple[Opened, ...]
    teacher: Opened | None
    restorer: Restorer | None
    restoration: str  # training id of the net; empty where there is none
    device: torch.device

    @property
    def models(self) -> tuple[Opened, ...]:
        """The teacher, where there is one, and the students."""
        return (self.teacher, *self.students) if self.teacher else self.students


def open_together(workspace: Workspace, ids: Sequence[str]) -> Together:
    """Open students by training id, and the teacher and the net of those that have one.

    Raises:
        ExplainError: no finished record of one, one that predicts no labels, or students that
            differ in records, classes, leads, teacher or net.
        WeightsError: weights are gone, damaged or another model's.
    """
    device = pick_device()
    students = tuple(_opened(workspace, name, device) for name in dict.fromkeys(ids))
    if not students:
        raise ExplainError("no student was named")
    for what, of in _SHARED.items():
        _the_one(what, students, of)
    teacher = _parent(TEACHER, students)
    restoration = _parent(RESTORATION, students)
    nets = [s.restorer for s in students if s.restorer is not None]
    return Together(
        students=students,
        teacher=_opened(workspace, teacher, device) if teacher else None,
        restorer=nets[0] if nets else None,
        restoration=restoration,
        device=device,
    )


_SHARED: dict[str, Callable[[Opened], object]] = {
    "corpora": lambda one: (one.training.corpus.identity(), one.training.task),
    "classes": lambda one: one.classes,
    "leads": lambda one: one.training.leads,
    "input leads": lambda one: frozenset(one.training.input_leads or one.training.leads),
}


def _the_one(what: str, students: Iterable[Opened], of: Callable[[Opened], object]) -> None:
    first, *others = students
    for other in others:
        if of(other) != of(first):
            raise ExplainError(
                f"students {first.training.id} and {other.training.id} have different {what}: "
                "name students of one setting"
            )


def _parent(role: str, students: Iterable[Opened]) -> str:
    """The one parent of a role that students have; empty where none has one."""
    found = {name for s in students for name in s.training.parents_of_role(role)}
    if len(found) > 1:
        raise ExplainError(
            f"the students have different parents that are a {role}: {', '.join(sorted(found))}; "
            "name students of one of them"
        )
    return next(iter(found), "")


def _opened(workspace: Workspace, name: str, device: torch.device) -> Opened:
    record = workspace.finished(name)
    if record is None or record["kind"] != "training":
        raise ExplainError(f"{name}: no finished training of that id in {workspace.store}")
    training = Training.from_dict(record["config"])
    weights = workspace.weights_of(name)
    trained: Trained = load_trained(training, record, weights, workspace, device)
    objective, _, model = trained.whole()
    if not isinstance(objective, LabelObjective):
        raise ExplainError(f"{name}: its objective, {training.objective}, predicts no labels")
    classifier = model.student if isinstance(model, System) else model
    assert isinstance(classifier, Classifier)
    return Opened(
        training=training, classes=trained.classes, objective=objective, model=model,
        classifier=classifier,
    )  # fmt: skip
