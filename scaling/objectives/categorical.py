"""Cross-entropy of tasks in which a record has exactly one of the classes, in nats."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from scaling.data.batches import Batch, Split
from scaling.objectives.base import Context
from scaling.objectives.labels import LabelObjective


def loss_per_record(logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
    """Negative log-softmax of the positive class of each record, (B,) in nats.

    Args:
        logits_BC: (B, C) in float32.
        labels_BC: (B, C), one 1 in each row.
    """
    return cross_entropy(logits_BC, labels_BC.argmax(dim=1), reduction="none")


def log_frequencies(labels_NC: Tensor) -> Tensor:
    """Logarithm of the share of each class, (C,), smoothed by half a record for each."""
    counts = labels_NC.sum(dim=0) + 0.5
    return (counts / counts.sum()).log()


def check_one_class(labels_NC: Tensor, name: str) -> None:
    """Refuse records of split ``name`` that do not have exactly one positive class.

    Raises:
        ValueError: says how many, and the places of the first in the split.
    """
    positives_N = labels_NC.sum(dim=1)
    wrong = torch.nonzero(positives_N != 1)[:, 0].tolist()
    if wrong:
        shown = ", ".join(f"record {row} has {positives_N[row]:.0f}" for row in wrong[:3])
        raise ValueError(
            f"the categorical objective needs exactly one positive class in each record: "
            f"{len(wrong)} of {len(labels_NC)} {name} records have none or several ({shown}); "
            "use the supervised objective, or a task of one label"
        )


class Categorical(LabelObjective):
    """Cross-entropy; see ``scaling.objectives.base.Objective``."""

    def annotate(self, splits: dict[str, Split], context: Context) -> None:
        """Labels are all it needs.

        Raises:
            ValueError: records without exactly one positive class.
        """
        for name, split in splits.items():
            check_one_class(split.labels, name)

    def prior(self, labels_NC: Tensor) -> Tensor:
        """The head starts at the class frequencies, of which logits are the logarithm."""
        return log_frequencies(labels_NC)

    def per_record(self, model: nn.Module, logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
        """Cross-entropy of its class, (B,)."""
        return loss_per_record(logits_BC, labels_BC)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean cross-entropy of the batch."""
        return loss_per_record(outputs.float(), batch.labels_BC).mean()


OBJECTIVE = Categorical()
