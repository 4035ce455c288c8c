"""What an objective is: it builds the model that is trained, and says what is minimised.

Everything an objective measures is in nats (a codebook's in mV^2) and, held out, comes as one
value per record, so that every paradigm has an in-distribution loss with a standard error over
patients.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from scaling.data.batches import Batch, Split
from scaling.identity import Training


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What an objective may know besides the records.

    Attributes:
        training: what is run.
        outputs: classes of the task.
        parents: models this one needs, by role (``codebook``), frozen and on the device.
        device: where it runs.
    """

    training: Training
    outputs: int
    parents: dict[str, nn.Module] = dataclasses.field(default_factory=dict)
    device: torch.device = dataclasses.field(default_factory=lambda: torch.device("cpu"))


class Objective(Protocol):
    """What is minimised, as a stateless object named ``OBJECTIVE`` in its module.

    The model's top-level modules are named after parameter groups
    (``scaling.records.record.PARAMETER_GROUPS``), so that parameters can be counted by group.
    """

    def build(self, context: Context) -> nn.Module:
        """The untrained model, on whatever device is current; draws from torch's global stream.

        Its ``forward(x_BLT, r_peaks_BP)`` is one pass of training without its random choices:
        what is counted as MACs.
        """
        ...

    def start(self, model: nn.Module, train: Split) -> None:
        """Set what an untrained model should know of the training records (class frequencies)."""
        ...

    def annotate(self, splits: dict[str, Split], context: Context) -> None:
        """Add to each split what a target needs beyond signals and labels (codes)."""
        ...

    def outputs(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Any:
        """What the loss needs of the model; in training, the only part run under autocast.

        Args:
            model: in training mode.
            batch: records.
            generator: on the CPU; source of every random choice of the objective.
        """
        ...

    def loss(self, outputs: Any, batch: Batch) -> Tensor:
        """The mean over the batch, a scalar in float32."""
        ...

    def held_out(self, model: nn.Module, split: Split) -> Tensor:
        """Loss of each record of ``split``, (n,) float32 on the CPU, in evaluation mode.

        May be called under autocast, which is for the model: the loss is computed in float32.
        Random choices are fixed by the record, so that two models see the same.
        """
        ...
