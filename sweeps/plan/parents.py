"""Which trials of earlier stages a trial starts from, and which codebook it predicts."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.identity import CODEBOOK, RESTORATION, TEACHER, CorpusSpec, Job, Training
from scaling.models.families import FAMILIES
from scaling.models.sizes import VQ_HBR
from scaling.objectives.registry import OBJECTIVES
from scaling.records.names import HELD_OUT
from scaling.workspace import Workspace
from sweeps.errors import ConfigurationError, StorageError
from sweeps.stages import STAGES
from sweeps.stages.keys import leads_named
from sweeps.store import Known, is_finished

if TYPE_CHECKING:
    from sweeps.stages.base import Parents

ID = re.compile(r"x[0-9a-f]{16}")  # of a converted codebook
FILTERS = (
    ("families", "family"),
    ("sizes", "size"),
    ("paradigms", "paradigm"),
    ("data", "data"),
    ("seeds", "seed"),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """A converted codebook that a grid names by its file."""

    id: str  # of its content; the parent of the trials that use it
    path: Path  # the safetensors file; its sidecar lies beside it
    size: str  # of the family ``vq-hbr``
    training: Mapping[str, Any]  # what its sidecar says of its training


def read_released(path: Path) -> Released:
    """Read the sidecar of a converted codebook.

    Raises:
        ConfigurationError: no such file, no sidecar, or a sidecar of something else.
    """
    sidecar = path.with_suffix(".json")
    how = "convert a released checkpoint by python -m scaling.convert codebook"
    for needed in (path, sidecar):
        if not needed.is_file():
            raise ConfigurationError(f"there is no file {needed}; {how}")
    try:
        about = json.loads(sidecar.read_bytes())
        name, training = str(about["id"]), about["training"]
        stage, size = training["stage"], training["size"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{sidecar} is not the sidecar of a converted codebook ({error!r}); {how}"
        raise ConfigurationError(message) from None
    if stage != CODEBOOK or size not in VQ_HBR or not ID.fullmatch(name):
        raise ConfigurationError(
            f"{sidecar}: stage {stage!r}, size {size!r}, id {name!r} is no converted codebook; "
            f"{how}"
        )
    return Released(id=name, path=path.resolve(), size=size, training=training)


def keep_released(released: Released, workspace: Workspace) -> None:
    """Copy a converted codebook into the store, the sidecar last; nothing where it is there.

    Raises:
        StorageError: it could not be written.
    """
    to = workspace.weights_of(released.id)
    if to.exists() and to.with_suffix(".json").exists():
        return
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        for suffix in (".safetensors", ".json"):
            part = to.with_suffix(suffix + ".part")
            shutil.copyfile(released.path.with_suffix(suffix), part)
            part.replace(to.with_suffix(suffix))
    except OSError as error:
        message = f"the codebook {released.path} could not be copied: {error}"
        raise StorageError(error.errno, message) from None


class NoParentError(ValueError):
    """No trial of an earlier stage can be the parent; the message says why."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A stage whose trials are known."""

    name: str
    jobs: tuple[Job, ...]
    continued: bool = False  # whether its trials have parents of their own
    waiting: bool = False  # whether they only stand in for trials that cannot be named yet


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Parents of a stage."""

    trainings: tuple[Training, ...]
    waiting: bool = False  # the best are not known yet, and these stand in for them


class Lineage:
    """What the ancestors of a training have trained on."""

    def __init__(self) -> None:
        self._trainings: dict[str, Training] = {}

    def add(self, jobs: Iterable[Job]) -> None:
        """Remember trainings that may become ancestors."""
        self._trainings |= {job.training.id: job.training for job in jobs}

    def config_of(self, name: str) -> Mapping[str, Any]:
        """The configuration of a training that was remembered; empty for any other."""
        return self._trainings[name].to_dict() if name in self._trainings else {}

    def specs(self, training: Training) -> Iterator[CorpusSpec]:
        """The corpora of a training and of all its ancestors."""
        yield training.corpus
        for parent in training.parent_ids:
            if parent in self._trainings:
                yield from self.specs(self._trainings[parent])

    def saw_more_labels(self, teacher: Training, student: Training) -> bool:
        """Whether an ancestor of a teacher saw labels of the student's records that it does not."""
        for parent in teacher.parent_ids:
            if (found := self._trainings.get(parent)) is None:
                continue
            ours, theirs = student.corpus, found.corpus
            same = (theirs.source, theirs.seed) == (ours.source, ours.seed)
            if found.paradigm == "sl" and same and not sees_no_more(found, student):
                return True
            if self.saw_more_labels(found, student):
                return True
        return False

    def fits(self, parent: Training, child: CorpusSpec) -> bool:
        """Whether a child on ``child`` would test only records that its ancestors have not seen.

        Folds of one source differ in who tests: a child follows the fold of its parents.
        """
        same = [spec.fold for spec in self.specs(parent) if spec.source == child.source]
        return parent.paradigm == "random" or all(fold == child.fold for fold in same)


