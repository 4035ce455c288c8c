"""Restored leads, Grad-CAM and t-SNE of students and their teacher, on the same test records.

Which records are shown does not depend on any model: class by class, the commonest first, the first
test record that has this class and no other. Features are those of the first test records.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scaling.data.batches import Batch, StreamedSplit, evaluated, open_corpus, split_of
from scaling.evaluation.measure import split_rows
from scaling.explain.grad_cam import grad_cam
from scaling.explain.opened import ExplainError, Opened, Together, open_together
from scaling.records.explained import Explained
from scaling.records.schema import EXPLAINED_POINTS, EXPLAINED_RECORDS
from scaling.workspace import Workspace

PERPLEXITY = 30.0  # of t-SNE; fewer points have less
FEWEST = 8  # points of a t-SNE
SEED = 0  # of t-SNE
SPREAD = 1e-6  # a feature that varies less is the same for all records


def explain(
    workspace: Workspace,
    students: Sequence[str],
    records: int = EXPLAINED_RECORDS,
    points: int = EXPLAINED_POINTS,
) -> Explained:
    """What is drawn of ``students``, which share records, leads, teacher and restoration net.

    Args:
        workspace: the live store that they are in, and where prepared corpora are.
        students: their training ids.
        records: how many test records have signals and maps; fewer where there are fewer.
        points: how many have features.

    Raises:
        ExplainError: students that cannot be compared, a family without maps, or a test split
            with fewer than 8 records or without a positive label.
        WeightsError: weights are gone, damaged or another model's.
        CorpusError: the corpus is not prepared here and cannot be.
    """
    together = open_together(workspace, students)
    first = together.students[0]
    corpus = open_corpus(first.training.corpus, workspace)
    rows = split_rows(corpus, first.training.task, "test")
    split = split_of(
        corpus, rows, first.training.task, together.device, first.training.leads, first.classes,
        streamed=True,
    )  # fmt: skip
    labels_NC = split.labels.cpu().numpy() > 0.5
    chosen, explained = examples(labels_NC, records)
    shown = split.batch(torch.from_numpy(chosen))
    few = split.first(points)
    assert isinstance(few, StreamedSplit)
    features = tuple(features_of(one, few) for one in together.models)
    ids, models, training = corpus.record_ids, together.models, first.training
    return Explained(
        models=np.array([one.training.id for one in models], dtype=np.str_),
        teacher=np.array([one is together.teacher for one in models]),
        restoring=np.array([one.restorer is not None for one in models]),
        restoration=np.array(together.restoration, dtype=np.str_),
        classes=np.array(first.classes, dtype=np.str_),
        leads=np.array(training.leads, dtype=np.str_),
        input_leads=np.array(training.input_leads or training.leads, dtype=np.str_),
        fs_hz=np.array(training.corpus.fs_hz),
        unit=np.array(corpus.units if corpus.units == "mV" else "", dtype=np.str_),
        record=np.array([ids[row] for row in rows[chosen]], dtype=np.str_),
        labels=labels_NC[chosen].astype(np.uint8),
        explained=explained,
        true=shown.x_BLT.cpu().numpy(),
        restored=_restored(together, shown),
        cam=np.stack([maps_of(one, shown, explained) for one in models]),
        logits=np.stack([_logits(one, shown) for one in models]),
        point_record=np.array([ids[row] for row in few.corpus_rows], dtype=np.str_),
        point_labels=labels_NC[: len(few)].astype(np.uint8),
        features=features,
        tsne=np.stack([tsne(features_PF) for features_PF in features]),
        asked=np.array([records, points]),
    )


def examples(
    labels_NC: NDArray[np.bool_], records: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places (R,) of the records to show, and the class (R,) that each is shown for.

    In turn of each class, the commonest first: the first record not taken yet that has it and no
    other, or else the first that has it.

    Raises:
        ExplainError: no record has any class.
    """
    counts_C = labels_NC.sum(axis=0)
    classes = [int(c) for c in np.argsort(-counts_C, kind="stable") if counts_C[c]]
    if not classes:
        raise ExplainError("no test record has a positive label, so there is no class to explain")
    alone_N = labels_NC.sum(axis=1) == 1
    taken: dict[int, int] = {}
    most = min(records, int(labels_NC.any(axis=1).sum()))
    while len(taken) < most:
        for c in classes[: most - len(taken)]:
            having = [int(place) for place in np.flatnonzero(labels_NC[:, c]) if place not in taken]
            if having:
                taken[next((place for place in having if alone_N[place]), having[0])] = c
    return np.array(list(taken), dtype=np.int64), np.array(list(taken.values()), dtype=np.int64)


