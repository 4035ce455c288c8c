"""External validation: a model as it was trained, on another corpus and the classes that both have.

What a model is worth where it is used is not what it is worth on held-out records of the set that
it was trained on: people, devices and who labels are others there. Nothing is fitted to the other
corpus. The thresholds are those that are best on validation records of the model's own, as in use,
and metrics are of the other corpus's test records (S2, section 2.6, which does not say how
thresholds are chosen).

So of the rows of such an evaluation those of split ``validation`` are of the model's own corpus and
those of ``test`` of the other, both on the shared classes alone
(``scaling.corpora.equal_codes``), which have the names that the model gives them. Leads that the
model was not given are hidden, and restored, as in use.
"""

from __future__ import annotations

from collections.abc import Sequence

from scaling.corpora.equal_codes import LabelledTask, overlaps, shared_classes
from scaling.corpora.format.corpus import Corpus
from scaling.data.batches import predict, split_of
from scaling.data.label_sets import columns
from scaling.evaluation.measure import Scored, label_rows, split_rows
from scaling.evaluation.multilabel import multilabel_rows
from scaling.evaluation.trained import Trained
from scaling.identity import Evaluation
from scaling.objectives.labels import LabelObjective, binary_losses
from scaling.records.patients import Row


def measure_external(
    trained: Trained, own: Corpus, other: Corpus, evaluation: Evaluation
) -> tuple[list[Row], dict[str, Scored], tuple[str, ...]]:
    """What a trained head says of another corpus, on the classes that both have.

    The loss is the binary cross-entropy over these classes, whatever the model was trained by.

    Args:
        trained: the model.
        own: the corpus it was trained on.
        other: the corpus of the evaluation.
        evaluation: whose task and metrics are meant.

    Returns:
        Rows of its own ``validation`` and the other's ``test``; the predictions they are from; and
        the shared classes (C,), as the model names them.

    Raises:
        ValueError: the other corpus is its own, no class is shared, a split without records, or a
            model that predicts no labels.
        WeightsError: weights of another architecture; a parent's are gone.
    """
    training, task = trained.training, evaluation.task
    if overlaps(other.spec.source, training.corpus.source):
        raise ValueError(f"{evaluation.id}: {other.spec.source} is no other corpus for its model")
    pairs = shared_classes(
        LabelledTask(training.corpus.source, training.task, trained.classes),
        LabelledTask(other.spec.source, task, tuple(other.classes(task))),
    )
    classes = tuple(pair.own for pair in pairs)
    objective, _, model = trained.whole()
    if not isinstance(objective, LabelObjective):
        raise ValueError(f"{evaluation.id}: objective {training.objective} predicts no labels")
    places = columns(trained.classes, classes)

    def scored_of(corpus: Corpus, of: str, name: str, called: Sequence[str]) -> Scored:
        """A split of a task of a corpus, whose names of the shared classes are ``called``."""
        rows_N = split_rows(corpus, of, name)
        split = split_of(corpus, rows_N, of, trained.device, training.leads, called, streamed=True)
        scores_NC = objective.scores(predict(model, split))[:, places]
        labels_NC = split.labels.cpu()
        return Scored(
            rows_N=rows_N,
            patients_N=split.patients,
            losses={"loss": binary_losses(scores_NC.float(), labels_NC)},
            scores_NC=scores_NC.numpy(),
            labels_NC=labels_NC.numpy() > 0.5,
        )

    scored = {
        "validation": scored_of(own, training.task, "validation", classes),
        "test": scored_of(other, task, "test", [pair.other for pair in pairs]),
    }
    rows = label_rows(scored) + multilabel_rows(evaluation, scored, classes)
    return rows, scored, classes