def choose_parents(rule: Parents, earlier: Sequence[Done], known: Mapping[str, Known]) -> Chosen:
    """The parents that a rule means.

    The candidates are the trials that match of the nearest earlier stage of the name that has any,
    and of those of that name before it that have parents as it has, or have none as it has none.

    Raises:
        NoParentError: no trial matches, or none of those that do has the metric.
    """
    name = rule.stage_name
    same = [stage for stage in earlier if stage.name == name and _matching(rule, stage)]
    siblings = [stage for stage in same if stage.continued == same[-1].continued]
    jobs = [job for stage in siblings for job in _matching(rule, stage)]
    if not jobs:
        raise NoParentError(f"no trial of the {name} stage(s) before this one matches these words")
    waiting = any(stage.waiting for stage in siblings)
    if rule.best is None:
        return Chosen(trainings=tuple(job.training for job in jobs), waiting=waiting)
    groups: dict[tuple[object, ...], list[Job]] = {}
    for job in jobs:
        groups.setdefault(_comparable(job.training, rule), []).append(job)
    if waiting or not all(_settled(job, known) for job in jobs):
        largest = tuple(max(group, key=_rank).training for group in groups.values())
        return Chosen(trainings=largest, waiting=True)
    return Chosen(trainings=tuple(_best(group, rule.best, known) for group in groups.values()))


def _matching(rule: Parents, stage: Done) -> list[Job]:
    return [job for job in stage.jobs if _matches(rule, job.training)]


def _matches(rule: Parents, training: Training) -> bool:
    # Trials that were never trained are nobody's parents unless they are asked for.
    if training.paradigm == "random" and "random" not in (rule.paradigms or ()):
        return False
    for key, field in FILTERS:
        wanted = getattr(rule, key)
        if wanted is not None and getattr(training, field) not in wanted:
            return False
    if rule.sources is not None and training.corpus.source not in rule.sources:
        return False
    leads = getattr(rule, "input_leads", None)  # only rules about restoration nets say them
    return leads is None or training.input_leads in [leads_named(words) for words in leads]


def _comparable(training: Training, rule: Parents) -> tuple[object, ...]:
    """What trials have in common whose metric compares; the best of each is a parent.

    A loss depends on what is minimised: the objective and its settings (a focal loss falls with
    gamma, a contrastive one with its temperature), and the codebook whose codes are predicted.
    """
    corpus = training.corpus
    measured = (corpus.source, corpus.fold, training.task, training.label_set)
    of_whom: tuple[object, ...] = (training.family, training.paradigm, *measured)
    of_whom += tuple(getattr(training, field) for field in rule.best_of_each)
    if rule.best != "loss":
        return of_whom
    codebooks = training.parents_of_role(CODEBOOK)
    return (*of_whom, training.objective, training.options, codebooks)


def _rank(job: Job) -> tuple[int, int]:
    """Stands for the cost of a model, smaller ones first; a simulated size is a number."""
    training = job.training
    sizes = FAMILIES[training.family].sizes
    place = sizes.index(training.size) if sizes else int(training.size.removeprefix("n"))
    return place, training.data


def _settled(job: Job, known: Mapping[str, Known]) -> bool:
    """Whether the training and its held-out evaluation are over."""
    return all(is_finished(name, known) for name in (job.training.id, *_held_out(job)))


def _held_out(job: Job) -> list[str]:
    return [e.id for e in job.evaluations if e.protocol == HELD_OUT]


def _best(group: Sequence[Job], metric: str, known: Mapping[str, Known]) -> Training:
    """The best on validation of those that did not diverge; the first id where several are."""
    sign = 1.0 if metric == "loss" else -1.0
    scores = [
        (sign * known[name].validation[metric], job.training.id, job.training)
        for job in group
        if known[job.training.id].status != "diverged"
        for name in _held_out(job)
        if metric in known[name].validation
    ]
    if not scores:
        first = group[0].training
        raise NoParentError(
            f"no finished trial of {first.family} {first.paradigm} {first.objective} has a "
            f"validation {metric} to choose the best by"
        )
    return min(scores)[2]


