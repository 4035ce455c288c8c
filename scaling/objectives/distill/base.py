"""Distillation: a student learns from labels and from what a frozen teacher says of the records.

The student is given some leads, or signals restored from them; the teacher always sees all leads as
recorded. With boxes (S2, Eq. 4-7) both see the same mixture of two records. The loss is (S2,
Eq. 19-21)

    L = L_Y(labelled) + alpha [L_K(labelled) + L_K(unlabelled)]

with means over each set by themselves, L_Y the binary cross-entropy of the labels and L_K the
imitation that a method defines. Held out it is the binary cross-entropy of the labels alone, so
that losses of all methods compare.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from scaling.data.batches import Batch, Split, evaluated
from scaling.identity import TEACHER
from scaling.objectives.base import Context
from scaling.objectives.boxes import Boxes, boxes_of, sets_of
from scaling.objectives.labels import Classifier, LabelObjective, binary_loss, binary_losses
from scaling.objectives.registry import OBJECTIVES, Settings
from scaling.records.record import AUXILIARY

LOGITS, FEATURES = "teacher_logits", "teacher_features"  # what splits keep of a teacher
IMITATED = ("train", "unlabelled")  # the splits that a student is trained on


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a classifier says of B records."""

    logits_BC: Tensor  # float32 log-odds of the classes
    features_BF: Tensor  # float32, what its head reads

    def part(self, places: slice) -> Answers:
        """What it says of some of the records."""
        return Answers(logits_BC=self.logits_BC[places], features_BF=self.features_BF[places])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What student and teacher say of one set of records: the labelled, or the unlabelled."""

    student: Answers
    teacher: Answers  # without gradient
    labels_BC: Tensor  # float32, mixed where signals are; NaN for unlabelled records
    records_B: Tensor  # int64 in [0, D); equal numbers are the same record, in both sets
    teacher_weights_CK: Tensor  # weights of the last layer of the teacher's head, a row a class


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One batch as student and teacher see it."""

    student: Answers
    teacher: Answers | None  # None for a student that has none
    labels_BC: Tensor  # float32, mixed where signals are
    sets: tuple[slice, ...]  # places of the labelled records, then of the unlabelled ones
    generator: torch.Generator  # of the method's random choices
    auxiliary: nn.Module | None  # what the method trains beside the student


def answers(model: Classifier, x_BLT: Tensor, r_peaks_BP: Tensor) -> Answers:
    """Logits and features, in float32 also under autocast."""
    features_BF = model.backbone(x_BLT, r_peaks_BP)
    logits_BC = model.head(features_BF)
    return Answers(logits_BC=logits_BC.float(), features_BF=features_BF.float())


