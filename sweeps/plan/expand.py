"""Study -> trainings and their evaluations, with ids, in the order of the grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scaling.identity import CorpusSpec, Evaluation, Job, Training, Versions
from scaling.numerics import versions
from scaling.objectives.registry import OBJECTIVES
from sweeps.grid.source import Loc, Problem
from sweeps.plan.combinations import UNTRAINED, Point, Start, points
from sweeps.plan.compatible import unlike_parents, unlike_tasks, unreadable
from sweeps.plan.corpora import task_loc
from sweeps.plan.parents import (
    Chosen,
    Done,
    Lineage,
    NoParentError,
    choose_codebook,
    choose_parents,
    codes_of,
    slots_differ,
)
from sweeps.plan.starts import place_of, starts

if TYPE_CHECKING:
    from sweeps.grid.load import Study
    from sweeps.grid.schema import Stage
    from sweeps.plan.tasks import Case, Target, Targets
    from sweeps.store.store import Known


def expand(study: Study, targets: Targets, known: Mapping[str, Known]) -> list[Done]:
    """The jobs of each stage; a job lists *all* evaluations of its training.

    The same training may appear more than once where the grid repeats itself. A stage whose
    parents are the best of trials that are not finished is marked as waiting: its jobs start
    from the largest candidates instead, and are only good for an estimate.

    Args:
        study: a checked grid.
        targets: its corpora.
        known: records there are.

    Raises:
        ConfigurationError: a stage without parents or codebook to start from, or a model that
            cannot read its corpus, each at its place in the grid.
    """
    stages: list[Done] = []
    problems: list[Problem] = []
    lineage = Lineage()
    for index, stage in enumerate(study.grid.stages):
        one = _Stage(index, stage, targets, lineage, stages)
        stages.append(one.expand(known))
        # Without the trials of an earlier stage there are no parents either: that follows.
        problems += [p for p in one.problems if not (problems and p.loc[-1] == "parents")]
        lineage.add(stages[-1].jobs)
    if problems:
        raise study.source.error(list(dict.fromkeys(problems)))
    return stages


class _Stage:
    """Makes the jobs of one stage and collects what is wrong with it."""

    def __init__(
        self, index: int, stage: Stage, targets: Targets, lineage: Lineage, earlier: list[Done]
    ) -> None:
        self.here: Loc = ("stages", index, stage.name)
        self.stage = stage
        self.cases = targets.stages[index]
        self.released = targets.codebooks[index]
        self.lineage = lineage
        self.earlier = earlier
        self.problems: list[Problem] = []

    def expand(self, known: Mapping[str, Known]) -> Done:
        rule = getattr(self.stage.settings, "parents", None)
        chosen = Chosen(trainings=())
        if rule is not None:
            try:
                chosen = choose_parents(rule, self.earlier, known)
            except NoParentError as error:
                self.problems.append(Problem(loc=(*self.here, "parents"), message=str(error)))
        parents = {training.id: training for training in chosen.trainings}
        jobs = tuple(job for case in self.cases for job in self._of_case(case, parents))
        for training, message in unreadable(jobs):
            loc = (*self.here, *place_of(self.stage, training))
            self.problems.append(Problem(loc=loc, message=message))
        self.problems += self._other_signals(jobs)
        return Done(
            name=self.stage.name,
            jobs=jobs,
            continued=rule is not None,
            waiting=chosen.waiting,
        )

    def _other_signals(self, jobs: Sequence[Job]) -> Iterator[Problem]:
        """Signals that differ between what is trained on, what it starts from and its tasks."""
        for case in self.cases:
            for task, message in unlike_tasks(case):
                yield Problem(loc=task_loc(self.here, self.stage, task), message=message)
        for what, message in unlike_parents(jobs, self._config_of):
            loc: Loc = (*self.here, "corpus")
            if self.stage.settings.corpus is None:
                loc = self._codebook_loc() if what == "codebook" else (*self.here, "parents")
            yield Problem(loc=loc, message=message)

    def _config_of(self, parent: str) -> Mapping[str, Any]:
        if self.released is not None and parent == self.released.id:
            return self.released.training
        return self.lineage.config_of(parent)

    def _of_case(self, case: Case, parents: Mapping[str, Training]) -> Iterator[Job]:
        fitting = {i: t for i, t in parents.items() if self.lineage.fits(t, case.corpus.spec)}
        if parents and not fitting:
            message = (
                f"no parent can be tested on {case.corpus.name}: each has trained on records "
                "of its test split; let the parents have the same folds"
            )
            self.problems.append(Problem(loc=(*self.here, "parents"), message=message))
        for start in starts(self.stage, fitting):
            for point in points(self.stage.settings, start):
                training = self._training(case.corpus, start, point)
                if training is not None:
                    yield Job(training=training, evaluations=(*self._measured(training, case),))

    def _training(self, corpus: Target, start: Start, point: Point) -> Training | None:
        options = dict(point.options)
        parents = [start.parent] if start.parent else []
        if OBJECTIVES[point.objective].codebook:
            try:
                codebook, codes = self._codebook(corpus.spec, start)
            except NoParentError as error:
                self.problems.append(Problem(loc=self._codebook_loc(), message=str(error)))
                return None
            parents.insert(0, codebook)
            if codes != dict(OBJECTIVES[point.objective].options)["codes"]:
                options["codes"] = codes
        return Training(
            stage=self.stage.name,
            corpus=corpus.spec,
            task=corpus.task,
            family=start.family,
            size=start.size,
            paradigm=start.paradigm,
            objective=point.objective,
            data=point.data,
            recipe=point.recipe,
            seed=point.seed,
            labels_fraction=point.labels,
            parents=tuple(parents),
            numerics=_training_numerics(
                corpus.spec, start.family, point, converted=self.released is not None
            ),
            options=tuple(sorted(options.items())),
            label_set=point.label_set,
        )

    def _codebook(self, corpus: CorpusSpec, start: Start) -> tuple[str, int]:
        trained = None
        if self.released is None:
            choice = self.stage.pretrain.codebook if self.stage.pretrain is not None else None
            trained = choose_codebook(choice, self.earlier, self.lineage, corpus)
        name, size, codes = codes_of(self.released, trained)
        if message := slots_differ(start.size, size):
            raise NoParentError(message)
        return name, codes

    def _codebook_loc(self) -> Loc:
        pretrain = self.stage.pretrain
        named = pretrain is not None and pretrain.codebook is not None
        return (*self.here, "codebook") if named else self.here

    def _measured(self, training: Training, case: Case) -> Iterator[Evaluation]:
        stage = self.stage.settings
        keep = bool(getattr(stage, "predictions", False))
        if training.objective != UNTRAINED:
            # Only labels have predictions of their own; other objectives have a loss alone.
            yield _evaluation(
                training, case.corpus, "held-out", predictions=keep and training.paradigm == "sl"
            )
        for task in case.tasks:
            for share in getattr(stage, "few_shot", None) or [1.0]:
                yield _evaluation(
                    training, task, "linear-probe", labels_fraction=share, predictions=keep
                )
            if getattr(stage, "trajectory", False) and training.objective != UNTRAINED:
                yield _evaluation(training, task, "linear-probe", checkpoint="trajectory")


def _evaluation(
    training: Training,
    target: Target,
    protocol: str,
    *,
    checkpoint: str = "best-validation",
    labels_fraction: float = 1.0,
    predictions: bool = False,
) -> Evaluation:
    module = f"evaluation.{protocol.replace('-', '_')}"
    return Evaluation(
        training=training.id,
        corpus=target.spec,
        task=target.task,
        protocol=protocol,
        checkpoint=checkpoint,
        numerics=_numerics(target.spec, module, "evaluation.held_out", "evaluation.metrics"),
        labels_fraction=float(labels_fraction),
        predictions=predictions,
    )


def _training_numerics(spec: CorpusSpec, family: str, point: Point, *, converted: bool) -> Versions:
    """Versions of all that can change the weights.

    A codebook of the study has the version of its model in its own id, which is that of a
    parent; the id of a converted one is its content alone.
    """
    from scaling.models.families import FAMILIES

    modules = [
        "training",
        FAMILIES[family].numerics,
        OBJECTIVES[point.objective].numerics,
        # Early stopping looks at held-out losses, so their version can change the weights.
        "evaluation.held_out",
    ]
    if point.label_set:
        modules.append("label_sets")
    if converted and OBJECTIVES[point.objective].codebook:
        modules.append(FAMILIES["vq-hbr"].numerics)
    return _numerics(spec, *modules)


def _numerics(spec: CorpusSpec, *modules: str) -> Versions:
    kind = spec.source.split("/")[0]
    if kind == "simulated":
        return versions("simulated")
    return versions(*{f"corpora.{kind}", "corpora.signal", "corpora.splits", *modules})