def maps_of(one: Opened, shown: Batch, explained: NDArray[np.int64]) -> NDArray[np.float32]:
    """Grad-CAM of a model on each record for the class it is shown for, (R, T).

    Raises:
        ExplainError: its family has no map.
    """
    maps = []
    for place, class_ in enumerate(explained.tolist()):
        row = slice(place, place + 1)
        try:
            map_T = grad_cam(
                one.model, one.classifier.backbone, one.training.family, one.training.size, class_,
                shown.x_BLT[row], shown.r_peaks_BP[row],
            )  # fmt: skip
        except ValueError as error:
            raise ExplainError(f"{one.training.id}: {error}") from None
        maps.append(map_T)
    return torch.stack(maps).cpu().numpy()


@torch.no_grad()
def _logits(one: Opened, shown: Batch) -> NDArray[np.float32]:
    """Log-odds of the classes, (R, C), of a softmax too."""
    logits_RC = one.objective.scores(one.model(shown.x_BLT, shown.r_peaks_BP))
    return logits_RC.float().cpu().numpy()


@torch.no_grad()
def _restored(together: Together, shown: Batch) -> NDArray[np.float32]:
    """(R, L, T), in the unit of the signals; (0, L, T) where nothing restores."""
    if together.restorer is None:
        return shown.x_BLT[:0].cpu().numpy()
    restored_RLT: Tensor = together.restorer(shown.x_BLT, shown.r_peaks_BP)
    return restored_RLT.cpu().numpy()


def features_of(one: Opened, split: StreamedSplit) -> NDArray[np.float32]:
    """What the head of a model reads of each record, (P, F)."""
    read: list[Tensor] = []
    hook = one.classifier.head.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))

    def features(batch: Batch) -> Tensor:
        read.clear()
        one.model(batch.x_BLT, batch.r_peaks_BP)
        return read[0].float().cpu()

    try:
        return evaluated(one.model, features, split).numpy()
    finally:
        hook.remove()


def tsne(features_PF: NDArray[np.float32], seed: int = SEED) -> NDArray[np.float32]:
    """t-SNE of records by their features (van der Maaten and Hinton 2008), (P, 2).

    Features are standardised, as for a linear probe; those that are the same for all records are
    left out. Perplexity is 30, or a third of the points where these are few. Where no feature
    differs between records, all are at 0.

    Raises:
        ExplainError: fewer than 8 points.
    """
    if len(features_PF) < FEWEST:
        raise ExplainError(
            f"t-SNE needs at least {FEWEST} test records with features, and there are "
            f"{len(features_PF)}"
        )
    from sklearn.manifold import TSNE

    x_PF = features_PF.astype(np.float64)
    spread_F = x_PF.std(axis=0)
    apart = spread_F > SPREAD
    if not apart.any():
        return np.zeros((len(x_PF), 2), np.float32)
    x_PF = (x_PF[:, apart] - x_PF[:, apart].mean(axis=0)) / spread_F[apart]
    if x_PF.shape[1] == 1:  # principal components, from which it starts, are two
        x_PF = np.concatenate([x_PF, np.zeros_like(x_PF)], axis=1)
    perplexity = min(PERPLEXITY, (len(x_PF) - 1) / 3)
    found: NDArray[np.float32] = TSNE(perplexity=perplexity, random_state=seed).fit_transform(x_PF)
    return found.astype(np.float32)