class Distillation(LabelObjective):
    """A method of distillation; a subclass defines ``imitation``.

    Attributes:
        teacher: the frozen teacher of the training; None where it has none.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.teacher: Classifier | None = None
        self.labelled = 0  # training records with labels; unlabelled ones are counted on from them

    def auxiliary(
        self, context: Context, student_features: int, teacher_features: int
    ) -> nn.Module | None:
        """What is trained beside the student and dropped after; None for nothing."""
        return None

    def imitation(
        self, auxiliary: nn.Module | None, pair: Pair, generator: torch.Generator
    ) -> Tensor:
        """L_K of one set, a scalar in float32: a mean over records, so that sets compare."""
        raise NotImplementedError

    def losses(self, logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
        """Binary cross-entropy of the labels, mean over them, (B,) in nats."""
        return binary_losses(logits_BC, labels_BC)

    def build(self, context: Context) -> Classifier:
        """Backbone and head, and what the method trains beside them where the teacher is known."""
        model = super().build(context)
        teacher = context.parents.get(TEACHER)
        if teacher is not None:
            assert isinstance(teacher, Classifier)
            extra = self.auxiliary(context, model.features, teacher.features)
            if extra is not None:
                model.add_module(AUXILIARY, extra)
        return model

    def annotate(self, splits: dict[str, Split], context: Context) -> None:
        """Keep what the teacher says of the records trained on, if no boxes are drawn over them.

        Where a finished student is measured, no teacher is called and nothing is kept.

        Raises:
            ValueError: the training has no teacher, and its method needs one.
        """
        teacher, training = context.parents.get(TEACHER), context.training
        if teacher is None:
            needed = TEACHER in OBJECTIVES[training.objective].roles
            if needed and not training.parents_of_role(TEACHER):
                raise ValueError(
                    f"the method {training.objective} learns from a teacher, and {training.id} has "
                    "none: give it a parent of that role"
                )
            return
        assert isinstance(teacher, Classifier)
        self.teacher, self.labelled = teacher, len(splits["train"])
        if self.settings["boxes"] != "none":
            return

        bf16 = training.recipe.precision == "bf16"  # as where boxes are drawn at each step

        def said(batch: Batch) -> Tensor:
            device = batch.x_BLT.device.type
            with torch.autocast(device, dtype=torch.bfloat16, enabled=bf16):
                found = answers(teacher, batch.all_leads_BLT, batch.r_peaks_BP)
            return torch.cat([found.logits_BC, found.features_BF], dim=1)

        for split in (splits[name] for name in IMITATED if name in splits):
            both = evaluated(teacher, said, split)
            outputs = split.labels.shape[1]
            split.extra[LOGITS], split.extra[FEATURES] = both[:, :outputs], both[:, outputs:]

    def outputs(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Lesson:
        """What student and teacher say of the batch, after mixing where boxes are drawn."""
        assert isinstance(model, Classifier)
        boxes = boxes_of(batch, self.settings, generator)
        x_BLT, labels_BC = batch.x_BLT, batch.labels_BC
        if boxes is not None:
            x_BLT, labels_BC = boxes.mix(x_BLT), boxes.mix_labels(labels_BC)
        return Lesson(
            student=answers(model, x_BLT, batch.r_peaks_BP),
            teacher=self._taught(batch, boxes),
            labels_BC=labels_BC,
            sets=sets_of(batch),
            generator=generator,
            auxiliary=getattr(model, AUXILIARY, None),
        )

    def loss(self, outputs: Lesson, batch: Batch) -> Tensor:
        """Labels and imitation, in nats where the imitation is."""
        labelled = outputs.sets[0]
        logits_BC, labels_BC = outputs.student.logits_BC[labelled], outputs.labels_BC[labelled]
        total = binary_loss(logits_BC, labels_BC)
        if outputs.teacher is None:
            return total
        for pair in self._pairs(outputs, batch):
            total = total + self.taught(outputs.auxiliary, pair, outputs.generator)
        return total

    def taught(self, auxiliary: nn.Module | None, pair: Pair, generator: torch.Generator) -> Tensor:
        """What a set adds to the loss: its imitation, weighted."""
        weight = float(self.settings["alpha"])
        if not weight:  # not even zero times what may not be finite
            return pair.student.logits_BC.new_zeros(())
        return weight * self.imitation(auxiliary, pair, generator)

    def _taught(self, batch: Batch, boxes: Boxes | None) -> Answers | None:
        """What the teacher says: of mixtures now, of plain records once for all."""
        if self.teacher is None:
            return None
        if boxes is None:
            return Answers(logits_BC=batch.extra[LOGITS], features_BF=batch.extra[FEATURES])
        with torch.no_grad():
            return answers(self.teacher, boxes.mix(batch.all_leads_BLT), batch.r_peaks_BP)

    def _pairs(self, lesson: Lesson, batch: Batch) -> Iterator[Pair]:
        assert self.teacher is not None
        assert lesson.teacher is not None
        for places, before in zip(lesson.sets, (0, self.labelled), strict=False):
            yield Pair(
                student=lesson.student.part(places),
                teacher=lesson.teacher.part(places),
                labels_BC=lesson.labels_BC[places],
                records_B=batch.rows_B[places] + before,
                teacher_weights_CK=self.teacher.output_layer.weight,
            )
