"""Objectives on labels: a backbone with a linear head, which starts at the class frequencies.

- **supervised**: binary cross-entropy of independent labels, its mean over labels, in nats.
- **focal**: for long tails (Lin et al. 2017, arXiv 1708.02002, Eq. 4),
  FL(p_t) = -(1 - p_t)^gamma log(p_t), with p_t the probability given to what is true of a label.
  Labels that are easily told are weighted down; with gamma 0 it is the binary cross-entropy.
  Their class weight alpha is left out: S1 names none, and one weight does not fit labels of
  different prevalence. It is no likelihood, so held out it has the plain cross-entropy beside it.
- **categorical**: cross-entropy of tasks in which a record has exactly one of the classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, logsigmoid

from scaling.data.batches import Batch, Split, predict
from scaling.objectives.base import Context, Measured, Objective

LARGEST_ODDS = 1e-12  # a probability is kept so far from 0 and 1, that its log-odds are finite


class Classifier(nn.Module):
    """Backbone and head, of one logit a label, named so that parameters can be counted by group.

    The head is the family's own where the backbone has a method ``head``, else one linear layer.
    """

    def __init__(self, backbone: nn.Module, outputs: int) -> None:
        super().__init__()
        self.backbone = backbone
        features, own = backbone.features, getattr(backbone, "head", None)
        assert isinstance(features, int)
        self.head: nn.Module = own(outputs) if own else nn.Linear(features, outputs)

    @property
    def output_layer(self) -> nn.Linear:
        """The last linear layer of the head, whose outputs are the logits."""
        return [layer for layer in self.head.modules() if isinstance(layer, nn.Linear)][-1]

    def forward(self, x_BLT: Tensor, r_peaks_BP: Tensor | None = None) -> Tensor:
        """Records (B, L, T) in millivolts and their R peaks to logits (B, outputs)."""
        logits: Tensor = self.head(self.backbone(x_BLT, r_peaks_BP))
        return logits


def binary_loss(logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
    """Mean over records and labels of the binary cross-entropy, a scalar in nats."""
    return binary_cross_entropy_with_logits(logits_BC, labels_BC)


def binary_losses(logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
    """The same for each record, (B,): mean over its labels."""
    return binary_cross_entropy_with_logits(logits_BC, labels_BC, reduction="none").mean(dim=1)


def prior_logits(labels_NC: Tensor) -> Tensor:
    """Logits of the class frequencies, (C,): where an untrained head should start.

    Frequencies are smoothed by half a record, so a class without positives stays finite.
    """
    frequency = (labels_NC.sum(dim=0) + 0.5) / (len(labels_NC) + 1.0)
    return torch.logit(frequency)


class LabelObjective(Objective):
    """A backbone with a head, trained on labels; a subclass defines ``losses``.

    Attributes:
        independent: whether a label's loss is its own, so that some have one without the others.
    """

    predicts_labels = True
    independent = True

    def losses(self, logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
        """Loss of each record, (B,) in nats, from float32 logits and labels."""
        raise NotImplementedError

    def prior(self, labels_NC: Tensor) -> Tensor:
        """Logits (C,) an untrained head starts with."""
        return prior_logits(labels_NC)

    def build(self, context: Context) -> Classifier:
        """Backbone and head; the weights of its output layer start small."""
        model = Classifier(context.backbone(), context.outputs)
        with torch.no_grad():
            model.output_layer.weight.mul_(0.1)
        return model

    def start(self, model: nn.Module, train: Split) -> None:
        """The output layer starts at the class frequencies."""
        assert isinstance(model, Classifier)
        with torch.no_grad():
            model.output_layer.bias.copy_(self.prior(train.labels.cpu()))

    def outputs(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Logits (B, C); no random choice."""
        logits_BC: Tensor = model(batch.x_BLT, batch.r_peaks_BP)
        return logits_BC

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean over the batch, in nats."""
        return self.losses(outputs.float(), batch.labels_BC).mean()

    def held_out(self, model: nn.Module, split: Split) -> Tensor:
        """Loss of each record, (n,) in nats."""
        return self.losses(predict(model, split), split.labels.cpu())

    def measure(self, model: nn.Module, split: Split, core: Sequence[int] = ()) -> Measured:
        """Losses, those of the core classes alone (``loss_core``), and scores of all classes."""
        logits_NC, labels_NC = predict(model, split), split.labels.cpu()
        losses = {"loss": self.losses(logits_NC, labels_NC)}
        losses |= self.beside(logits_NC, labels_NC)
        if core and self.independent:
            columns = list(core)
            losses["loss_core"] = self.losses(logits_NC[:, columns], labels_NC[:, columns])
        return Measured(losses=losses, scores_NC=self.scores(logits_NC))

    def beside(self, logits_NC: Tensor, labels_NC: Tensor) -> Mapping[str, Tensor]:
        """By metric name, losses (N,) that held-out records have besides the objective's own."""
        return {}

    def scores(self, logits_NC: Tensor) -> Tensor:
        """Log-odds of each class in float64, which metrics rank by."""
        return logits_NC.double()


class Supervised(LabelObjective):
    """Binary cross-entropy of independent labels."""

    def losses(self, logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
        """Mean over its labels, (B,)."""
        return binary_losses(logits_BC, labels_BC)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean over records and labels at once, which rounds once."""
        return binary_loss(outputs.float(), batch.labels_BC)


class Focal(LabelObjective):
    """Focal loss of independent labels."""

    def losses(self, logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
        """Mean over its labels, (B,)."""
        towards_BC = logits_BC * (2.0 * labels_BC - 1.0)
        # (1 - p_t)^gamma by its logarithm: the power itself has no finite gradient at p_t = 1.
        weight_BC = (float(self.settings["gamma"]) * logsigmoid(-towards_BC)).exp()
        return -(weight_BC * logsigmoid(towards_BC)).mean(dim=1)

    def beside(self, logits_NC: Tensor, labels_NC: Tensor) -> Mapping[str, Tensor]:
        """The plain binary cross-entropy, since a focal loss is no likelihood."""
        return {"bce": binary_losses(logits_NC, labels_NC)}


class Categorical(LabelObjective):
    """Cross-entropy of one class a record."""

    independent = False  # a softmax is over all classes

    def annotate(self, splits: dict[str, Split], context: Context) -> None:
        """Labels are all it needs.

        Raises:
            ValueError: records without exactly one positive class.
        """
        for name, split in splits.items():
            positives_N = split.labels.sum(dim=1)
            if wrong := torch.nonzero(positives_N != 1)[:, 0].tolist():
                first = ", ".join(f"record {row} has {positives_N[row]:.0f}" for row in wrong[:3])
                raise ValueError(
                    f"the categorical objective needs exactly one positive class in each record: "
                    f"{len(wrong)} of {len(split)} {name} records have none or several ({first}); "
                    "use the supervised objective, or a task of one label"
                )

    def prior(self, labels_NC: Tensor) -> Tensor:
        """Logarithm of the share of each class, (C,), smoothed by half a record for each."""
        counts = labels_NC.sum(dim=0) + 0.5
        return (counts / counts.sum()).log()

    def losses(self, logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
        """Negative log-softmax of its class, (B,)."""
        return cross_entropy(logits_BC, labels_BC.argmax(dim=1), reduction="none")

    def scores(self, logits_NC: Tensor) -> Tensor:
        """Log-odds of each class against the rest, under the softmax."""
        return torch.logit(logits_NC.double().softmax(dim=1), eps=LARGEST_ODDS)