def going_with(
    training: Training, role: str, candidates: Iterable[Training], more_labels: bool
) -> list[Training]:
    """Which of ``candidates`` teach ``training``, or restore its signals.

    A teacher has seen the labels of no record whose label its student does not see: it has the same
    share and draw of labelled records, and the same records; with all labels also fewer of them.
    With ``more_labels`` any will do. A restoration net is given the leads of the student. Where
    some are of the student's corpus, only these go with it, and of them those of its seed where
    some have it.

    Raises:
        NoParentError: none goes with it; says what differs.
    """
    found = list(candidates)
    going = _restoring(training, found) if role == RESTORATION else _teaching(found)
    going = [t for t in going if _same_records(t, training)] or going
    if role == TEACHER and not more_labels:
        going = _honest(training, going)
    return [t for t in going if t.seed == training.seed] or going


def _restoring(training: Training, found: Sequence[Training]) -> list[Training]:
    """Nets that are given the leads of a student."""
    if going := [t for t in found if t.input_leads == training.input_leads]:
        return going
    given = "+".join(training.input_leads) or "all leads"
    known = ", ".join(sorted({"+".join(t.input_leads) for t in found}))
    raise NoParentError(
        f"no restoration net is given {given}; they are given {known}: train one for it in the "
        "restore stage"
    )


def _teaching(found: Sequence[Training]) -> list[Training]:
    """Models with a logit of each label by itself."""
    if going := [t for t in found if OBJECTIVES[t.objective].teaches]:
        return going
    known = ", ".join(sorted({t.objective for t in found}))
    able = ", ".join(name for name, info in OBJECTIVES.items() if info.teaches)
    raise NoParentError(
        f"no model trained by {known} can teach: students imitate one logit for each label. Let "
        f"teachers be trained by one of {able}"
    )


def _honest(training: Training, found: Sequence[Training]) -> list[Training]:
    """Teachers that have seen no label which their student does not see."""
    alike = [t for t in found if _labels(t) == _labels(training)]
    if going := [t for t in alike if sees_no_more(t, training)]:
        return [t for t in going if t.data == training.data] or going
    known = ", ".join(sorted({_labels_text(t) for t in found}))
    raise NoParentError(
        f"no teacher has seen the labels of {_labels_text(training)} and no others: they have "
        f"those of {known}. Give both stages the same labels, draws, label_sets and data, or let "
        "teachers have more by teacher: {oracle: true}"
    )


def sees_no_more(other: Training, student: Training) -> bool:
    """Whether all records of one corpus whose labels ``other`` sees are labelled for ``student``.

    Shares of the same records and draw are nested; those of fewer records are not, since which are
    labelled depends on how often each class is among them.
    """
    if student.labels_fraction == 1.0:
        return other.data <= student.data
    same = (other.data, other.labelled_draw) == (student.data, student.labelled_draw)
    return same and other.labels_fraction <= student.labels_fraction


def _same_records(parent: Training, training: Training) -> bool:
    """Whether both are of one corpus and fold, and of one task where the parent has labels."""
    ours, theirs = training.corpus, parent.corpus
    same_task = parent.paradigm != "sl" or parent.task == training.task
    return (theirs.source, theirs.fold) == (ours.source, ours.fold) and same_task


def _labels(training: Training) -> tuple[float, int, str]:
    draw = training.labelled_draw if training.labels_fraction < 1.0 else 0
    return training.labels_fraction, draw, training.label_set


def _labels_text(training: Training) -> str:
    draw = f" (draw {training.labelled_draw})" * (training.labels_fraction < 1.0)
    of = f" of {training.label_set}" * bool(training.label_set)
    return f"{training.labels_fraction:g} of {training.data} records{draw}{of}"


def choose_codebook(
    size: str | None, earlier: Sequence[Done], lineage: Lineage, corpus: CorpusSpec
) -> Training:
    """The codebook whose codes a masked trial on ``corpus`` predicts, of a size.

    Raises:
        NoParentError: none, or more than one.
    """
    stages = [stage for stage in earlier if STAGES[stage.name].gives == CODEBOOK]
    found = [
        job.training
        for job in (stages[-1].jobs if stages else ())
        if (size is None or job.training.size == size) and lineage.fits(job.training, corpus)
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        fold = f" that has not seen the test records of fold {corpus.fold}" if corpus.fold else ""
        raise NoParentError(f"the codebook stage before this one trains no codebook{fold}")
    sizes = {training.size for training in found}
    rest = "say which by codebook: {size: ...}"
    if len(sizes) == 1:
        rest = "its data, seeds and recipe must be single values here"
    raise NoParentError(
        f"{len(found)} codebooks are trained before this stage, and all its trials share one; "
        f"{rest}"
    )
