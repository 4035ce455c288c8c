"""Probes of one backbone on many tasks: features of a corpus are extracted once for all."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from scaling.corpora.format.corpus import Corpus
from scaling.corpora.format.splits import SPLITS, labelled_subset
from scaling.data.batches import measured, unlabelled
from scaling.evaluation.linear_probe import Features, fit_probe
from scaling.evaluation.measure import MEASURED, Row, Scored, estimate_row, label_rows, split_rows
from scaling.identity import Evaluation
from scaling.objectives.supervised import loss_per_record
from scaling.records.patients import Estimate

NO_INTERVAL = float("nan")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A linear-probe evaluation made ready.

    Attributes:
        evaluation: what is measured.
        corpus: its corpus.
        rows: split -> rows of the records used.
    """

    evaluation: Evaluation
    corpus: Corpus
    rows: dict[str, NDArray[np.int64]]

    @property
    def key(self) -> str:
        """Of its corpus."""
        return self.evaluation.corpus.key

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
        backbone: in evaluation mode, on the device.
        leads: names of the leads it reads.
        device: where it is.
        probes: all that will be asked for.
    """

    def __init__(
        self,
        backbone: nn.Module,
        leads: Sequence[str],
        device: torch.device,
        probes: Sequence[Probe],
    ) -> None:
        self.backbone, self.leads, self.device, self.probes = backbone, leads, device, probes
        self._key = ""
        self._found: dict[str, tuple[NDArray[np.int64], Tensor]] = {}

    def features(self, probe: Probe, split: str) -> Tensor:
        """(n, F) float32 features of a split of ``probe``, on the device.

        Raises:
            CorpusError: a lead the corpus does not hold.
        """
        if probe.key != self._key:
            self._key, self._found = probe.key, {}
        if split not in self._found:
            wanted = [other.rows[split] for other in self.probes if other.key == probe.key]
            rows = np.unique(np.concatenate(wanted))
            self._found[split] = rows, self._extract(probe.corpus, rows)
        rows, x_NF = self._found[split]
        places = torch.from_numpy(np.searchsorted(rows, probe.rows[split]))
        return x_NF[places.to(self.device)]

    @torch.no_grad()
    def _extract(self, corpus: Corpus, rows: NDArray[np.int64]) -> Tensor:
        split = unlabelled(corpus, rows, self.device, self.leads)
        return measured(lambda some: self.backbone(some.x_BLT, some.r_peaks_BP).float(), split)


def measure_probe(
    probe: Probe, store: FeatureStore, seed: int
) -> tuple[list[Row], dict[str, Scored]]:
    """Fit a probe and measure it; also what it says of each record.

    The row of split ``train`` says how many records it was fitted on (``n``) and how many classes
    have both positives and negatives among them.

    Args:
        probe: what to measure.
        store: of a backbone, holding this probe.
        seed: order of the batches.
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
    count = Estimate(float(used), NO_INTERVAL, NO_INTERVAL, NO_INTERVAL)
    rows = [estimate_row("train", "classes_used", count, len(probe.rows["train"]))]
    return rows + label_rows(scored), scored


def _scored(probe: Probe, split: str, layer: nn.Linear, features: Features) -> Scored:
    logits_NC = layer(features.x).cpu()
    losses: dict[str, Any] = {"loss": loss_per_record(logits_NC, features.y.cpu())}
    rows = probe.rows[split]
    return Scored(
        rows_N=rows,
        patients_N=probe.corpus.patients[rows],
        losses=losses,
        scores_NC=logits_NC.double().numpy(),
        labels_NC=probe.labels(split) > 0,
    )
