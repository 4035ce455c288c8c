"""Study -> trainings and their evaluations, with ids, in the order of the grid."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scaling.compatible import cannot_read, parent_differences, signal_differences
from scaling.corpora.equal_codes import overlaps
from scaling.identity import (
    CODEBOOK,
    LEADS,
    RESTORATION,
    START,
    TEACHER,
    CorpusSpec,
    Evaluation,
    Job,
    Options,
    Parent,
    Recipe,
    Training,
    Versions,
)
from scaling.models.families import FAMILIES
from scaling.models.sizes import TRANSFORMER, VQ_HBR
from scaling.numerics import versions
from scaling.objectives.registry import OBJECTIVES, ObjectiveInfo, Settings
from scaling.provenance import corpus_name
from scaling.records.names import BEST, EXTERNAL, HELD_OUT, LINEAR_PROBE, TRAJECTORY
from sweeps.errors import Loc, Mistake
from sweeps.plan.corpora import place_of
from sweeps.plan.needs import lacking_leads, unmet_needs
from sweeps.plan.parents import (
    Chosen,
    Done,
    Lineage,
    NoParentError,
    Released,
    choose_codebook,
    choose_parents,
    going_with,
)
from sweeps.stages.base import CODES, UNTRAINED
from sweeps.stages.keys import CODEBOOK_FAMILY

if TYPE_CHECKING:
    from sweeps.grid.load import Study
    from sweeps.plan.corpora import Case, CorpusTask, StudyCorpora
    from sweeps.stages.base import Stage, Start
    from sweeps.stages.keys import ObjectiveChoice
    from sweeps.store import Known


USES = {
    CODEBOOK: "predict codes of a codebook",
    START: "start from a model",
    TEACHER: "imitate a model",
    RESTORATION: "are given signals mended by a model",
}


def _recipes(stage: Stage, start: Start) -> list[Recipe]:
    axes = stage.recipe.of_size(start.size)
    if start.cell is not None:
        axes |= start.cell.recipe.axes()
    return [
        Recipe(**dict(zip(axes, values, strict=True)))
        for values in itertools.product(*axes.values())
    ]


def _options(
    choice: ObjectiveChoice | None, objective: ObjectiveInfo, fixed: Settings
) -> list[Options]:
    """Settings that differ from the objective's defaults, sorted by name."""
    given = (choice.model_extra or {}) if choice is not None else {}
    defaults = dict(objective.options)
    options = []
    for values in itertools.product(*given.values()):
        chosen = {k: type(defaults[k])(v) for k, v in zip(given, values, strict=True)} | fixed
        options.append(tuple(sorted((k, v) for k, v in chosen.items() if v != defaults[k])))
    return options


def expand(study: Study, corpora: StudyCorpora, known: Mapping[str, Known]) -> list[Done]:
    """The jobs of each stage; a job lists *all* evaluations of its training.

    The same training may appear more than once where the grid repeats itself. A stage whose
    parents are the best of trials that are not finished is marked as waiting: its jobs start
    from the largest candidates instead, and are only good for an estimate.

    Raises:
        ConfigurationError: a stage without parents or codebook to start from, or a model that
            cannot read its corpus, each at its place in the grid.
    """
    stages: list[Done] = []
    mistakes: list[Mistake] = []
    lineage = Lineage()
    resolved = zip(corpora.stages, corpora.codebooks, strict=True)
    for (here, stage), (cases, released) in zip(study.stages, resolved, strict=True):
        one = _Expansion(here, stage, cases, released, lineage, stages)
        stages.append(one.expand(known))
        # Without the trials of an earlier stage there are no parents either: that follows.
        mistakes += [m for m in one.mistakes if not (mistakes and m.loc[-1] == "parents")]
        lineage.add(stages[-1].jobs)
    if mistakes:
        raise study.source.error(list(dict.fromkeys(mistakes)))
    return stages


