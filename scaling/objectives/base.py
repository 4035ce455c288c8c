"""What an objective is: it builds the model that is trained, says what is minimised, and measures.

Everything an objective measures is in nats (a codebook's in mV^2) and, held out, comes as one
value per record, so that every paradigm has an in-distribution loss with a standard error over
patients.
"""

from __future__ import annotations

import dataclasses
import pkgutil
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from scaling.data.batches import Batch, Split
from scaling.identity import Training
from scaling.models.families import build
from scaling.objectives.registry import OBJECTIVES, Settings
from scaling.records.patients import Row

# Records at once where tokens meet codes: 128 of each record against 8,192 codes are 268 MB.
HELD_OUT_BATCH = 64
NO_LOSS = "an untrained model has no loss: measure it by a linear probe"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What an objective may know besides the records."""

    training: Training  # what is run
    outputs: int  # classes of the task
    # models this one needs, by role (``codebook``), frozen and on the device
    parents: dict[str, nn.Module] = dataclasses.field(default_factory=dict)
    units: str = "mV"  # of the signals; ``1`` where they have none

    def backbone(self) -> nn.Module:
        """The training's untrained backbone, drawn from torch's global stream.

        Objectives build it first, so that those of one family, size, leads and seed start alike.
        """
        training = self.training
        leads, dropout = len(training.leads), training.recipe.dropout
        return build(training.family, training.size, leads, dropout)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What an objective finds on the N held-out records of a split.

    Attributes:
        losses: by metric name, (N,) float32 on the CPU, one of each record; ``loss`` is what is
            minimised.
        scores_NC: float64 log-odds of each class on the CPU; None without labels to predict.
    """

    losses: Mapping[str, Tensor]
    scores_NC: Tensor | None = None


class Objective:
    """What is minimised; a subclass has a row in ``registry`` and passes a battery.

    The model's top-level modules are named after parameter groups
    (``scaling.records.record.PARAMETER_GROUPS``), so that parameters can be counted by group; what
    only training needs of it is in one called ``auxiliary``.
    A subclass defines ``build``, ``outputs``, ``loss`` and ``held_out``, and what else it needs.

    Attributes:
        predicts_labels: whether it predicts the classes of the task: ``measure`` scores them.
        settings: the training's options over the objective's defaults; all the state it has.
    """

    predicts_labels = False
    # whether its model hides the leads that the training is not given, and is shown all
    hides_leads = False

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def unlabelled(self) -> float:
        """Unlabelled records that a step has for each labelled one; 0 for none."""
        return float(self.settings.get("unlabelled", 0.0))

    def build(self, context: Context) -> nn.Module:
        """The untrained model, on whatever device is current; draws from torch's global stream.

        Its ``forward(x_BLT, r_peaks_BP)`` is one pass of training without its random choices:
        what is counted as MACs.
        """
        raise NotImplementedError

    def start(self, model: nn.Module, train: Split) -> None:
        """Set what an untrained model should know of the training records (class frequencies)."""
        return

    def annotate(self, splits: dict[str, Split], context: Context) -> None:
        """Add to each split what a target needs beyond signals and labels (codes)."""
        return

    def outputs(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Any:
        """What the loss needs of the model; in training, the only part run under autocast.

        Every random choice of the objective comes from ``generator``, which is on the CPU.
        """
        raise NotImplementedError

    def loss(self, outputs: Any, batch: Batch) -> Tensor:
        """The mean over the batch, a scalar in float32."""
        raise NotImplementedError

    def held_out(self, model: nn.Module, split: Split) -> Tensor:
        """Loss of each record of ``split``, (n,) float32 on the CPU, in evaluation mode.

        May be called under autocast, which is for the model: the loss is computed in float32.
        Random choices are fixed by the record, so that two models see the same.
        """
        raise NotImplementedError

    def measure(self, model: nn.Module, split: Split, core: Sequence[int] = ()) -> Measured:
        """All that is said of the records of ``split``, one by one; in float32.

        ``core`` are columns of classes that a label set keeps fixed: their loss is wanted apart.
        """
        return Measured(losses={"loss": self.held_out(model, split)})

    def quality(self, model: nn.Module, splits: Mapping[str, Split]) -> list[Row]:
        """Rows of an evaluation on test records together, where training records are at hand.

        ``splits`` are ``train``, all that was trained on, ``validation`` and ``test``; models are
        shown all of their leads.
        """
        return []


def objective_of(training: Training) -> Objective:
    """The objective of a training, ready to build its model.

    Raises:
        KeyError: no such objective.
        ValueError: an option it does not have.
    """
    info = OBJECTIVES[training.objective]
    settings = info.settings(training.options)
    objective: Objective = pkgutil.resolve_name(info.implementation)(settings)
    return objective


class Untrained(nn.Module):
    """A backbone without a head."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.backbone = context.backbone()

    def forward(self, x_BLT: Tensor, r_peaks_BP: Tensor | None = None) -> Tensor:
        """Records (B, L, T) in millivolts and their R peaks to features (B, F)."""
        features: Tensor = self.backbone(x_BLT, r_peaks_BP)
        return features


class UntrainedObjective(Objective):
    """Nothing is minimised: the backbone as it was initialised, which probes of others must beat.

    To ask for a loss is an error.
    """

    def build(self, context: Context) -> nn.Module:
        """The backbone alone, with the weights that other objectives start from."""
        return Untrained(context)

    def outputs(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> NoReturn:
        """Not trained: always an error."""
        raise ValueError(NO_LOSS)

    def loss(self, outputs: object, batch: Batch) -> NoReturn:
        """Not trained: always an error."""
        raise ValueError(NO_LOSS)

    def held_out(self, model: nn.Module, split: Split) -> NoReturn:
        """Not trained: always an error."""
        raise ValueError(NO_LOSS)
