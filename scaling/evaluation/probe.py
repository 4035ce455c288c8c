"""Linear probe: a linear classifier on frozen features, trained on the task's own split.

Adam on the logistic loss for at most 200 epochs, stopped when the validation loss has not
improved for 5 epochs (S1, appendix A.3). Features are standardised with the training
split's moments; they are extracted once for all probes on a corpus, so an epoch is a few matrix
products. The gradient of the loss is written out and Adam's step done in place, on the features'
device: autograd and ``torch.optim`` give the same numbers at a fifth of the speed for a layer this
small.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from scaling.corpora.format.corpus import Corpus
from scaling.corpora.format.splits import labelled_subset
from scaling.data.batches import evaluated, unlabelled
from scaling.evaluation.measure import MEASURED, Scored, label_rows, split_rows
from scaling.evaluation.multilabel import multilabel_rows
from scaling.evaluation.trained import Trained
from scaling.identity import Evaluation
from scaling.objectives.labels import binary_loss, binary_losses, prior_logits
from scaling.records.names import SPLITS
from scaling.records.patients import Row, value_row

EPOCHS = 200
PATIENCE = 5
BATCH = 128
LEARNING_RATE = 1e-2
BETAS = (0.9, 0.999)
EPSILON = 1e-8


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A linear-probe evaluation made ready."""

    evaluation: Evaluation  # what is measured
    corpus: Corpus  # its corpus
    rows: dict[str, NDArray[np.int64]]  # split -> rows of the records used

    def labels(self, split: str) -> NDArray[np.uint8]:
        """(n, C) labels of a split's records."""
        found: NDArray[np.uint8] = self.corpus.labels(self.evaluation.task)[self.rows[split]]
        return found


def prepare_probe(evaluation: Evaluation, corpus: Corpus) -> Probe:
    """Choose the records of a probe; few labels are those of ``labelled_subset``.

    Raises:
        ValueError: a split without records.
        CorpusError: no such task, or a fraction outside (0, 1].
    """
    task, fraction = evaluation.task, evaluation.labels_fraction
    rows = {split: split_rows(corpus, task, split) for split in SPLITS}
    if fraction != 1.0:
        rows["train"] = labelled_subset(
            corpus.patients, corpus.labels(task), rows["train"], fraction
        )
    return Probe(evaluation=evaluation, corpus=corpus, rows=rows)


class FeatureStore:
    """Features of the records that some probes need, of one corpus at a time.

    Signals are read from the memory map in chunks and go no further than one; features stay on
    the device. Ask for the probes of one corpus one after another.

    Args:
        trained: whose backbone makes the features.
        probes: all that will be asked for.
    """

    def __init__(self, trained: Trained, probes: Sequence[Probe]) -> None:
        self.backbone, self.device, self.probes = trained.backbone(), trained.device, probes
        self.leads = trained.training.leads
        self._key = ""
        self._found: dict[str, tuple[NDArray[np.int64], Tensor]] = {}

    def features(self, probe: Probe, split: str) -> Tensor:
        """(n, F) float32 features of a split of ``probe``, on the device.

        Raises:
            CorpusError: a lead the corpus does not hold.
        """
        key = probe.evaluation.corpus.key
        if key != self._key:
            self._key, self._found = key, {}
        if split not in self._found:
            wanted = [p.rows[split] for p in self.probes if p.evaluation.corpus.key == key]
            rows = np.unique(np.concatenate(wanted))
            self._found[split] = rows, self._extract(probe.corpus, rows)
        rows, x_NF = self._found[split]
        places = torch.from_numpy(np.searchsorted(rows, probe.rows[split]))
        return x_NF[places.to(self.device)]

    def _extract(self, corpus: Corpus, rows: NDArray[np.int64]) -> Tensor:
        split, backbone = unlabelled(corpus, rows, self.device, self.leads), self.backbone
        return evaluated(backbone, lambda b: backbone(b.x_BLT, b.r_peaks_BP).float(), split)