class _Expansion:
    """Makes the jobs of one stage and collects what is wrong with it."""

    def __init__(
        self,
        here: Loc,
        stage: Stage,
        cases: Sequence[Case],
        released: Released | None,
        lineage: Lineage,
        earlier: list[Done],
    ) -> None:
        self.here, self.stage = here, stage
        self.cases, self.released = cases, released
        self.lineage, self.earlier = lineage, earlier
        self.mistakes: list[Mistake] = []

    def expand(self, known: Mapping[str, Known]) -> Done:
        chosen: dict[str, Chosen] = {}
        for role, (key, rule) in self.stage.parent_rules.items():
            try:
                chosen[role] = choose_parents(rule, self.earlier, known)
            except NoParentError as error:
                self.mistakes.append(Mistake(loc=(*self.here, key), message=str(error)))
        candidates = {
            role: {training.id: training for training in found.trainings}
            for role, found in chosen.items()
        }
        jobs = tuple(job for case in self.cases for job in self._of_case(case, candidates))
        for training, message in unreadable(jobs):
            loc = (*self.here, *self.stage.place_of(training.family, training.size))
            self.mistakes.append(Mistake(loc=loc, message=message))
        self.mistakes += self._other_signals(jobs)
        self.mistakes += self._no_longer_foreign(jobs)
        self.mistakes += self._unmet(jobs)
        return Done(
            name=self.stage.name,
            jobs=jobs,
            continued=self.stage.parent_rule is not None,
            waiting=any(found.waiting for found in chosen.values()),
        )

    def _unmet(self, jobs: Sequence[Job]) -> Iterator[Mistake]:
        """Records, leads or classes that trials would not have."""
        for case in self.cases:
            if message := lacking_leads(case.corpus.spec, LEADS):
                own: Loc = ("corpus",) if self.stage.corpus is None else (*self.here, "corpus")
                yield Mistake(loc=(*own, "preprocessing"), message=message)
        classes = {
            (case.corpus.spec, case.corpus.task): len(case.corpus.summary.classes)
            for case in self.cases
        }
        for training in (job.training for job in jobs):
            count = classes[training.corpus, training.task]
            for mistake in unmet_needs(self.stage, training, count):
                yield mistake._replace(loc=(*self.here, *mistake.loc))

    def _other_signals(self, jobs: Sequence[Job]) -> Iterator[Mistake]:
        """Signals that differ between what is trained on, what it starts from and its tasks."""
        for case in self.cases:
            for key, target in case.measured_on:
                if found := signal_differences(target.spec, case.corpus.spec):
                    message = (
                        f"{target.name} has {'; '.join(found)}: a model is measured on signals "
                        "like those it was trained on"
                    )
                    place = place_of(self.stage, key, target)
                    yield Mistake(loc=(*self.here, *place), message=message)
        for training in (job.training for job in jobs):
            name = corpus_name(training.corpus.source, training.task, training.corpus.fold)
            for role, parent in training.parents:
                if found := parent_differences(role, self._config_of(parent), training):
                    alike = "labels and signals" if role == TEACHER else "signals"
                    message = (
                        f"trials on {name} {USES[role]} that was trained with {'; '.join(found)}: "
                        f"give both the same {alike}"
                    )
                    loc: Loc = (*self.here, "corpus")
                    if self.stage.corpus is None:
                        key = self.stage.parent_rules[role][0] if role != CODEBOOK else ""
                        loc = (*self.here, key) if key else self._codebook_loc()
                    yield Mistake(loc=loc, message=message)

    def _no_longer_foreign(self, jobs: Sequence[Job]) -> Iterator[Mistake]:
        """External corpora that a parent of a trial was trained on."""
        if not self.stage.measurement.external:
            return  # ancestors of all trials need not be looked through
        learnt = {s.source for job in jobs for s in self.lineage.specs(job.training)}
        for case in self.cases:
            for target in case.external:
                own, other = case.corpus.spec.source, target.spec.source
                if any(overlaps(other, source) for source in learnt - {own}):
                    message = (
                        f"parents of these trials were trained on {target.spec.source}, so it is "
                        "no external corpus for them; take another, or other parents"
                    )
                    place = place_of(self.stage, "external", target)
                    yield Mistake(loc=(*self.here, *place), message=message)

    def _config_of(self, parent: str) -> Mapping[str, Any]:
        if self.released is not None and parent == self.released.id:
            return self.released.training
        return self.lineage.config_of(parent)

    def _of_case(
        self, case: Case, candidates: Mapping[str, Mapping[str, Training]]
    ) -> Iterator[Job]:
        fitting: dict[str, dict[str, Training]] = {}
        for role, found in candidates.items():
            fit = {i: t for i, t in found.items() if self.lineage.fits(t, case.corpus.spec)}
            fitting[role] = fit
            if found and not fit:
                message = (
                    f"no {'parent' if role == START else role} can be tested on "
                    f"{case.corpus.name}: each has trained on records of its test split; let them "
                    "have the same folds"
                )
                key = self.stage.parent_rules[role][0]
                self.mistakes.append(Mistake(loc=(*self.here, key), message=message))
        for start in self.stage.starts(fitting.get(START, {})):
            for training in self._trainings(case.corpus, start, fitting):
                yield Job(training=training, evaluations=(*self._evaluations(training, case),))

    def _trainings(
        self,
        corpus: CorpusTask,
        start: Start,
        fitting: Mapping[str, Mapping[str, Training]],
    ) -> Iterator[Training]:
        """Every combination of what the stage leaves to its axes, for a start.

        What cannot change a trial is not an axis of it: the recipe of a model that is not trained,
        and labels where none are used.
        """
        stage, cell = self.stage, start.cell
        objective = OBJECTIVES[stage.objective_of(start)]
        parents = [Parent(START, start.parent)] if start.parent else []
        codes: Settings = {}
        if CODEBOOK in objective.roles:
            try:
                codebook, codes[CODES] = self._codebook(corpus.spec, start)
            except NoParentError as error:
                self.mistakes.append(Mistake(loc=self._codebook_loc(), message=str(error)))
                return
            parents.insert(0, Parent(CODEBOOK, codebook))
        shares, label_sets = stage.label_axes if start.paradigm == "sl" else ([1.0], [""])
        for recipe, options, data, labels, label_set, (seed, draw) in itertools.product(
            [Recipe()] if objective.name == UNTRAINED else _recipes(stage, start),
            _options(stage.choice_of(start), objective, codes),
            [cell.data] if cell else stage.data or [],
            shares,
            label_sets,
            [(cell.seed, 0)] if cell and cell.seed is not None else stage.seeds_and_draws,
        ):
            modules = _training_modules(start.family, objective, label_set, self.released)
            training = Training(
                stage=stage.name,
                corpus=corpus.spec,
                task=corpus.task,
                family=start.family,
                size=start.size,
                paradigm=start.paradigm,
                objective=objective.name,
                data=data,
                recipe=recipe,
                seed=seed,
                labels_fraction=float(labels),
                parents=tuple(parents),
                numerics=_numerics(corpus.spec, *modules),
                options=options,
                label_set=label_set,
                input_leads=start.input_leads,
                labelled_draw=draw,
            )
            yield from self._with_frozen(training, objective, fitting)

    def _with_frozen(
        self,
        training: Training,
        objective: ObjectiveInfo,
        fitting: Mapping[str, Mapping[str, Training]],
    ) -> Iterator[Training]:
        """A training with each teacher and each restoration net that go with it."""
        families = [(TEACHER, TEACHER in objective.roles), (RESTORATION, True)]
        choices: list[list[Parent]] = []
        for role, wanted in families:
            rule, found = self.stage.parent_rules.get(role), fitting.get(role, {})
            if rule is None or not found or not wanted:
                continue
            try:
                candidates = list(found.values())
                if role == TEACHER:
                    candidates = self._teachers(training, candidates)
                going = going_with(training, role, candidates, self.stage.more_labels)
            except NoParentError as error:
                self.mistakes.append(Mistake(loc=(*self.here, rule[0]), message=str(error)))
                return
            choices.append([Parent(role, parent.id) for parent in going])
        for parents in itertools.product(*choices):
            yield dataclasses.replace(training, parents=(*training.parents, *parents))

    def _teachers(self, training: Training, candidates: Iterable[Training]) -> list[Training]:
        """Those whose ancestors saw no label that is not shown to their student.

        Raises:
            NoParentError: none is left.
        """
        found = list(candidates)
        if self.stage.more_labels:
            return found
        kept = [t for t in found if not self.lineage.saw_more_labels(t, training)]
        if not kept:
            source = training.corpus.source
            raise NoParentError(
                f"each teacher starts from a model that has seen labels of {source} which its "
                "student does not see: let it start from one of other patients, or of none, or let "
                "teachers have more labels by teacher: {oracle: true}"
            )
        return kept

    def _codebook(self, corpus: CorpusSpec, start: Start) -> tuple[str, int]:
        """Id and number of codes of the codebook that a masked trial predicts."""
        codebook = self.released or choose_codebook(
            self.stage.codebook_size, self.earlier, self.lineage, corpus
        )
        ours, shape = TRANSFORMER[start.size].tokens, VQ_HBR[codebook.size]
        if ours != shape.tokens:
            raise NoParentError(
                f"size {start.size} has {ours} slots for heartbeats, codebook {codebook.size} has "
                f"{shape.tokens}"
            )
        return codebook.id, shape.codes

    def _codebook_loc(self) -> Loc:
        named = self.stage.codebook_size or self.stage.codebook_file
        return (*self.here, "codebook") if named else self.here

    def _evaluations(self, training: Training, case: Case) -> Iterator[Evaluation]:
        asked = self.stage.measurement
        # Only labels have predictions of their own; other objectives have a loss alone.
        own = training.paradigm == "sl"
        if training.objective != UNTRAINED:
            yield _evaluation(
                training,
                case.corpus,
                HELD_OUT,
                predictions=asked.predictions and own,
                metrics=asked.metrics if own else "",
            )
        for target in case.external if own else ():
            yield _evaluation(
                training,
                target,
                EXTERNAL,
                predictions=asked.predictions,
                metrics=asked.metrics,
            )
        for task in case.tasks:
            for share in asked.shares:
                yield _evaluation(
                    training,
                    task,
                    LINEAR_PROBE,
                    labels_fraction=share,
                    predictions=asked.predictions,
                    metrics=asked.metrics,
                )
            if asked.trajectory and training.objective != UNTRAINED:
                yield _evaluation(training, task, LINEAR_PROBE, checkpoint=TRAJECTORY)


