"""Measure a trained model on a corpus: by its own head, or by a linear probe."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from scaling.corpora.corpus import Corpus
from scaling.evaluation.held_out import mean_and_se
from scaling.evaluation.linear_probe import Features, fit_probe
from scaling.evaluation.metrics import macro_auroc, macro_auroc_se
from scaling.identity import Evaluation
from scaling.models.classifier import Classifier
from scaling.objectives.supervised import loss_per_record
from scaling.training.data import Split, predict, split_of

Record = dict[str, Any]


def held_out_values(
    model: Classifier, corpus: Corpus, evaluation: Evaluation, device: torch.device
) -> list[Record]:
    """Loss and macro-AUROC of the trained head on validation and test."""
    rows: list[Record] = []
    for name in ("validation", "test"):
        split = split_of(corpus, corpus.rows(name, evaluation.task), evaluation.task, device)
        rows += _measure(name, predict(model, split), split)
    return rows


def probe_values(
    model: Classifier, corpus: Corpus, evaluation: Evaluation, seed: int, device: torch.device
) -> list[Record]:
    """Loss and macro-AUROC of a linear probe on the frozen backbone."""
    splits, features = {}, {}
    for name in ("train", "validation", "test"):
        split = split_of(corpus, corpus.rows(name, evaluation.task), evaluation.task, device)
        splits[name] = split
        features[name] = Features(x=predict(model.backbone, split), y=split.labels.cpu())
    layer = fit_probe(features["train"], features["validation"], seed)
    rows: list[Record] = []
    for name in ("validation", "test"):
        with torch.no_grad():
            logits = layer(features[name].x)
        rows += _measure(name, logits, splits[name])
    return rows


def _measure(name: str, logits_NC: Tensor, split: Split) -> list[Record]:
    loss, loss_se = mean_and_se(loss_per_record(logits_NC, split.labels.cpu()), split.patients)
    scores = logits_NC.double().numpy()
    labels = split.labels.cpu().numpy() > 0.5
    area = macro_auroc(scores, labels)
    area_se = macro_auroc_se(scores, labels, split.patients)
    base = {"split": name, "n": len(split)}
    return [
        base | {"metric": "loss", "value": loss, "value_se": loss_se},
        base | {"metric": "macro_auroc", "value": area, "value_se": area_se},
    ]