def measure_probe(
    probe: Probe, store: FeatureStore, seed: int
) -> tuple[list[Row], dict[str, Scored]]:
    """Fit a probe and measure it; also what it says of each record.

    The row of split ``train`` says how many records it was fitted on (``n``) and how many classes
    have both positives and negatives among them. ``seed`` is of the order of the batches.
    """
    features = {
        split: Features(
            x=store.features(probe, split),
            y=torch.from_numpy(probe.labels(split).astype(np.float32)).to(store.device),
        )
        for split in SPLITS
    }
    layer = fit_probe(features["train"], features["validation"], seed)
    scored = {split: _scored(probe, split, layer, features[split]) for split in MEASURED}
    shares = features["train"].y.mean(dim=0)
    used = int(((shares > 0) & (shares < 1)).sum())
    rows = [value_row("train", "classes_used", float(used), len(probe.rows["train"]))]
    rows += label_rows(scored)
    classes = probe.corpus.classes(probe.evaluation.task)
    return rows + multilabel_rows(probe.evaluation, scored, classes), scored


def _scored(probe: Probe, split: str, layer: nn.Linear, features: Features) -> Scored:
    logits_NC = layer(features.x).cpu()
    rows = probe.rows[split]
    return Scored(
        rows_N=rows,
        patients_N=probe.corpus.patients[rows],
        losses={"loss": binary_losses(logits_NC, features.y.cpu())},
        scores_NC=logits_NC.double().numpy(),
        labels_NC=probe.labels(split) > 0,
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Frozen features (n, F) and labels (n, C) of one split, on one device."""

    x: Tensor
    y: Tensor


@torch.no_grad()
def fit_probe(train: Features, validation: Features, seed: int = 0) -> nn.Linear:
    """Fit the probe to one record or more; a linear layer on raw features, at its best epoch.

    Early stopping looks at ``validation``; ``seed`` is of the order of the batches.
    """
    mean = train.x.mean(dim=0)
    # One record has no spread, and a feature that is constant must not become infinite.
    spread = train.x.std(dim=0, correction=min(1, len(train.x) - 1)).clamp_min(1e-6)
    x, x_validation = (_with_ones((part.x - mean) / spread) for part in (train, validation))
    start = x.new_zeros(x.shape[1], train.y.shape[1])
    start[-1] = prior_logits(train.y)
    weights = _descend(start, x, train.y, x_validation, validation.y, seed)
    layer = nn.Linear(train.x.shape[1], train.y.shape[1], device=x.device)
    layer.weight.copy_(weights[:-1].T / spread)
    layer.bias.copy_(weights[-1] - layer.weight @ mean)
    return layer.requires_grad_(False)


def _with_ones(x_NF: Tensor) -> Tensor:
    """Features with a last column of ones, whose weight is the bias."""
    return torch.cat([x_NF, x_NF.new_ones(len(x_NF), 1)], dim=1)


def _descend(
    start: Tensor, x: Tensor, y: Tensor, x_validation: Tensor, y_validation: Tensor, seed: int
) -> Tensor:
    """Adam (Kingma and Ba 2015, Algorithm 1) with early stopping; the best weights (F, C)."""
    weights, best_weights = start.clone(), start.clone()
    first, second = torch.zeros_like(start), torch.zeros_like(start)
    generator = torch.Generator().manual_seed(seed)
    best, stale, step = math.inf, 0, 0
    for _ in range(EPOCHS):
        order = torch.randperm(len(x), generator=generator).to(x.device)
        for rows in torch.split(order, BATCH):
            x_BF, y_BC = x[rows], y[rows]
            step += 1
            gradient = x_BF.T @ torch.sigmoid_(x_BF @ weights).sub_(y_BC).div_(y_BC.numel())
            first.lerp_(gradient, 1 - BETAS[0])
            second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
            scale = second.sqrt().div_(math.sqrt(1 - BETAS[1] ** step)).add_(EPSILON)
            weights.addcdiv_(first, scale, value=-LEARNING_RATE / (1 - BETAS[0] ** step))
        value = float(binary_loss(x_validation @ weights, y_validation))
        if value < best:
            best, stale = value, 0
            best_weights.copy_(weights)
        else:
            stale += 1
        if stale >= PATIENCE:
            break
    return best_weights