def _evaluation(
    training: Training,
    target: CorpusTask,
    protocol: str,
    *,
    checkpoint: str = BEST,
    labels_fraction: float = 1.0,
    predictions: bool = False,
    metrics: str = "",
) -> Evaluation:
    modules = [f"evaluation.{protocol.replace('-', '_')}", "evaluation.held_out"]
    modules += ["evaluation.metrics", *([f"evaluation.{metrics}"] if metrics else [])]
    if training.objective == "restoration" and protocol == HELD_OUT:
        modules.append("evaluation.restoration")
    return Evaluation(
        training=training.id,
        corpus=target.spec,
        task=target.task,
        protocol=protocol,
        checkpoint=checkpoint,
        numerics=_numerics(target.spec, *modules),
        labels_fraction=float(labels_fraction),
        predictions=predictions,
        metrics=metrics,
    )


def _training_modules(
    family: str, objective: ObjectiveInfo, label_set: str, released: Released | None
) -> Iterator[str]:
    """Modules whose version can change the weights.

    A codebook of the study has the version of its model in its own id, which is that of a
    parent; the id of a converted one is its content alone.
    """
    # Early stopping looks at held-out losses, so their version can change the weights.
    yield from ("training", "evaluation.held_out", FAMILIES[family].numerics, objective.numerics)
    if label_set:
        yield "label_sets"
    if released is not None and CODEBOOK in objective.roles:
        yield FAMILIES[CODEBOOK_FAMILY].numerics


def _numerics(spec: CorpusSpec, *modules: str) -> Versions:
    kind = spec.source.split("/")[0]
    if kind == "simulated":
        return versions("simulated")
    return versions(*{f"corpora.{kind}", "corpora.signal", "corpora.splits", *modules})


def unreadable(jobs: Iterable[Job]) -> Iterator[tuple[Training, str]]:
    """Sizes that leave no sample of their records, or need another sampling rate.

    Yields:
        A training of each size and corpus, probed ones included, that do not go together, and why.
    """
    pairs: dict[tuple[str, str, str, CorpusSpec, bool], Training] = {}
    for job in jobs:
        training = job.training
        if training.family != "simulated":
            model = (training.family, training.size, training.objective)
            pairs.setdefault((*model, training.corpus, True), training)
            for evaluation in job.evaluations:
                pairs.setdefault((*model, evaluation.corpus, False), training)
    for (*_, spec, trained_on), training in pairs.items():
        if problem := cannot_read(training, spec, trained_on=trained_on):
            yield training, f"{spec.source}: {problem}"
